//! `${VAR}` in values: Compose's whole grammar, defaults evaluated only when they are used.
//!
//! # Invariants
//! - A failure says which characters of the text it is about.
//! - Nesting is limited, so that no text can exhaust the stack.

use std::ops::Range;

use crate::code::Code;

/// How deep `${A:-${B:-…}}` may go.
const MAX_NESTING: usize = 32;

/// How much text one value may grow to.
const MAX_LENGTH: usize = 1 << 20;

/// Where variables come from.
pub(crate) trait Variables {
    /// The variable's value; `None` when it is not set.
    fn value(&self, name: &str) -> Option<&str>;
}

/// A text with its variables put in.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Filled {
    pub(crate) text: String,
    /// The variables whose values are in it.
    pub(crate) used: Vec<String>,
    /// Variables that are not set and have no default, with where they stand.
    pub(crate) unset: Vec<(String, Range<usize>)>,
}

/// Why a text cannot be filled.
#[derive(Debug, PartialEq)]
pub(crate) struct Fault {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    /// The bytes of the text that it is about.
    pub(crate) range: Range<usize>,
}

/// Puts the variables into `text`.
pub(crate) fn fill(text: &str, variables: &dyn Variables) -> Result<Filled, Fault> {
    let mut filled = Filled::default();
    let filler = Filler { text, variables };
    filler.fill(0..text.len(), 0, &mut filled)?;
    Ok(filled)
}

struct Filler<'a> {
    text: &'a str,
    variables: &'a dyn Variables,
}

impl Filler<'_> {
    fn fill(&self, range: Range<usize>, depth: usize, out: &mut Filled) -> Result<(), Fault> {
        let mut at = range.start;
        while let Some(found) = self.text[at..range.end].find('$') {
            let dollar = at + found;
            out.text.push_str(&self.text[at..dollar]);
            at = self.dollar(dollar, range.end, depth, out)?;
            if out.text.len() > MAX_LENGTH {
                let fault = fault(Code::ValueTooLong, "the value grows beyond 1 MiB", dollar..at);
                return Err(fault);
            }
        }
        out.text.push_str(&self.text[at..range.end]);
        Ok(())
    }

    /// What begins with the `$` at `dollar`; returns where it ends.
    fn dollar(
        &self,
        dollar: usize,
        end: usize,
        depth: usize,
        out: &mut Filled,
    ) -> Result<usize, Fault> {
        let rest = &self.text[dollar + 1..end];
        if rest.starts_with('$') {
            out.text.push('$');
            return Ok(dollar + 2);
        }
        if rest.starts_with('{') {
            return self.braced(dollar, end, depth, out);
        }
        let name = name_in(rest);
        if name.is_empty() {
            out.text.push('$');
            return Ok(dollar + 1);
        }
        let range = dollar..dollar + 1 + name.len();
        self.put(name, range.clone(), out);
        Ok(range.end)
    }

    fn put(&self, name: &str, range: Range<usize>, out: &mut Filled) {
        match self.variables.value(name) {
            Some(value) => {
                out.used.push(name.to_owned());
                out.text.push_str(value);
            }
            None => out.unset.push((name.to_owned(), range)),
        }
    }

    fn braced(
        &self,
        dollar: usize,
        end: usize,
        depth: usize,
        out: &mut Filled,
    ) -> Result<usize, Fault> {
        let start = dollar + 2;
        let Some(close) = closing(&self.text[start..end]).map(|offset| start + offset) else {
            let message = "the `${` is never closed".to_owned();
            return Err(invalid(message, dollar..end));
        };
        let whole = dollar..close + 1;
        if depth == MAX_NESTING {
            let message = format!("variables nested more than {MAX_NESTING} deep");
            return Err(fault(Code::InvalidTemplate, message, whole));
        }
        let body = &self.text[start..close];
        let name = name_in(body);
        if name.is_empty() {
            let message = format!("`{}` names no variable", &self.text[whole.clone()]);
            return Err(invalid(message, whole));
        }
        let word = start + name.len();
        self.operator(name, word..close, whole.clone(), depth, out)?;
        Ok(whole.end)
    }

    /// Applies what stands between the name and the closing brace.
    fn operator(
        &self,
        name: &str,
        tail: Range<usize>,
        whole: Range<usize>,
        depth: usize,
        out: &mut Filled,
    ) -> Result<(), Fault> {
        let text = &self.text[tail.clone()];
        if text.is_empty() {
            self.put(name, whole, out);
            return Ok(());
        }
        let (empty_counts, operator) = match text.strip_prefix(':') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let word = tail.start + usize::from(empty_counts) + 1..tail.end;
        let value = self.variables.value(name);
        let there = value.is_some_and(|value| !(empty_counts && value.is_empty()));
        match (operator.bytes().next(), there) {
            (Some(b'-' | b'?'), true) => {
                self.put(name, whole, out);
                Ok(())
            }
            (Some(b'-'), false) | (Some(b'+'), true) => self.fill(word, depth + 1, out),
            (Some(b'+'), false) => Ok(()),
            (Some(b'?'), false) => Err(self.missing(name, word, whole, depth)),
            _ => {
                let message = format!("`{}` is not a variable", &self.text[whole.clone()]);
                Err(invalid(message, whole))
            }
        }
    }

    fn missing(&self, name: &str, word: Range<usize>, whole: Range<usize>, depth: usize) -> Fault {
        let mut message = Filled::default();
        if let Err(fault) = self.fill(word, depth + 1, &mut message) {
            return fault;
        }
        let words = match message.text.as_str() {
            "" => String::new(),
            text => format!(": {text}"),
        };
        let message = format!("required variable `{name}` is missing a value{words}");
        let hint = Some(format!("set `{name}` in `.env`, or in the environment"));
        Fault { code: Code::MissingVariable, message, hint, range: whole }
    }
}

