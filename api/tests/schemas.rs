//! The published schemas are those of the types: whoever changes a shape that others read sees it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const HOW: &str = "a shape that scripts and other clients read has changed. Fields may be added; they \
                   are not renamed or removed without a new version. If it is meant: UPDATE_SCHEMAS=1 \
                   cargo test -p keel-api --test schemas, and read the difference";

#[test]
fn published_schemas_are_those_of_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema");
    let update = std::env::var_os("UPDATE_SCHEMAS").is_some();
    let mut names = BTreeSet::new();
    for (name, schema) in keel_api::schemas::all() {
        let file = folder.join(format!("{name}.json"));
        let text = serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n";
        if update {
            fs::write(&file, &text).expect("the folder can be written");
        }
        let published = fs::read_to_string(&file).unwrap_or_default();
        assert!(published == text, "{}: {HOW}\n{text}", file.display());
        names.insert(format!("{name}.json"));
    }
    let there = fs::read_dir(&folder).expect("the folder is there").flatten();
    let there: BTreeSet<_> =
        there.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(there, names, "{HOW}");
}
