//! What a node reports. Times are milliseconds since the Unix epoch.

use crate::{
    AddressPool, Digest, Disk, Failure, Finding, Goal, HostFacts, NetworkSpec, NodeName, Opaque,
    Place, Protocol, Slot, StackName, TaskId, TaskSpec, VolumeSpec, stored_failure, stored_pools,
};
use keel_names::address::stored_address;
use serde::{Deserialize, Deserializer, Serialize};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// How closely to look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Depth {
    /// What the tasks' own records say, and whether their processes live.
    State,
    /// Also every field that can be read back from the kernel or disk.
    Fields,
    /// The same of one stack's tasks and networks; of the others only their state.
    FieldsOf(StackName),
}

impl Depth {
    /// Whether the fields of a task at this place are read.
    #[must_use]
    pub fn is_close(&self, place: &Place) -> bool {
        match self {
            Self::State => false,
            Self::Fields => true,
            Self::FieldsOf(stack) => place.slot().is_some_and(|slot| slot.stack == *stack),
        }
    }
}

/// All that exists on one node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Observation {
    /// The node's name.
    pub node: NodeName,
    /// When it looked.
    pub at: u64,
    /// Goes up whenever one of these tasks, networks, volumes, images or facts about the host changed: whoever has an observation of
    /// this version and depth has nothing new to see in them. Starts anew with the node's engine.
    pub version: u64,
    /// Tasks, ordered by id.
    pub tasks: Vec<Arc<ObservedTask>>,
    /// Networks, ordered by name.
    pub networks: Vec<Arc<ObservedNetwork>>,
    /// Volumes, ordered by name.
    pub volumes: Vec<Arc<ObservedVolume>>,
    /// Images, ordered by reference.
    pub images: Vec<Arc<ObservedImage>>,
    /// What the machine is. An older node does not say.
    pub host: Arc<HostFacts>,
    /// The disk that all of it is on, where that can be told.
    pub disk: Option<Disk>,
    /// Containers of another engine on this host that belong to a Compose project.
    pub foreign: Vec<ForeignContainer>,
    /// What differs and belongs to no single task (a firewall rule, a bridge). Only at
    /// [`Depth::Fields`].
    pub findings: Vec<Finding>,
}

impl Observation {
    /// Every task.
    pub fn all_tasks(&self) -> impl Iterator<Item = &ObservedTask> + Clone {
        self.tasks.iter().map(|task| &**task)
    }

    /// Every image.
    pub fn all_images(&self) -> impl Iterator<Item = &ObservedImage> + Clone {
        self.images.iter().map(|image| &**image)
    }

    /// The task of this id.
    #[must_use]
    pub fn task(&self, id: &TaskId) -> Option<&ObservedTask> {
        self.all_tasks().find(|task| task.id == *id)
    }

    /// The tasks in a stack's slots.
    pub fn tasks_of<'a>(
        &'a self,
        stack: &'a StackName,
    ) -> impl Iterator<Item = (&'a Slot, &'a ObservedTask)> {
        let placed = self.all_tasks().filter_map(|task| Some((task.place.slot()?, task)));
        placed.filter(move |(slot, _)| slot.stack == *stack)
    }

    /// The network of this full name.
    #[must_use]
    pub fn network(&self, name: &str) -> Option<&ObservedNetwork> {
        self.networks.iter().map(|network| &**network).find(|network| network.spec.name == name)
    }

    /// The volume of this full name.
    #[must_use]
    pub fn volume(&self, name: &str) -> Option<&ObservedVolume> {
        self.volumes.iter().map(|volume| &**volume).find(|volume| volume.spec.name == name)
    }

    /// The image that is asked for by this reference, as it is written.
    #[must_use]
    pub fn image(&self, reference: &str) -> Option<&ObservedImage> {
        self.all_images().find(|image| image.reference == reference)
    }
}

/// Where a task is on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Assigned, nothing done yet.
    Pending,
    /// Image, network, volumes are being made ready.
    Preparing,
    /// All is there; no process (goal Ready).
    Ready,
    /// The process runs.
    Running,
    /// It ended and will run again.
    Backoff,
    /// It is being taken out of service, then stopped.
    Draining,
    /// It ended and will not run again by itself.
    Exited,
    /// It cannot become what was asked; [`ObservedTask::message`] says why.
    Rejected,
}

