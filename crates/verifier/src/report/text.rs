//! A report as text.

use std::fmt::{self, Display, Formatter};

use dbhaul_catalog::{Difference, EntryKind, Identity, in_one_line};
use dbhaul_progress::counted;

use super::diff::unified;
use super::{LARGE_OBJECTS, Report, RowsOfRight, SideDescription, TableResult, severity};
use crate::Verdict;

/// Lines of one object's diff that are printed.
const MOST_DIFF_LINES: usize = 40;

impl Display for SideDescription {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (PostgreSQL {}, as of {}",
            in_one_line(&self.name),
            in_one_line(&self.server_version),
            in_one_line(&self.as_of)
        )?;
        match &self.lsn {
            Some(lsn) => write!(f, ", LSN {})", in_one_line(lsn)),
            None => f.write_str(")"),
        }
    }
}

impl Display for TableResult {
    /// Of rows that were not read on the right, `{:#}` says that they were loaded.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = in_one_line(&self.name);
        let same = if f.alternate() { "loaded" } else { "equal " };
        match &self.verdict {
            Verdict::Equal { digest } if self.name == LARGE_OBJECTS => {
                let pieces = counted(digest.row_count, "piece");
                write!(f, "  {same}        {pieces:>19} of {name}")
            }
            Verdict::Equal { digest } => {
                // the number stands at the same place before "row " as before "rows"
                let rows = if digest.row_count == 1 { "row " } else { "rows" };
                write!(f, "  {same}        {:>12} {rows}  {name}  digest {}", digest.row_count, digest.sum)
            }
            Verdict::SameCount { row_count } if self.name == LARGE_OBJECTS => {
                let pieces = counted(*row_count, "piece");
                write!(f, "  same count    {pieces:>19} of {name}, contents not compared")
            }
            Verdict::SameCount { row_count } => {
                let rows = if *row_count == 1 { "row " } else { "rows" };
                write!(f, "  same count    {row_count:>12} {rows}  {name}  contents not compared")
            }
            Verdict::OtherCount { left, right } => {
                let left = counted(*left, "row");
                write!(f, "  DIFFERENT     {name}: {left} on the left, {right} on the right")
            }
            Verdict::Different { left, right } if left.row_count != right.row_count => {
                let (left, right) = (left.row_count, right.row_count);
                let left = counted(left, "row");
                write!(f, "  DIFFERENT     {name}: {left} on the left, {right} on the right")
            }
            Verdict::Different { left, .. } => {
                let rows = counted(left.row_count, "row");
                write!(f, "  DIFFERENT     {name}: {rows} on both sides, other contents")
            }
            Verdict::Settled { left, right } => {
                let (left, right) = (counted(left.row_count, "row"), right.row_count);
                write!(f, "  settled       {name}: {left} on the left and {right} on the right at first")
            }
            Verdict::Missing => write!(f, "  MISSING       {name}: only on the left"),
            Verdict::Extra => write!(f, "  EXTRA         {name}: only on the right"),
            Verdict::NotVerified { reason } => write!(f, "  NOT VERIFIED  {name}: {}", in_one_line(reason)),
        }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "left   {}", self.left)?;
        writeln!(f, "right  {}", self.right)?;
        let selection = self.selection.as_deref().unwrap_or("everything");
        writeln!(f, "scope  {}", in_one_line(selection))?;
        for option in &self.options {
            writeln!(f, "       {option}")?;
        }
        let (at, version) = (in_one_line(&self.compared_at), in_one_line(&self.dbhaul_version));
        writeln!(f, "compared at {at} by dbhaul {version}")?;
        writeln!(f)?;
        self.fmt_schema(f)?;
        self.fmt_tables(f)?;
        self.fmt_sequences(f)?;
        self.fmt_checks(f)?;
        self.fmt_accepted(f)?;
        for note in &self.not_compared {
            writeln!(f, "not compared: {}", in_one_line(note))?;
        }
        for note in &self.information {
            writeln!(f, "for information: {}", in_one_line(note))?;
        }
        writeln!(f)?;
        f.write_str(&self.conclusion())?;
        if self.rows_of_right == RowsOfRight::Loaded && !self.tables.is_empty() {
            f.write_str(" (rows were compared as they were loaded, and not read on the right: `dbhaul verify` does that)")?;
        }
        match &self.selection {
            Some(selection) => write!(f, " (only what is selected was compared: {})", in_one_line(selection)),
            None => Ok(()),
        }
    }
}

