use super::{ImportPlan, Work, plan};
use crate::plan::stages::StageName;
use crate::testing::Entries;
use crate::{EntrySegments, ImportError, ImportOptions, PlanProblem, SegmentRef, StatisticsMode};
use dbhaul_catalog::EntryKind;

fn options() -> ImportOptions {
    ImportOptions::new("run", "backup")
}

fn segments(entry: u32, bytes: &[u64]) -> EntrySegments {
    EntrySegments { entry, segment_bytes: bytes.to_vec() }
}

/// Two tables with rows, keys and a foreign key from the second to the first.
fn shop() -> ImportPlan {
    shop_with(options())
}

fn shop_with(options: ImportOptions) -> ImportPlan {
    let mut toc = Entries::default();
    let customer = toc.table("customer");
    let sale = toc.table("sale");
    toc.pre_data(EntryKind::Acl, "TABLE customer", &[customer]);
    let customer_rows = toc.rows("customer", customer);
    let sale_rows = toc.rows("sale", sale);
    let customer_key = toc.post_data(EntryKind::Constraint, "customer customer_pkey", &[customer]);
    toc.post_data(EntryKind::Index, "sale_customer_idx", &[sale]);
    toc.post_data(EntryKind::ForeignKey, "sale sale_customer_fkey", &[sale, customer, customer_key]);
    toc.post_data(EntryKind::EventTrigger, "watch", &[]);
    let segments = [segments(customer_rows, &[10]), segments(sale_rows, &[500, 500, 20])];
    plan(toc.into_toc(), &segments, options).unwrap()
}

/// The work of the bulk stage as names, in the order in which one worker would do it.
fn one_by_one(plan: &ImportPlan) -> Vec<String> {
    let stage = plan.stages.iter().find(|stage| stage.name == StageName::Bulk).unwrap();
    let mut scheduler = stage.scheduler();
    let mut names = Vec::new();
    while let Some(id) = scheduler.start_next() {
        names.push(match &stage.steps[id].work {
            Work::Entry(entry) => plan.describe(*entry),
            Work::Build(entry) => format!("build of {}", plan.describe(*entry)),
            Work::Validate(entry) => format!("validation of {}", plan.describe(*entry)),
            Work::Segment(SegmentRef { entry, segment }) => {
                format!("{} {segment}", plan.describe(*entry))
            }
            Work::Analyze(analyze) => format!("{} {}", analyze.upkeep.as_str(), analyze.table),
            Work::Position(entry) => format!("again {}", plan.describe(*entry)),
        });
        scheduler.finish(id);
    }
    assert!(scheduler.is_done());
    names
}

#[test]
fn steps_follow_their_dependencies_largest_table_first() {
    assert_eq!(
        one_by_one(&shop()),
        [
            "TABLE DATA public.sale 0",
            "TABLE DATA public.sale 1",
            "TABLE DATA public.sale 2",
            "INDEX public.sale_customer_idx",
            "TABLE DATA public.customer 0",
            "CONSTRAINT public.customer customer_pkey",
            "ANALYZE public.customer",
            "VACUUM ANALYZE public.sale",
            "FK CONSTRAINT public.sale sale_customer_fkey",
        ]
    );
}

/// Without it, whole tables would be read to validate a foreign key.
#[test]
fn what_foreign_keys_link_is_vacuumed_whatever_becomes_of_statistics() {
    for statistics in [StatisticsMode::None, StatisticsMode::Copy] {
        let plan = shop_with(ImportOptions { statistics, ..options() });
        let names = one_by_one(&plan);
        let last = names.iter().rev().take(2).rev().map(String::as_str);
        assert_eq!(
            last.collect::<Vec<_>>(),
            ["VACUUM public.sale", "FK CONSTRAINT public.sale sale_customer_fkey"]
        );
        assert!(!names.iter().any(|name| name.contains("ANALYZE")), "{names:?}");
    }
}

