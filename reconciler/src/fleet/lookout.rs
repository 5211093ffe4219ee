//! Watches over the nodes besides the controller's own, for as long as the controller serves.

use super::liveness::{Lookout, Moment, Sighting};
use super::roll::Roll;
use keel_engine::NodeName;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// Between two looks. Nobody is asked anything: each connection knows when it was heard last.
const LOOK: Duration = Duration::from_millis(500);

/// What time it is since the machine was booted, from wherever whoever serves says.
#[derive(Clone)]
pub struct Uptime(Arc<dyn Fn() -> Moment + Send + Sync>);

impl Uptime {
    /// By this clock.
    pub fn new(now: impl Fn() -> Moment + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    fn now(&self) -> Moment {
        (self.0)()
    }
}

/// Decides for ever which silent nodes are given up after this time; whoever listens to the nodes hears of each
/// change.
pub(super) async fn watch_over(
    roll: &Roll,
    home: &NodeName,
    uptime: Uptime,
    down_after: Duration,
) -> Infallible {
    let mut watch = Lookout::new(uptime.now(), down_after);
    loop {
        roll.note_liveness(watch.look(uptime.now(), &sightings(roll, home)));
        tokio::time::sleep(LOOK).await;
    }
}

fn sightings(roll: &Roll, home: &NodeName) -> BTreeMap<NodeName, Sighting> {
    let (pool, members) = (roll.pool(), roll.members());
    let others = members.iter().filter(|(name, _)| *name != home);
    let sighting =
        |name: &NodeName, unheard| Sighting { unheard, is_dead: pool.facts(name).dead.is_some() };
    others.map(|(name, node)| (name.clone(), sighting(name, node.unheard_for()))).collect()
}
