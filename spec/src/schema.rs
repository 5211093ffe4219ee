//! JSON Schemas for editors: that of the Compose specification with our own keys in it, and that
//! of our own keys alone.

use serde_json::{Map, Value, json};

use crate::code::{Code, Severity};
use crate::keys::{Home, KEEL, KeelKey, Key, Shape, keys};

/// The Compose specification's schema, unchanged. Its licence is in `schema/NOTICE`.
const COMPOSE: &str = include_str!("../schema/compose-spec.json");

/// How editors with a YAML language server are told of a schema: the first line of a file.
pub const EDITOR_LINE: &str = "# yaml-language-server: $schema=";

/// The schema of Compose files as Evenkeel reads them: the specification's, with `x-keel` in the
/// stack, in services and in mounts.
pub fn compose() -> Value {
    let mut schema: Value = serde_json::from_str(COMPOSE).expect("the schema is part of the build");
    schema["properties"]["x-keel"] = json!({ "$ref": "#/$defs/x-keel" });
    schema["$defs"]["x-keel"] = without_heading(of(Home::is_stack));
    schema["$defs"]["x-keel-service"] = without_heading(of(Home::is_service));
    schema["$defs"]["x-keel-mount"] = mount();
    let service = json!({ "$ref": "#/$defs/x-keel-service" });
    schema["$defs"]["service"]["properties"]["x-keel"] = service;
    let items = &mut schema["$defs"]["service"]["properties"]["volumes"]["items"];
    for form in items["oneOf"].as_array_mut().into_iter().flatten() {
        if form["type"] == "object" {
            form["properties"]["x-keel"] = json!({ "$ref": "#/$defs/x-keel-mount" });
        }
    }
    schema
}

/// The schema of `x-keel` in a stack or a service.
pub fn x_keel() -> Value {
    of(|_| true)
}

/// The keys that may stand there.
fn of(here: impl Fn(Home) -> bool) -> Value {
    let ours = KEEL.iter().filter(|key| here(key.home));
    let properties: Map<String, Value> =
        ours.map(|key| (key.name.to_owned(), property(key))).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "x-keel",
        "description": "Evenkeel's own keys in a Compose file.",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    })
}

fn without_heading(mut schema: Value) -> Value {
    if let Some(object) = schema.as_object_mut() {
        object.remove("$schema");
    }
    schema
}

fn mount() -> Value {
    let about = "Several tasks may write to the mount at a time.";
    json!({
        "type": "object",
        "properties": { "shared": { "type": "boolean", "description": about } },
        "additionalProperties": false,
    })
}

/// What the table says of a key, in a schema's words.
fn property(key: &KeelKey) -> Value {
    let path = format!("x-keel.{}", key.name);
    let row = keys().find(|row: &Key| row.row.path == path);
    let shape = row.map_or(Shape::Text, |row| row.row.shape);
    let mut property = match shape {
        Shape::Bool => json!({ "type": "boolean" }),
        Shape::Duration => json!({
            "type": "string",
            "pattern": "^([0-9]+(\\.[0-9]+)?(ns|us|µs|ms|s|m|h|d|w))+$",
            "examples": ["1m30s"],
        }),
        Shape::Texts if key.name == "allow" => {
            json!({ "type": "array", "items": { "enum": allowable() }, "uniqueItems": true })
        }
        Shape::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        _ if !key.words.is_empty() => json!({ "enum": key.words }),
        _ => json!({ "type": "string" }),
    };
    property["description"] = json!(key.about);
    property
}

fn allowable() -> Vec<&'static str> {
    let warnings = Code::ALL.iter().filter(|code| code.severity() != Severity::Error);
    warnings.map(|code| code.id()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Support;

    /// The keys of `x-keel` that may stand there (`""` or `services.*`), by the table of all keys.
    fn usable(home: &str) -> Vec<&'static str> {
        let ours = keys().filter(|key| key.home == home);
        let ours = ours.filter_map(|key| Some((key.row.path.strip_prefix("x-keel.")?, key)));
        let usable = ours.filter(|(_, key)| !matches!(key.row.standing, Support::Refused(_)));
        usable.map(|(name, _)| name).collect()
    }

    #[test]
    fn our_keys_are_the_tables() {
        let described = |here: fn(Home) -> bool| -> Vec<&str> {
            KEEL.iter().filter(|key| here(key.home)).map(|key| key.name).collect()
        };
        assert_eq!(usable(""), described(Home::is_stack));
        assert_eq!(usable("services.*"), described(Home::is_service));
    }

    #[test]
    fn the_compose_schema_has_our_keys_where_they_belong() {
        let schema = compose();
        let service = &schema["$defs"]["service"]["properties"];
        assert!(schema["properties"]["x-keel"].is_object());
        assert!(service["x-keel"].is_object());
        let forms = service["volumes"]["items"]["oneOf"].as_array().unwrap();
        assert!(forms.iter().any(|form| form["properties"]["x-keel"].is_object()));
    }
}
