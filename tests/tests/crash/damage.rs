//! Bytes of a store change, or go.

use std::path::{Path, PathBuf};

use dbhaul_tests::{Dbhaul, Fixture};

use crate::scene::{Scene, files};

/// A way to damage an object of a store.
#[derive(Debug, Clone, Copy)]
enum Damage {
    /// One bit, at this share of the object's length in 64ths.
    Flip(usize),
    /// Cut to this share of its length in 64ths.
    Cut(usize),
    /// Gone.
    Delete,
}

const DAMAGES: [Damage; 6] =
    [Damage::Flip(1), Damage::Flip(20), Damage::Flip(40), Damage::Cut(0), Damage::Cut(63), Damage::Delete];

impl Damage {
    /// Does it; the object's bytes before are returned.
    fn apply(self, object: &Path) -> Vec<u8> {
        let whole = std::fs::read(object).unwrap();
        let mut bytes = whole.clone();
        match self {
            Self::Flip(part) => bytes[whole.len() * part / 64] ^= 0x10,
            Self::Cut(part) => bytes.truncate(whole.len() * part / 64),
            Self::Delete => return std::fs::remove_file(object).map(|()| whole).unwrap(),
        }
        std::fs::write(object, bytes).unwrap();
        whole
    }
}

/// Runs that read the backup must fail, name the object, and not say that they are done.
fn assert_found(scene: &Scene, object: &Path, damage: Damage) {
    let name = object.file_name().unwrap().to_str().unwrap();
    let context = format!("{damage:?} of {}", object.display());
    let whole = damage.apply(object);
    scene.target.create_db("damaged");
    for run in [scene.restore("damaged"), scene.verify_backup("intact")] {
        let finished = run.run();
        assert_eq!(finished.code, Some(1), "{context}\n{finished}");
        assert!(finished.stderr.contains(name) || finished.stdout.contains(name), "{context}\n{finished}");
        let said = ["restored:", "equal: "].iter().find(|word| finished.stdout.contains(**word));
        assert!(said.is_none(), "{context}: {said:?}\n{finished}");
    }
    scene.target.drop_db("damaged");
    std::fs::write(object, whole).unwrap();
}

fn scene_with_packs() -> (Scene, Vec<PathBuf>) {
    let scene = Scene::with_backup(Fixture::Cinema, 16, 16);
    scene.target.create_db("intact");
    scene.restore("intact").run().assert_code(0);
    scene.verify_backup("intact").run().assert_code(0);
    let packs = files(&scene.store().join("packs"));
    (scene, packs)
}

#[test]
fn damaged_packs_are_found_and_named() {
    let (scene, packs) = scene_with_packs();
    assert!(packs.len() >= 2, "rows and metadata lie in packs of their own: {packs:?}");
    for pack in &packs {
        for damage in DAMAGES {
            assert_found(&scene, pack, damage);
        }
    }
    // With everything as it was, all is well again.
    scene.verify_backup("intact").run().assert_code(0);
}

#[test]
fn damaged_manifests_are_found_and_named() {
    let (scene, _) = scene_with_packs();
    let manifest = scene.backups().remove(0);
    for damage in [Damage::Flip(1), Damage::Flip(30), Damage::Flip(62), Damage::Cut(0), Damage::Cut(40)] {
        assert_found(&scene, &manifest, damage);
    }
    let whole = Damage::Delete.apply(&manifest);
    scene.target.create_db("none");
    scene.restore("none").run().assert_code(1).assert_stderr_has(&["no backup"]);
    assert!(scene.is_empty("none"));
    std::fs::write(&manifest, whole).unwrap();
    scene.restore("none").run().assert_code(0);
}

#[test]
fn a_store_without_its_configuration_is_not_taken_for_an_empty_one() {
    let (scene, _) = scene_with_packs();
    let config = scene.store().join("repo.json");
    for damage in [Damage::Flip(30), Damage::Cut(32), Damage::Delete] {
        let whole = damage.apply(&config);
        for run in [scene.restore("intact"), scene.verify_backup("intact")] {
            run.run().assert_code(1);
        }
        let list = Dbhaul::new(["backup", "list", "--store"]).arg(scene.store()).run();
        assert_eq!(list.code, Some(1), "{damage:?}\n{list}");
        std::fs::write(&config, whole).unwrap();
    }
    scene.verify_backup("intact").run().assert_code(0);
}
