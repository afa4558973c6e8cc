//! Severities of differences in definitions: written into the JSON beside each, where readers need no rules of ours, and
//! told in every other form. They follow from the difference, so that nothing is read back.

use dbhaul_catalog::{CatalogDiff, Difference, Severity};
use serde::{Serialize, Serializer};

/// A difference as the JSON has it.
#[derive(Serialize)]
struct Judged<'a> {
    #[serde(flatten)]
    difference: &'a Difference,
    severity: Severity,
}

impl<'a> Judged<'a> {
    fn new(difference: &'a Difference) -> Self {
        Judged { difference, severity: difference.severity() }
    }
}

#[derive(Serialize)]
struct JudgedDiff<'a> {
    differences: Vec<Judged<'a>>,
}

/// Writes differences with their severities.
pub(crate) fn of_all<S: Serializer>(diff: &CatalogDiff, serializer: S) -> Result<S::Ok, S::Error> {
    let differences = diff.differences.iter().map(Judged::new).collect();
    JudgedDiff { differences }.serialize(serializer)
}

/// Writes a difference with its severity.
pub(crate) fn of_one<S: Serializer>(difference: &Difference, serializer: S) -> Result<S::Ok, S::Error> {
    Judged::new(difference).serialize(serializer)
}

/// How many differences there are of each severity, the gravest first: `1 critical, 2 minor`; empty for none.
pub(super) fn counts<'a>(differences: impl Iterator<Item = &'a Difference>) -> String {
    let mut counts = [0_usize; Severity::ALL.len()];
    for difference in differences {
        for (count, severity) in counts.iter_mut().zip(Severity::ALL) {
            *count += usize::from(difference.severity() == severity);
        }
    }
    let some = counts.iter().zip(Severity::ALL).filter(|(count, _)| **count > 0);
    some.map(|(count, severity)| format!("{count} {severity}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use dbhaul_catalog::{CatalogDiff, Difference, EntryKind, Identity};
    use serde_json::json;

    use super::{counts, of_all};

    fn changed(path: &str) -> Difference {
        let identity =
            Identity { kind: EntryKind::Table, schema: None, name: "t".into(), discriminator: None };
        Difference::changed(identity, path.into())
    }

    #[test]
    fn severities_are_counted_and_written_and_not_read() {
        let differences = vec![changed("comment"), changed("body.row_security"), changed("comment")];
        assert_eq!(counts(differences.iter()), "1 critical, 2 minor");
        assert_eq!(counts([].iter()), "");
        let diff = CatalogDiff { differences };
        let written = of_all(&diff, serde_json::value::Serializer).unwrap();
        let severities: Vec<_> =
            written["differences"].as_array().unwrap().iter().map(|one| one["severity"].clone()).collect();
        assert_eq!(severities, [json!("minor"), json!("critical"), json!("minor")]);
        let mut forged = written;
        forged["differences"][0]["severity"] = json!("none");
        let read: CatalogDiff = serde_json::from_value(forged).unwrap();
        assert_eq!(read, diff);
    }
}
