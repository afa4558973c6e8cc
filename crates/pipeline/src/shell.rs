//! Words of commands that a person is to paste into a shell.

use std::borrow::Cow;

/// A word as a POSIX shell takes it, in quotes where it needs them.
#[must_use]
pub fn quoted_for_shell(word: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.into(),
        false => format!("'{}'", word.replace('\'', "'\\''")).into(),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::quoted_for_shell;

    #[test]
    fn a_shell_takes_a_quoted_word_as_it_was() {
        for word in [
            "",
            "/var/backups/shop",
            "/my store/it's \"here\"",
            "s3://b/shop/?endpoint=http://127.0.0.1:7390&region=us-east-1&path_style=true",
            "$HOME `id` \\ ; * ~ #",
        ] {
            let quoted = quoted_for_shell(word);
            let printed = Command::new("sh").arg("-c").arg(format!("printf %s {quoted}")).output().unwrap();
            assert_eq!(String::from_utf8(printed.stdout).unwrap(), word, "{quoted}");
        }
        assert_eq!(quoted_for_shell("/var/backups/shop"), "/var/backups/shop");
    }
}