impl Report {
    fn fmt_schema(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let unverified = |difference: &&Difference| matches!(difference, Difference::NotVerified { .. });
        let not_verified = self.schema.differences.iter().filter(unverified).count();
        let count = self.schema.differences.len() - not_verified;
        let objects = counted(self.compared_object_count, "object");
        write!(f, "schema: {objects} compared, {}", counted(count, "difference"))?;
        let severities = severity::counts(self.schema_differences());
        if !severities.is_empty() {
            write!(f, " ({severities})")?;
        }
        if not_verified > 0 {
            write!(f, ", {not_verified} not verified")?;
        }
        writeln!(f)?;
        let differences = &self.schema.differences;
        for (at, difference) in differences.iter().enumerate() {
            // A name of an object may hold a line break, with which it could pass for a line of this report.
            writeln!(f, "  {} ({})", in_one_line(&difference.to_string()), difference.severity())?;
            let identity = difference.identity();
            if differences.get(at + 1).is_none_or(|next| next.identity() != identity) {
                self.fmt_diff(f, identity)?;
            }
        }
        Ok(())
    }

    /// The statements of an object that differs, as a diff; `{:#}` leaves out nothing of it. What one side alone has is
    /// told by its name, but for a default, whose name does not tell what it is.
    fn fmt_diff(&self, f: &mut Formatter<'_>, identity: &Identity) -> fmt::Result {
        let Some(definitions) = self.definitions.iter().find(|one| one.identity == *identity) else {
            return Ok(());
        };
        let is_on_both = definitions.left.is_some() && definitions.right.is_some();
        if !(is_on_both || identity.kind == EntryKind::Default || f.alternate()) {
            return Ok(());
        }
        let lines = unified(definitions);
        let shown = if f.alternate() { lines.len() } else { lines.len().min(MOST_DIFF_LINES) };
        for line in lines.iter().take(shown) {
            writeln!(f, "      {}", line.text())?;
        }
        match lines.len() - shown {
            0 => Ok(()),
            more => writeln!(f, "      ({} more, which a report in a file has)", counted(more, "line")),
        }
    }

    fn fmt_tables(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let totals = self.totals();
        writeln!(
            f,
            "rows: {} {} ({}), {} different, {} not verified",
            counted(totals.equal, "table"),
            self.same(),
            counted(totals.equal_row_count, "row"),
            totals.different,
            totals.not_verified
        )?;
        if totals.settled > 0 {
            let tables = counted(totals.settled, "table");
            writeln!(
                f,
                "settled: rows of {tables} differed first, and agreed when they were looked at again"
            )?;
        }
        if totals.same_count > 0 {
            let (tables, rows) =
                (counted(totals.same_count, "table"), counted(totals.same_count_row_count, "row"));
            writeln!(f, "counts: the same for {tables} ({rows}), whose contents were not compared")?;
        }
        if let Some(large_objects) = self.tables.iter().find(|table| table.name == LARGE_OBJECTS) {
            let word = match &large_objects.verdict {
                Verdict::Equal { .. } => self.same(),
                Verdict::NotVerified { .. } => "not verified",
                Verdict::Settled { .. } => "settled",
                Verdict::SameCount { .. } => "as many pieces on both sides, whose contents were not compared",
                _ => "different",
            };
            writeln!(f, "large objects: {word}")?;
        }
        let (equal, other): (Vec<_>, Vec<_>) = self.tables.iter().partition(|table| table.verdict.is_equal());
        other.iter().chain(&equal).try_for_each(|table| {
            match self.rows_of_right {
                RowsOfRight::Read => writeln!(f, "{table}")?,
                RowsOfRight::Loaded => writeln!(f, "{table:#}")?,
            }
            table.rows.iter().try_for_each(|rows| write!(f, "{rows}"))
        })
    }

