//! Keys by which a person leaves a container's terminal and lets it run on.
//!
//! # Invariants
//! - Keys that begin the sequence are held back until it is clear whether it is one: then they are dropped, or
//!   passed on before what follows.

use std::str::FromStr;

/// What to type, as bytes of a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachKeys(Vec<u8>);

impl FromStr for DetachKeys {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',').map(key).collect::<Result<_, _>>().map(Self)
    }
}

fn key(word: &str) -> Result<u8, String> {
    let wrong = || {
        format!(
            "`{word}` is not a key: write a letter, or ctrl- with one of a-z, @, [, \\, ], ^, _"
        )
    };
    match (word.strip_prefix("ctrl-"), word.as_bytes()) {
        (Some(letter), _) => match letter.as_bytes() {
            [letter @ b'a'..=b'z'] => Ok(letter - b'a' + 1),
            [sign @ (b'@' | b'['..=b'_')] => Ok(sign - b'@'),
            _ => Err(wrong()),
        },
        (None, [letter @ b'!'..=b'~']) => Ok(*letter),
        (None, _) => Err(wrong()),
    }
}

/// Watches what a person types for the keys.
#[derive(Debug)]
pub struct Watcher {
    keys: DetachKeys,
    /// So many of them were typed last.
    typed: usize,
}

/// What to do with what was typed.
#[derive(Debug, PartialEq, Eq)]
pub struct Typed {
    /// To be passed on.
    pub rest: Vec<u8>,
    /// The keys are complete.
    pub detaches: bool,
}

impl Watcher {
    /// Nothing was typed yet.
    pub fn new(keys: DetachKeys) -> Self {
        Self { keys, typed: 0 }
    }

    /// Takes what was typed.
    pub fn take(&mut self, bytes: &[u8]) -> Typed {
        let mut rest = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            if self.keys.0.get(self.typed) != Some(&byte) {
                rest.extend_from_slice(&self.keys.0[..self.typed]);
                self.typed = 0;
            }
            if self.keys.0.get(self.typed) == Some(&byte) {
                self.typed += 1;
            } else {
                rest.push(byte);
            }
            if self.typed == self.keys.0.len() {
                return Typed { rest, detaches: true };
            }
        }
        Typed { rest, detaches: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_letters_and_control_characters() {
        let cases: [(&str, &[u8]); 4] = [
            ("ctrl-p,ctrl-q", &[16, 17]),
            ("a", b"a"),
            ("ctrl-@,ctrl-[", &[0, 27]),
            ("ctrl-_", &[31]),
        ];
        for (text, bytes) in cases {
            assert_eq!(text.parse(), Ok(DetachKeys(bytes.to_vec())), "{text}");
        }
        for text in ["", "ctrl-", "ctrl-P1", "ab", "ctrl-p,", "é"] {
            assert!(text.parse::<DetachKeys>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_only_begins_like_the_keys_is_passed_on() {
        let mut watcher = Watcher::new("ctrl-p,ctrl-q".parse().unwrap());
        let on = |rest: &[u8]| Typed { rest: rest.to_vec(), detaches: false };
        assert_eq!(watcher.take(b"ls\x10"), on(b"ls"));
        assert_eq!(watcher.take(b"x"), on(b"\x10x"));
        assert_eq!(watcher.take(b"\x10\x10"), on(b"\x10"), "the second may begin them");
        assert_eq!(watcher.take(b"\x11rm"), Typed { rest: vec![], detaches: true });
    }
}
