//! Whom a node follows: the controller with the highest epoch that it has ever seen, and where that may be found.
//!
//! # Invariants
//! - What was seen is on the disk before anything is done for whoever showed it: a controller with a lower epoch is
//!   refused for ever, also after a restart.

use super::version::Hello;
use crate::clock::ControllersClock;
use crate::epoch::Epoch;
use crate::wanted_issuer::WantedIssuer;
use keel_durable::Hold;
use serde::{Deserialize, Serialize};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Addresses of controllers that are remembered.
const CONTROLLERS: usize = 16;

/// What a node remembers of its controllers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    #[serde(default)]
    epoch: u64,
    #[serde(default)]
    controllers: Vec<String>,
}

/// Whom a node follows. Clones follow the same.
#[derive(Debug, Clone)]
pub struct Allegiance {
    file: Arc<PathBuf>,
    given: Arc<str>,
    seen: Arc<Mutex<Seen>>,
    /// What time it is for whoever it follows.
    pub(crate) clock: ControllersClock,
    /// Whose certificate that asks it to have.
    pub(crate) issuer: WantedIssuer,
}

/// A controller that is not the pool's present one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "this controller has epoch {theirs} of the pool, and the node follows one with epoch {seen}: the pool was restored \
     or taken over elsewhere"
)]
pub struct Superseded {
    /// The controller's.
    pub theirs: Epoch,
    /// The node's.
    pub seen: Epoch,
}

impl Allegiance {
    /// What this file says, with the address that a person gave.
    ///
    /// # Errors
    /// Those of the disk; a file that cannot be read is one: without it the node might follow anybody.
    pub fn open(file: &Path, given: &str) -> io::Result<Self> {
        let seen = match std::fs::read(file) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?,
            Err(error) if error.kind() == ErrorKind::NotFound => Seen::default(),
            Err(error) => return Err(error),
        };
        let seen = Arc::new(Mutex::new(seen));
        Ok(Self {
            file: Arc::new(file.to_owned()),
            given: given.into(),
            seen,
            clock: ControllersClock::default(),
            issuer: WantedIssuer::default(),
        })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The highest epoch that the node has seen; 0 where it has seen none.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        Epoch(self.seen().epoch)
    }

    /// Where to dial after so many failed tries: the address that was given, then those that controllers told.
    #[must_use]
    pub fn address(&self, tries: usize) -> String {
        let mut all = self.addresses();
        all.swap_remove(tries % all.len())
    }

    /// How many addresses there are; never 0.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.addresses().len()).unwrap_or(u32::MAX)
    }

    fn addresses(&self) -> Vec<String> {
        let told = self.seen().controllers.clone();
        let mut all = vec![self.given.to_string()];
        all.extend(told.into_iter().filter(|one| **one != *self.given));
        all
    }

    /// Follows a controller, once that is on the disk.
    pub(super) async fn follow(&self, controller: &Hello) -> Result<(), AllegianceError> {
        let Some(next) = self.judged(controller)? else { return Ok(()) };
        let this = self.clone();
        keel_blocking::run(move || this.keep(next)).await.map_err(AllegianceError::File)
    }

    /// What is to be remembered; `None` where it is known.
    fn judged(&self, controller: &Hello) -> Result<Option<Seen>, Superseded> {
        let seen = self.seen();
        let (theirs, known) = (controller.epoch, Epoch(seen.epoch));
        if theirs < known {
            return Err(Superseded { theirs, seen: known });
        }
        let mut next = Seen { epoch: theirs.0, controllers: seen.controllers.clone() };
        if theirs > known || !controller.controllers.is_empty() {
            next.controllers = controller.controllers.iter().take(CONTROLLERS).cloned().collect();
        }
        Ok((*seen != next).then_some(next))
    }

    fn keep(&self, next: Seen) -> io::Result<()> {
        let bytes = serde_json::to_vec(&next)?;
        if let Some(folder) = self.file.parent() {
            keel_durable::make_folder(folder, 0o700)?;
        }
        keel_durable::replace(&self.file, &bytes, 0o600, Hold::Power)?;
        *self.seen() = next;
        Ok(())
    }
}

/// Why a controller is not followed.
#[derive(Debug, thiserror::Error)]
pub(super) enum AllegianceError {
    #[error(transparent)]
    Superseded(#[from] Superseded),
    #[error(transparent)]
    File(io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(epoch: u64, controllers: &[&str]) -> Hello {
        let controllers = controllers.iter().map(|one| (*one).to_owned()).collect();
        Hello { epoch: Epoch(epoch), controllers, ..Hello::own() }
    }

    #[tokio::test]
    async fn the_highest_epoch_is_followed_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pool/allegiance");
        let open = || Allegiance::open(&file, "a:1").unwrap();
        let node = open();
        node.follow(&hello(0, &[])).await.unwrap();
        assert_eq!((node.epoch(), file.exists()), (Epoch(0), false));
        node.follow(&hello(5, &["b:1", "a:1", "c:1"])).await.unwrap();
        let refused = open().follow(&hello(4, &["evil:1"])).await.unwrap_err().to_string();
        assert!(refused.contains("epoch 4") && refused.contains("epoch 5"), "{refused}");
        let dialed: Vec<_> = (0..4).map(|tries| open().address(tries)).collect();
        assert_eq!(dialed, ["a:1", "b:1", "c:1", "a:1"]);
        // One that has a pool's only place names no other.
        open().follow(&hello(6, &[])).await.unwrap();
        assert_eq!((open().epoch(), open().address(1)), (Epoch(6), "a:1".to_owned()));
        std::fs::write(&file, "damaged").unwrap();
        assert!(Allegiance::open(&file, "a:1").is_err());
    }
}
