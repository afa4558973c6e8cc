//! Keys.

use dbhaul_archive::keys::{backups_of, decode_name, encode_name, pack, parse_pack, report, session};
use dbhaul_archive::{ArchiveError, BackupKey, PackId};
use proptest::prelude::*;
use ulid::Ulid;

proptest! {
    #[test]
    fn any_database_name_survives_its_key(name in "\\PC{0,63}", second in 0_i64..4_000_000_000, id: u128) {
        let key = BackupKey::new(name, jiff::Timestamp::from_second(second).unwrap(), Ulid(id));
        let text = key.to_string();
        prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/%_-".contains(&byte)), "{}", text);
        prop_assert_eq!(text.split('/').count(), 3);
        prop_assert_eq!(text.parse::<BackupKey>().unwrap(), key);
    }
}

#[test]
fn names_that_a_file_system_would_take_are_encoded() {
    assert_eq!(backups_of(".."), "backups/%2E%2E/");
    assert_eq!(encode_name("Größe a/b%"), "Gr%C3%B6%C3%9Fe%20a%2Fb%25");
    for bad in ["a/b", "%2e", "%6A", "%", "%4", "%FF", "a.b"] {
        assert_eq!(decode_name(bad), None, "{bad}");
    }
}

#[test]
fn keys_are_those_of_the_layout() {
    let id = PackId([0xab; 32]);
    assert_eq!(pack(id), format!("packs/ab/{}", "ab".repeat(32)));
    assert_eq!(parse_pack(&pack(id)).unwrap(), id);
    assert_eq!(session(Ulid(5)), "sessions/00000000000000000000000005");
    assert_eq!(report(Ulid(5), "verify 1.json"), "reports/00000000000000000000000005/verify%201.json");
    for bad in [
        format!("packs/ba/{}", "ab".repeat(32)),
        format!("packs/AB/{}", "AB".repeat(32)),
        "packs/ab/ab".into(),
    ] {
        assert!(matches!(parse_pack(&bad), Err(ArchiveError::InvalidKey { key, .. }) if key == bad));
    }
}

#[test]
fn keys_that_are_no_backups_are_refused() {
    for bad in [
        "backups/shop/20260131T020304Z",
        "backups/shop/20261331T020304Z-01KG8YNZVQ000000000000001A",
        "backups/shop/20260131T020304Z-01kg8ynzvq000000000000001a",
        "backups/sh op/20260131T020304Z-01KG8YNZVQ000000000000001A",
        "backups/shop/20260131T020304Z-01KG8YNZVQ000000000000001A.tmp",
        "backups/a/b/20260131T020304Z-01KG8YNZVQ000000000000001A",
    ] {
        assert!(matches!(bad.parse::<BackupKey>(), Err(ArchiveError::InvalidKey { .. })), "{bad}");
    }
}
