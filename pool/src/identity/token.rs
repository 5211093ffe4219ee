//! The join token: `KEEL1-PIN-ID-SECRET-CHECK`, one line that says which pool to join and permits it.
//!
//! # Invariants
//! - Whatever a person mistypes is told from a token that the pool refuses: the check covers all that comes before.

use super::alphabet::{decode, encode};
use super::pin::Pin;
use super::secret::TokenSecret;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// What every token of this form begins with.
const FORM: &str = "KEEL1";
/// Signs of the check: 20 bits.
const CHECK: usize = 4;

/// A token as its holder has it.
#[derive(Debug, Clone)]
pub struct Token {
    /// The key of the pool's certificate authority.
    pub pin: Pin,
    /// The token's public name.
    pub id: TokenId,
    /// What permits to join.
    pub secret: TokenSecret,
}

/// The public name of a token: 8 letters and digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenId(String);

/// Why a text is not a join token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It begins with something else.
    #[error(
        "this is not a join token: a token begins with `{FORM}-`; copy it from `keel token create`"
    )]
    Form,
    /// Too few or too many parts.
    #[error("the join token has {0} parts between `-`, not 5; copy the whole line")]
    Parts(usize),
    /// One part has another length, or signs that no token has.
    #[error(
        "the join token's {part} is not {length} letters and digits (without U); copy the whole line"
    )]
    Part {
        /// Which one.
        part: TokenPart,
        /// How many signs it should have.
        length: usize,
    },
    /// All parts look right, and do not belong together.
    #[error("the join token has a typing error: its last {CHECK} signs do not match the rest")]
    Check,
}

/// A part of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenPart {
    /// The pool.
    Pin,
    /// The token's name.
    Id,
    /// The secret.
    Secret,
    /// The check.
    Check,
}

impl fmt::Display for TokenPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pin => "second part (the pool)",
            Self::Id => "third part (its ID)",
            Self::Secret => "fourth part (the secret)",
            Self::Check => "last part (the check)",
        })
    }
}

impl Token {
    /// Reads a token; upper and lower case are the same, and so are `O` and `0`, `I`, `L` and `1`.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let parts: Vec<_> = text.trim().split('-').collect();
        let is_form = parts[0].replace(['l', 'L', 'I', 'i'], "1").eq_ignore_ascii_case("KEE11");
        if !is_form {
            return Err(TokenError::Form);
        }
        let &[_, pin, id, secret, check] = &parts[..] else {
            return Err(TokenError::Parts(parts.len()));
        };
        let wrong = |part, length| TokenError::Part { part, length };
        let token = Self {
            pin: Pin::parse(pin).ok_or(wrong(TokenPart::Pin, 52))?,
            id: TokenId::parse(id).ok_or(wrong(TokenPart::Id, 8))?,
            secret: TokenSecret::parse(secret).ok_or(wrong(TokenPart::Secret, 32))?,
        };
        let check = read_check(check).ok_or(wrong(TokenPart::Check, CHECK))?;
        if check == token.check() { Ok(token) } else { Err(TokenError::Check) }
    }

    /// The token as text. Whoever reads it may join, so it is for its holder alone.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{}-{}", self.body(), self.check())
    }

    fn body(&self) -> String {
        format!("{FORM}-{}-{}-{}", self.pin, self.id, self.secret.reveal())
    }

    fn check(&self) -> String {
        let digest = Sha256::digest(self.body());
        encode(&digest[..5])[..CHECK].to_owned()
    }
}

/// A check in the form in which it is compared.
fn read_check(text: &str) -> Option<String> {
    if text.len() != CHECK {
        return None;
    }
    // Eight signs are five bytes: the check's own, and four that add nothing.
    let bytes: [u8; 5] = decode(&format!("{text}0000"))?;
    Some(encode(&bytes)[..CHECK].to_owned())
}

impl TokenId {
    /// The name that these bytes give.
    #[must_use]
    pub fn new(random: [u8; 5]) -> Self {
        Self(encode(&random))
    }

    /// Reads a name as people type it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        decode(text).map(Self::new)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TokenId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("a token's ID has 8 letters and digits")
    }
}

impl From<TokenId> for String {
    fn from(id: TokenId) -> Self {
        id.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        Token {
            pin: Pin::of(b"a key"),
            id: TokenId::new([7, 77, 177, 17, 27]),
            secret: TokenSecret::new(*b"twenty random bytes!"),
        }
    }

    fn error(text: &str) -> TokenError {
        Token::parse(text).expect_err("no token")
    }

    #[test]
    fn a_token_is_read_as_people_write_it() {
        let (token, text) = (token(), token().reveal());
        let lengths: Vec<_> = text.split('-').map(str::len).collect();
        assert_eq!(lengths, [5, 52, 8, 32, 4]);
        let ambiguous = text[6..].contains(['I', 'L', 'O', 'U']);
        assert!(!ambiguous, "{text}");
        let typed = [text.clone(), text.to_lowercase(), format!("  {text}\n"), {
            text.replace('0', "o").replace('1', "l")
        }];
        for typed in typed {
            let read = Token::parse(&typed).unwrap_or_else(|error| panic!("{typed}: {error}"));
            assert_eq!((read.pin, &read.id), (token.pin, &token.id));
            assert!(token.secret.digest().matches(&read.secret));
        }
    }

    #[test]
    fn each_way_to_be_no_token_has_its_own_error() {
        let text = token().reveal();
        let parts: Vec<_> = text.split('-').collect();
        let with = |at: usize, part: &str| {
            let mut parts = parts.clone();
            parts[at] = part;
            parts.join("-")
        };
        assert_eq!(error("SWMTKN-1-abc-def"), TokenError::Form);
        assert_eq!(error(""), TokenError::Form);
        assert_eq!(error(&parts[..4].join("-")), TokenError::Parts(4));
        for (at, part, length) in [
            (1, TokenPart::Pin, 52),
            (2, TokenPart::Id, 8),
            (3, TokenPart::Secret, 32),
            (4, TokenPart::Check, 4),
        ] {
            for wrong in [&parts[at][1..], &format!("U{}", &parts[at][1..]), "", "é"] {
                assert_eq!(error(&with(at, wrong)), TokenError::Part { part, length }, "{wrong}");
            }
        }
    }

    #[test]
    fn any_other_sign_is_found_out() {
        let text = token().reveal();
        for at in (6..text.len()).filter(|at| &text[*at..=*at] != "-") {
            let other = if &text[at..=at] == "7" { "8" } else { "7" };
            let typo = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            let found = error(&typo);
            // The last sign of the pin has bits to spare.
            let expected = matches!(found, TokenError::Check | TokenError::Part { .. });
            assert!(expected, "{typo}: {found}");
        }
    }

    #[test]
    fn secrets_are_in_no_debug_output() {
        let token = token();
        let shown = format!("{token:?} {:?}", token.secret.digest());
        assert!(!shown.contains(&token.secret.reveal()), "{shown}");
        assert!(!shown.contains("116, 119, 101"), "{shown}");
        assert!(shown.contains(token.id.as_str()), "{shown}");
    }
}
