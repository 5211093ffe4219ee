//! Problems as SARIF 2.1.0, which forges and editors show beside the code.

use serde_json::{Value, json};

use super::Problem;
use crate::code::{Code, Severity};
use crate::span::Span;

/// One run of `version` of this program over some stacks, with all that it found.
pub fn sarif<'a>(problems: impl IntoIterator<Item = &'a Problem>, version: &str) -> Value {
    let results: Vec<Value> = problems.into_iter().map(result).collect();
    let rules: Vec<Value> = Code::ALL.iter().map(|code| rule(*code)).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "keel", "version": version, "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(code: Code) -> Value {
    json!({
        "id": code.id(),
        "name": pascal(code.name()),
        "shortDescription": { "text": code.title() },
        "help": { "text": code.explanation(), "markdown": code.explanation() },
        "defaultConfiguration": { "level": level(code.severity()) },
    })
}

/// `UnknownKey`, as SARIF wants the names of rules.
fn pascal(name: &str) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_uppercase() + rest
    };
    name.split('-').map(word).collect()
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Notice => "note",
    }
}

fn result(problem: &Problem) -> Value {
    let index = Code::ALL.iter().position(|code| *code == problem.code);
    let text = match &problem.hint {
        Some(hint) => format!("{} ({hint})", problem.message),
        None => problem.message.clone(),
    };
    let mut result = json!({
        "ruleId": problem.code.id(),
        "ruleIndex": index,
        "level": level(problem.severity),
        "message": { "text": text },
    });
    if let Some(span) = &problem.span {
        result["locations"] = json!([{ "physicalLocation": location(span) }]);
        let related: Vec<Value> = span
            .links()
            .map(|link| {
                json!({
                    "physicalLocation": location(&link.at),
                    "message": { "text": link.to_string() },
                })
            })
            .collect();
        if !related.is_empty() {
            result["relatedLocations"] = Value::Array(related);
        }
    }
    result
}

fn location(span: &Span) -> Value {
    json!({
        "artifactLocation": { "uri": uri(&span.file) },
        "region": {
            "startLine": span.line.max(1),
            "startColumn": span.column.max(1),
            "endColumn": span.column.max(1) + span.len,
        },
    })
}

/// A path as a URI, relative where the path is.
fn uri(path: &str) -> String {
    let mut out = if path.starts_with('/') { "file://".to_owned() } else { String::new() };
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' | b'~' => {
                out.push(char::from(byte));
            }
            byte => out += &format!("%{byte:02X}"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_points_at_its_text() {
        let over = Span::new("compose.yaml".into(), 1, 2, 3);
        let span = Span::new("a b/compose.yaml".into(), 14, 7, 8)
            .through(crate::span::Via::Overrides, over);
        let problem = Problem::new(Code::UnknownKey, "unknown key").at(span).hint("x");
        let log = sarif([&problem], "1.0");
        let result = &log["runs"][0]["results"][0];
        assert_eq!(log["version"], "2.1.0");
        assert_eq!(result["ruleId"], "E0401");
        assert_eq!(result["level"], "error");
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(log["runs"][0]["tool"]["driver"]["rules"][index]["id"], "E0401");
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "a%20b/compose.yaml");
        assert_eq!(place["region"], json!({"startLine": 14, "startColumn": 7, "endColumn": 15}));
        assert_eq!(result["relatedLocations"][0]["message"]["text"], "overriding compose.yaml:1:2");
    }

    #[test]
    fn paths_become_uris() {
        assert_eq!(uri("/srv/ü#.yaml"), "file:///srv/%C3%BC%23.yaml");
    }
}
