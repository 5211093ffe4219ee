//! Which packets a table is about.

/// A protocol family of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Inet = 1,
    Ip = 2,
}
