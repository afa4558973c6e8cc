//! Manifests and the store's configuration.

use dbhaul_archive::{ArchiveError, Manifest, RepoConfig};
use jiff::SignedDuration;
use serde_json::{Value, json};
use ulid::Ulid;

use crate::fixture::backup;

/// The manifest's object with its JSON changed and sealed again.
fn resealed(change: impl FnOnce(&mut Value)) -> (String, Vec<u8>) {
    let backup = backup();
    let mut json = serde_json::to_value(&backup.manifest).unwrap();
    change(&mut json);
    let body = json.to_string() + "\n";
    let hash = blake3::hash(body.as_bytes()).to_hex();
    let seal = format!("{{\"dbhaul\":\"manifest\",\"body_bytes\":{},\"blake3\":\"{hash}\"}}\n", body.len());
    (backup.manifest.key().to_string(), (seal + &body).into_bytes())
}

fn error_of(change: impl FnOnce(&mut Value)) -> ArchiveError {
    let (key, object) = resealed(change);
    Manifest::from_bytes(&key, &object).unwrap_err()
}

#[test]
fn a_manifest_survives_and_knows_its_key_and_age() {
    let manifest = backup().manifest;
    let key = manifest.key().to_string();
    assert_eq!(Manifest::from_bytes(&key, &manifest.to_bytes().unwrap()).unwrap(), manifest);
    assert_eq!(key, format!("backups/film%2Frental/20260131T020304Z-{}", manifest.id));
    let later = "2026-02-01T02:03:04.567Z".parse().unwrap();
    assert_eq!(manifest.age(later), SignedDuration::from_hours(24));
}

#[test]
fn unknown_fields_are_ignored() {
    let (key, object) = resealed(|json| json["a_field_of_the_future"] = json!({"x": 1}));
    assert_eq!(Manifest::from_bytes(&key, &object).unwrap(), backup().manifest);
}

#[test]
fn unknown_features_and_versions_are_refused_by_name() {
    let error = error_of(|json| json["required_features"] = json!(["encryption"]));
    assert!(matches!(error, ArchiveError::UnknownFeature { feature, .. } if feature == "encryption"));
    // Before the rest is looked at, which may be of another shape then.
    let error = error_of(|json| *json = json!({"format_version": 3}));
    assert!(matches!(error, ArchiveError::UnsupportedVersion { found: 3, supported: 2, .. }));
}

#[test]
fn contradictions_are_refused() {
    let error = error_of(|json| json["totals"]["digest"] = json!("1:2"));
    assert!(matches!(error, ArchiveError::DamagedManifest { .. }), "{error}");
    let error = error_of(|json| json["id"] = json!(Ulid(9)));
    assert!(error.to_string().contains("it is the manifest"), "{error}");
    let mut manifest = backup().manifest;
    manifest.packs.pop();
    manifest.totals = manifest.computed_totals();
    assert!(matches!(manifest.to_bytes(), Err(ArchiveError::Encode { .. })));
}

#[test]
fn a_manifest_of_another_store_is_refused() {
    let manifest = backup().manifest;
    let other = RepoConfig::new(Ulid(77), manifest.snapshot_time);
    assert!(matches!(manifest.check_repo(&other), Err(ArchiveError::DamagedManifest { .. })));
}

#[test]
fn a_repo_config_survives_and_refuses_what_it_does_not_know() {
    let config = RepoConfig::new(Ulid(3), "2026-01-01T00:00:00Z".parse().unwrap());
    assert_eq!(RepoConfig::from_bytes(&config.to_bytes().unwrap()).unwrap(), config);
    let changed = |field: &str, value: Value| {
        let mut json = serde_json::to_value(&config).unwrap();
        json[field] = value;
        RepoConfig::from_bytes(json.to_string().as_bytes()).unwrap_err()
    };
    assert!(matches!(changed("format_version", json!(3)), ArchiveError::UnsupportedVersion { found: 3, .. }));
    assert!(matches!(changed("digest_version", json!(9)), ArchiveError::UnsupportedVersion { found: 9, .. }));
    let error = changed("required_features", json!(["teleport"]));
    assert!(matches!(error, ArchiveError::UnknownFeature { feature, .. } if feature == "teleport"));
    let error = changed("encryption", json!({"method": "rot13"}));
    assert!(matches!(error, ArchiveError::DamagedRepoConfig { .. }), "{error}");
}
