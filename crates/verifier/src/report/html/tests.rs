//! What a page must hold, whatever the names are.

use dbhaul_rows::RowDigest;

use super::{MOST, html};
use crate::Verdict;
use crate::report::conclusion::grouped;
use crate::report::sample;

/// The names of the elements of a page, in order, by what is between angle brackets.
fn elements(page: &str) -> Vec<&str> {
    let tags = page.split('<').skip(1).map(|tag| &tag[..tag.find('>').unwrap()]);
    tags.map(|tag| tag.split([' ', '/']).next().unwrap()).filter(|name| !name.is_empty()).collect()
}

#[test]
fn a_name_cannot_leave_its_place() {
    let page = html(&sample::document(&sample::hostile()));
    assert_eq!(elements(&page).iter().filter(|name| **name == "script").count(), 1);
    for forbidden in
        ["<script>alert", "<img", "href=", "src=", "onclick", "style=\"", "http:", "https:", "url("]
    {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert!(!page.contains(|c: char| dbhaul_catalog::is_command(c) && !matches!(c, '\n' | '\t')));
    assert!(page.contains("&quot;&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
    assert!(page.contains("\\u{202e}"), "{page}");
    // every element that is opened is closed
    let count =
        |name: &str| (page.matches(&format!("<{name}")).count(), page.matches(&format!("</{name}>")).count());
    for name in ["section", "table", "details", "svg", "ul", "dl", "pre", "td", "header"] {
        let (opened, closed) = count(name);
        assert_eq!(opened, closed, "{name}");
    }
}

#[test]
fn the_verdict_comes_first_and_then_what_is_not_verified() {
    let page = html(&sample::document(&sample::hostile()));
    let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("no {text}"));
    let order = [
        "<header class=\"bad\">",
        "<h1>Different</h1>",
        "Not verified (3)",
        "<h2>Rows</h2>",
        "<h2>Definitions</h2>",
    ];
    assert!(order.windows(2).all(|two| place(two[0]) < place(two[1])));
    assert!(page.contains("0 missing, 0 extra, 3 different (matched by"), "{page}");
    let row = |name: &str| place(&format!("{name}</td>"));
    assert!(row("public.missing") < row("public.extra"));
    assert!(row("public.extra") < row("public.unread"));
    assert!(row("public.unread") < row("public.equal"));
}

#[test]
fn statements_are_shown_as_a_diff() {
    let page = html(&sample::document(&sample::hostile()));
    assert!(page.contains("<del>-SELECT 1;\n</del>"), "{page}");
    assert!(page.contains("<ins>+SELECT 2;\n</ins>"), "{page}");
    assert!(page.contains("<span> CREATE VIEW x AS\n</span>"), "{page}");
    assert!(page.contains("@@ -1,"), "{page}");
}

#[test]
fn the_policy_allows_the_style_and_script_of_the_page_alone() {
    let page = html(&sample::document(&sample::hostile()));
    let policy = page.split("Content-Security-Policy\" content=\"").nth(1).unwrap();
    let policy = &policy[..policy.find('"').unwrap()];
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let inside = |name: &str| {
        let (_, rest) = page.split_once(&format!("<{name}>")).unwrap();
        rest.split_once(&format!("</{name}>")).unwrap().0.to_owned()
    };
    use base64::Engine;
    for name in ["style", "script"] {
        let hash = <sha2::Sha256 as sha2::Digest>::digest(inside(name).as_bytes());
        let hash = base64::prelude::BASE64_STANDARD.encode(hash);
        assert!(policy.contains(&format!("{name}-src 'sha256-{hash}'")), "{name}");
    }
}

#[test]
fn very_many_tables_are_folded_and_end_somewhere() {
    let equal = |rows| Verdict::Equal { digest: RowDigest { row_count: rows, sum: 1 } };
    let names: Vec<String> = (0..MOST + 7).map(|number| format!("public.t{number}")).collect();
    let tables = names.iter().zip(1..).map(|(name, rows)| (name.as_str(), equal(rows))).collect();
    let page = html(&sample::document(&sample::of_tables(tables)));
    assert!(page.contains("<details><summary>Tables equal (5007)</summary>"));
    assert!(page.contains("7 more tables: the JSON of this report has all of them."));
    assert!(page.contains(">5,007</td>"));
    assert!(page.contains("<header class=\"good\">"));
    assert_eq!(grouped(1_234_567), "1,234,567");
}

#[test]
fn a_failed_copy_is_bad_whatever_it_compared() {
    let page = html(&sample::copy(&["EXTENSION x"], &["INDEX i"], "failed", None));
    assert!(page.contains("<header class=\"bad\">") && page.contains("<h1>Failed</h1>"));
    assert!(page.contains("<b>INDEX i</b>: because") && page.contains("<b>EXTENSION x</b>: because"));
    let page = html(&sample::copy(&[], &[], "done", None));
    assert!(page.contains("<header class=\"doubt\">") && page.contains("<h1>Not compared</h1>"));
}
