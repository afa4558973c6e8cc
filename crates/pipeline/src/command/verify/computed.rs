//! Values that a server computes from others: rows of materialized views and generated columns. What they are computed
//! from is compared in any case; they themselves are where somebody asks for it.

use dbhaul_catalog::kinds::{Body, MaterializedView, Table};
use dbhaul_catalog::{Catalog, Object, QualifiedName, Selection};
use dbhaul_exporter::PAGE_BYTES;
use dbhaul_rows::{DigestColumn, DigestSpec, TextForm};
use dbhaul_verifier::Reading;

use super::side::{Rows, Side};
use crate::PipelineError;
use crate::report::words::listed;
use crate::source::LiveDatabase;

/// Which computed values of two live databases are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Computed {
    /// The rows of materialized views, as they were computed last on each side.
    pub materialized_views: bool,
    /// The values of generated columns.
    pub generated_columns: bool,
}

/// Why a server may not be asked for values that no `COPY` brings.
const UNPLANNED_VIEW: &str = "its rows cannot be read: to plan a query would run functions of others";
const UNPLANNED_TABLE: &str =
    "its generated columns cannot be read: to plan a query would run functions of others";

impl Computed {
    /// Adds them to what a live side reads.
    ///
    /// # Errors
    /// If the selection cannot be used.
    pub(super) fn add_to(self, side: &mut Side, selection: &Selection) -> Result<(), PipelineError> {
        let Some(live) = &side.live else { return Ok(()) };
        if self.generated_columns {
            for (object, table) in tables(&live.catalog) {
                if let Some(rows) = side.rows.get_mut(&object.sql_name()) {
                    add_generated(rows, table);
                }
            }
        }
        if self.materialized_views {
            let left_out = selection.toc_options(&live.catalog)?.without_data;
            let views = views(&live.catalog)
                .filter(|(object, view)| selection.data && view.populated && !left_out.contains(&object.id));
            let rows: Vec<(String, Rows)> =
                views.map(|(object, view)| (object.sql_name(), rows_of_view(live, object, view))).collect();
            side.rows.extend(rows);
        }
        Ok(())
    }

    /// What of a catalog is not compared.
    pub(super) fn not_compared(self, catalog: &Catalog) -> Vec<String> {
        let name = |object: &Object| object.sql_name();
        let of_views = views(catalog).filter(|_| !self.materialized_views);
        let of_tables = tables(catalog).filter(|_| !self.generated_columns);
        let views = listed(
            "rows of materialized views, which are computed from tables (`verify --materialized-views` compares them)",
            of_views.map(|(object, _)| name(object)).collect(),
        );
        let columns = listed(
            "values of generated columns, which are computed from other columns (`verify --generated-columns` compares them), of",
            of_tables.map(|(object, _)| name(object)).collect(),
        );
        views.into_iter().chain(columns).collect()
    }

    /// How they are compared, in words.
    pub(super) fn options(self) -> Vec<String> {
        let views = self
            .materialized_views
            .then(|| "rows of materialized views too, as each side has computed them last".to_owned());
        let columns = self.generated_columns.then(|| "values of generated columns too".to_owned());
        views.into_iter().chain(columns).collect()
    }
}

fn own(catalog: &Catalog) -> impl Iterator<Item = &Object> {
    catalog.objects.iter().filter(|object| object.extension.is_none())
}

fn views(catalog: &Catalog) -> impl Iterator<Item = (&Object, &MaterializedView)> {
    own(catalog).filter_map(|object| match &object.body {
        Body::MaterializedView(view) => Some((object, &**view)),
        _ => None,
    })
}

/// Tables with generated columns.
fn tables(catalog: &Catalog) -> impl Iterator<Item = (&Object, &Table)> {
    own(catalog).filter_map(|object| match &object.body {
        Body::Table(table) if table.holds_rows() && table.columns.iter().any(|one| one.is_generated()) => {
            Some((object, &**table))
        }
        _ => None,
    })
}

fn add_generated(rows: &mut Rows, table: &Table) {
    if rows.reading == Reading::Copy {
        rows.missing = Some(UNPLANNED_TABLE);
        return;
    }
    // a COPY, which reads where a query cannot, leaves them out
    rows.reading = Reading::Query;
    let generated = table.columns.iter().filter(|column| column.is_generated());
    rows.spec
        .columns
        .extend(generated.map(|column| DigestColumn::new(&*column.name, &column.base_type_name)));
}

fn rows_of_view(live: &LiveDatabase, object: &Object, view: &MaterializedView) -> Rows {
    // below a domain every type has its own output, which is the form for types that are not known by name
    let columns = view.columns.iter().map(|column| DigestColumn::new(&*column.name, &column.type_name));
    let form = TextForm::for_server_encoding(&live.catalog.database.encoding);
    let size = live.catalog.relation_sizes.get(&object.id.oid).copied().unwrap_or_default();
    Rows {
        spec: DigestSpec::new(columns.collect(), form),
        table: Some(QualifiedName::new(object.schema.clone().unwrap_or_default(), &object.name)),
        root: None,
        from: format!("ONLY {}", object.sql_name()),
        estimated_bytes: size.heap_pages * PAGE_BYTES + size.toast_bytes,
        reading: Reading::Query,
        has_tids: view.access_method.is_none(),
        known: None,
        missing: live.unplanned().contains(&object.id.oid).then_some(UNPLANNED_VIEW),
    }
}
