//! The only module with `unsafe`: kernel calls that no safe crate offers.
//! Typed values in, owned values or `io::Error` out. One call per function. No policy.

mod board;
pub(crate) mod child;
mod filters;
mod loopback;
mod memory;
mod mount;
mod process;
pub(crate) mod ready;

pub use board::Board;
pub use filters::{
    attach_device_program, install_filter, leave_session_keyring, load_device_program,
};
pub use loopback::bring_loopback_up;
pub use memory::share_arenas;
pub use mount::{MountChange, change_mount};
pub use process::{
    Clone3, Cloned, born_alone, born_in_own_session, born_with_default_signals, clone_sibling,
    clone3, close_all_but, close_on_exec_from, default_signals, exit_now, queue_signal,
    send_signal, signal_child, signal_set, wait_for_signal,
};

use std::io;

/// The result of a raw system call.
fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
