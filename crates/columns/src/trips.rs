//! There and back: what goes into columns and files comes out as it was.

use std::io::Cursor;

use arrow_array::RecordBatch;
use dbhaul_rows::CopyFormat;
use proptest::prelude::*;
use proptest::sample::select;

use crate::array::{finish_header, push_counted, push_header};
use crate::frames::{Cells, Framer, HEADER, TRAILER};
use crate::{
    ArrowFileWriter, Column, ColumnsError, Decoder, Encoder, FileColumn, FileReader, ParquetOptions,
    ParquetWriter, PgType, TableColumns, numeric,
};

type Row = Vec<Option<Vec<u8>>>;

fn mood() -> PgType {
    PgType::Enum(["sad", "it's, \"fine\"", "", "Zwölf 😀"].map(str::to_owned).into())
}

fn scalars() -> Vec<PgType> {
    let numbers =
        [None, Some((10, 2)), Some((38, 10)), Some((60, 25)), Some((2, 5)), Some((3, -2)), Some((900, 300))];
    let others = [
        PgType::Bool,
        PgType::Int2,
        PgType::Int4,
        PgType::Int8,
        PgType::Oid,
        PgType::Float4,
        PgType::Float8,
        PgType::Text,
        PgType::Json,
        PgType::Jsonb,
        PgType::Bytea,
        PgType::Date,
        PgType::Time,
        PgType::Timestamp,
        PgType::TimestampTz,
        PgType::Interval,
        PgType::Uuid,
        mood(),
    ];
    numbers.into_iter().map(PgType::Numeric).chain(others).collect()
}

/// Every type, and arrays of all that make lists.
fn types() -> Vec<PgType> {
    let scalars = scalars();
    let lists = scalars.iter().filter(|scalar| **scalar != PgType::Interval);
    let lists = lists
        .map(|scalar| PgType::Array(Box::new(scalar.clone()), if *scalar == PgType::Oid { 26 } else { 77 }));
    let lists: Vec<PgType> = lists.collect();
    scalars.into_iter().chain(lists).collect()
}

fn table() -> TableColumns {
    let column = |(place, pg_type): (usize, PgType)| Column {
        name: format!("c{place}"),
        type_sql: format!("{pg_type:?}"),
        pg_type,
        modifier: -1,
        collation: None,
        is_nullable: true,
        is_generated: false,
        comment: Some("a comment".to_owned()),
    };
    let columns = types().into_iter().enumerate().map(column).collect();
    TableColumns { table: Some("public.t".to_owned()), comment: Some("of the table".to_owned()), columns }
}

fn integer<const N: usize>(odd: Vec<[u8; N]>) -> BoxedStrategy<Vec<u8>> {
    prop_oneof![
        select(odd).prop_map(|bytes| bytes.to_vec()),
        any::<[u8; N]>().prop_map(|bytes| bytes.to_vec())
    ]
    .boxed()
}

fn moments() -> BoxedStrategy<Vec<u8>> {
    const DAY: i64 = 86_400_000_000;
    let odd =
        [i64::MAX, i64::MIN, 0, -1, -730_119 * DAY, -730_119 * DAY - 1, 2_921_940 * DAY, 2_921_940 * DAY - 1];
    // from 4714-11-24 BC to 294276-12-31
    let any = -211_813_488_000_000_000_i64..9_223_371_331_200_000_000;
    prop_oneof![select(odd.to_vec()), any].prop_map(|time| time.to_be_bytes().to_vec()).boxed()
}

fn number() -> BoxedStrategy<Vec<u8>> {
    let digits = "-?[0-9]{1,9}(\\.[0-9]{1,9})?|-?[0-9]{1,90}(\\.[0-9]{1,40})?|[0-9]{1,8}00(\\.[0-9]{2})?|NaN|-?Infinity|0\\.0{0,9}[0-9]";
    digits
        .prop_map(|text| {
            let mut out = Vec::new();
            numeric::parse(text.as_bytes(), &mut out).expect("it is a number");
            out
        })
        .boxed()
}

