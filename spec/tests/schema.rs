//! The key table and the specification's own schema name the same keys.

use std::collections::BTreeSet;

use keel_spec::keys::keys;
use serde_json::Value;

/// Keys that Compose has and its schema does not, or that are Evenkeel's own.
const BEYOND: &str = "x-keel";

#[test]
fn every_key_of_the_specification_has_its_row() {
    let schema: Value = serde_json::from_str(include_str!("../schema/compose-spec.json")).unwrap();
    let mut wanted = BTreeSet::new();
    walk(&schema, &schema, "", &mut Vec::new(), &mut wanted);
    let rows: BTreeSet<String> =
        keys().map(|key| key.path()).filter(|path| !path.contains(BEYOND)).collect();
    let missing: Vec<_> = wanted.difference(&rows).collect();
    let invented: Vec<_> = rows.difference(&wanted).collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "missing {missing:?}, invented {invented:?}"
    );
    assert_eq!(rows.len(), wanted.len());
}

/// Collects the paths of all properties below `node`.
fn walk(
    schema: &Value,
    node: &Value,
    path: &str,
    open: &mut Vec<String>,
    found: &mut BTreeSet<String>,
) {
    if let Some(name) = node["$ref"].as_str().and_then(|link| link.rsplit('/').next()) {
        if !open.iter().any(|before| before == name) {
            open.push(name.to_owned());
            walk(schema, &schema["$defs"][name], path, open, found);
            open.pop();
        }
        return;
    }
    for word in ["oneOf", "anyOf", "allOf"] {
        for choice in node[word].as_array().into_iter().flatten() {
            walk(schema, choice, path, open, found);
        }
    }
    for (key, below) in node["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        walk(schema, below, &path, open, found);
        found.insert(path);
    }
    for (pattern, below) in node["patternProperties"].as_object().into_iter().flatten() {
        if pattern != "^x-" {
            walk(schema, below, &format!("{path}.*"), open, found);
        }
    }
    if node["additionalProperties"].is_object() {
        walk(schema, &node["additionalProperties"], &format!("{path}.*"), open, found);
    }
    if node["items"].is_object() {
        walk(schema, &node["items"], &format!("{path}[]"), open, found);
    }
}
