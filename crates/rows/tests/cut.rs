//! Framing, cuts and digests over any split of the input.

use dbhaul_rows::{
    Chunk, CutParameters, Cutter, DigestColumn, DigestSpec, FieldIter, NULL_MARK, RowDigest, RowsError,
    SipKey, TextForm, escape_field, hash_bytes_extended, split_rows, unescape_field,
};
use proptest::collection::vec;
use proptest::prelude::*;

const SMALL: CutParameters =
    CutParameters::Content { min_bytes: 16, average_bytes: 64, max_bytes: 256, key: SipKey(7, 11) };

fn spec(columns: usize) -> DigestSpec {
    DigestSpec::new((0..columns).map(|n| DigestColumn::new(format!("c{n}"), "text")).collect(), TextForm::Raw)
}

/// Cuts `input`, pushed in pieces of the given sizes (the rest in one).
fn cut(
    input: &[u8],
    pieces: &[usize],
    parameters: CutParameters,
    columns: usize,
) -> Result<Vec<Chunk>, RowsError> {
    let mut cutter = Cutter::new(parameters, &spec(columns))?;
    let mut chunks = Vec::new();
    let mut rest = input;
    for piece in pieces {
        let (now, later) = rest.split_at((*piece).min(rest.len()));
        cutter.push(now, &mut chunks)?;
        rest = later;
    }
    cutter.push(rest, &mut chunks)?;
    let total = cutter.digest();
    chunks.extend(cutter.finish()?);
    assert_eq!(chunks.iter().map(|chunk| chunk.digest).collect::<RowDigest>(), total);
    Ok(chunks)
}

/// COPY text of rows of values.
fn copy_text(rows: &[Vec<Option<Vec<u8>>>]) -> Vec<u8> {
    let mut text = Vec::new();
    for row in rows {
        for (index, value) in row.iter().enumerate() {
            if index > 0 {
                text.push(b'\t');
            }
            escape_field(value.as_deref(), &mut text);
        }
        text.push(b'\n');
    }
    text
}

fn value() -> impl Strategy<Value = Option<Vec<u8>>> {
    let byte = prop_oneof![3 => b'a'..=b'z', 2 => prop::sample::select(b"\t\n\r\\N\x08\x0b\x0c\x00.".to_vec()), 1 => any::<u8>()];
    prop::option::weighted(0.9, vec(byte, 0..30))
}

fn table() -> impl Strategy<Value = (usize, Vec<Vec<Option<Vec<u8>>>>)> {
    (1_usize..5).prop_flat_map(|columns| (Just(columns), vec(vec(value(), columns), 0..60)))
}

proptest! {
    #[test]
    fn a_value_survives_escaping(value in value()) {
        let mut raw = Vec::new();
        escape_field(value.as_deref(), &mut raw);
        prop_assert!(!raw.contains(&b'\n') && !raw.contains(&b'\t'));
        prop_assert_eq!(unescape_field(&raw).unwrap().map(|value| value.into_owned()), value);
    }

    #[test]
    fn framing_does_not_matter((columns, rows) in table(), pieces in vec(0_usize..80, 0..40)) {
        let text = copy_text(&rows);
        let whole = cut(&text, &[], SMALL, columns).unwrap();
        prop_assert_eq!(&cut(&text, &pieces, SMALL, columns).unwrap(), &whole);
        prop_assert_eq!(whole.iter().flat_map(|chunk| chunk.data.to_vec()).collect::<Vec<_>>(), text);
    }

    #[test]
    fn chunks_hold_whole_rows_within_bounds((columns, rows) in table()) {
        let text = copy_text(&rows);
        for chunk in cut(&text, &[], SMALL, columns).unwrap() {
            let rows: Vec<&[u8]> = split_rows(&chunk.data).collect();
            prop_assert_eq!(chunk.data.last(), Some(&b'\n'));
            prop_assert_eq!(rows.len() as u64, chunk.row_count);
            prop_assert!(chunk.data.len() <= 256 || rows.len() == 1);
            prop_assert!(rows.iter().all(|row| FieldIter::new(row).count() == columns));
        }
    }

    #[test]
    fn digests_are_of_rows_and_not_of_cuts((columns, mut rows) in table()) {
        let digest = |rows: &[Vec<Option<Vec<u8>>>], parameters| {
            cut(&copy_text(rows), &[], parameters, columns).unwrap().iter().map(|chunk| chunk.digest).collect::<RowDigest>()
        };
        let expected = digest(&rows, SMALL);
        let mut by_row = RowDigest::default();
        for row in split_rows(&copy_text(&rows)) {
            by_row.add_row(spec(columns).hash_row(row).unwrap());
        }
        prop_assert_eq!(by_row, expected);
        rows.reverse();
        prop_assert_eq!(digest(&rows, CutParameters::fixed(100)), expected);
        prop_assert_eq!(expected.to_string().parse::<RowDigest>().unwrap(), expected);
    }
}

