//! The privileges that each kind of object has, by letter, and what a server
//! grants by itself.

use crate::{Acl, AclItem, ServerVersion};

/// What `GRANT ... ON` names: the kinds that have privileges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grantable {
    Table,
    Column,
    Sequence,
    Function,
    Procedure,
    Language,
    Schema,
    Database,
    Type,
    ForeignDataWrapper,
    ForeignServer,
    LargeObject,
}

use Grantable::{
    Column, Database, ForeignDataWrapper, ForeignServer, Function, Language, LargeObject, Procedure, Schema,
    Sequence, Table, Type,
};

/// Words that begin an object's address and the kind that `GRANT` knows it by.
/// Where one begins another the longer stands first.
const ADDRESSES: &[(&str, Grantable)] = &[
    ("FOREIGN DATA WRAPPER ", ForeignDataWrapper),
    ("FOREIGN TABLE ", Table),
    ("MATERIALIZED VIEW ", Table),
    ("PROCEDURAL LANGUAGE ", Language),
    ("LARGE OBJECT ", LargeObject),
    ("AGGREGATE ", Function),
    ("DATABASE ", Database),
    ("DOMAIN ", Type),
    ("FUNCTION ", Function),
    ("LANGUAGE ", Language),
    ("PROCEDURE ", Procedure),
    ("SCHEMA ", Schema),
    ("SEQUENCE ", Sequence),
    ("SERVER ", ForeignServer),
    ("TABLE ", Table),
    ("TYPE ", Type),
    ("VIEW ", Table),
];

impl Grantable {
    /// Splits `VIEW public.v` into what `GRANT` needs: the kind and the name.
    pub(crate) fn of_address(address: &str) -> Option<(Grantable, &str)> {
        ADDRESSES.iter().find_map(|(words, kind)| address.strip_prefix(words).map(|name| (*kind, name)))
    }

    /// The words behind `ON`.
    pub(crate) fn keyword(self) -> &'static str {
        match self {
            Table | Column => "TABLE",
            Sequence => "SEQUENCE",
            Function => "FUNCTION",
            Procedure => "PROCEDURE",
            Language => "LANGUAGE",
            Schema => "SCHEMA",
            Database => "DATABASE",
            Type => "TYPE",
            ForeignDataWrapper => "FOREIGN DATA WRAPPER",
            ForeignServer => "FOREIGN SERVER",
            LargeObject => "LARGE OBJECT",
        }
    }

    /// How many privileges `ALL` stands for on the newest server. A statement that an older one shall run may be run
    /// by a newer one too, where `ALL` would give more than is meant.
    pub(crate) fn all_privileges(self) -> usize {
        self.privileges(ServerVersion::NEWEST_TESTED).len()
    }

    /// Letters and words of every privilege of the kind on a server, in the
    /// order of `pg_dump` (src/bin/pg_dump/dumputils.c, `parseAclItem`).
    pub(crate) fn privileges(self, version: ServerVersion) -> &'static [(u8, &'static str)] {
        match self {
            Table if version.major() >= 17 => TABLE,
            Table => &TABLE[..TABLE.len() - 1],
            Column => &[(b'r', "SELECT"), (b'a', "INSERT"), (b'x', "REFERENCES"), (b'w', "UPDATE")],
            Sequence => &[(b'r', "SELECT"), (b'U', "USAGE"), (b'w', "UPDATE")],
            Function | Procedure => &[(b'X', "EXECUTE")],
            Schema => &[(b'C', "CREATE"), (b'U', "USAGE")],
            Database => &[(b'C', "CREATE"), (b'c', "CONNECT"), (b'T', "TEMPORARY")],
            Language | Type | ForeignDataWrapper | ForeignServer => &[(b'U', "USAGE")],
            LargeObject => &[(b'r', "SELECT"), (b'w', "UPDATE")],
        }
    }
}

const TABLE: &[(u8, &str)] = &[
    (b'r', "SELECT"),
    (b'a', "INSERT"),
    (b'x', "REFERENCES"),
    (b'd', "DELETE"),
    (b't', "TRIGGER"),
    (b'D', "TRUNCATE"),
    (b'w', "UPDATE"),
    (b'm', "MAINTAIN"),
];

/// The word of a privilege's letter; the letter's own meaning is the same for all kinds of objects.
pub(crate) fn privilege_word(letter: char) -> &'static str {
    let others = [('U', "USAGE"), ('X', "EXECUTE"), ('C', "CREATE"), ('c', "CONNECT"), ('T', "TEMPORARY")];
    let settings = [('s', "SET"), ('A', "ALTER SYSTEM")];
    let of_tables = TABLE.iter().map(|(letter, word)| (char::from(*letter), *word));
    let mut all = of_tables.chain(others).chain(settings);
    all.find(|(other, _)| *other == letter).map_or("an unknown privilege", |(_, word)| word)
}

/// The letters in which `aclitemout` prints an owner's full rights.
fn all_letters(kind: Grantable, version: ServerVersion) -> &'static str {
    match kind {
        Table if version.major() >= 17 => "arwdDxtm",
        Table => "arwdDxt",
        Column => "",
        Sequence => "rwU",
        Function | Procedure => "X",
        Schema => "UC",
        Database => "CTc",
        Language | Type | ForeignDataWrapper | ForeignServer => "U",
        LargeObject => "rw",
    }
}

/// What a new object of the kind has (PostgreSQL src/backend/utils/adt/acl.c, `acldefault`).
pub(crate) fn default_acl(kind: Grantable, owner: &str, version: ServerVersion) -> Acl {
    let public = match kind {
        Function | Procedure => "X",
        Language | Type => "U",
        Database => "Tc",
        _ => "",
    };
    let item = |grantee: Option<&str>, privileges: &str| AclItem {
        grantee: grantee.map(str::to_owned),
        grantor: owner.to_owned(),
        privileges: privileges.to_owned(),
    };
    [item(None, public), item(Some(owner), all_letters(kind, version))]
        .into_iter()
        .filter(|item| !item.privileges.is_empty())
        .collect()
}

/// What schema `public` of an empty database has on a server, whoever owns it:
/// since 15 not everybody may create in it.
pub(crate) fn public_schema_acl(owner: &str, version: ServerVersion) -> Acl {
    let item = |grantee: Option<&str>, privileges: &str| AclItem {
        grantee: grantee.map(str::to_owned),
        grantor: owner.to_owned(),
        privileges: privileges.to_owned(),
    };
    vec![item(Some(owner), "UC"), item(None, if version.major() >= 15 { "U" } else { "UC" })]
}
