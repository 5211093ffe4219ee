//! `sync`, `suspend`, `resume`, `confirm`: how a person leads and holds the loops.

use crate::ask::{Progress, Refusal};
use crate::controller::{Controller, Lines};
use crate::rows::{SuspendAsk, SyncAsk};
use keel_engine::StackName;

impl Controller {
    /// Reads the sources anew, then converges what they name. Needs `serve`.
    pub fn sync(&self, ask: SyncAsk) -> Lines<Progress> {
        todo!()
    }

    /// Holds a stack off: no pass changes it until [`resume`](Self::resume).
    pub async fn suspend(&self, ask: SuspendAsk) -> Result<(), Refusal> {
        todo!()
    }

    /// Ends a suspension; also of a stack that `down` took away.
    pub async fn resume(&self, stack: &StackName) -> Result<(), Refusal> {
        todo!()
    }

    /// Lets a held revision of a source through. Needs `serve`.
    pub async fn confirm(&self, source: &str) -> Result<(), Refusal> {
        todo!()
    }

    /// Reads a source (or all) anew soon; what a webhook does. Needs `serve`.
    pub fn hint_source(&self, source: Option<&str>) -> Result<(), Refusal> {
        todo!()
    }
}