#[test]
fn errors_name_the_row_and_stay() {
    let mut cutter = Cutter::new(SMALL, &spec(2)).unwrap();
    let mut chunks = Vec::new();
    let error = RowsError::ColumnCount { row: 3, expected: 2, found: 3 };
    assert_eq!(cutter.push(b"a\tb\nc\td\ne\tf\tg\nh\ti\n", &mut chunks), Err(error.clone()));
    assert_eq!(cutter.push(b"j\tk\n", &mut chunks), Err(error.clone()));
    assert_eq!(cutter.finish(), Err(error));
    assert_eq!(
        cut(b"a\tb\nc\n", &[], SMALL, 2),
        Err(RowsError::ColumnCount { row: 2, expected: 2, found: 1 })
    );
    assert_eq!(
        cut(b"a\tb\nc\td", &[], SMALL, 2),
        Err(RowsError::UnterminatedRow { row: 2, pending_bytes: 3 })
    );
    assert_eq!(cut(b"a\tb\\\n", &[], SMALL, 2), Err(RowsError::BadEscape { row: 1, column: 2 }));
}

#[test]
fn null_is_not_an_empty_string_nor_its_letters() {
    let hash = |row: &[u8]| spec(1).hash_row(row).unwrap();
    let hashes = [hash(b"\\N"), hash(b""), hash(b"\\\\N"), hash(b"N")];
    for (index, one) in hashes.iter().enumerate() {
        assert!(hashes[index + 1..].iter().all(|other| other != one), "{hashes:?}");
    }
}

#[test]
fn rows_without_columns_are_counted() {
    let chunks = cut(b"\n\n\n", &[1], CutParameters::default(), 0).unwrap();
    assert_eq!((chunks.len(), chunks[0].digest), (1, RowDigest { row_count: 3, sum: 0 }));
    assert_eq!(cut(b"x\n", &[], SMALL, 0), Err(RowsError::ColumnCount { row: 1, expected: 0, found: 1 }));
    assert_eq!(cut(b"", &[], SMALL, 0), Ok(vec![]));
}

#[test]
fn a_row_over_the_bound_is_a_chunk_of_its_own() {
    let long = "x".repeat(3000);
    let text = format!("a\n{long}\nb\n");
    let chunks = cut(text.as_bytes(), &[], SMALL, 1).unwrap();
    assert!(chunks.iter().any(|chunk| chunk.data.len() == 3001 && chunk.row_count == 1), "{chunks:?}");
}

#[test]
fn fixed_chunks_end_with_the_row_that_fills_them() {
    let sizes = cut(&b"1234\n".repeat(10), &[], CutParameters::fixed(12), 1).unwrap();
    assert_eq!(sizes.iter().map(|chunk| chunk.data.len()).collect::<Vec<_>>(), [15, 15, 15, 5]);
}

/// `count` rows of about 100 bytes from number `first` on.
fn numbered_rows(first: u64, count: u64) -> Vec<u8> {
    let mut text = String::new();
    for n in first..first + count {
        let noise = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        text.push_str(&format!(
            "{n}\tcustomer {noise:x}\t{}\t\\N\n",
            "lorem ipsum ".repeat((noise % 13) as usize)
        ));
    }
    text.into_bytes()
}

#[test]
fn chunks_are_64_kib_on_average() {
    let chunks = cut(&numbered_rows(0, 60_000), &[], CutParameters::default(), 4).unwrap();
    let mean_bytes = chunks.iter().map(|chunk| chunk.data.len()).sum::<usize>() / chunks.len();
    assert!((45_000..85_000).contains(&mean_bytes), "{mean_bytes}");
}

