//! Logins to registries, as they are lent to a node.
//!
//! # Invariants
//! - A login is in no wish, observation, event or error, and its `Debug` output has nothing of it.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What proves to a registry who asks. Its serialized form has the secret, since a node needs it: it is for the way
/// to a node ([`crate::wire`]) and for nothing that is kept or shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Login {
    /// A user's name and password (or access token).
    Password {
        /// The user.
        user: String,
        /// The secret.
        password: String,
    },
    /// A refresh token from an earlier login.
    IdentityToken(String),
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

/// Who a node pulls an image as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LentLogin {
    /// As written, and as the wishes name it.
    pub image: String,
    /// `None` where the controller has no login for the image's registry: the node then asks as whoever it is itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<Login>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_prints_nothing_of_itself() {
        let password = Login::Password { user: "ann".into(), password: "s3cret".into() };
        for login in [password, Login::IdentityToken("s3cret".into())] {
            let lent = LentLogin { image: "r.io/app".into(), login: Some(login) };
            let shown = format!("{lent:?}");
            assert!(!shown.contains("ann") && !shown.contains("s3cret"), "{shown}");
        }
    }
}
