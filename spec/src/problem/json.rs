//! Problems as JSON, for programs.

use serde_json::{Map, Value, json};

use super::Problem;
use crate::span::{Link, Span};

/// The problem with its place and chain: `{code, name, severity, message, service, others, file, line,
/// column, length, label, hint, chain: [{how, file, line, column}]}`. What it has not is absent.
pub fn json(problem: &Problem) -> Value {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            object.insert(key.to_owned(), value);
        }
    };
    put("code", json!(problem.code));
    put("name", json!(problem.code.name()));
    put("severity", json!(problem.severity));
    put("message", json!(problem.message));
    put("service", json!(problem.service));
    let others = (!problem.others.is_empty()).then_some(&problem.others);
    put("others", json!(others));
    put("label", json!(problem.label));
    put("hint", json!(problem.hint));
    if let Some(span) = &problem.span {
        put("file", json!(span.file));
        put("line", json!(span.line));
        put("column", json!(span.column));
        put("length", json!(span.len));
        put("chain", chain(span));
    }
    Value::Object(object)
}

fn chain(span: &Span) -> Value {
    let step = |link: &Link| {
        let Span { file, line, column, .. } = &link.at;
        json!({ "how": link.to_string(), "file": file, "line": line, "column": column })
    };
    let steps: Vec<Value> = span.links().map(step).collect();
    if steps.is_empty() { Value::Null } else { Value::Array(steps) }
}
