//! Whole databases through the importer, with `pg_dump` 18 as judge: rows come straight from the source.

use std::sync::Arc;

use async_trait::async_trait;
use dbhaul_catalog::{DataEntry, EntryKind, Target, Toc, TocOptions, quote_identifier, quote_literal};
use dbhaul_importer::{
    EntrySegments, ImportOptions, SegmentRef, SegmentRows, SegmentSource, SourceError, import, plan,
};
use dbhaul_introspect::read_catalog;
use dbhaul_postgres::{ConnectSettings, Session, SessionRole};
use dbhaul_progress::Progress;
use dbhaul_rows::{CutParameters, Cutter, DigestColumn, DigestSpec, TextForm};
use dbhaul_tests::{Fixture, Server};
use futures::{StreamExt, TryStreamExt};
use tokio_util::sync::CancellationToken;

fn settings(server: &Server) -> ConnectSettings {
    ConnectSettings::resolve(Some(&server.uri("shop")), &|_| None).unwrap()
}

async fn session(server: &ConnectSettings) -> Session {
    Session::connect(server, SessionRole::Reader, &CancellationToken::new()).await.unwrap()
}

/// Reads each entry as one segment, from the live source.
struct Live {
    source: ConnectSettings,
    toc: Toc,
}

#[async_trait]
impl SegmentSource for Live {
    async fn open(&self, segment: SegmentRef) -> Result<SegmentRows, SourceError> {
        let entry = &self.toc.entries[segment.entry as usize - 1];
        let (relation, names) = match entry.data.as_ref().unwrap() {
            DataEntry::Table(table) => {
                (table.table.sql(), table.columns.iter().map(|column| column.name.to_string()).collect())
            }
            DataEntry::LargeObjects => (
                "pg_catalog.pg_largeobject".to_owned(),
                ["loid", "pageno", "data"].map(str::to_owned).to_vec(),
            ),
        };
        let columns: Vec<String> = names.iter().map(|name| quote_identifier(name)).collect();
        let spec = names.into_iter().map(|name: String| DigestColumn::new(name, "text")).collect();
        let session = session(&self.source).await;
        let copy = format!("COPY (SELECT {} FROM ONLY {relation}) TO STDOUT", columns.join(", "));
        let bytes: Vec<_> = session.copy_out(&copy).await.unwrap().try_collect().await.unwrap();
        let mut cutter =
            Cutter::new(CutParameters::default(), &DigestSpec::new(spec, TextForm::Raw)).unwrap();
        let mut chunks = Vec::new();
        bytes.iter().for_each(|block| cutter.push(block, &mut chunks).unwrap());
        chunks.extend(cutter.finish().unwrap());
        Ok(SegmentRows::text(futures::stream::iter(chunks.into_iter().map(Ok)).boxed()))
    }
}

/// The TOC of the source with the values of its sequences, which only a snapshot knows.
async fn toc(source: &ConnectSettings, target: &ConnectSettings) -> Toc {
    let (from, to) = (session(source).await, session(target).await);
    let catalog = read_catalog(&from).await.unwrap();
    let mut toc = Toc::build(&catalog, &Target { version: to.version() }, &TocOptions::default()).unwrap();
    for entry in toc.entries.iter_mut().filter(|entry| entry.kind == EntryKind::SequenceSet) {
        let schema = entry.schema.as_deref().unwrap();
        let name = format!("{}.{}", quote_identifier(schema), quote_identifier(&entry.name));
        let row = &from.query_rows(&format!("SELECT last_value, is_called FROM {name}")).await.unwrap()[0];
        let (value, is_called) = (row[0].clone().unwrap(), row[1].as_deref() == Some("t"));
        entry.create =
            vec![format!("SELECT pg_catalog.setval({}, {value}, {is_called})", quote_literal(&name))];
    }
    toc
}

fn check(fixture: Fixture, from: u16, to: u16) {
    let (source, target) = (Server::start(from), Server::start(to));
    target.create_db("shop");
    fixture.load(&source, "shop");
    fixture.prepare_target(&target);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let outcome = runtime.block_on(async {
        let (source, target) = (settings(&source), settings(&target));
        let toc = toc(&source, &target).await;
        let data = toc.entries.iter().filter(|entry| entry.data.is_some());
        let segments: Vec<EntrySegments> = data
            .map(|entry| EntrySegments { entry: entry.id, segment_bytes: vec![entry.weight_bytes] })
            .collect();
        let plan = plan(toc.clone(), &segments, ImportOptions::new("01JRUN", "live")).unwrap();
        let live = Arc::new(Live { source, toc });
        import(plan, &target, live, &Progress::silent(), &CancellationToken::new()).await.unwrap()
    });
    assert!(outcome.is_complete(), "{:#?}\n{:#?}", outcome.failed, outcome.skipped);
    assert_eq!(source.sql_digest("shop"), target.sql_digest("shop"), "{fixture:?}");
    if from == to {
        assert_eq!(source.pg_dump_schema("shop"), target.pg_dump_schema("shop"), "{fixture:?}");
    }
}

#[test]
fn cinema() {
    check(Fixture::Cinema, 17, 17);
}

#[test]
fn music_to_a_newer_major() {
    check(Fixture::Music, 13, 18);
}

#[test]
fn the_sample_shop() {
    check(Fixture::SampleShop { scale: 0.02 }, 18, 18);
}
