//! How libgit2 reaches servers: over our HTTP client and TLS, and over the `ssh` program.

use super::http::Http;
use super::ssh::Ssh;
use git2::transport::Transport;
use std::sync::OnceLock;

/// Makes http, https and ssh known to libgit2. To be called before any remote is made.
pub(crate) fn register() -> Result<(), git2::Error> {
    static REGISTERED: OnceLock<Result<(), String>> = OnceLock::new();
    let done =
        REGISTERED.get_or_init(|| register_all().map_err(|error| error.message().to_owned()));
    done.clone().map_err(|message| git2::Error::from_str(&message))
}

#[expect(unsafe_code, reason = "libgit2 keeps its transports in a list without a lock")]
fn register_all() -> Result<(), git2::Error> {
    // JUSTIFICATION: git2 offers no other way to give libgit2 a transport, and has TLS only with
    // OpenSSL.
    // SAFETY: the list must not be read while it is written. It is read when a remote connects;
    // all of our remotes are made after `register` has returned, which waits for this call, and
    // the list is never written again.
    unsafe {
        for scheme in ["http", "https"] {
            git2::transport::register(scheme, |remote| {
                Transport::smart(remote, true, Http::new()?)
            })?;
        }
        git2::transport::register("ssh", |remote| Transport::smart(remote, false, Ssh::default()))
    }
}