fn scalar(pg_type: &PgType) -> BoxedStrategy<Vec<u8>> {
    match pg_type {
        PgType::Bool => select(vec![vec![0], vec![1]]).boxed(),
        PgType::Int2 => integer(vec![i16::MIN.to_be_bytes(), i16::MAX.to_be_bytes()]),
        PgType::Int4 | PgType::Oid => integer(vec![i32::MIN.to_be_bytes(), i32::MAX.to_be_bytes(), [255; 4]]),
        PgType::Int8 => integer(vec![i64::MIN.to_be_bytes(), i64::MAX.to_be_bytes()]),
        PgType::Float4 => integer(vec![
            (-0_f32).to_be_bytes(),
            0_f32.to_be_bytes(),
            0x7fc0_1234_u32.to_be_bytes(),
            0xffc0_0001_u32.to_be_bytes(),
            f32::INFINITY.to_be_bytes(),
            1_u32.to_be_bytes(),
        ]),
        PgType::Float8 => integer(vec![
            (-0_f64).to_be_bytes(),
            0_f64.to_be_bytes(),
            0x7ff8_0000_0000_1234_u64.to_be_bytes(),
            0xfff8_0000_0000_0001_u64.to_be_bytes(),
            f64::NEG_INFINITY.to_be_bytes(),
            1_u64.to_be_bytes(),
        ]),
        PgType::Numeric(_) => number(),
        PgType::Text | PgType::Json => {
            "\\PC{0,12}|[\\t\\n\\r\\\\{}\", N]{0,9}|NULL|null|\\\\N".prop_map(String::into_bytes).boxed()
        }
        PgType::Jsonb => "\\PC{0,12}".prop_map(|text| [&[1], text.as_bytes()].concat()).boxed(),
        PgType::Bytea => proptest::collection::vec(any::<u8>(), 0..20).boxed(),
        PgType::Date => {
            let days = prop_oneof![
                select(vec![i32::MAX, i32::MIN, -730_119, -730_120, 2_921_939, 2_921_940]),
                -2_451_545..2_145_031_948
            ];
            days.prop_map(|days: i32| days.to_be_bytes().to_vec()).boxed()
        }
        PgType::Time => prop_oneof![Just(86_400_000_000_i64), 0..86_400_000_000_i64]
            .prop_map(|time| time.to_be_bytes().to_vec())
            .boxed(),
        PgType::Timestamp | PgType::TimestampTz => moments(),
        PgType::Interval => {
            let infinite = [(i64::MAX, i32::MAX), (i64::MIN, i32::MIN)];
            let odd = select(infinite.map(|(time, days)| (time, days, days)).to_vec());
            prop_oneof![odd, (any::<i64>(), any::<i32>(), any::<i32>())]
                .prop_map(|(time, days, months)| {
                    [&time.to_be_bytes()[..], &days.to_be_bytes(), &months.to_be_bytes()].concat()
                })
                .boxed()
        }
        PgType::Uuid => integer::<16>(vec![[0; 16], [255; 16]]),
        PgType::Enum(labels) => select(labels.to_vec()).prop_map(String::into_bytes).boxed(),
        PgType::Array(..) | PgType::Other => unreachable!("no scalar"),
    }
}

/// Lists, and arrays that are none.
fn array(element: &PgType, oid: u32) -> BoxedStrategy<Vec<u8>> {
    let shapes: Vec<Vec<(i32, i32)>> =
        vec![vec![], vec![(1, 1)], vec![(3, 1)], vec![(3, 1)], vec![(2, 0)], vec![(2, 1), (2, -5)]];
    let element = element.clone();
    let is_float = matches!(element, PgType::Float4 | PgType::Float8);
    select(shapes)
        .prop_flat_map(move |shape| {
            let count =
                if shape.is_empty() { 0 } else { shape.iter().map(|(length, _)| *length as usize).product() };
            let elements =
                proptest::collection::vec(proptest::option::weighted(0.8, scalar(&element)), count);
            (Just(shape), elements)
        })
        .prop_map(move |(shape, elements)| {
            let mut out = Vec::new();
            push_header(&shape, oid, &mut out);
            finish_header(0, elements.iter().any(Option::is_none), &mut out);
            let is_list = matches!(shape[..], [] | [(_, 1)]);
            for element in elements {
                let element =
                    element.map(|value| if is_list || !is_float { value } else { plain_nan(value) });
                push_field(element.as_deref(), &mut out);
            }
            out
        })
        .boxed()
}

