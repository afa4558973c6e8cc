//! What is particular to directories.

use std::path::Path;
use std::sync::Arc;

use dbhaul_progress::Progress;
use dbhaul_store::{
    Access, DirectoryStore, ErrorKind, MAX_COMPONENT_BYTES, PutMode, Store, StoreExt as _, StoreUrl, open,
};
use tokio_util::sync::CancellationToken;

fn files_below(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path.display().to_string()) }
    }
    found
}

#[tokio::test]
async fn leftovers_of_a_crash_are_not_listed() {
    let root = tempfile::tempdir().unwrap();
    let store = DirectoryStore::new(root.path());
    store.create("packs/ab/whole", "x".into()).await.unwrap();
    std::fs::write(root.path().join("packs/ab/.dbhaul-tmp-aBcDeF"), "half of a pa").unwrap();
    let listed = store.list("").await.unwrap();
    assert_eq!(listed.iter().map(|meta| meta.key.as_str()).collect::<Vec<_>>(), ["packs/ab/whole"]);
}

#[tokio::test]
async fn a_refused_create_leaves_nothing_behind() {
    let root = tempfile::tempdir().unwrap();
    let store = DirectoryStore::new(root.path());
    store.create("a/one", "x".into()).await.unwrap();
    store.create("a/one", "y".into()).await.unwrap_err();
    assert_eq!(files_below(root.path()).len(), 1);
}

#[tokio::test]
async fn the_longest_name_fits() {
    let root = tempfile::tempdir().unwrap();
    let store = DirectoryStore::new(root.path());
    let key = format!("packs/{}", "n".repeat(MAX_COMPONENT_BYTES));
    store.create(&key, "x".into()).await.unwrap();
    assert_eq!(store.get(&key).await.unwrap(), "x");
}

#[tokio::test]
async fn a_file_in_the_way_is_told() {
    let root = tempfile::tempdir().unwrap();
    let store = DirectoryStore::new(root.path());
    store.create("a", "x".into()).await.unwrap();
    assert_eq!(store.create("a/b", "x".into()).await.unwrap_err().kind(), ErrorKind::Unsupported);
    store.create("d/b", "x".into()).await.unwrap();
    assert_eq!(store.overwrite("d", "x".into()).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(store.get("d").await.unwrap_err().is_not_found(), "a directory is no object");
    assert!(store.get("a/b").await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn a_full_disk_is_told_and_leaves_no_file() {
    // A limit on file sizes (EFBIG) is the full disk that needs no mount. It is a limit of the whole
    // process, so a child of this test binary writes; see `writes_for_another_test`.
    let root = tempfile::tempdir().unwrap();
    let output = std::process::Command::new("sh")
        .arg("-c")
        .arg("trap '' XFSZ; ulimit -f 64; exec \"$0\" --exact directory::writes_for_another_test")
        .arg(std::env::current_exe().unwrap())
        .env("DBHAUL_STORE_TEST_ROOT", root.path())
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}");
    assert_eq!(files_below(root.path()), [""; 0], "the file that did not fit is removed");
}

/// Writes more than the limit that its parent sets; without that parent, something that fits.
#[tokio::test]
async fn writes_for_another_test() {
    let own = tempfile::tempdir().unwrap();
    let limited_root = std::env::var_os("DBHAUL_STORE_TEST_ROOT");
    let store = DirectoryStore::new(limited_root.as_deref().map_or(own.path(), Path::new));
    let result = store.put("packs/large", vec![7; 4 << 20].into(), PutMode::Overwrite).await;
    if limited_root.is_none() {
        result.unwrap();
        return;
    }
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfSpace);
    assert!(error.to_string().contains("packs/large") && error.to_string().contains("full"), "{error}");
}

async fn open_path(path: &Path, access: Access) -> Result<Arc<dyn Store>, dbhaul_store::StoreError> {
    let url = StoreUrl::Directory(path.to_owned());
    open(&url, access, &CancellationToken::new(), &Progress::silent()).await
}

#[tokio::test]
async fn reading_wants_the_directory_and_writing_makes_it() {
    let root = tempfile::tempdir().unwrap();
    let missing = root.path().join("not there");
    let error = open_path(&missing, Access::Read).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MissingStore);
    assert!(error.to_string().contains("not there"), "{error}");
    let store = open_path(&missing, Access::Write).await.unwrap();
    assert!(!missing.exists(), "opening changes nothing");
    store.create("repo.json", "{}".into()).await.unwrap();
    assert_eq!(open_path(&missing, Access::Read).await.unwrap().get("repo.json").await.unwrap(), "{}");
}

#[tokio::test]
async fn a_file_is_no_store() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    std::fs::write(&file, "x").unwrap();
    for access in [Access::Read, Access::Write] {
        assert_eq!(open_path(&file, access).await.unwrap_err().kind(), ErrorKind::Invalid);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn links_lead_nowhere_but_the_root() {
    use std::os::unix::fs::symlink;
    let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(outside.path().join("theirs"), "x").unwrap();
    let linked = outside.path().join("root");
    symlink(root.path(), &linked).unwrap();
    let store = DirectoryStore::new(&linked);
    store.create("packs/ab/ours", "x".into()).await.unwrap();
    symlink(outside.path(), root.path().join("packs/cd")).unwrap();
    symlink(outside.path().join("theirs"), root.path().join("packs/ab/link")).unwrap();
    let keys = async |prefix: &str| -> Vec<String> {
        store.list(prefix).await.unwrap().into_iter().map(|meta| meta.key).collect()
    };
    assert_eq!(
        keys("").await,
        ["packs/ab/link", "packs/ab/ours", "packs/cd"],
        "a link is told as what it is"
    );
    assert_eq!(keys("packs/c").await, ["packs/cd"]);
    let error = store.list("packs/cd/").await.unwrap_err();
    assert!(
        error.kind() == ErrorKind::Damaged
            && error.to_string().contains("packs/cd in the store is a symbolic link")
    );
    for key in ["packs/cd/theirs", "packs/cd/more/theirs", "packs/ab/link", "packs/cd"] {
        assert_eq!(store.get(key).await.unwrap_err().kind(), ErrorKind::Damaged, "{key}");
        assert_eq!(store.head(key).await.unwrap_err().kind(), ErrorKind::Damaged, "{key}");
        assert_eq!(store.get_range(key, 0..1).await.unwrap_err().kind(), ErrorKind::Damaged, "{key}");
    }
    for key in ["packs/cd/theirs", "packs/cd/new/one"] {
        assert_eq!(store.overwrite(key, "y".into()).await.unwrap_err().kind(), ErrorKind::Damaged, "{key}");
        assert_eq!(store.delete(key).await.unwrap_err().kind(), ErrorKind::Damaged, "{key}");
        let tried = store.try_write(&[key.to_owned()]).await;
        assert_eq!(tried.unwrap_err().kind(), ErrorKind::Damaged, "{key}");
    }
    assert!(store.create("packs/ab/link", "y".into()).await.unwrap_err().is_already_exists());
    // a link is removed itself
    store.delete("packs/ab/link").await.unwrap();
    assert_eq!(std::fs::read(outside.path().join("theirs")).unwrap(), b"x");
    std::fs::remove_file(&linked).unwrap();
    std::fs::remove_file(root.path().join("packs/cd")).unwrap();
    assert_eq!(files_below(outside.path()).len(), 1, "nothing was written there");
}
