//! Counts visits in a file on a volume.
//!
//! # Invariants
//! - A number that was given to somebody is on disk: it is not given again after a restart.

use super::http::{Answer, Reply, Request};
use keel_durable::Hold;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The file and what stands in it.
pub struct Counter {
    folder: PathBuf,
    visits: Mutex<u64>,
}

impl Counter {
    /// Goes on from what is in the folder.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let visits = match fs::read_to_string(folder.join("visits")) {
            Ok(text) => text.trim().parse().map_err(io::Error::other)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        Ok(Self { folder: folder.to_owned(), visits: Mutex::new(visits) })
    }

    fn count(&self) -> io::Result<u64> {
        let mut visits = self.visits.lock().unwrap_or_else(PoisonError::into_inner);
        let line = format!("{}\n", *visits + 1);
        keel_durable::replace(&self.folder.join("visits"), line.as_bytes(), 0o644, Hold::Power)?;
        *visits += 1;
        Ok(*visits)
    }
}

impl Answer for Counter {
    fn answer(&self, request: &Request) -> Reply {
        match request.path.as_str() {
            "/health" => Reply::text(200, "ok\n"),
            "/" => match self.count() {
                Ok(visits) => Reply::text(200, format!("{visits}\n")),
                Err(error) => Reply::text(500, format!("cannot count: {error}\n")),
            },
            _ => Reply::text(404, "there is only /\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting_goes_on_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let counter = Counter::open(folder.path()).unwrap();
        assert_eq!((counter.count().unwrap(), counter.count().unwrap()), (1, 2));
        drop(counter);
        assert_eq!(Counter::open(folder.path()).unwrap().count().unwrap(), 3);
    }
}