fn invalid(message: String, range: Range<usize>) -> Fault {
    let hint = Some("write `${NAME}`, `${NAME:-default}`, or `$$` for a plain `$`".to_owned());
    Fault { hint, ..fault(Code::InvalidTemplate, message, range) }
}

fn fault(code: Code, message: impl Into<String>, range: Range<usize>) -> Fault {
    Fault { code, message: message.into(), hint: None, range }
}

/// The variable name that `text` begins with; empty when it begins with none.
fn name_in(text: &str) -> &str {
    let starts = text.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic());
    let end = text.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    if starts { &text[..end] } else { "" }
}

/// Where the brace that is open at the start of `text` is closed: braces inside are counted.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(index),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    impl Variables for BTreeMap<&str, &str> {
        fn value(&self, name: &str) -> Option<&str> {
            self.get(name).copied()
        }
    }

    fn shown(text: &str) -> String {
        let set = BTreeMap::from([("V", "value"), ("E", ""), ("N", "1")]);
        match fill(text, &set) {
            Ok(filled) => {
                let unset: Vec<_> = filled.unset.iter().map(|(name, _)| name.as_str()).collect();
                let note =
                    if unset.is_empty() { String::new() } else { format!("  unset: {unset:?}") };
                format!("{}{note}", filled.text)
            }
            Err(fault) => format!("error at `{}`: {}", &text[fault.range], fault.message),
        }
    }

    #[test]
    fn forms_by_state_of_the_variable() {
        // The form, and its result where X is unset, empty, and `value`.
        let cases = [
            ("$X", "?", "", "value"),
            ("${X}", "?", "", "value"),
            ("${X:-d}", "d", "d", "value"),
            ("${X-d}", "d", "", "value"),
            ("${X:+a}", "", "", "a"),
            ("${X+a}", "", "a", "a"),
            ("${X:?m}", "error", "error", "value"),
            ("${X?m}", "error", "", "value"),
        ];
        for (form, unset, empty, value) in cases {
            for (name, wanted) in [("U", unset), ("E", empty), ("V", value)] {
                let said = shown(&form.replace('X', name));
                let said = if said.starts_with("error") { "error" } else { &said };
                let wanted = if wanted == "?" { "  unset: [\"U\"]" } else { wanted };
                assert_eq!(said, wanted, "{form} for {name}");
            }
        }
    }

    #[test]
    fn texts_with_their_result() {
        let cases = [
            ("a $ b ^x$ $} $1 $.x", "a $ b ^x$ $} $1 $.x"),
            ("$$V $${V} $$$V", "$V ${V} $value"),
            ("$V-bar", "value-bar"),
            ("${U-a:-b}", "a:-b"),
            ("${U:-${W:-c}}", "c"),
            ("${U:-$V}", "value"),
            (r#"${U:-{"x":1}}"#, r#"{"x":1}"#),
            ("{{{ ${U:-foo-bar} }}}", "{{{ foo-bar }}}"),
            ("${V:-${broken}", "error at `${V:-${broken}`: the `${` is never closed"),
            ("x-${U:-a}:${V:?b}+${N+c}", "x-a:value+c"),
            ("${V:-$Q}", "value"),
            ("${}", "error at `${}`: `${}` names no variable"),
            ("a ${ x}", "error at `${ x}`: `${ x}` names no variable"),
            ("${x!}", "error at `${x!}`: `${x!}` is not a variable"),
            ("${x:0:1}", "error at `${x:0:1}`: `${x:0:1}` is not a variable"),
            ("${", "error at `${`: the `${` is never closed"),
            (
                "${U:?need ${V}}",
                "error at `${U:?need ${V}}`: required variable `U` is missing a value: need value",
            ),
            ("ü$V", "üvalue"),
        ];
        for (text, result) in cases {
            assert_eq!(shown(text), result, "{text}");
        }
    }

    #[test]
    fn nesting_has_an_end() {
        let text = "${A:-".repeat(100_000) + &"}".repeat(100_000);
        assert!(shown(&text).ends_with("deep"), "nesting is refused");
    }
}
