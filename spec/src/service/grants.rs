//! Configs and secrets as a service gets them.

use crate::code::Code;
use crate::decode::Field;
use crate::problem::Problem;
use crate::scalar;

/// One config or secret in a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its key in the stack.
    pub source: String,
    /// The file in the container, absolute.
    pub target: String,
    /// Owner, as written; absent: root.
    pub uid: Option<String>,
    /// Group, as written; absent: root.
    pub gid: Option<String>,
    /// Mode of the file; absent: 0444.
    pub mode: Option<u32>,
}

impl Grant {
    /// Reads one item of `configs` or `secrets`; relative targets are in `folder`.
    pub(crate) fn decode(field: &Field<'_>, folder: &str) -> Option<Self> {
        field.scope.origin(field.path.clone(), field.place());
        let absolute = |target: String| match target.starts_with('/') {
            true => target,
            false => format!("{folder}{target}"),
        };
        if field.item.text().is_some() {
            let source = field.text()?;
            let target = absolute(source.clone());
            return Some(Self { source, target, uid: None, gid: None, mode: None });
        }
        let Some(source) = field.get("source") else {
            return field.lacks("source", "a name, or a mapping");
        };
        let source = source.text()?;
        let text = |key| field.get(key).and_then(|field| field.loose_text());
        Some(Self {
            target: absolute(text("target").unwrap_or_else(|| source.clone())),
            source,
            uid: text("uid"),
            gid: text("gid"),
            mode: field.get("mode").and_then(|field| mode(&field)),
        })
    }
}

/// A file mode, with a word about the classic mistake: `440` is not `0440`.
pub(crate) fn mode(field: &Field<'_>) -> Option<u32> {
    let plain = field.item.as_scalar().is_some_and(|scalar| scalar.plain);
    let mode = field.parsed("an octal mode such as `0440`", |text| scalar::mode(text, plain))?;
    let text = field.item.text().unwrap_or_default();
    if plain && !text.starts_with('0') && text.bytes().all(|b| (b'0'..b'8').contains(&b)) {
        let message =
            format!("{} is the decimal {text}, which is {mode:04o} in octal", field.name());
        let problem = Problem::new(Code::DecimalMode, message).at(field.place().clone());
        field.scope.add(problem.hint(format!("write `0{text}` for octal")));
    }
    Some(mode)
}