#[test]
fn keys_and_foreign_keys_of_large_tables_take_two_steps() {
    let mut toc = Entries::default();
    let (customer, sale) = (toc.table("customer"), toc.table("sale"));
    let (customer_rows, sale_rows) = (toc.rows("customer", customer), toc.rows("sale", sale));
    let customer_key = toc.key("customer customer_pkey", &[customer]);
    toc.key("sale sale_pkey", &[sale]);
    toc.post_data(EntryKind::Index, "sale_customer_idx", &[sale]);
    let key = toc.foreign_key("sale sale_customer_fkey", sale, customer, customer_key);
    toc.foreign_key("customer customer_self_fkey", customer, customer, customer_key);
    let bytes = [segments(customer_rows, &[10]), segments(sale_rows, &[32 << 20])];
    let plan = plan(toc.into_toc(), &bytes, options()).unwrap();
    assert_eq!(
        one_by_one(&plan),
        [
            "TABLE DATA public.sale 0",
            "build of CONSTRAINT public.sale sale_pkey",
            "INDEX public.sale_customer_idx",
            "TABLE DATA public.customer 0",
            "CONSTRAINT public.customer customer_pkey",
            "CONSTRAINT public.sale sale_pkey",
            "FK CONSTRAINT public.sale sale_customer_fkey",
            "ANALYZE public.customer",
            "ANALYZE public.sale",
            "validation of FK CONSTRAINT public.sale sale_customer_fkey",
            "FK CONSTRAINT public.customer customer_self_fkey",
        ]
    );
    let statements = |work: Work| plan.entry_of(&work).unwrap().create.clone();
    assert_eq!(statements(Work::Entry(key)), ["ALTER TABLE ADD FOREIGN KEY NOT VALID"]);
    assert_eq!(statements(Work::Validate(key)), ["ALTER TABLE ONLY public.sale VALIDATE CONSTRAINT fkey"]);
}

#[test]
fn what_several_foreign_keys_of_a_table_wait_for_comes_early() {
    let mut toc = Entries::default();
    let (sale, other) = (toc.table("sale"), toc.table("other"));
    let referenced = ["customer", "product"].map(|name| toc.table(name));
    let mut bytes =
        vec![segments(toc.rows("sale", sale), &[32 << 20]), segments(toc.rows("other", other), &[14 << 20])];
    for (name, table) in ["customer", "product"].into_iter().zip(referenced) {
        bytes.push(segments(toc.rows(name, table), &[1 << 20]));
        toc.foreign_key(&format!("sale sale_{name}_fkey"), sale, table, table);
    }
    let plan = plan(toc.into_toc(), &bytes, options()).unwrap();
    let names = one_by_one(&plan);
    let place = |name: &str| names.iter().position(|other| other == name).unwrap();
    assert!(
        place("TABLE DATA public.product 0") < place("TABLE DATA public.other 0"),
        "one after the other the two validations take longer than loading the other table: {names:?}"
    );
}

#[test]
fn privileges_and_event_triggers_come_after_all_else() {
    let plan = shop();
    let of = |name| {
        let stage = plan.stages.iter().find(|stage| stage.name == name).unwrap();
        stage.steps.iter().map(|step| plan.describe(step.work.entry())).collect::<Vec<_>>()
    };
    assert_eq!(of(StageName::PreData), ["TABLE public.customer", "TABLE public.sale"]);
    assert_eq!(of(StageName::Grants), ["ACL TABLE customer"]);
    assert_eq!(of(StageName::Last), ["EVENT TRIGGER public.watch"]);
}

