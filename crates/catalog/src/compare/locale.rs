//! Locales that ICU spells in two ways.

/// Whether two locales are one: ICU leaves `-true` out of a language tag since some release, before it put it
/// in, and a server keeps what its own ICU makes of a tag: `en-u-kn-true` is `en-u-kn`.
pub(super) fn is_same(left: &str, right: &str) -> bool {
    left == right || short(left) == short(right)
}

/// A language tag without the value `true` of its Unicode extension's keys, which has to follow one.
fn short(locale: &str) -> Vec<&str> {
    let mut kept: Vec<&str> = Vec::new();
    let mut is_extension = false;
    for part in locale.split('-') {
        is_extension = if part.len() == 1 { part == "u" } else { is_extension };
        let follows_key = kept.last().is_some_and(|key| key.len() == 2);
        if !(is_extension && follows_key && part == "true") {
            kept.push(part);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::is_same;

    #[test]
    fn spellings() {
        for (left, right, expected) in [
            ("en-u-kn-true", "en-u-kn", true),
            ("en-u-ka-shifted-kb-true-kn-true", "en-u-ka-shifted-kb-kn", true),
            ("de-u-co-phonebk-kn-true-ks-level1", "de-u-co-phonebk-kn-ks-level1", true),
            ("en", "en", true),
            ("en-u-kn-false", "en-u-kn", false),
            ("en-u-kk-true", "en-u-kk-false", false),
            ("en-u-kn-true", "de-u-kn", false),
            ("en-u-kn", "en", false),
            ("en-x-kn-true", "en-x-kn", false),
            ("en-true", "en", false),
        ] {
            assert_eq!(is_same(left, right), expected, "{left} {right}");
        }
    }
}
