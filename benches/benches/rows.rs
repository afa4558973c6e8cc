//! Row framing, the digest and chunk cuts, over rows shaped like TPC-H's `lineitem` and over wide text.
#![allow(missing_docs, reason = "criterion's macros define undocumented items")]
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dbhaul_rows::{
    CutParameters, Cutter, DigestColumn, DigestSpec, FieldIter, TextForm, hash_bytes_extended, split_rows,
};

/// About 8 MiB of rows of 16 short columns.
fn lineitem() -> (Vec<u8>, DigestSpec) {
    let mut text = String::new();
    let mut n = 0_u64;
    while text.len() < 8 << 20 {
        n += 1;
        let noise = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        text.push_str(&format!(
            "{n}\t{}\t{}\t{}\t{}.00\t{}.{:02}\t0.0{}\t0.0{}\tN\tO\t1996-03-{:02}\t1996-02-12\t1996-03-22\tDELIVER IN PERSON\tTRUCK\tegular courts above the {noise:x}\n",
            noise % 200_000, noise % 10_000, n % 7 + 1, noise % 50, noise % 90_000, noise % 100, noise % 10, noise % 9, noise % 28 + 1,
        ));
    }
    (text.into_bytes(), spec(16))
}

/// About 8 MiB of rows of one number and 2 KiB of text, every tenth with an escape.
fn documents() -> (Vec<u8>, DigestSpec) {
    let mut text = String::new();
    let mut n = 0;
    while text.len() < 8 << 20 {
        n += 1;
        let end = if n % 10 == 0 { "\\n" } else { "." };
        text.push_str(&format!("{n}\t{}{end}\n", "the quick brown fox jumps over the dog ".repeat(50)));
    }
    (text.into_bytes(), spec(2))
}

fn spec(columns: usize) -> DigestSpec {
    let columns = (0..columns).map(|n| DigestColumn::new(format!("c{n}"), "text"));
    DigestSpec::new(columns.collect(), TextForm::Raw)
}

fn hash(c: &mut Criterion) {
    let mut group = c.benchmark_group("hash_bytes_extended");
    for length in [8_usize, 32, 1024] {
        let bytes = vec![b'x'; length];
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_with_input(BenchmarkId::from_parameter(length), &bytes, |b, bytes| {
            b.iter(|| hash_bytes_extended(black_box(bytes), black_box(7)));
        });
    }
    group.finish();
}

fn framing(c: &mut Criterion) {
    let mut group = c.benchmark_group("split rows and fields");
    for (name, (text, _)) in [("lineitem", lineitem()), ("documents", documents())] {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| split_rows(black_box(&text)).map(|row| FieldIter::new(row).count()).sum::<usize>());
        });
    }
    group.finish();
}

/// The whole path of a dump before compression: framing, unescaping, digest, cuts; one push per row, as
/// the protocol has it, or one per 64 KiB.
fn cut(c: &mut Criterion) {
    let mut group = c.benchmark_group("cut");
    for (name, (text, spec)) in [("lineitem", lineitem()), ("documents", documents())] {
        group.throughput(Throughput::Bytes(text.len() as u64));
        let rows: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
        let frames: Vec<&[u8]> = text.chunks(64 << 10).collect();
        for (framing, pieces) in [("by row", &rows), ("by 64 KiB", &frames)] {
            group.bench_function(format!("{name} {framing}"), |b| {
                b.iter(|| {
                    let mut cutter = Cutter::new(CutParameters::default(), &spec).unwrap();
                    let mut chunks = Vec::new();
                    for piece in pieces {
                        cutter.push(black_box(piece), &mut chunks).unwrap();
                        chunks.clear();
                    }
                    cutter.finish().unwrap()
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, hash, framing, cut);
criterion_main!(benches);