/// An array that is no list stands as text, in which one NaN is as another.
fn plain_nan(value: Vec<u8>) -> Vec<u8> {
    match (<[u8; 4]>::try_from(&value[..]), <[u8; 8]>::try_from(&value[..])) {
        (Ok(bytes), _) if f32::from_be_bytes(bytes).is_nan() => f32::NAN.to_be_bytes().to_vec(),
        (_, Ok(bytes)) if f64::from_be_bytes(bytes).is_nan() => f64::NAN.to_be_bytes().to_vec(),
        _ => value,
    }
}

fn push_field(value: Option<&[u8]>, out: &mut Vec<u8>) {
    push_counted(out, |out| {
        out.extend_from_slice(value.unwrap_or_default());
        Some(value.is_some())
    });
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let value = |pg_type: &PgType| match pg_type {
        PgType::Array(element, oid) => array(element, *oid),
        scalar_type => scalar(scalar_type),
    };
    let row: Vec<_> = types().iter().map(|pg_type| proptest::option::weighted(0.9, value(pg_type))).collect();
    proptest::collection::vec(row, 0..12)
}

fn binary_copy(rows: &[Row]) -> Vec<u8> {
    let mut copy = HEADER.to_vec();
    for row in rows {
        copy.extend_from_slice(&(row.len() as i16).to_be_bytes());
        row.iter().for_each(|value| push_field(value.as_deref(), &mut copy));
    }
    copy.extend_from_slice(&TRAILER);
    copy
}

fn decode(table: &TableColumns, format: CopyFormat, copy: &[u8], piece: usize) -> Vec<RecordBatch> {
    let mut decoder = Decoder::new(table, format).expect("the columns make a schema");
    let mut batches = Vec::new();
    for piece in copy.chunks(piece) {
        decoder.push(piece, &mut batches).expect("the rows can be columns");
    }
    batches.extend(decoder.finish().expect("the rows are whole"));
    batches
}

fn parquet(table: &TableColumns, batches: &[RecordBatch], options: ParquetOptions) -> Vec<u8> {
    let mut file = ParquetWriter::new(Vec::new(), table, options).expect("a file can be begun");
    batches.iter().for_each(|batch| file.write(batch).expect("a batch can be written"));
    file.finish().expect("a file can be ended")
}

/// The columns for a target that is as the source was.
fn columns(table: &TableColumns, reader: &FileReader) -> Vec<FileColumn> {
    let columns = reader.columns().expect("all columns can be read");
    let with_oid = |(column, of_table): (FileColumn, &Column)| {
        assert!(column.is_binary_for(&of_table.pg_type), "{column:?} is for {:?}", of_table.pg_type);
        column.for_target(&of_table.pg_type)
    };
    columns.into_iter().zip(&table.columns).map(with_oid).collect()
}

fn encode(columns: Vec<FileColumn>, format: CopyFormat, mut reader: FileReader) -> Vec<u8> {
    let mut encoder = Encoder::new(columns, format);
    let mut copy = Vec::new();
    while let Some(batch) = reader.next_batch().expect("the file is sound") {
        encoder.encode(&batch, &mut copy).expect("the columns can be rows");
    }
    encoder.finish(&mut copy);
    copy
}

fn read(file: &[u8]) -> FileReader {
    FileReader::parquet_bytes(file.to_vec().into()).expect("it is a Parquet file")
}