/// Why a process ended, where that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExitCause {
    /// It ended by itself, or crashed.
    Own,
    /// We stopped it.
    Stopped,
    /// The kernel ran out of its memory limit.
    OutOfMemory,
    /// SIGKILL, SIGTERM, SIGINT, SIGQUIT or SIGHUP from somebody else.
    KilledFromOutside,
    /// The machine went down.
    Interrupted,
    /// Its supervisor was gone; nobody saw how.
    Unknown,
}

/// What a task's check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// It has no check.
    #[default]
    None,
    /// Not known yet.
    Starting,
    /// Well.
    Healthy,
    /// Not well.
    Unhealthy,
}

/// One task, as its node sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObservedTask {
    /// Its name.
    pub id: TaskId,
    /// Where it belongs.
    pub place: Place,
    /// The generation that it was last assigned.
    pub generation: u64,
    /// Its goal.
    pub goal: Goal,
    /// What was applied: as assigned, with what was changed in place since.
    pub spec: Arc<TaskSpec>,
    /// The image's manifest digest, once it is known.
    pub digest: Option<Digest>,
    /// Whose network namespace it shares.
    #[serde(default)]
    pub joins: Option<TaskId>,
    /// The task that it joins has another network namespace by now: nothing leads out of its own.
    #[serde(default)]
    pub apart: bool,
    /// The revision that it was assigned with.
    #[serde(default)]
    pub revision: String,
    /// As assigned.
    #[serde(default)]
    pub origins: Opaque,
    /// As assigned.
    #[serde(default)]
    pub auto_remove: bool,
    /// Where it is on its way.
    pub phase: Phase,
    /// What failed last, why it was rejected, or what was left out.
    #[serde(flatten, with = "stored_failure")]
    pub message: Option<Failure>,
    /// Attempts at preparing it that failed in a row.
    #[serde(default)]
    pub attempts: u32,
    /// Process 1, as the host sees it.
    #[serde(default)]
    pub pid: Option<u32>,
    /// When it was assigned first.
    pub created: u64,
    /// When the last run began.
    #[serde(default)]
    pub started: Option<u64>,
    /// When the last run ended, if none goes on.
    #[serde(default)]
    pub finished: Option<u64>,
    /// How the last run ended: 128 + signal where a signal ended it.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// Why it ended.
    #[serde(default)]
    pub exit_cause: Option<ExitCause>,
    /// Runs beyond the first, by the restart policy, within this generation.
    #[serde(default)]
    pub restarts: u32,
    /// What its check says.
    #[serde(default)]
    pub health: Health,
    /// Since when.
    #[serde(default)]
    pub health_since: Option<u64>,
    /// Last lines of the check's output.
    #[serde(default)]
    pub health_output: Option<String>,
    /// The times that decide how long it may take to get healthy, image's defaults filled in:
    /// start period + retries × (interval + timeout), in milliseconds. `None` without a check.
    #[serde(default)]
    pub health_limit: Option<u64>,
    /// Its addresses, by network.
    #[serde(default)]
    pub addresses: Vec<(String, IpAddr)>,
    /// Its ports, as published.
    #[serde(default)]
    pub ports: Vec<PublishedPort>,
    /// What differs from what was applied. Only at [`Depth::Fields`].
    #[serde(default)]
    pub findings: Vec<Finding>,
}

/// A port, as the node published it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PublishedPort {
    /// Address of the host (`0.0.0.0` is all).
    #[serde(deserialize_with = "host_ip")]
    pub host_ip: IpAddr,
    /// Port on the host.
    pub published: u16,
    /// Port in the container.
    pub target: u16,
    /// Transport.
    pub protocol: Protocol,
}

/// Older records may have an empty text for all addresses.
fn host_ip<'de, D: Deserializer<'de>>(stored: D) -> Result<IpAddr, D::Error> {
    Ok(stored_address(stored)?.unwrap_or(Ipv4Addr::UNSPECIFIED.into()))
}

