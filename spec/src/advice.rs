//! What to do about a value that has another shape than its key takes.

use crate::item::{Item, Node, Type};
use crate::nearest;

/// How to give `item` the shape that `wanted` says in words.
pub(crate) fn of_shape(wanted: &str, item: &Item) -> Option<String> {
    let (lists, maps) = (wanted.contains("a list"), wanted.contains("a mapping"));
    match &item.node {
        Node::Scalar(scalar) => {
            let text = Some(scalar.text.as_str()).filter(|text| !text.is_empty())?;
            match () {
                () if wanted.starts_with("text") => Some(format!("put it in quotes: \"{text}\"")),
                () if lists && (!maps || scalar.ty() == Type::Text) => Some(items(text)),
                () if maps => glued_colon(text),
                () => None,
            }
        }
        Node::Map(_) if lists && !maps => Some("begin each item with `- `".to_owned()),
        Node::List(_) if maps && !lists => {
            Some("write each of them as `NAME: …`, without a dash".to_owned())
        }
        _ => None,
    }
}

/// The text of what was to be items: their lines are one text, as YAML reads them.
fn items(text: &str) -> String {
    let dashed = text.strip_prefix('-').filter(|rest| !rest.starts_with(['-', ' ']));
    let line = dashed.unwrap_or(text);
    let first = line.split(" -").next().unwrap_or(line);
    let first = if dashed.is_some() { first } else { first.split(' ').next().unwrap_or(first) };
    match dashed {
        Some(_) => format!("put a space after the dash: `- {first}`"),
        None => format!("begin each item with a dash and a space: `- {first}`"),
    }
}

/// `driver:bridge`.
fn glued_colon(text: &str) -> Option<String> {
    let (key, value) = text.split_once(':')?;
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let is_key = !key.is_empty() && key.chars().all(word);
    let glued = is_key && !value.is_empty() && !value.starts_with(['/', ':', ' ']);
    glued.then(|| format!("put a space after the colon: `{key}: {value}`"))
}

/// `- ./data: /data`: a text with a space too many, which YAML reads as a mapping.
pub(crate) fn split_text(item: &Item) -> Option<String> {
    let [entry] = item.entries() else { return None };
    let is_path = entry.key.starts_with(['.', '/', '~']) || entry.key.contains('/');
    let value = entry.value.text().filter(|_| is_path)?;
    Some(format!("write `{}:{value}`, without the space", entry.key))
}

/// The key of `item` that is `wanted` with a typing error. It is an unknown key, which has been
/// said; that `wanted` is missing needs no words then.
pub(crate) fn misspelt(item: &Item, wanted: &str) -> bool {
    let near = |key: &str| key != wanted && nearest::of(key, [wanted]).is_some();
    item.entries().iter().any(|entry| near(&entry.key))
}
