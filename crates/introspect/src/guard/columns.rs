//! The columns of the system catalogs that the readers were written for.

/// A catalog, the major that these columns came with (13 also for older ones), and their names. What describes
/// roles and tablespaces, which no database holds, is not here; neither are planner statistics and the pages
/// of large objects, which say nothing of how an object is defined.
///
/// Written from `pg_attribute` of each major.
const KNOWN: &[(&str, u32, &str)] = &[
    (
        "pg_aggregate",
        13,
        "aggfnoid aggkind aggnumdirectargs aggtransfn aggfinalfn aggcombinefn aggserialfn aggdeserialfn aggmtransfn aggminvtransfn aggmfinalfn aggfinalextra aggmfinalextra aggfinalmodify aggmfinalmodify aggsortop aggtranstype aggtransspace aggmtranstype aggmtransspace agginitval aggminitval",
    ),
    ("pg_am", 13, "oid amname amhandler amtype"),
    (
        "pg_amop",
        13,
        "oid amopfamily amoplefttype amoprighttype amopstrategy amoppurpose amopopr amopmethod amopsortfamily",
    ),
    ("pg_amproc", 13, "oid amprocfamily amproclefttype amprocrighttype amprocnum amproc"),
    ("pg_attrdef", 13, "oid adrelid adnum adbin"),
    (
        "pg_attribute",
        13,
        "attrelid attname atttypid attstattarget attlen attnum attndims attcacheoff atttypmod attbyval attstorage attalign attnotnull atthasdef atthasmissing attidentity attgenerated attisdropped attislocal attinhcount attcollation attacl attoptions attfdwoptions attmissingval",
    ),
    ("pg_attribute", 14, "attcompression"),
    ("pg_cast", 13, "oid castsource casttarget castfunc castcontext castmethod"),
    (
        "pg_class",
        13,
        "oid relname relnamespace reltype reloftype relowner relam relfilenode reltablespace relpages reltuples relallvisible reltoastrelid relhasindex relisshared relpersistence relkind relnatts relchecks relhasrules relhastriggers relhassubclass relrowsecurity relforcerowsecurity relispopulated relreplident relispartition relrewrite relfrozenxid relminmxid relacl reloptions relpartbound",
    ),
    ("pg_class", 18, "relallfrozen"),
    (
        "pg_collation",
        13,
        "oid collname collnamespace collowner collprovider collisdeterministic collencoding collcollate collctype collversion",
    ),
    ("pg_collation", 15, "colliculocale"),
    ("pg_collation", 16, "collicurules"),
    ("pg_collation", 17, "colllocale"),
    (
        "pg_constraint",
        13,
        "oid conname connamespace contype condeferrable condeferred convalidated conrelid contypid conindid conparentid confrelid confupdtype confdeltype confmatchtype conislocal coninhcount connoinherit conkey confkey conpfeqop conppeqop conffeqop conexclop conbin",
    ),
    ("pg_constraint", 15, "confdelsetcols"),
    ("pg_constraint", 18, "conenforced conperiod"),
    (
        "pg_conversion",
        13,
        "oid conname connamespace conowner conforencoding contoencoding conproc condefault",
    ),
    (
        "pg_database",
        13,
        "oid datname datdba encoding datcollate datctype datistemplate datallowconn datconnlimit datlastsysoid datfrozenxid datminmxid dattablespace datacl",
    ),
    ("pg_database", 15, "datlocprovider daticulocale datcollversion"),
    ("pg_database", 16, "daticurules"),
    ("pg_database", 17, "dathasloginevt datlocale"),
    ("pg_default_acl", 13, "oid defaclrole defaclnamespace defaclobjtype defaclacl"),
    ("pg_depend", 13, "classid objid objsubid refclassid refobjid refobjsubid deptype"),
    ("pg_description", 13, "objoid classoid objsubid description"),
    ("pg_enum", 13, "oid enumtypid enumsortorder enumlabel"),
    ("pg_event_trigger", 13, "oid evtname evtevent evtowner evtfoid evtenabled evttags"),
    (
        "pg_extension",
        13,
        "oid extname extowner extnamespace extrelocatable extversion extconfig extcondition",
    ),
    ("pg_foreign_data_wrapper", 13, "oid fdwname fdwowner fdwhandler fdwvalidator fdwacl fdwoptions"),
    ("pg_foreign_data_wrapper", 19, "fdwconnection"),
    ("pg_foreign_server", 13, "oid srvname srvowner srvfdw srvtype srvversion srvacl srvoptions"),
    ("pg_foreign_table", 13, "ftrelid ftserver ftoptions"),
    (
        "pg_index",
        13,
        "indexrelid indrelid indnatts indnkeyatts indisunique indisprimary indisexclusion indimmediate indisclustered indisvalid indcheckxmin indisready indislive indisreplident indkey indcollation indclass indoption indexprs indpred",
    ),
    ("pg_index", 15, "indnullsnotdistinct"),
    ("pg_inherits", 13, "inhrelid inhparent inhseqno"),
    ("pg_inherits", 14, "inhdetachpending"),
    ("pg_init_privs", 13, "objoid classoid objsubid privtype initprivs"),
    (
        "pg_language",
        13,
        "oid lanname lanowner lanispl lanpltrusted lanplcallfoid laninline lanvalidator lanacl",
    ),
    ("pg_largeobject_metadata", 13, "oid lomowner lomacl"),
    ("pg_namespace", 13, "oid nspname nspowner nspacl"),
    (
        "pg_opclass",
        13,
        "oid opcmethod opcname opcnamespace opcowner opcfamily opcintype opcdefault opckeytype",
    ),
    (
        "pg_operator",
        13,
        "oid oprname oprnamespace oprowner oprkind oprcanmerge oprcanhash oprleft oprright oprresult oprcom oprnegate oprcode oprrest oprjoin",
    ),
    ("pg_opfamily", 13, "oid opfmethod opfname opfnamespace opfowner"),
    (
        "pg_partitioned_table",
        13,
        "partrelid partstrat partnatts partdefid partattrs partclass partcollation partexprs",
    ),
    ("pg_policy", 13, "oid polname polrelid polcmd polpermissive polroles polqual polwithcheck"),
    (
        "pg_proc",
        13,
        "oid proname pronamespace proowner prolang procost prorows provariadic prosupport prokind prosecdef proleakproof proisstrict proretset provolatile proparallel pronargs pronargdefaults prorettype proargtypes proallargtypes proargmodes proargnames proargdefaults protrftypes prosrc probin proconfig proacl",
    ),
    ("pg_proc", 14, "prosqlbody"),
    (
        "pg_publication",
        13,
        "oid pubname pubowner puballtables pubinsert pubupdate pubdelete pubtruncate pubviaroot",
    ),
    ("pg_publication", 18, "pubgencols"),
    ("pg_publication", 19, "puballsequences"),
    ("pg_publication_namespace", 15, "oid pnpubid pnnspid"),
    ("pg_publication_rel", 13, "oid prpubid prrelid"),
    ("pg_publication_rel", 15, "prqual prattrs"),
    ("pg_publication_rel", 19, "prexcept"),
    ("pg_range", 13, "rngtypid rngsubtype rngcollation rngsubopc rngcanonical rngsubdiff"),
    ("pg_range", 14, "rngmultitypid"),
    ("pg_range", 19, "rngconstruct2 rngconstruct3 rngmltconstruct0 rngmltconstruct1 rngmltconstruct2"),
    ("pg_rewrite", 13, "oid rulename ev_class ev_type ev_enabled is_instead ev_qual ev_action"),
    ("pg_seclabel", 13, "objoid classoid objsubid provider label"),
    ("pg_sequence", 13, "seqrelid seqtypid seqstart seqincrement seqmax seqmin seqcache seqcycle"),
    ("pg_statistic_ext", 13, "oid stxrelid stxname stxnamespace stxowner stxstattarget stxkeys stxkind"),
    ("pg_statistic_ext", 14, "stxexprs"),
    (
        "pg_subscription",
        13,
        "oid subdbid subname subowner subenabled subconninfo subslotname subsynccommit subpublications",
    ),
    ("pg_subscription", 14, "subbinary substream"),
    ("pg_subscription", 15, "subskiplsn subtwophasestate subdisableonerr"),
    ("pg_subscription", 16, "subpasswordrequired subrunasowner suborigin"),
    ("pg_subscription", 17, "subfailover"),
    (
        "pg_subscription",
        19,
        "subretaindeadtuples submaxretention subretentionactive subserver subwalrcvtimeout",
    ),
    ("pg_subscription_rel", 13, "srsubid srrelid srsubstate srsublsn"),
    ("pg_transform", 13, "oid trftype trflang trffromsql trftosql"),
    (
        "pg_trigger",
        13,
        "oid tgrelid tgparentid tgname tgfoid tgtype tgenabled tgisinternal tgconstrrelid tgconstrindid tgconstraint tgdeferrable tginitdeferred tgnargs tgattr tgargs tgqual tgoldtable tgnewtable",
    ),
    ("pg_ts_config", 13, "oid cfgname cfgnamespace cfgowner cfgparser"),
    ("pg_ts_config_map", 13, "mapcfg maptokentype mapseqno mapdict"),
    ("pg_ts_dict", 13, "oid dictname dictnamespace dictowner dicttemplate dictinitoption"),
    ("pg_ts_parser", 13, "oid prsname prsnamespace prsstart prstoken prsend prsheadline prslextype"),
    ("pg_ts_template", 13, "oid tmplname tmplnamespace tmplinit tmpllexize"),
    (
        "pg_type",
        13,
        "oid typname typnamespace typowner typlen typbyval typtype typcategory typispreferred typisdefined typdelim typrelid typelem typarray typinput typoutput typreceive typsend typmodin typmodout typanalyze typalign typstorage typnotnull typbasetype typtypmod typndims typcollation typdefaultbin typdefault typacl",
    ),
    ("pg_type", 14, "typsubscript"),
    ("pg_user_mapping", 13, "oid umuser umserver umoptions"),
];

/// Whether the columns of a catalog are compared with those known.
pub(super) fn is_described(catalog: &str) -> bool {
    KNOWN.iter().any(|(name, ..)| *name == catalog)
}

/// Whether a column of a catalog was there in this major, or in one before, when the readers were written.
pub(super) fn is_known(catalog: &str, column: &str, major: u32) -> bool {
    KNOWN.iter().any(|(name, since, columns)| {
        *name == catalog && *since <= major && columns.split(' ').any(|known| known == column)
    })
}

#[cfg(test)]
mod tests {
    use super::{is_described, is_known};

    #[test]
    fn columns_by_major() {
        assert!(is_known("pg_publication", "puballtables", 13));
        assert!(is_known("pg_publication", "puballsequences", 19));
        assert!(!is_known("pg_publication", "puballsequences", 18));
        assert!(!is_known("pg_publication", "pub", 19));
        assert!(!is_known("pg_later", "oid", 19));
        assert!(is_described("pg_class") && !is_described("pg_authid") && !is_described("pg_later"));
    }
}
