//! Answers for programs: the API's own shapes, indented.

use serde::Serialize;

/// As JSON, for standard output.
pub fn render(value: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(value).expect("the API's shapes have text keys only");
    keel_plain::json(&text).into_owned()
}
