//! A collation.

use serde::{Deserialize, Serialize};

use crate::render::{Draft, Render, Target};
use crate::toc::Section;
use crate::{EntryKind, Object, quote_literal};

/// A collation. Its version is the server's library's and is not carried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collation {
    /// Who sorts.
    pub provider: CollationProvider,
    /// Whether strings are equal only if their bytes are.
    pub deterministic: bool,
    /// The locale; for libc `LC_COLLATE`.
    pub locale: String,
    /// `LC_CTYPE` of a libc collation where it is not the locale.
    pub ctype: Option<String>,
    /// Rules beyond the locale's (ICU, 16 and later).
    pub rules: Option<String>,
}

/// `collprovider`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CollationProvider {
    /// PostgreSQL itself (17 and later).
    Builtin,
    /// The operating system.
    Libc,
    /// The ICU library.
    Icu,
}

impl Collation {
    fn options(&self) -> Vec<String> {
        let provider = match self.provider {
            CollationProvider::Builtin => "builtin",
            CollationProvider::Libc => "libc",
            CollationProvider::Icu => "icu",
        };
        let mut options = vec![format!("provider = {provider}")];
        if !self.deterministic {
            options.push("deterministic = false".to_owned());
        }
        let locale = quote_literal(&self.locale);
        match &self.ctype {
            None => options.push(format!("locale = {locale}")),
            Some(ctype) => {
                options.push(format!("lc_collate = {locale}"));
                options.push(format!("lc_ctype = {}", quote_literal(ctype)));
            }
        }
        options.extend(self.rules.as_ref().map(|rules| format!("rules = {}", quote_literal(rules))));
        options
    }
}

impl Render for Collation {
    fn render(&self, object: &Object, _target: &Target) -> Vec<Draft> {
        let name = object.sql_name();
        let create = format!("CREATE COLLATION {name} ({})", self.options().join(", "));
        vec![Draft::owned(Section::PreData, EntryKind::Collation, &name, create)]
    }
}

#[cfg(test)]
mod tests {
    use super::{Collation, CollationProvider};
    use crate::kinds::{Body, sample};

    #[test]
    fn collations() {
        let libc = Collation {
            provider: CollationProvider::Libc,
            deterministic: true,
            locale: "C".to_owned(),
            ctype: None,
            rules: None,
        };
        let split = Collation { ctype: Some("de_DE".to_owned()), ..libc.clone() };
        let icu = Collation {
            provider: CollationProvider::Icu,
            deterministic: false,
            locale: "und-u-ks-level2".to_owned(),
            rules: Some("&a < g".to_owned()),
            ..libc.clone()
        };
        let builtin = Collation {
            provider: CollationProvider::Builtin,
            locale: "C.UTF-8".to_owned(),
            ..libc.clone()
        };
        for (body, expected) in [
            (libc, "provider = libc, locale = 'C'"),
            (split, "provider = libc, lc_collate = 'C', lc_ctype = 'de_DE'"),
            (icu, "provider = icu, deterministic = false, locale = 'und-u-ks-level2', rules = '&a < g'"),
            (builtin, "provider = builtin, locale = 'C.UTF-8'"),
        ] {
            sample::check(true, Body::from(body), &format!("CREATE COLLATION s.n ({expected});\n"));
        }
    }
}
