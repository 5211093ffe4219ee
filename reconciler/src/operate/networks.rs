//! `network ls`, `create`, `rm`.

use super::target::listed_names;
use crate::ask::Refusal;
use crate::clock::rfc3339;
use crate::controller::Controller;
use crate::rows::{NetworkAsk, NetworkRow, RemoveAsk};
use keel_engine::{Assignment, Depth, NetworkSpec, Observation, ObservedNetwork, Presence, TaskId};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// How long making or removing one may take.
const PATIENCE: Duration = Duration::from_secs(30);

impl Controller {
    /// Every network of every node, by name.
    pub async fn networks(&self) -> Result<Vec<NetworkRow>, Refusal> {
        let seen = self.fleet().observe(Depth::State).await?;
        Ok(seen.networks.iter().map(|network| row(network, &seen)).collect())
    }

    /// Makes a network that belongs to no stack; gives its id when it is there.
    pub async fn create_network(&self, ask: NetworkAsk) -> Result<String, Refusal> {
        let mut spec = ask.spec;
        if spec.driver.is_empty() {
            "bridge".clone_into(&mut spec.driver);
        }
        let seen = self.fleet().observe(Depth::State).await?;
        let name = spec.name.clone();
        if seen.networks.iter().any(|network| network.spec.name == name) {
            return Err(Refusal::conflict(format!("network {name} exists already")));
        }
        let wish = Assignment::Network { spec, wanted: Presence::Present };
        self.fleet().assign(&[wish]).await?;
        let there = |seen: &Observation| {
            let network = seen.network(&name)?;
            let made = !network.bridge.is_empty() || network.message.is_some();
            made.then(|| network.message.clone())
        };
        match self.fleet().until(Some(Instant::now() + PATIENCE), there).await? {
            Some(None) => Ok(id_of(&name)),
            Some(Some(why)) => Err(Refusal::conflict(format!("network {name}: {why}"))),
            None => Err(Refusal::conflict(format!("network {name} does not come"))),
        }
    }

    /// Removes networks; gives the names of those that are gone. Refused for one in use.
    pub async fn remove_networks(&self, ask: RemoveAsk) -> Result<Vec<String>, Refusal> {
        let seen = self.fleet().observe(Depth::State).await?;
        let mut specs = Vec::new();
        for name in &ask.names {
            match find(&seen, name) {
                Some(network) => specs.push(free(network, &seen)?),
                None if ask.force => {}
                None => {
                    return Err(Refusal::not_found(format!("no such network: {name}"))
                        .hint("`keel network ls` lists them"));
                }
            }
        }
        let names: BTreeSet<_> = specs.iter().map(|spec| spec.name.clone()).collect();
        let absent = |spec| Assignment::Network { spec, wanted: Presence::Absent };
        let wishes: Vec<_> = specs.into_iter().map(absent).collect();
        self.fleet().assign(&wishes).await?;
        let gone = |seen: &Observation| {
            let there = seen.networks.iter().any(|network| names.contains(&network.spec.name));
            (!there).then_some(())
        };
        match self.fleet().until(Some(Instant::now() + PATIENCE), gone).await? {
            Some(()) => Ok(names.into_iter().collect()),
            None => Err(Refusal::conflict("the networks are still there")),
        }
    }
}

/// docker gives networks ids; ours are made of the name, which is unique in a root.
pub(crate) fn id_of(name: &str) -> String {
    TaskId::from_seed(&format!("network {name}")).as_str().to_owned()
}

/// By name, or by the beginning of its id.
pub(crate) fn find<'a>(seen: &'a Observation, name: &str) -> Option<&'a ObservedNetwork> {
    let by_name = seen.network(name);
    let begins =
        |network: &&ObservedNetwork| name.len() >= 4 && id_of(&network.spec.name).starts_with(name);
    by_name.or_else(|| seen.networks.iter().map(|network| &**network).find(begins))
}

fn free(network: &ObservedNetwork, seen: &Observation) -> Result<NetworkSpec, Refusal> {
    match users(network, seen).first() {
        None => Ok(network.spec.clone()),
        Some(user) => {
            let name = &network.spec.name;
            Err(Refusal::conflict(format!("network {name} is in use by container {user}"))
                .hint(format!("remove the container first: `keel rm {user}`")))
        }
    }
}

pub(crate) fn users(network: &ObservedNetwork, seen: &Observation) -> Vec<String> {
    let names = listed_names(seen);
    let joins = |task: &&keel_engine::ObservedTask| {
        task.spec.networks.iter().any(|joined| joined.network == network.spec.name)
    };
    seen.all_tasks().filter(joins).map(|task| names[&task.id].clone()).collect()
}

fn row(network: &ObservedNetwork, seen: &Observation) -> NetworkRow {
    NetworkRow {
        id: id_of(&network.spec.name),
        name: network.spec.name.clone(),
        driver: network.spec.driver.clone(),
        scope: "local".to_owned(),
        subnet: network.subnet.clone(),
        gateway: network.gateway.clone(),
        internal: network.spec.internal,
        created: rfc3339(network.created),
        node: seen.node.clone(),
        labels: network.spec.labels.clone(),
        containers: users(network, seen),
    }
}