/// Says which value differs, where the whole would be pages long.
fn same(table: &TableColumns, found: &[u8], expected: &[u8], way: &str) -> Result<(), TestCaseError> {
    let values = |copy: &[u8]| {
        let mut framer = Framer::new(CopyFormat::Binary, table.columns.len());
        while framer.next_row(copy).expect("it is binary COPY") {}
        Cells::new(copy, &framer.spans, 1).iter().map(|value| value.map(<[u8]>::to_vec)).collect::<Vec<_>>()
    };
    for (place, (found, expected)) in values(found).into_iter().zip(values(expected)).enumerate() {
        prop_assert_eq!(found, expected, "{}: {:?}", way, table.columns[place % table.columns.len()]);
    }
    prop_assert!(found == expected);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn binary_rows_come_back_bit_by_bit(rows in rows(), piece in 1_usize..4000) {
        let (table, copy) = (table(), binary_copy(&rows));
        let batches = decode(&table, CopyFormat::Binary, &copy, piece);
        let file = parquet(&table, &batches, ParquetOptions { row_group_bytes: 1, ..ParquetOptions::default() });
        let reader = read(&file);
        let came_back = encode(columns(&table, &reader), CopyFormat::Binary, reader);
        same(&table, &came_back, &copy, "Parquet")?;

        let mut arrow = ArrowFileWriter::new(Vec::new(), &table).expect("a file can be begun");
        batches.iter().for_each(|batch| arrow.write(batch).expect("a batch can be written"));
        let file = arrow.finish().expect("a file can be ended");
        let reader = FileReader::arrow(Cursor::new(file)).expect("it is an Arrow file");
        let came_back = encode(columns(&table, &reader), CopyFormat::Binary, reader);
        same(&table, &came_back, &copy, "Arrow")?;
    }

    /// Text is another way to the same columns, except for the bits of NaNs.
    #[test]
    fn rows_as_text_are_the_same_columns(rows in rows(), piece in 1_usize..4000) {
        let table = table();
        let batches = decode(&table, CopyFormat::Binary, &binary_copy(&rows), piece);
        let file = parquet(&table, &batches, ParquetOptions::default());
        let reader = read(&file);
        let text = encode(columns(&table, &reader), CopyFormat::Text, reader);
        let again = decode(&table, CopyFormat::Text, &text, piece);
        let file = parquet(&table, &again, ParquetOptions::default());
        let reader = read(&file);
        let text_again = encode(columns(&table, &reader), CopyFormat::Text, reader);
        prop_assert_eq!(String::from_utf8_lossy(&text_again), String::from_utf8_lossy(&text));
    }
}

#[test]
fn the_columns_and_their_companions_are_declared_before_any_row() {
    let table = table();
    let file = parquet(&table, &[], ParquetOptions::default());
    let reader = read(&file);
    assert_eq!(reader.metadata(), Some(&table.metadata()));
    assert_eq!(columns(&table, &reader).len(), table.columns.len());
    let schema = table.arrow_schema().unwrap();
    for column in &table.columns {
        let field = schema.field_with_name(&column.name).unwrap();
        assert_eq!(field.metadata()["dbhaul:type"], column.type_sql);
        assert_eq!(field.metadata()["comment"], "a comment");
        assert_eq!(schema.index_of(&format!("{}__pg", column.name)).is_ok(), column.pg_type.has_companion());
    }
}

#[test]
fn what_is_no_whole_copy_is_an_error() {
    let table = TableColumns { columns: table().columns.into_iter().take(2).collect(), ..table() };
    let copy = binary_copy(&[vec![None, None], vec![None, Some(vec![0, 0, 0, 0, 0, 0, 0, 0])]]);
    let outcome = |copy: &[u8]| {
        let mut decoder = Decoder::new(&table, CopyFormat::Binary)?;
        let mut batches = Vec::new();
        decoder.push(copy, &mut batches)?;
        decoder.finish().map(|batch| batch.map_or(0, |batch| batch.num_rows()))
    };
    assert_eq!(outcome(&copy).unwrap(), 2);
    for end in 0..copy.len() {
        assert!(matches!(outcome(&copy[..end]), Err(ColumnsError::BadCopy { .. })), "{end}");
    }
    assert!(matches!(outcome(&[&copy[..], b"x"].concat()), Err(ColumnsError::BadCopy { .. })));
    assert!(matches!(outcome(&binary_copy(&[vec![None]])), Err(ColumnsError::BadCopy { row: 1, .. })));
    let wrong = outcome(&binary_copy(&[vec![None, None], vec![None, Some(vec![1])]]));
    assert!(matches!(wrong, Err(ColumnsError::Value { row: 2, column, .. }) if column == "c1"));
}

#[test]
fn a_file_that_was_cut_off_or_is_none_is_an_error() {
    let table = table();
    let file = parquet(&table, &[], ParquetOptions::default());
    for end in [0, 4, file.len() / 2, file.len() - 1] {
        assert!(FileReader::parquet_bytes(file[..end].to_vec().into()).is_err(), "{end}");
    }
}

#[test]
fn names_of_companions_give_way_to_names_of_columns() {
    let mut table = table();
    table.columns.truncate(2);
    table.columns[0].name = "n".to_owned();
    table.columns[1].name = "n__pg".to_owned();
    let names: Vec<String> =
        table.arrow_schema().unwrap().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["n", "n__pg_", "n__pg", "n__pg__pg"]);
    table.columns[1].name = "n".to_owned();
    assert!(matches!(table.arrow_schema(), Err(ColumnsError::Schema { .. })));
}
