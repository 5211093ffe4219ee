//! A command line to its words, as docker compose splits it. No shell is asked: quotes and
//! backslashes count, variables, globs and comments do not, and what only a shell could do ends
//! the command.

use std::ops::Range;

/// A command in words.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Words {
    pub(crate) words: Vec<String>,
    /// Where an operator of the shell ended the command: what follows is no part of it.
    pub(crate) cut: Option<Range<usize>>,
}

/// Why a command line means nothing, and at which bytes.
#[derive(Debug, PartialEq)]
pub(crate) struct Fault {
    pub(crate) message: &'static str,
    pub(crate) range: Range<usize>,
}

/// What the splitter is inside of, and where that began.
#[derive(Clone, Copy, PartialEq)]
enum Inside {
    Nothing,
    Single(usize),
    Double(usize),
    /// Back quotes, and `$(…)`: kept as they are.
    Substitution(usize, char),
}

/// Splits `text` into words.
pub(crate) fn split(text: &str) -> Result<Words, Fault> {
    let mut splitter = Splitter { inside: Inside::Nothing, word: None, found: Words::default() };
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' if !matches!(splitter.inside, Inside::Single(_)) => {
                let Some((_, next)) = chars.next() else {
                    return Err(fault("it ends in a backslash", at..at + 1));
                };
                splitter.escaped(next);
            }
            ';' | '&' | '|' | '<' | '>' if splitter.inside == Inside::Nothing => {
                splitter.found.cut = Some(at..text.len());
                break;
            }
            c => splitter.take(at, c)?,
        }
    }
    splitter.finish()
}

struct Splitter {
    inside: Inside,
    word: Option<String>,
    found: Words,
}

impl Splitter {
    fn push(&mut self, c: char) {
        self.word.get_or_insert_default().push(c);
    }

    fn escaped(&mut self, c: char) {
        if let Inside::Substitution(..) = self.inside {
            self.push('\\');
        }
        self.push(match c {
            'n' => '\n',
            't' => '\t',
            c => c,
        });
    }

    fn take(&mut self, at: usize, c: char) -> Result<(), Fault> {
        match (self.inside, c) {
            (Inside::Single(_), '\'') | (Inside::Double(_), '"') => self.inside = Inside::Nothing,
            (Inside::Substitution(_, end), c) if c == end => {
                self.push(c);
                self.inside = Inside::Nothing;
            }
            (Inside::Nothing, ' ' | '\t' | '\r' | '\n') => {
                self.found.words.extend(self.word.take())
            }
            (Inside::Nothing, '\'') => self.open(Inside::Single(at)),
            (Inside::Nothing, '"') => self.open(Inside::Double(at)),
            (Inside::Nothing, '`') => {
                self.push(c);
                self.inside = Inside::Substitution(at, '`');
            }
            (Inside::Nothing, '(')
                if self.word.as_ref().is_some_and(|word| word.ends_with('$')) =>
            {
                self.push(c);
                self.inside = Inside::Substitution(at, ')');
            }
            (Inside::Nothing, '(' | ')') => {
                return Err(fault("it has a parenthesis outside of quotes", at..at + 1));
            }
            (_, c) => self.push(c),
        }
        Ok(())
    }

    /// Begins a quote; a word is there now, even if nothing follows.
    fn open(&mut self, inside: Inside) {
        self.word.get_or_insert_default();
        self.inside = inside;
    }

    fn finish(mut self) -> Result<Words, Fault> {
        match self.inside {
            Inside::Nothing => {
                self.found.words.extend(self.word);
                Ok(self.found)
            }
            Inside::Single(at) | Inside::Double(at) => {
                Err(fault("it has a quote that is never closed", at..at + 1))
            }
            Inside::Substitution(at, _) => {
                Err(fault("it has a substitution that is never closed", at..at + 1))
            }
        }
    }
}

fn fault(message: &'static str, range: Range<usize>) -> Fault {
    Fault { message, range }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_their_words() {
        let cases = [
            ("", "[]"),
            ("  a  b\n c ", r#"["a", "b", "c"]"#),
            (r#"echo 'a b' "c d" e\ f"#, r#"["echo", "a b", "c d", "e f"]"#),
            (r#"'' "" x''y"#, r#"["", "", "xy"]"#),
            (r#"'a\b' "a\"b" a\nb"#, r#"["a\\b", "a\"b", "a\nb"]"#),
            ("--pass #1 a#b", r##"["--pass", "#1", "a#b"]"##),
            ("$HOME *.txt", r#"["$HOME", "*.txt"]"#),
            ("echo $(date +%s) `id -u`", r#"["echo", "$(date +%s)", "`id -u`"]"#),
            ("a && b", r#"["a"] cut at "&& b""#),
            ("a > b", r#"["a"] cut at "> b""#),
            ("sh -c 'a && b'", r#"["sh", "-c", "a && b"]"#),
            ("it's", "it has a quote that is never closed at \"'\""),
            ("a \\", "it ends in a backslash at \"\\\\\""),
            ("(a)", "it has a parenthesis outside of quotes at \"(\""),
            ("`a", "it has a substitution that is never closed at \"`\""),
        ];
        for (text, wanted) in cases {
            let said = match split(text) {
                Ok(Words { words, cut: None }) => format!("{words:?}"),
                Ok(Words { words, cut: Some(cut) }) => format!("{words:?} cut at {:?}", &text[cut]),
                Err(fault) => format!("{} at {:?}", fault.message, &text[fault.range]),
            };
            assert_eq!(said, wanted, "{text}");
        }
    }
}
