//! `network ls`, `create`, `rm`.

use super::resolve::{listed_names, reachable};
use crate::ask::Refusal;
use crate::clock::rfc3339;
use crate::controller::Controller;
use crate::rows::{NetworkAsk, NetworkRow, RemoveAsk};
use keel_engine::{
    Assignment, Depth, NetworkSpec, NodeName, Nodes, ObservedNetwork, Presence, TaskId, Wish,
};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// How long making or removing one may take.
const PATIENCE: Duration = Duration::from_secs(30);

impl Controller {
    /// Every network of every node, by name.
    pub async fn networks(&self) -> Result<Vec<NetworkRow>, Refusal> {
        let seen = self.fleet().observe(Depth::State).await?;
        Ok(seen.all_networks().map(|(node, network)| row(node, network, &seen)).collect())
    }

    /// Makes a network that belongs to no stack; gives its id when it is there.
    pub async fn create_network(&self, ask: NetworkAsk) -> Result<String, Refusal> {
        let mut spec = ask.spec;
        if spec.driver.is_empty() {
            "bridge".clone_into(&mut spec.driver);
        }
        let seen = self.fleet().observe(Depth::State).await?;
        let name = spec.name.clone();
        if seen.all_networks().any(|(node, one)| *node == seen.home && one.spec.name == name) {
            return Err(Refusal::conflict(format!("network {name} already exists")));
        }
        let wish = seen.wish_at_home(Assignment::Network { spec, wanted: Presence::Present });
        self.fleet().assign(&[wish]).await?;
        let there = |seen: &Nodes| {
            let network = seen.known(&seen.home)?.network(&name)?;
            let made = network.link.is_some() || !network.pools.is_empty();
            (made || network.message.is_some()).then(|| network.message.clone())
        };
        match self.fleet().until(Some(Instant::now() + PATIENCE), there).await? {
            Some(None) => Ok(id_of(&name)),
            Some(Some(why)) => Err(Refusal::conflict(format!("network {name}: {why}"))),
            None => Err(Refusal::conflict(format!("network {name} was not created in time"))),
        }
    }

    /// Removes networks; gives the names of those that are gone. Refused for one in use.
    pub async fn remove_networks(&self, ask: RemoveAsk) -> Result<Vec<String>, Refusal> {
        let seen = self.fleet().observe(Depth::State).await?;
        let mut wishes = Vec::new();
        let mut names = BTreeSet::new();
        for name in &ask.names {
            let found = find(&seen, name);
            if found.is_empty() && !ask.force {
                return Err(Refusal::not_found(format!("no such network: {name}"))
                    .hint("`keel network ls` lists them"));
            }
            for (node, network) in found {
                reachable(&seen, node, &format!("network {name}"))?;
                let spec = free(node, network, &seen)?;
                names.insert(spec.name.clone());
                let what = Assignment::Network { spec, wanted: Presence::Absent };
                wishes.push(Wish { node: node.clone(), what });
            }
        }
        self.fleet().assign(&wishes).await?;
        let gone = |seen: &Nodes| {
            let there = seen.all_networks().any(|(_, one)| names.contains(&one.spec.name));
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

/// By name, or by the beginning of its id: on each node that has it.
pub(crate) fn find<'a>(seen: &'a Nodes, name: &str) -> Vec<(&'a NodeName, &'a ObservedNetwork)> {
    let begins =
        |network: &ObservedNetwork| name.len() >= 4 && id_of(&network.spec.name).starts_with(name);
    let by_id = || seen.all_networks().find(|(_, network)| begins(network));
    let full = match seen.network(name).or_else(by_id) {
        Some((_, network)) => &network.spec.name,
        None => return vec![],
    };
    seen.all_networks().filter(|(_, network)| network.spec.name == *full).collect()
}

fn free(node: &NodeName, network: &ObservedNetwork, seen: &Nodes) -> Result<NetworkSpec, Refusal> {
    match users(node, network, seen).first() {
        None => Ok(network.spec.clone()),
        Some(user) => {
            let name = &network.spec.name;
            Err(Refusal::conflict(format!("network {name} is in use by container {user}"))
                .hint(format!("remove the container first: `keel rm {user}`")))
        }
    }
}

/// The containers of a node that are in this network of it.
pub(crate) fn users(node: &NodeName, network: &ObservedNetwork, seen: &Nodes) -> Vec<String> {
    let names = listed_names(seen);
    let joins = |task: &&keel_engine::ObservedTask| {
        task.spec.networks.iter().any(|joined| joined.network == network.spec.name)
    };
    let there = seen.placed_tasks().filter(|(on, _)| *on == node).map(|(_, task)| task);
    there.filter(joins).map(|task| names[&task.id].clone()).collect()
}

fn row(node: &NodeName, network: &ObservedNetwork, seen: &Nodes) -> NetworkRow {
    let pool = network.pools.first();
    let gateway = pool.and_then(|pool| pool.gateway);
    NetworkRow {
        id: id_of(&network.spec.name),
        name: network.spec.name.clone(),
        driver: network.spec.driver_name().to_owned(),
        scope: "local".to_owned(),
        subnet: pool.map(|pool| pool.subnet.to_string()).unwrap_or_default(),
        gateway: gateway.map(|gateway| gateway.to_string()).unwrap_or_default(),
        internal: network.spec.internal,
        created: rfc3339(network.created),
        node: node.to_string(),
        labels: network.spec.labels.clone(),
        containers: users(node, network, seen),
    }
}
