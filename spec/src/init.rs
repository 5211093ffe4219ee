//! A stack to start from.

use std::path::PathBuf;

use crate::discover::normal_name;
use crate::schema::EDITOR_LINE;

const COMPOSE: &str = include_str!("init/compose.yaml");
const ENV: &str = include_str!("init/env");

/// The files of a commented stack of this name: `compose.yaml`, and a `.env` with its variables.
/// With a schema's place, editors are told of it.
pub fn starter(name: &str, schema: Option<&str>) -> Vec<(PathBuf, String)> {
    let name = match normal_name(name) {
        name if name.is_empty() => "my-stack".to_owned(),
        name => name,
    };
    let line = schema.map(|place| format!("{EDITOR_LINE}{place}\n")).unwrap_or_default();
    let compose = line + &COMPOSE.replace("STACK", &name);
    vec![("compose.yaml".into(), compose), (".env".into(), ENV.to_owned())]
}