#[test]
fn an_insertion_changes_only_the_chunks_around_it() {
    let before = cut(&numbered_rows(0, 60_000), &[], CutParameters::default(), 4).unwrap();
    let mut text = numbered_rows(0, 30_000);
    text.extend(numbered_rows(1_000_000, 1));
    text.extend(numbered_rows(30_000, 30_000));
    let after = cut(&text, &[], CutParameters::default(), 4).unwrap();
    let new = after.iter().filter(|chunk| !before.contains(chunk)).count();
    assert!((1..=3).contains(&new), "{new} of {} chunks are new", after.len());
}

#[test]
fn parameters_survive_json_and_are_checked() {
    let json = serde_json::to_string(&CutParameters::default()).unwrap();
    assert_eq!(
        json,
        r#"{"method":"content","min_bytes":16384,"average_bytes":65536,"max_bytes":262144,"key":["64626861756c2063","68756e6b20637574"]}"#
    );
    assert_eq!(serde_json::from_str::<CutParameters>(&json).unwrap(), CutParameters::default());
    assert!(matches!(
        Cutter::new(CutParameters::fixed(0), &spec(1)),
        Err(RowsError::BadCutParameters { .. })
    ));
}

/// Values beyond what is unescaped at a time are hashed in pieces, and chunks behind them begin anew.
#[test]
fn long_values_have_the_hashes_of_their_bytes() {
    let long = |count: usize, bytes: &[u8]| Some(bytes.repeat(count));
    let rows = [
        vec![long(70_000, b"\\"), Some(b"short".to_vec())],
        vec![long(33_000, b"a\tb"), None],
        vec![long(9 << 20, b"x"), long(100_000, b"12345\n")],
        vec![Some(b"last".to_vec()), None],
    ];
    let hash = |value: &Option<Vec<u8>>, seed, form| match (value, form) {
        (None, _) => hash_bytes_extended(NULL_MARK.as_bytes(), seed),
        (Some(value), TextForm::Raw) => hash_bytes_extended(value, seed),
        (Some(value), TextForm::Utf8Hex) => {
            let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
            hash_bytes_extended(hex.as_bytes(), seed)
        }
    };
    let text = copy_text(&rows);
    for form in [TextForm::Raw, TextForm::Utf8Hex] {
        let columns = vec![DigestColumn::new("a", "text"), DigestColumn::new("b", "text")];
        let mut cutter = Cutter::new(SMALL, &DigestSpec::new(columns, form)).unwrap();
        let mut chunks = Vec::new();
        text.chunks(100_000).for_each(|piece| cutter.push(piece, &mut chunks).unwrap());
        let expected: RowDigest = rows
            .iter()
            .map(|row| {
                let mut digest = RowDigest::default();
                digest.add_row(row.iter().fold(0, |seed, value| hash(value, seed, form)));
                digest
            })
            .collect();
        assert_eq!(cutter.digest(), expected);
        chunks.extend(cutter.finish().unwrap());
        assert_eq!(chunks.iter().flat_map(|chunk| chunk.data.iter().copied()).collect::<Vec<u8>>(), text);
    }
    // an odd number of backslashes before the delimiter
    let bad = [&b"\\".repeat(139_999)[..], b"\tb\n"].concat();
    assert!(matches!(cut(&bad, &[], SMALL, 2), Err(RowsError::BadEscape { row: 1, column: 1 })));
}

/// Bytes that are hardly rows.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(
        prop_oneof![2 => Just(b'\n'), 3 => Just(b'\t'), 2 => Just(b'\\'), 1 => Just(b'N'), 4 => any::<u8>()],
        0..400,
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if std::env::var_os("DBHAUL_LONG").is_some() { 51_200 } else { 512 },
        rng_seed: proptest::test_runner::RngSeed::Fixed(20_261_129),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Whatever comes is cut into whole rows of that many fields, none of it lost, or refused.
    #[test]
    fn any_bytes_are_cut_or_refused(bytes in bytes(), pieces in vec(0_usize..70, 0..40), columns in 0_usize..4) {
        let whole = cut(&bytes, &[], SMALL, columns);
        prop_assert_eq!(&cut(&bytes, &pieces, SMALL, columns).map_err(|_| ()), &whole.clone().map_err(|_| ()));
        if let Ok(chunks) = whole {
            prop_assert_eq!(chunks.iter().flat_map(|chunk| chunk.data.to_vec()).collect::<Vec<_>>(), bytes);
            for chunk in chunks {
                prop_assert!(chunk.data.ends_with(b"\n"));
                prop_assert_eq!(split_rows(&chunk.data).count() as u64, chunk.row_count);
            }
        }
    }
}
