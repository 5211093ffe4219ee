//! A row of the tables: a key, the shape of its values, and its standing here.

/// What happens to a key here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// It means what it means in Compose.
    Honored,
    /// It is accepted and does less than in Compose: a warning says what.
    Limited(&'static str),
    /// It is legal and not run yet: its service is held.
    Held(&'static str),
    /// It is accepted and does nothing; that is said once.
    Notice(&'static str),
    /// It is known and refused: a policy that is ignored would be a lie.
    Refused(&'static str),
    /// As the key above it.
    Inside,
}

/// What values a key takes, after short forms of mappings have been written out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A text.
    Text,
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Whole,
    /// A number.
    Number,
    /// A size such as `512m`, or a number of bytes.
    Bytes,
    /// A duration such as `1m30s`.
    Duration,
    /// A file mode such as `0440`.
    Mode,
    /// A text, a number or a boolean.
    Scalar,
    /// A list of texts.
    Texts,
    /// A list of texts or numbers.
    Loose,
    /// A text, or a list of them.
    TextOrTexts,
    /// A command line, or a list of its words.
    Command,
    /// Names with texts: a mapping, or a list of `NAME=value`.
    Pairs,
    /// A mapping of names to texts or numbers.
    Scalars,
    /// Names with what belongs to each: a mapping, or a list of names alone.
    Names,
    /// A mapping.
    Map,
    /// A text, or a mapping.
    TextOrMap,
    /// A boolean, or a mapping.
    FlagOrMap,
    /// A list of mappings, some of which have a short form.
    Items,
    /// A text, or a list of mappings.
    TextOrItems,
}

/// A key's path within its table, with what it takes and what happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRow {
    /// The path, such as `deploy.replicas`.
    pub path: &'static str,
    /// The shape of its values.
    pub shape: Shape,
    /// What happens to it.
    pub standing: Support,
}

/// A row of a table.
pub(super) const fn row(path: &'static str, shape: Shape, standing: Support) -> KeyRow {
    KeyRow { path, shape, standing }
}
