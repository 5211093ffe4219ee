//! Values as JSON.

use serde_json::{Map, Number, Value as Json};

use super::value::{Node, Value};

pub(super) fn value(value: &Value) -> Json {
    match &value.node {
        Node::Null => Json::Null,
        Node::Bool(flag) => Json::Bool(*flag),
        Node::Number(text) => number(text),
        Node::Text(text) => Json::String(text.clone()),
        Node::List(items) => Json::Array(items.iter().map(self::value).collect()),
        Node::Map(entries) => {
            let entries =
                entries.iter().map(|entry| (entry.key.clone(), self::value(&entry.value)));
            Json::Object(entries.collect::<Map<_, _>>())
        }
    }
}

/// JSON has no hexadecimal numbers and nothing that is not a number: those stay texts.
fn number(text: &str) -> Json {
    if let Ok(whole) = text.parse::<i64>() {
        return Json::Number(whole.into());
    }
    let float = text.parse::<f64>().ok().and_then(Number::from_f64);
    float.map_or_else(|| Json::String(text.to_owned()), Json::Number)
}
