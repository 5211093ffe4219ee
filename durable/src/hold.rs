//! How much a record is to outlive.

/// What a written file outlives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// The process: for what is made anew after a reboot.
    Process,
    /// A loss of power, but then maybe in favor of the content before.
    Either,
    /// A loss of power.
    Power,
}
