//! Binary COPY over any split of the input, and what is refused.
#![allow(clippy::unwrap_used, reason = "the helpers of tests fail by panicking")]

use dbhaul_rows::{
    BinaryCutter, BinaryType, Chunk, CutParameters, Cutter, DigestColumn, DigestSpec, RowDigest, RowsError,
    TextForm, escape_field,
};
use proptest::collection::vec;
use proptest::prelude::*;

type Row = Vec<Option<Vec<u8>>>;

fn binary_copy(rows: &[Row]) -> Vec<u8> {
    let mut copy = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    for row in rows {
        copy.extend((row.len() as i16).to_be_bytes());
        for field in row {
            match field {
                None => copy.extend((-1_i32).to_be_bytes()),
                Some(value) => {
                    copy.extend((value.len() as i32).to_be_bytes());
                    copy.extend(value);
                }
            }
        }
    }
    copy.extend((-1_i16).to_be_bytes());
    copy
}

fn cut(copy: &[u8], pieces: &[usize], types: &[BinaryType]) -> Result<(Vec<u8>, RowDigest), RowsError> {
    let mut cutter = BinaryCutter::new(types, 100);
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut rest = copy;
    for piece in pieces {
        let (now, later) = rest.split_at((*piece).min(rest.len()));
        cutter.push(now, &mut chunks)?;
        rest = later;
    }
    cutter.push(rest, &mut chunks)?;
    let total = cutter.digest();
    chunks.extend(cutter.finish()?);
    assert_eq!(chunks.iter().map(|chunk| chunk.digest).collect::<RowDigest>(), total);
    Ok((chunks.iter().flat_map(|chunk| chunk.data.to_vec()).collect(), total))
}

/// The digest of the same rows as COPY text.
fn text_digest(rows: &[Row], columns: usize) -> RowDigest {
    let columns = (0..columns).map(|n| DigestColumn::new(format!("c{n}"), "text")).collect();
    let spec = DigestSpec::new(columns, TextForm::Raw);
    let mut cutter = Cutter::new(CutParameters::fixed(1000), &spec).unwrap();
    for row in rows {
        let mut text = Vec::new();
        for (index, field) in row.iter().enumerate() {
            if index > 0 {
                text.push(b'\t');
            }
            escape_field(field.as_deref(), &mut text);
        }
        text.push(b'\n');
        cutter.push(&text, &mut Vec::new()).unwrap();
    }
    cutter.digest()
}

fn rows() -> impl Strategy<Value = (usize, Vec<Row>)> {
    (1_usize..5).prop_flat_map(|columns| {
        let field = prop::option::weighted(0.9, vec(any::<u8>(), 0..30));
        (Just(columns), vec(vec(field, columns), 0..40))
    })
}

proptest! {
    #[test]
    fn rows_pass_unchanged_with_the_digest_of_their_text((columns, rows) in rows(), pieces in vec(0_usize..70, 0..40)) {
        let copy = binary_copy(&rows);
        let (passed, digest) = cut(&copy, &pieces, &vec![BinaryType::Text; columns]).unwrap();
        prop_assert_eq!(passed, copy);
        prop_assert_eq!(digest, text_digest(&rows, columns));
    }

    #[test]
    fn a_copy_cut_off_anywhere_is_no_copy((columns, rows) in rows(), cut_at in any::<prop::sample::Index>()) {
        let copy = binary_copy(&rows);
        let cut_off = &copy[..cut_at.index(copy.len())];
        let ended = cut(cut_off, &[], &vec![BinaryType::Text; columns]);
        let is_unterminated = matches!(ended, Err(RowsError::UnterminatedRow { .. }));
        prop_assert!(is_unterminated);
    }
}

#[test]
fn long_values_are_hashed_as_they_come() {
    let value: Vec<u8> = (0..3_000_001_u32).map(|n| (n * 31 % 251) as u8).collect();
    let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    let json = [&[1], &value[..]].concat();
    let rows = [vec![Some(value.clone()), Some(value.clone()), Some(json)]];
    let types = [BinaryType::Bytea, BinaryType::Text, BinaryType::Jsonb];
    let (_, digest) = cut(&binary_copy(&rows), &[5_000; 400], &types).unwrap();
    let text = [vec![Some(format!("\\x{hex}").into_bytes()), Some(value.clone()), Some(value)]];
    assert_eq!(digest, text_digest(&text, 3));
}

#[test]
fn what_is_no_binary_copy_is_refused() {
    let check = |copy: &[u8], types: &[BinaryType], expected: &str| {
        assert_eq!(cut(copy, &[], types).unwrap_err().to_string(), expected);
    };
    let one = |field: &[u8]| binary_copy(&[vec![Some(field.to_vec())]]);
    check(
        b"1\tone\n2\ttwo, and more rows\n",
        &[BinaryType::Text],
        "row 1, column 0: invalid binary COPY: it does not start as a binary COPY starts",
    );
    check(
        &one(b"abc"),
        &[BinaryType::Integer],
        "row 1, column 1: invalid binary COPY: a field of length 3 is no value of Integer",
    );
    check(
        &one(b"\x02{}"),
        &[BinaryType::Jsonb],
        "row 1, column 1: invalid binary COPY: a field of length 3 is no value of Jsonb",
    );
    check(&one(b"x"), &[BinaryType::Text; 2], "row 1 has 1 field where 2 columns are expected");
    check(
        &[&one(b"x")[..], b"y"].concat(),
        &[BinaryType::Text],
        "row 2, column 0: invalid binary COPY: bytes follow the end",
    );
}
