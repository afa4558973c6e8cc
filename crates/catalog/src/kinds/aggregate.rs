//! An aggregate function.

use serde::{Deserialize, Serialize};

use crate::kinds::ParallelSafety;
use crate::render::{Draft, Render, Target};
use crate::toc::Section;
use crate::{EntryKind, Object, quote_literal};

/// An aggregate function: plain, ordered-set or hypothetical-set. Functions,
/// types and operators are SQL text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aggregate {
    /// Arguments as `pg_get_function_arguments` prints them; `*` where there are none.
    pub arguments: String,
    /// Arguments as `pg_get_function_identity_arguments` prints them; `*` where there are none.
    pub identity_arguments: String,
    /// Types of all arguments, which tell it from others of its name and by
    /// which `GRANT ... ON FUNCTION` names it.
    pub argument_types: Vec<String>,
    /// `aggkind`.
    pub kind: AggregateKind,
    /// How it computes.
    pub state: AggregateState,
    /// How it computes over a moving window, if it can.
    pub moving: Option<MovingState>,
    /// `COMBINEFUNC`.
    pub combine: Option<String>,
    /// `SERIALFUNC`.
    pub serialize: Option<String>,
    /// `DESERIALFUNC`.
    pub deserialize: Option<String>,
    /// `SORTOP`, as `OPERATOR(s.<)`.
    pub sort_operator: Option<String>,
    /// `SUPPORT` (19 and later).
    #[serde(default)]
    pub support: Option<String>,
    /// Parallel safety.
    pub parallel: ParallelSafety,
}

/// `aggkind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AggregateKind {
    /// A plain aggregate.
    Normal,
    /// Takes `WITHIN GROUP (ORDER BY ...)`.
    OrderedSet,
    /// Takes `WITHIN GROUP` and a hypothetical row.
    HypotheticalSet,
}

/// A transition function with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AggregateState {
    /// `SFUNC`.
    pub transition: String,
    /// `STYPE`.
    pub type_name: String,
    /// `SSPACE` in bytes, 0 for the default.
    pub size_bytes: i32,
    /// `INITCOND`.
    pub initial: Option<String>,
    /// `FINALFUNC`.
    pub final_function: Option<FinalFunction>,
}

/// The moving-window form of an aggregate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovingState {
    /// `MSFUNC`, `MSTYPE`, `MSSPACE`, `MINITCOND`, `MFINALFUNC`.
    pub state: AggregateState,
    /// `MINVFUNC`.
    pub inverse: String,
}

/// The function that turns a state into a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinalFunction {
    /// The function.
    pub function: String,
    /// Whether it takes the aggregate's arguments too.
    pub extra: bool,
    /// What it does to the state: `READ_ONLY`, `SHAREABLE`, `READ_WRITE`.
    pub modify: FinalModify,
}

/// `aggfinalmodify`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FinalModify {
    /// Leaves the state alone.
    ReadOnly,
    /// May be called again, but not followed by more input.
    Shareable,
    /// Destroys it.
    ReadWrite,
}

impl AggregateKind {
    /// The modify behaviour that is not written out.
    fn default_modify(self) -> FinalModify {
        match self {
            AggregateKind::Normal => FinalModify::ReadOnly,
            AggregateKind::OrderedSet | AggregateKind::HypotheticalSet => FinalModify::ReadWrite,
        }
    }
}

impl FinalModify {
    fn keyword(self) -> &'static str {
        match self {
            FinalModify::ReadOnly => "READ_ONLY",
            FinalModify::Shareable => "SHAREABLE",
            FinalModify::ReadWrite => "READ_WRITE",
        }
    }
}

impl FinalFunction {
    /// `FINALFUNC` and what belongs to it, each name led by `prefix`.
    fn options(&self, prefix: &str, default: FinalModify) -> Vec<String> {
        let mut options = vec![format!("{prefix}FINALFUNC = {}", self.function)];
        if self.extra {
            options.push(format!("{prefix}FINALFUNC_EXTRA"));
        }
        if self.modify != default {
            options.push(format!("{prefix}FINALFUNC_MODIFY = {}", self.modify.keyword()));
        }
        options
    }
}

impl AggregateState {
    /// The size and the initial value, where they are set.
    fn optional(&self, prefix: &str) -> Vec<String> {
        let size = (self.size_bytes != 0).then(|| format!("{prefix}SSPACE = {}", self.size_bytes));
        let initial = self.initial.as_ref().map(|text| format!("{prefix}INITCOND = {}", quote_literal(text)));
        size.into_iter().chain(initial).collect()
    }
}

