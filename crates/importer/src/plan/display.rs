//! A plan in words, for `--dry-run`.

use std::collections::BTreeMap;
use std::fmt;

use dbhaul_catalog::{in_lines, in_one_line};
use dbhaul_progress::counted;

use crate::plan::{Stage, Work};
use crate::{ImportPlan, StatisticsMode};

impl fmt::Display for ImportPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = self.options();
        writeln!(
            f,
            "import of {}: {}, about {}, {}",
            in_one_line(&options.source_fingerprint),
            counted(self.step_count(), "step"),
            Bytes(self.total_bytes()),
            counted(options.jobs, "session")
        )?;
        match options.maintenance_work_mem_bytes {
            Some(bytes) => writeln!(f, "  maintenance_work_mem {} per session", Bytes(bytes))?,
            None => writeln!(f, "  maintenance_work_mem chosen from the target's settings")?,
        }
        match options.index_workers {
            Some(count) => writeln!(f, "  max_parallel_maintenance_workers {count} per session")?,
            None => writeln!(f, "  max_parallel_maintenance_workers chosen from the target's settings")?,
        }
        if options.clean && !self.drops.is_empty() {
            writeln!(f, "  drop {} first", counted(self.drops.len(), "object"))?;
        }
        for stage in self.stages.iter().filter(|stage| !stage.steps.is_empty()) {
            self.write_stage(stage, f)?;
        }
        if options.statistics == StatisticsMode::Copy {
            writeln!(
                f,
                "  planner statistics copied from the source; tables with extended statistics analyzed for those"
            )?;
        }
        // a server's words quote names, which may hold line breaks
        let mut line =
            |before: &str, text: &String| writeln!(f, "  {before}{}", in_lines(text).replace('\n', "\n    "));
        self.blockers.iter().try_for_each(|blocker| line("BLOCKER: ", blocker))?;
        self.told.iter().try_for_each(|told| line("", told))?;
        self.warnings.iter().try_for_each(|warning| line("warning: ", warning))
    }
}

impl ImportPlan {
    fn write_stage(&self, stage: &Stage, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let manner = if stage.name.is_serial() { "in order" } else { "side by side, longest chain first" };
        writeln!(f, "  {} ({manner}):", stage.name.title())?;
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for step in &stage.steps {
            *counts.entry(self.step_kind(&step.work)).or_default() += 1;
        }
        for (kind, count) in counts {
            writeln!(f, "    {count:>6} {kind}")?;
        }
        match (stage.name.is_serial(), f.alternate()) {
            (true, _) => {}
            (false, true) => self.write_schedule(stage, f)?,
            (false, false) => self.write_longest(stage, f)?,
        }
        Ok(())
    }

    /// The longest chain of work, and with it everything in the order in which one session would do it.
    fn write_schedule(&self, stage: &Stage, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 1000;
        let mut scheduler = stage.scheduler();
        writeln!(f, "    critical path:")?;
        for id in scheduler.critical_path() {
            let (step, chain) = (&stage.steps[id], Bytes(scheduler.rank_bytes(id)));
            writeln!(
                f,
                "      {}: {} of {chain} to go",
                in_one_line(&self.what(&step.work)),
                Bytes(step.node.weight_bytes)
            )?;
        }
        writeln!(f, "    in the order of one session:")?;
        let mut shown = 0;
        while let Some(id) = scheduler.start_next() {
            scheduler.finish(id);
            shown += 1;
            if shown <= SHOWN {
                writeln!(f, "      {}", in_one_line(&self.what(&stage.steps[id].work)))?;
            }
        }
        if shown > SHOWN { writeln!(f, "      and {} more", shown - SHOWN) } else { Ok(()) }
    }

    /// A step as people know it.
    pub(crate) fn what(&self, work: &Work) -> String {
        let entry = self.describe(work.entry());
        match work {
            Work::Segment(segment) => format!("{entry}, segment {}", segment.segment),
            Work::Analyze(analyze) => format!("{} {}", analyze.upkeep.as_str(), analyze.table),
            Work::Build(_) => format!("index of {entry}"),
            Work::Validate(_) => format!("validation of {entry}"),
            Work::Entry(_) | Work::Position(_) => entry,
        }
    }

    /// The heads of the longest chains: what will be worked on first.
    fn write_longest(&self, stage: &Stage, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 10;
        let mut scheduler = stage.scheduler();
        let mut shown: Vec<u32> = Vec::new();
        while let Some(id) = scheduler.start_next() {
            let entry = stage.steps[id].work.entry();
            if shown.contains(&entry) {
                continue;
            }
            shown.push(entry);
            let segments = counted(self.segments.get(&entry).map_or(0, Vec::len), "segment");
            let rank = Bytes(scheduler.rank_bytes(id));
            writeln!(f, "    first: {} ({segments}, chain of {rank})", in_one_line(&self.describe(entry)))?;
            if shown.len() == SHOWN {
                break;
            }
        }
        Ok(())
    }

    fn step_kind(&self, work: &Work) -> &str {
        match work {
            Work::Analyze(analyze) => analyze.upkeep.as_str(),
            Work::Build(_) => "builds of an index for a constraint",
            Work::Validate(_) => "validations of a foreign key",
            Work::Segment(_) => "segments",
            Work::Entry(entry) | Work::Position(entry) => {
                self.entry(*entry).map_or("", |entry| entry.kind.as_str())
            }
        }
    }
}

/// A number of bytes with a unit.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u32, &str); 4] = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
        match UNITS.iter().find(|(shift, _)| self.0 >> shift > 0) {
            Some((shift, unit)) => write!(f, "{:.1} {unit}", self.0 as f64 / (1_u64 << shift) as f64),
            None => write!(f, "{} bytes", self.0),
        }
    }
}
