use proptest::prelude::*;

use crate::Selection;

#[track_caller]
fn check(text: &str, expected: &[(&str, &[&str])]) {
    let mut selection = Selection::default();
    selection.add_filter(text).unwrap();
    for (list, patterns) in expected {
        let found = match *list {
            "schema" => &selection.schemas,
            "table" => &selection.tables,
            "children" => &selection.tables_and_children,
            "no schema" => &selection.exclude_schemas,
            "no table" => &selection.exclude_tables,
            "no rows" => &selection.exclude_table_data,
            "extension" => &selection.filter_extensions,
            "foreign" => &selection.foreign_data,
            other => panic!("{other}"),
        };
        assert_eq!(found, patterns, "{list} of {text:?}");
    }
}

#[track_caller]
fn refuse(text: &str, line: usize, problem: &str) {
    let mut selection = Selection::default();
    let error = selection.add_filter(text).unwrap_err();
    assert_eq!((error.line, error.problem.as_str()), (line, problem), "{text:?}");
    assert_eq!(selection, Selection::default(), "half of {text:?} was taken");
}

#[test]
fn lines() {
    check(
        "# what the shop needs\n\n  include table film* # and more\r\nINCLUDE Schema sales\nexclude table_data sales.log\n",
        &[("table", &["film*"]), ("schema", &["sales"]), ("no rows", &["sales.log"])],
    );
    check(
        "include extension hstore\ninclude foreign_data far\nexclude schema x",
        &[("extension", &["hstore"]), ("foreign", &["far"]), ("no schema", &["x"])],
    );
    check("include table_and_children public . parent", &[("children", &["public.parent"])]);
    check("include table   one   two\t three", &[("table", &["one two three"])]);
}

#[test]
fn quoted_patterns_go_over_lines() {
    check("include table \"a # b\".\"c\"\"d\"", &[("table", &["\"a # b\".\"c\"\"d\""])]);
    check("include table \"two\nlines\"#x\ninclude table t", &[("table", &["\"two\nlines\"", "t"])]);
    check("exclude table \"a\\nb\\\\c\"", &[("no table", &["\"a\nb\\c\""])]);
    check("include table aaaa\"bbb\"ccc", &[("table", &["aaaa\"bbb\"ccc"])]);
}

#[test]
fn errors_name_the_line() {
    refuse(
        "include table a\n\nkeep table b",
        3,
        "invalid filter command (expected \"include\" or \"exclude\")",
    );
    refuse("include", 1, "missing filter object type");
    refuse("#\nexclude view v", 2, "unsupported filter object type: \"view\"");
    refuse("include table", 1, "missing object name pattern");
    refuse("include table # none", 1, "missing object name pattern");
    refuse("include table_data t", 1, "include filter for \"table data\" is not allowed");
    refuse("exclude foreign_data s", 1, "exclude filter for \"foreign data\" is not allowed");
    refuse("include index i", 1, "include filter for \"index\" is not allowed");
    refuse("include table \"a\nb", 2, "unexpected end of file");
}

/// A name as a filter line writes it: quoted, quotes doubled, backslashes escaped.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\"\""))
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*|[a-z \"\\\\#.,()\n\r\t]*|include table [a-z\"\\\\ .#\n]*") {
        let _ = Selection::default().add_filter(&text);
    }

    #[test]
    fn quoted_names_come_back_whole(names in prop::collection::vec("[^\r\0]{1,40}", 1..5)) {
        let lines: String =
            names.iter().map(|name| format!("exclude table {} # gone\n", quoted(name))).collect();
        let mut selection = Selection::default();
        selection.add_filter(&lines).unwrap();
        let expected: Vec<String> =
            names.iter().map(|name| format!("\"{}\"", name.replace('"', "\"\""))).collect();
        prop_assert_eq!(selection.exclude_tables, expected);
    }

    #[test]
    fn bare_words_come_back_as_they_are(words in prop::collection::vec("[a-z*?_$]{1,12}", 1..6)) {
        let lines: String = words.iter().map(|word| format!("  include  table\t{word}  \n#{word}\n")).collect();
        let mut selection = Selection::default();
        selection.add_filter(&lines).unwrap();
        prop_assert_eq!(selection.tables, words);
    }
}