impl Aggregate {
    fn options(&self) -> Vec<String> {
        let modify = self.kind.default_modify();
        let state = &self.state;
        let mut options = vec![format!("SFUNC = {}", state.transition), format!("STYPE = {}", state.type_name)];
        options.extend(state.optional(""));
        options.extend(state.final_function.iter().flat_map(|function| function.options("", modify)));
        for (name, value) in [
            ("COMBINEFUNC", &self.combine),
            ("SERIALFUNC", &self.serialize),
            ("DESERIALFUNC", &self.deserialize),
        ] {
            options.extend(value.as_ref().map(|value| format!("{name} = {value}")));
        }
        if let Some(MovingState { state, inverse }) = &self.moving {
            options.push(format!("MSFUNC = {}", state.transition));
            options.push(format!("MINVFUNC = {inverse}"));
            options.push(format!("MSTYPE = {}", state.type_name));
            options.extend(state.optional("M"));
            options.extend(state.final_function.iter().flat_map(|function| function.options("M", modify)));
        }
        options.extend(self.sort_operator.as_ref().map(|operator| format!("SORTOP = {operator}")));
        options.extend(self.support.as_ref().map(|function| format!("SUPPORT = {function}")));
        if self.kind == AggregateKind::HypotheticalSet {
            options.push("HYPOTHETICAL".to_owned());
        }
        options.extend(self.parallel.keyword().map(|keyword| format!("PARALLEL = {keyword}")));
        options
    }
}

impl Render for Aggregate {
    fn render(&self, object: &Object, _target: &Target) -> Vec<Draft> {
        let name = object.sql_name();
        let signature = format!("{name}({})", self.identity_arguments);
        let create =
            format!("CREATE AGGREGATE {name}({}) (\n    {}\n)", self.arguments, self.options().join(",\n    "));
        vec![Draft::owned(Section::PreData, EntryKind::Aggregate, &signature, create)]
    }

    fn discriminator(&self) -> Option<String> {
        Some(format!("({})", self.argument_types.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::{Aggregate, AggregateKind, AggregateState, FinalFunction, FinalModify, MovingState};
    use crate::kinds::{Body, ParallelSafety, sample};

    fn state(prefix: &str, full: bool) -> AggregateState {
        AggregateState {
            transition: format!("s.{prefix}trans"),
            type_name: "bigint[]".to_owned(),
            size_bytes: if full { 64 } else { 0 },
            initial: full.then(|| "{0,0}".to_owned()),
            final_function: full.then(|| FinalFunction {
                function: format!("s.{prefix}final"),
                extra: true,
                modify: FinalModify::Shareable,
            }),
        }
    }

    #[test]
    fn aggregates() {
        let plain = Aggregate {
            arguments: "*".to_owned(),
            identity_arguments: "*".to_owned(),
            argument_types: Vec::new(),
            kind: AggregateKind::Normal,
            state: state("", false),
            moving: None,
            combine: None,
            serialize: None,
            deserialize: None,
            sort_operator: None,
            support: None,
            parallel: ParallelSafety::Unsafe,
        };
        let full = Aggregate {
            arguments: "integer ORDER BY text".to_owned(),
            kind: AggregateKind::HypotheticalSet,
            state: state("", true),
            moving: Some(MovingState { state: state("m", true), inverse: "s.inverse".to_owned() }),
            combine: Some("s.c".to_owned()),
            serialize: Some("s.ser".to_owned()),
            deserialize: Some("s.de".to_owned()),
            sort_operator: Some("OPERATOR(s.<)".to_owned()),
            support: Some("s.sup".to_owned()),
            parallel: ParallelSafety::Safe,
            ..plain.clone()
        };
        for (aggregate, expected) in [
            (plain, "CREATE AGGREGATE s.n(*) (\n    SFUNC = s.trans,\n    STYPE = bigint[]\n);\n"),
            (
                full,
                "CREATE AGGREGATE s.n(integer ORDER BY text) (\n    SFUNC = s.trans,\n    STYPE = bigint[],\n    \
                 SSPACE = 64,\n    INITCOND = '{0,0}',\n    FINALFUNC = s.final,\n    FINALFUNC_EXTRA,\n    \
                 FINALFUNC_MODIFY = SHAREABLE,\n    COMBINEFUNC = s.c,\n    SERIALFUNC = s.ser,\n    \
                 DESERIALFUNC = s.de,\n    MSFUNC = s.mtrans,\n    MINVFUNC = s.inverse,\n    MSTYPE = bigint[],\n    \
                 MSSPACE = 64,\n    MINITCOND = '{0,0}',\n    MFINALFUNC = s.mfinal,\n    MFINALFUNC_EXTRA,\n    \
                 MFINALFUNC_MODIFY = SHAREABLE,\n    SORTOP = OPERATOR(s.<),\n    SUPPORT = s.sup,\n    HYPOTHETICAL,\n    \
                 PARALLEL = SAFE\n);\n",
            ),
        ] {
            sample::check(true, Body::from(aggregate), expected);
        }
    }
}
