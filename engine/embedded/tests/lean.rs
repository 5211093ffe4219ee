//! What a shim executes stays lean: it never names the async runtime.
#![expect(clippy::unwrap_used, reason = "a test may")]

use std::fs;
use std::path::Path;

#[test]
fn runtime_and_shim_name_no_async_runtime() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut read = 0;
    for folder in ["runtime", "shim"] {
        read += check(&sources.join(folder));
    }
    assert!(read > 20, "only {read} files were read");
}

fn check(folder: &Path) -> usize {
    let mut read = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read += check(&path);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        // `sys::ready` waits for descriptors within the engine's own runtime.
        for word in ["tokio", "futures_util", "async fn", "async_trait", "sys::ready"] {
            assert!(!text.contains(word), "{} names {word}", path.display());
        }
        read += 1;
    }
    read
}
