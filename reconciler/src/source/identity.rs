//! Who we are to a Git server, for the time of one fetch.
//!
//! libgit2 hands a transport nothing but the remote's address, and an address ends up in logs and
//! in `FETCH_HEAD`: so what is secret is kept beside, for the thread that fetches, and dropped at
//! its end.

use crate::config::{Auth, read_secret};
use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};

/// What a connection shows of itself.
#[derive(Clone, Default)]
pub(crate) enum Identity {
    /// What the address or ssh's own configuration says.
    #[default]
    Unnamed,
    /// Of HTTP's basic authentication.
    Basic { username: String, password: String },
    /// Of ssh.
    Key { key: Option<PathBuf>, known_hosts: Option<PathBuf> },
}

thread_local! {
    static PRESENT: RefCell<Identity> = RefCell::default();
}

/// Forges take any user beside a token, or this one.
const TOKEN_USER: &str = "x-access-token";

impl Identity {
    /// Reads the files anew, so that a new token counts from the next fetch on.
    pub fn of(auth: Option<&Auth>) -> Result<Self, (PathBuf, io::Error)> {
        Ok(match auth {
            None => Self::Unnamed,
            Some(Auth::Token { file, username }) => {
                let username = username.as_deref().unwrap_or(TOKEN_USER).to_owned();
                Self::Basic { username, password: secret(file)? }
            }
            Some(Auth::Password { username, file }) => {
                Self::Basic { username: username.clone(), password: secret(file)? }
            }
            Some(Auth::Ssh { key, known_hosts }) => {
                for file in key.iter().chain(known_hosts) {
                    // `ssh` would go on without it, and then be refused for another reason.
                    std::fs::File::open(file).map_err(|error| (file.clone(), error))?;
                }
                Self::Key { key: key.clone(), known_hosts: known_hosts.clone() }
            }
        })
    }

    /// Does the work with this identity.
    pub fn during<T>(self, work: impl FnOnce() -> T) -> T {
        /// Also when the work panics: the thread is used again.
        struct Forget;
        impl Drop for Forget {
            fn drop(&mut self) {
                PRESENT.take();
            }
        }
        PRESENT.set(self);
        let _forget = Forget;
        work()
    }

    /// That of the fetch under way on this thread.
    pub fn present() -> Self {
        PRESENT.with_borrow(Clone::clone)
    }
}

fn secret(file: &Path) -> Result<String, (PathBuf, io::Error)> {
    let text = read_secret(file).and_then(|bytes| {
        String::from_utf8(bytes)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not text"))
    });
    text.map_err(|error| (file.to_owned(), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_there_for_its_work_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "t0ken\n").unwrap();
        let auth = Auth::Token { file: file.clone(), username: None };
        let seen = Identity::of(Some(&auth)).unwrap().during(Identity::present);
        let Identity::Basic { username, password } = seen else { panic!("it is a token") };
        assert_eq!((username.as_str(), password.as_str()), ("x-access-token", "t0ken"));
        assert!(matches!(Identity::present(), Identity::Unnamed));
        std::fs::remove_file(&file).unwrap();
        assert_eq!(Identity::of(Some(&auth)).err().unwrap().0, file);
    }
}