#[test]
fn row_security_is_in_force_only_after_foreign_keys() {
    let mut toc = Entries::default();
    let (customer, sale) = (toc.table("customer"), toc.table("sale"));
    let rows = toc.rows("customer", customer);
    toc.post_data(EntryKind::RowSecurity, "customer", &[customer]);
    let policy = toc.post_data(EntryKind::Policy, "customer everyone", &[customer]);
    toc.post_data(EntryKind::Comment, "POLICY everyone ON customer", &[policy]);
    toc.post_data(EntryKind::ForeignKey, "sale sale_customer_fkey", &[sale, customer]);
    let plan = plan(toc.into_toc(), &[segments(rows, &[10])], options()).unwrap();
    let kinds = |name| {
        let stage = plan.stages.iter().find(|stage| stage.name == name).unwrap();
        let entries = stage.steps.iter().map(|step| plan.entry(step.work.entry()).unwrap());
        entries.map(|entry| entry.kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds(StageName::Policies), [EntryKind::RowSecurity, EntryKind::Policy, EntryKind::Comment]);
    assert!(kinds(StageName::Bulk).contains(&EntryKind::ForeignKey));
    assert!(StageName::Bulk < StageName::Policies && StageName::Policies < StageName::Refresh);
}

#[test]
fn an_index_of_a_partitioned_table_waits_for_the_rows_of_partitions() {
    let mut toc = Entries::default();
    let parent = toc.table("log");
    let part = toc.table("log_1");
    toc.attach("log_1", part, parent);
    let rows = toc.rows("log_1", part);
    toc.post_data(EntryKind::ForeignKey, "log log_fkey", &[parent]);
    let plan = plan(toc.into_toc(), &[segments(rows, &[5])], options()).unwrap();
    assert_eq!(
        one_by_one(&plan),
        [
            "TABLE DATA public.log_1 0",
            "ANALYZE public.log_1",
            "ANALYZE public.log",
            "FK CONSTRAINT public.log log_fkey",
        ]
    );
}

/// Thousands of indexes that may read any of thousands of tables are not as many edges as pairs of them.
#[test]
fn what_waits_for_all_rows_waits_at_one_gate() {
    const TABLES: usize = 300;
    let mut toc = Entries::default();
    let hides = toc.function("hides", "plpgsql", "BEGIN EXECUTE $1; END");
    let mut bytes = Vec::new();
    let tables: Vec<u32> = (0..TABLES).map(|number| toc.table(&format!("t{number}"))).collect();
    let computed = toc.table("computed");
    toc.depend(computed, &[hides]);
    for (number, table) in tables.iter().enumerate() {
        bytes.push(segments(toc.rows(&format!("t{number}"), *table), &[5, 5]));
        toc.post_data(EntryKind::Index, &format!("t{number}_idx"), &[*table, hides]);
    }
    bytes.push(segments(toc.rows("computed", computed), &[1 << 30]));
    let plan = plan(toc.into_toc(), &bytes, options()).unwrap();
    let stage = plan.stages.iter().find(|stage| stage.name == StageName::Bulk).unwrap();
    let nodes = stage.steps.iter().map(|step| &step.node).chain(&stage.gates);
    let edges: usize = nodes.map(|node| node.needs.len() + node.after.len()).sum();
    assert!(edges < 20 * TABLES, "{edges} edges");
    let names = one_by_one(&plan);
    let places = |prefix: &str| {
        let found = names.iter().enumerate().filter(|(_, name)| name.starts_with(prefix));
        found.map(|(place, _)| place).collect::<Vec<_>>()
    };
    let (rows, computed) = (places("TABLE DATA public.t"), places("TABLE DATA public.computed"));
    let indexes = places("INDEX");
    assert_eq!((rows.len(), computed.len(), indexes.len()), (2 * TABLES, 1, TABLES));
    assert!(rows[rows.len() - 1] < computed[0] && computed[0] < indexes[0]);
}

#[test]
fn rows_without_segments_are_refused() {
    let mut toc = Entries::default();
    let table = toc.table("t");
    let rows = toc.rows("t", table);
    let problem = |segments: &[EntrySegments]| match plan(toc.clone().into_toc(), segments, options()) {
        Err(ImportError::Plan(problem)) => problem,
        other => panic!("{other:?}"),
    };
    assert_eq!(problem(&[]), PlanProblem::MissingSegments { description: "TABLE DATA public.t".to_owned() });
    assert_eq!(problem(&[segments(table, &[])]), PlanProblem::UnknownSegments { entry: table });
    let twice = [segments(rows, &[]), segments(rows, &[])];
    assert_eq!(problem(&twice), PlanProblem::DuplicateSegments { entry: rows });
}

#[test]
fn sections_privileges_and_shape() {
    let mut toc = Entries::default();
    let table = toc.table("t");
    toc.pre_data(EntryKind::Acl, "TABLE t", &[table]);
    let toc = toc.into_toc();
    let with = |change: &dyn Fn(&mut ImportOptions)| {
        let mut options = options();
        change(&mut options);
        plan(toc.clone(), &[], options).unwrap()
    };
    let whole = with(&|_| {});
    let without = with(&|options| options.privileges = false);
    assert_eq!((whole.step_count(), without.step_count()), (2, 1));
    assert_eq!(with(&|options| options.sections.pre_data = false).step_count(), 0);
    assert_ne!(whole.shape(), without.shape(), "a run is not resumed with other options");
    assert_eq!(whole.shape(), with(&|options| options.jobs = 9).shape());
}

#[test]
fn a_plan_can_be_read() {
    let text = shop().to_string();
    assert!(text.contains("import of backup: "), "{text}");
    assert!(text.contains("first: TABLE DATA public.sale (3 segments"), "{text}");
}