/// A network on the node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObservedNetwork {
    /// As it was asked for.
    pub spec: NetworkSpec,
    /// The addresses that it has; none until it is made.
    #[serde(flatten, with = "stored_pools")]
    pub pools: Vec<AddressPool>,
    /// The link of the host that stands for it, once it is made: its bridge, say.
    #[serde(default, rename = "bridge")]
    pub link: Option<String>,
    /// When it was made.
    pub created: u64,
    /// Tasks that are attached.
    #[serde(default)]
    pub tasks: Vec<TaskId>,
    /// Why it could not be made, or taken down.
    #[serde(flatten, with = "stored_failure")]
    pub message: Option<Failure>,
}

/// A volume on the node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObservedVolume {
    /// As it was asked for.
    pub spec: VolumeSpec,
    /// Where its data is.
    pub mountpoint: String,
    /// When it was made.
    pub created: u64,
    /// Tasks that mount it.
    #[serde(default)]
    pub tasks: Vec<TaskId>,
    /// It has no name of its own.
    #[serde(default)]
    pub anonymous: bool,
    /// Why it could not be made, or removed.
    #[serde(flatten, with = "stored_failure")]
    pub message: Option<Failure>,
}

/// An image on the node, or on its way.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObservedImage {
    /// As written by whoever asked.
    pub reference: String,
    /// Manifest digest; `None` while it is not there.
    pub digest: Option<Digest>,
    /// The config's digest: docker's image id.
    #[serde(default)]
    pub id: Option<Digest>,
    /// Bytes of its layers.
    #[serde(default)]
    pub size: u64,
    /// When it was built.
    #[serde(default)]
    pub created: Option<u64>,
    /// A pull is under way: bytes done and bytes in all.
    #[serde(default)]
    pub pulling: Option<(u64, u64)>,
    /// Why the last pull failed.
    #[serde(default)]
    pub failure: Option<Failure>,
    /// Pulls asked for and ended, well or not, since the engine started: tells a caller that the
    /// pull it asked for is over.
    #[serde(default)]
    pub pulls: u64,
    /// The image declares a health check.
    #[serde(default)]
    pub has_healthcheck: bool,
    /// Paths that the image declares as volumes.
    #[serde(default)]
    pub volumes: Vec<String>,
    /// What the image runs: its entrypoint.
    #[serde(default)]
    pub entrypoint: Vec<String>,
    /// The arguments of that entrypoint, or the whole command.
    #[serde(default)]
    pub command: Vec<String>,
}

/// A container of another engine on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignContainer {
    /// Its name.
    pub name: String,
    /// Its Compose project.
    pub project: String,
    /// Its Compose service.
    pub service: String,
    /// Host paths that it can write to.
    #[serde(default)]
    pub writes: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observations_of_an_older_version_are_read() {
        let read = |text: &str| serde_json::from_str::<ObservedNetwork>(text).unwrap();
        let made = read(
            r#"{"spec":{"name":"n","driver":"bridge"},"subnet":"172.20.0.0/20","gateway":"172.20.0.1","bridge":"kl3f9c2a-12ab34","created":1}"#,
        );
        let gateway = "172.20.0.1".parse().ok();
        assert_eq!(made.pools, [AddressPool { subnet: "172.20.0.0/20".parse().unwrap(), gateway }]);
        assert_eq!(made.link.as_deref(), Some("kl3f9c2a-12ab34"));
        let text = serde_json::to_string(&made).unwrap();
        assert_eq!(serde_json::from_str::<ObservedNetwork>(&text).unwrap(), made);
        let not_yet = read(
            r#"{"spec":{"name":"n","driver":"bridge"},"subnet":"","gateway":"","bridge":"kl3f9c2a-12ab34","created":1}"#,
        );
        assert_eq!(not_yet.pools, []);
    }

    #[test]
    fn a_published_port_is_on_all_addresses_unless_it_says_one() {
        for (stored, expected) in [("", "0.0.0.0"), ("0.0.0.0", "0.0.0.0"), ("[::]", "::")] {
            let text =
                format!(r#"{{"host_ip":"{stored}","published":1,"target":2,"protocol":"tcp"}}"#);
            let port: PublishedPort = serde_json::from_str(&text).unwrap();
            assert_eq!(port.host_ip.to_string(), expected, "{stored}");
        }
    }
}
