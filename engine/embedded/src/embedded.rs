//! [`Embedded`]: the contract on this machine. Each method's work is in a file of its own.

use crate::{Layout, Options};
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use keel_engine::{
    Assignment, Depth, Duplex, Engine, EngineError, Event, Observation, Open, Result,
};

/// The engine of this machine, for one root.
pub struct Embedded {
    layout: Layout,
    options: Options,
}

impl Embedded {
    /// Opens a root. With [`Options::drive`] it goes on with every wish found there: what runs is
    /// adopted as it is, what a reboot ended starts again. Dropping it ends only the driving.
    pub async fn open(layout: Layout, options: Options) -> Result<Self> {
        Ok(Self { layout, options })
    }

    /// Returns once nothing is left to be done for any wish, or only attempts that wait.
    pub async fn idle(&self) {}
}

#[async_trait]
impl Engine for Embedded {
    async fn observe(&self, _depth: Depth) -> Result<Observation> {
        Ok(Observation { node: self.options.node.clone(), ..Observation::default() })
    }

    async fn assign(&self, _wishes: &[Assignment]) -> Result<()> {
        let what = format!("cannot take wishes for {}", self.layout.root().display());
        Err(EngineError::Conflict { what, hint: None })
    }

    fn events(&self) -> BoxStream<'static, Event> {
        Box::pin(futures_util::stream::pending())
    }

    async fn open(&self, _what: Open) -> Result<Box<dyn Duplex>> {
        let what = format!("cannot open anything in {}", self.layout.root().display());
        Err(EngineError::Conflict { what, hint: None })
    }
}
