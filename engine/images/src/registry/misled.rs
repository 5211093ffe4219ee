//! Why a registry is not followed where it leads.

use std::fmt;

/// Why a registry is not followed where it leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misled {
    /// Neither HTTP nor HTTPS, or no URL at all.
    Scheme,
    /// From HTTPS to plain HTTP.
    Downgrade,
    /// The address holds a user's name or password.
    UserInfo,
    /// A link-local address or a cloud's metadata service.
    Forbidden,
    /// From a public registry to a private address.
    Private,
    /// A token service that the login is not meant for.
    Realm,
}

impl fmt::Display for Misled {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Scheme => "that is not an http:// or https:// URL",
            Self::Downgrade => "that leaves HTTPS for plain HTTP",
            Self::UserInfo => "that URL holds a user name or password",
            Self::Forbidden => "no request goes to link-local and metadata addresses",
            Self::Private => "a public registry may not lead to a private address",
            Self::Realm => "the login may be sent to the registry's own host only",
        })
    }
}
