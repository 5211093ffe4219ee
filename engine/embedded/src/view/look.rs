//! What exists: the view as it is now, and what is read back from the kernel where that is asked for.

use crate::network::Scope;
use crate::network::stored::Stored;
use crate::task::records::Records;
use crate::view::docker::Docker;
use crate::view::{View, read};
use crate::{Layout, blocking, clock, root::disk};
use keel_engine::{Depth, NodeName, Observation, Result};
use std::sync::Arc;

/// Who looks at one root, and asks Docker what it runs beside it.
pub(crate) struct Observer {
    pub(crate) layout: Layout,
    /// This node's name.
    pub(crate) node: NodeName,
    pub(crate) view: Arc<View>,
    /// Where Docker may be.
    pub(crate) docker: Option<Arc<Docker>>,
}

impl Observer {
    /// Looks at everything.
    pub(crate) async fn look(self: &Arc<Self>, depth: Depth) -> Result<Observation> {
        let foreign = async {
            match &self.docker {
                Some(docker) => docker.containers().await,
                None => Vec::new(),
            }
        };
        let own = Arc::clone(self);
        let own = blocking::run(move || own.look_at_own(&depth));
        let (own, foreign) = tokio::join!(own, foreign);
        Ok(Observation { foreign, ..own? })
    }

    fn look_at_own(&self, depth: &Depth) -> Result<Observation> {
        if *depth == Depth::Fields {
            self.view.doubt();
        }
        let mut seen = Observation {
            node: self.node.clone(),
            at: clock::now(),
            disk: disk::disk(&self.layout),
            ..self.view.observation()?
        };
        if *depth != Depth::State {
            self.read_back(depth, &mut seen)?;
        }
        Ok(seen)
    }

    fn read_back(&self, depth: &Depth, seen: &mut Observation) -> Result<()> {
        let (layout, all, stored) = (&self.layout, self.view.records()?, self.view.networks()?);
        let scope = scope_of(depth, &all, &stored);
        let mut of_network = read::networks(layout, &stored, &scope, &mut seen.findings)?;
        for records in all.iter().filter(|records| depth.is_close(&records.latest().place)) {
            let Ok(index) = seen.tasks.binary_search_by(|task| task.id.cmp(&records.wish.id))
            else {
                continue;
            };
            let mut findings = read::task(layout, records, &seen.tasks[index]);
            findings.extend(of_network.remove(&records.wish.id).unwrap_or_default());
            if !findings.is_empty() {
                Arc::make_mut(&mut seen.tasks[index]).findings = findings;
            }
        }
        Ok(())
    }
}

/// What is read back: the networks that a task that is looked at closely is in, or that are its stack's.
fn scope_of(depth: &Depth, all: &[Arc<Records>], stored: &[Arc<Stored>]) -> Scope {
    let Depth::FieldsOf(stack) = depth else { return Scope::All };
    let close = || all.iter().filter(|records| depth.is_close(&records.latest().place));
    let joined = close().flat_map(|records| &records.work.endpoints);
    let own = stored.iter().filter(|stored| read::stack_of(&stored.spec).as_ref() == Some(stack));
    let own = own.map(|stored| stored.spec.name.clone());
    let networks = joined.map(|endpoint| endpoint.network.clone()).chain(own).collect();
    Scope::Of { networks, tasks: close().map(|records| records.wish.id.clone()).collect() }
}
