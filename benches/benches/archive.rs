//! Sealing and opening of chunks of 64 KiB, packs and segment lists.
#![allow(missing_docs, reason = "criterion's macros define undocumented items")]
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dbhaul_archive::{
    ChunkOpener, ChunkPlace, ChunkSealer, PackBuilder, PackId, PackKind, PackReader, RowChunk, Segment,
    SegmentListReader, SegmentListWriter, SegmentRange,
};
use dbhaul_rows::RowDigest;

const CHUNK_BYTES: usize = 64 << 10;

/// The n-th chunk of rows that compress about threefold.
fn chunk(n: u64) -> Vec<u8> {
    let mut text = String::new();
    let mut row = n << 32;
    while text.len() < CHUNK_BYTES {
        row += 1;
        let noise = row.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        text.push_str(&format!(
            "{row}\t{noise}\t1996-03-{:02}\tDELIVER IN PERSON\tregular courts\n",
            row % 28 + 1
        ));
    }
    text.into_bytes()
}

fn seal(c: &mut Criterion) {
    let mut group = c.benchmark_group("seal a chunk");
    let plain = chunk(1);
    group.throughput(Throughput::Bytes(plain.len() as u64));
    for level in [1, 3, 9] {
        let mut sealer = ChunkSealer::new(level).unwrap();
        group.bench_with_input(BenchmarkId::new("zstd", level), &plain, |b, plain| {
            b.iter(|| sealer.seal(black_box(plain)).unwrap());
        });
    }
    group.finish();
}

fn open(c: &mut Criterion) {
    let mut group = c.benchmark_group("open");
    let mut builder = PackBuilder::new(PackKind::Data);
    let sealed = ChunkSealer::new(1).unwrap().seal(&chunk(1)).unwrap();
    let entry = builder.add(&sealed);
    let pack = builder.finish();
    let mut opener = ChunkOpener::new().unwrap();
    group.throughput(Throughput::Bytes(sealed.plain_bytes));
    group.bench_function("a chunk", |b| {
        let place = entry.place(pack.id);
        b.iter(|| opener.open(black_box(&place), black_box(&sealed.stored)).unwrap());
    });
    group.finish();
}

fn pack(c: &mut Criterion) {
    let mut group = c.benchmark_group("pack");
    let mut sealer = ChunkSealer::new(1).unwrap();
    let sealed: Vec<_> = (0..400).map(|n| sealer.seal(&chunk(n)).unwrap()).collect();
    let build = || {
        let mut builder = PackBuilder::new(PackKind::Data);
        for chunk in &sealed {
            builder.add(chunk);
        }
        builder.finish()
    };
    let pack = build();
    group.throughput(Throughput::Bytes(pack.bytes.len() as u64));
    group.bench_function("build", |b| b.iter(build));
    group.bench_function("verify", |b| b.iter(|| PackReader::open(pack.id, pack.bytes.clone()).unwrap()));
    group.finish();
}

fn segment_list(c: &mut Criterion) {
    let mut group = c.benchmark_group("segment list");
    let chunks = (0..1000_u64).map(|n| RowChunk {
        place: ChunkPlace {
            id: dbhaul_archive::ChunkId::of(&n.to_le_bytes()),
            pack: PackId([(n / 400) as u8; 32]),
            offset: n << 14,
            stored_bytes: 20_000,
            plain_bytes: 65_536,
        },
        digest: RowDigest { row_count: 500, sum: i128::from(n) << 60 },
    });
    let segment = Segment { index: 0, range: SegmentRange::Whole, chunks: chunks.collect() };
    let write = || {
        let mut writer = SegmentListWriter::new("public.t").unwrap();
        let mut pieces = Vec::new();
        writer.write(&segment, &mut pieces).unwrap();
        writer.finish(&mut pieces).unwrap();
        pieces
    };
    let pieces = write();
    group.throughput(Throughput::Elements(1000));
    group.bench_function("write", |b| b.iter(write));
    group.bench_function("read", |b| {
        b.iter(|| {
            let mut reader = SegmentListReader::new("public.t");
            let mut segments = Vec::new();
            for piece in &pieces {
                reader.push(black_box(piece), &mut segments).unwrap();
            }
            reader.finish().unwrap()
        });
    });
    group.finish();
}

criterion_group!(benches, seal, open, pack, segment_list);
criterion_main!(benches);