    /// What is said of rows with the same digests.
    fn same(&self) -> &'static str {
        match self.rows_of_right {
            RowsOfRight::Read => "equal",
            RowsOfRight::Loaded => "loaded whole",
        }
    }

    fn fmt_sequences(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let not_verified = self.sequences.iter().filter(|sequence| sequence.not_verified.is_some()).count();
        let different = self.sequences.len() - not_verified;
        write!(f, "sequences: {} compared, {different} different", self.compared_sequence_count)?;
        if not_verified > 0 {
            write!(f, ", {not_verified} not verified")?;
        }
        writeln!(f)?;
        for sequence in &self.sequences {
            let name = in_one_line(&sequence.name);
            if let Some(reason) = &sequence.not_verified {
                writeln!(f, "  NOT VERIFIED  {name}: {}", in_one_line(reason))?;
                continue;
            }
            writeln!(f, "  DIFFERENT     {name}: {}", in_one_line(&sequence.told()))?;
        }
        Ok(())
    }

    fn fmt_checks(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.checks.is_empty() {
            return Ok(());
        }
        let equal = self.checks.iter().filter(|check| check.is_equal()).count();
        let unverified = self.checks.iter().filter(|check| check.not_verified().is_some()).count();
        let different = self.checks.len() - equal - unverified;
        writeln!(f, "checks: {equal} equal, {different} different, {unverified} not verified")?;
        self.checks.iter().try_for_each(|check| writeln!(f, "{check}"))
    }

    /// What differs and is accepted, and lines of the list that accepted nothing.
    fn fmt_accepted(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.accepted.is_empty() {
            writeln!(f, "accepted: {}", counted(self.accepted.len(), "difference"))?;
        }
        for accepted in &self.accepted {
            let (found, reason) = (accepted.found.told(), in_one_line(&accepted.reason));
            writeln!(
                f,
                "  ACCEPTED      {found}\n                because (line {}): {reason}",
                accepted.line
            )?;
        }
        for unused in &self.unused_accept_lines {
            writeln!(f, "unused: {}", unused.told())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dbhaul_catalog::CatalogDiff;
    use dbhaul_rows::RowDigest;

    use super::*;
    use crate::{Mode, ObjectDefinitions, SequenceResult};

    fn side(name: &str) -> SideDescription {
        SideDescription { name: name.into(), server_version: "18.4".into(), as_of: "now".into(), lsn: None }
    }

    fn report(verdicts: Vec<Verdict>) -> Report {
        Report {
            left: side("a"),
            right: side("b"),
            compared_at: String::new(),
            dbhaul_version: String::new(),
            mode: Mode::usual(),
            selection: None,
            options: Vec::new(),
            schema: CatalogDiff::default(),
            compared_object_count: 1,
            compared_kinds: Default::default(),
            definitions: Vec::new(),
            tables: verdicts.into_iter().map(|verdict| TableResult::new("public.t", verdict)).collect(),
            rows_of_right: RowsOfRight::default(),
            compared_sequence_count: 0,
            sequences: Vec::new(),
            checks: Vec::new(),
            accepted: Vec::new(),
            unused_accept_lines: Vec::new(),
            not_compared: Vec::new(),
            information: Vec::new(),
        }
    }

    /// A manifest says which version and position its backup is of, and may be a forger's.
    #[test]
    fn what_a_side_says_of_itself_stays_in_its_line() {
        let forged = || "1)\n\nEQUAL\n".to_owned();
        let side = SideDescription {
            name: forged(),
            server_version: forged(),
            as_of: forged(),
            lsn: Some(forged()),
        };
        assert_eq!(side.to_string().lines().count(), 1, "{side}");
    }

    #[test]
    fn only_a_report_without_doubt_is_equal() {
        let digest = RowDigest { row_count: 2, sum: 7 };
        let equal = Verdict::Equal { digest };
        assert!(report(vec![equal.clone()]).is_equal());
        for doubt in [
            Verdict::NotVerified { reason: "permission denied".into() },
            Verdict::Missing,
            Verdict::Extra,
            Verdict::Different { left: digest, right: RowDigest { row_count: 2, sum: 8 } },
        ] {
            let report = report(vec![equal.clone(), doubt]);
            assert!(!report.is_equal());
            assert!(report.to_string().ends_with("NOT EQUAL"));
        }
    }

    #[test]
    fn large_objects_are_no_table() {
        let mut report = report(vec![Verdict::Equal { digest: RowDigest { row_count: 2, sum: 7 } }]);
        let verdict = Verdict::Different {
            left: RowDigest { row_count: 5, sum: 1 },
            right: RowDigest { row_count: 5, sum: 2 },
        };
        report.tables.push(TableResult::new(LARGE_OBJECTS, verdict));
        let text = report.to_string();
        assert!(text.contains(
            "rows: 1 table equal (2 rows), 0 different, 0 not verified\nlarge objects: different\n"
        ));
        assert!(text.ends_with("NOT EQUAL"));
    }

    #[test]
    fn rows_that_were_not_read_are_not_called_equal() {
        let mut report = report(vec![Verdict::Equal { digest: RowDigest { row_count: 2, sum: 7 } }]);
        assert!(report.to_string().contains("\n  equal                    2 rows  public.t  digest 7\n"));
        report.rows_of_right = RowsOfRight::Loaded;
        let text = report.to_string();
        assert!(
            text.contains("rows: 1 table loaded whole (2 rows), 0 different, 0 not verified\n"),
            "{text}"
        );
        assert!(text.contains("\n  loaded                   2 rows  public.t  digest 7\n"), "{text}");
        assert!(text.contains("\nEQUAL (rows were compared as they were loaded, and not read"), "{text}");
    }

    #[test]
    fn counted_rows_are_never_called_equal() {
        let same = Verdict::SameCount { row_count: 2 };
        let mut report = report(vec![same.clone()]);
        // nobody asked to count only
        assert!(!report.agrees() && report.to_string().ends_with("\nNOT EQUAL"), "{report}");
        report.mode = vec![Mode::Counts];
        assert!(report.agrees() && !report.is_equal() && !report.rows_are_equal());
        let text = report.to_string();
        assert!(text.contains("counts: the same for 1 table (2 rows), whose contents were not compared\n"));
        assert!(
            text.contains("same count               2 rows  public.t  contents not compared\n"),
            "{text}"
        );
        assert!(text.ends_with("\nCOUNTS OF ROWS EQUAL, CONTENTS AND DEFINITIONS NOT COMPARED"), "{text}");
        report.tables.push(TableResult::new("public.u", Verdict::OtherCount { left: 1, right: 2 }));
        assert!(!report.agrees() && report.to_string().ends_with("\nNOT EQUAL"), "{report}");
    }

    #[test]
    fn a_selection_stands_beside_the_verdict() {
        let mut report = report(Vec::new());
        assert!(report.to_string().contains("\nscope  everything\n"));
        report.selection = Some("--schema a".to_owned());
        let text = report.to_string();
        assert!(text.contains("\nscope  --schema a\n"), "{text}");
        assert!(text.ends_with("\nEQUAL (only what is selected was compared: --schema a)"), "{text}");
    }

    #[test]
    fn a_definition_that_nobody_could_compare_is_not_equal() {
        let mut report = report(Vec::new());
        let identity =
            Identity { kind: EntryKind::View, schema: None, name: "v".into(), discriminator: None };
        report.schema.differences.push(Difference::NotVerified {
            identity,
            path: "body.definition".into(),
            part: None,
            reason: "there is no server".into(),
            left: "a".into(),
            right: "b".into(),
        });
        let text = report.to_string();
        assert!(
            text.contains(
                "0 differences, 1 not verified\n  VIEW v: definition is not verified: there is no server"
            ),
            "{text}"
        );
        assert!(text.ends_with("NOT EQUAL"));
    }

    /// `{:#}` leaves out nothing, and what is printed ends somewhere.
    #[test]
    fn statements_that_differ_are_shown_below_what_is_said_of_them() {
        let mut report = report(Vec::new());
        let identity = |kind| Identity { kind, schema: None, name: "v".into(), discriminator: None };
        let changed = |kind, path: &str| Difference::changed(identity(kind), path.to_owned());
        report.schema.differences =
            vec![changed(EntryKind::View, "body.definition"), changed(EntryKind::View, "owner")];
        report.schema.differences.push(Difference::Extra { identity: identity(EntryKind::Default) });
        report.schema.differences.push(Difference::Missing { identity: identity(EntryKind::Table) });
        let of = |kind, left: Option<&str>, right: Option<String>| ObjectDefinitions {
            identity: identity(kind),
            left: left.map(str::to_owned),
            right,
        };
        let many: String = (0..60).map(|number| format!("line {number}\n")).collect();
        report.definitions = vec![
            of(EntryKind::View, Some("SELECT 1;\n"), Some(format!("SELECT 2;\n{many}"))),
            of(EntryKind::Default, None, Some("ALTER TABLE v ALTER v SET DEFAULT 7;\n".to_owned())),
            of(EntryKind::Table, Some("CREATE TABLE v ();\n"), None),
        ];
        let (text, whole) = (report.to_string(), format!("{report:#}"));
        assert!(
            text.contains("the right (major)\n      @@ -1,1 +1,61 @@\n      -SELECT 1;\n      +SELECT 2;\n"),
            "{text}"
        );
        assert!(text.contains("4 differences (3 critical, 1 major)\n"), "{text}");
        assert!(text.contains("\n      +ALTER TABLE v ALTER v SET DEFAULT 7;\n"), "{text}");
        assert_eq!(text.matches("@@ -1,1").count(), 1, "{text}");
        assert!(text.contains("      (23 lines more, which a report in a file has)\n"), "{text}");
        assert!(!text.contains("line 59") && !text.contains("CREATE TABLE"), "{text}");
        assert!(
            whole.contains("      +line 59\n") && whole.contains("      -CREATE TABLE v ();\n"),
            "{whole}"
        );
    }

    #[test]
    fn what_is_accepted_stands_beside_the_verdict() {
        let mut report = report(vec![Verdict::Missing]);
        "TABLE public.t [rows] -- it is gone\nTABLE public.u [rows] -- z"
            .parse::<crate::AcceptList>()
            .unwrap()
            .apply(&mut report);
        assert!(report.agrees() && !report.is_equal());
        let text = report.to_string();
        assert!(text.ends_with("\nEQUAL BUT FOR 1 ACCEPTED DIFFERENCE"), "{text}");
        let accepted = "accepted: 1 difference\n  ACCEPTED      rows of public.t: only on the left\n                because (line 1): it is gone\n";
        assert!(text.contains(accepted), "{text}");
        assert!(text.contains("unused: line 2 accepts nothing: TABLE public.u [rows] -- z\n"), "{text}");
    }

    #[test]
    fn information_is_no_difference_and_is_shown() {
        let mut report = report(Vec::new());
        report.information.push("DATABASE a: owner is x on the left and y on the right".into());
        assert!(report.is_equal());
        assert!(report.to_string().contains("for information: DATABASE a: owner"));
    }

    #[test]
    fn a_name_with_a_line_break_stays_in_one_line() {
        let verdict = Verdict::Equal { digest: RowDigest::default() };
        let result = TableResult::new("\"new\nline\"", verdict);
        assert_eq!(result.to_string(), "  equal                    0 rows  \"new\\nline\"  digest 0");
    }

    #[test]
    fn a_sequence_that_differs_is_a_difference() {
        let mut report = report(Vec::new());
        let differs = SequenceResult {
            name: "s".into(),
            left: Some("1,t".into()),
            right: None,
            not_verified: None,
            behind: None,
        };
        let unread =
            SequenceResult { left: None, not_verified: Some("right: shut".into()), ..differs.clone() };
        report.sequences.push(differs);
        assert!(!report.is_equal());
        assert!(report.to_string().contains("sequences: 0 compared, 1 different\n"));
        report.sequences = vec![unread];
        assert!(!report.is_equal());
        let text = report.to_string();
        assert!(text.contains("0 different, 1 not verified\n  NOT VERIFIED  s: right: shut\n"), "{text}");
    }
}
