//! What strangers may feed this crate: Git servers, and whoever pushes. Together here, so that they
//! can be seen together; `docs/limits.md` has the same numbers.
//!
//! Each bounds what one source costs in memory, disk and time: the others go on.

use std::time::Duration;

/// Bytes by which a Git server tells its branches and tags. Each costs about four times its length
/// in memory while they are looked at.
pub const GIT_ADVERTISEMENT: u64 = 32 << 20;
/// Branches and tags that are fetched at once, where a pinned commit needs all of them: a file each.
pub const GIT_REFERENCES: usize = 50_000;
/// Bytes of a fetch that are no content: progress, acknowledgements.
pub const GIT_TALK: u64 = 8 << 20;
/// Bytes of the packs of one fetch, and of the files of one checkout.
pub const GIT_SIZE: u64 = 2 << 30;
/// A fetch may bring one object for so many bytes of [`GIT_SIZE`].
pub const GIT_BYTES_FOR_AN_OBJECT: u64 = 512;
/// Bytes of one file, folder or commit, unpacked. To unpack a delta takes up to three times that of
/// memory.
pub const GIT_OBJECT: u64 = 128 << 20;
/// Bytes of all objects of a fetch, unpacked, as a multiple of [`GIT_SIZE`].
pub const GIT_UNPACKED: u64 = 32;
/// Until a Git server's answer begins, and until it has told its branches and tags.
pub const GIT_FIRST_WORD: Duration = Duration::from_secs(20);
/// Without a single byte from a Git server.
pub const GIT_SILENCE: Duration = Duration::from_secs(60);
/// A Git server that sends less than [`GIT_SLOW_BYTES`] in this time is too slow.
pub const GIT_SLOW: Duration = Duration::from_secs(300);
/// See [`GIT_SLOW`].
pub const GIT_SLOW_BYTES: u64 = 64 << 10;
/// For a whole fetch, with all that unpacking it takes.
pub const GIT_FETCH: Duration = Duration::from_secs(1_800);
/// Bytes of what `ssh` complains of that are read.
pub const GIT_COMPLAINT: u64 = 64 << 10;
/// Files and folders of one checkout.
pub const CHECKOUT_ENTRIES: u64 = 500_000;
/// Folders within folders of one checkout.
pub const CHECKOUT_DEPTH: usize = 128;
/// Submodules of one checkout that are fetched.
pub const SUBMODULES: usize = 64;
/// Submodules within submodules.
pub const SUBMODULE_DEPTH: usize = 8;
/// Bytes of a `.gitmodules`; a larger one says nothing.
pub const GITMODULES: u64 = 1 << 20;
