//! `ps`: containers, as docker lists them.

use super::resolve::listed_names;
use crate::ask::{ContainerRow, ContainerState, PortRow, Refusal};
use crate::clock::{rfc3339, roughly};
use crate::controller::Controller;
use crate::rows::PsAsk;
use keel_engine::{
    Depth, Health, NodeName, Nodes, ObservedImage, ObservedTask, Phase, Protocol, StackName,
};
use std::collections::{BTreeMap, BTreeSet};

impl Controller {
    /// Tasks of all nodes, newest first.
    pub async fn ps(&self, ask: PsAsk) -> Result<Vec<ContainerRow>, Refusal> {
        let seen = self.fleet().observe(Depth::State).await?;
        let mut rows = rows(&seen, &ask, self.now());
        self.tell_scales(&mut rows).await?;
        Ok(rows)
    }

    /// Says at each container of a service that its number was set by a person.
    async fn tell_scales(&self, rows: &mut [ContainerRow]) -> Result<(), Refusal> {
        let stacks: BTreeSet<String> = rows.iter().map(|row| row.stack.clone()).collect();
        for stack in stacks.iter().filter_map(|name| StackName::new(name.clone()).ok()) {
            let told = self.scales(&stack).await?;
            for row in rows.iter_mut().filter(|row| row.stack == stack.as_str()) {
                let of_service = format!("{} ", row.service);
                row.scaled = told.iter().find(|line| line.starts_with(&of_service)).cloned();
            }
        }
        Ok(())
    }
}

pub(crate) fn rows(seen: &Nodes, ask: &PsAsk, now: u64) -> Vec<ContainerRow> {
    let names = listed_names(seen);
    let mut tasks: Vec<_> = seen.placed_tasks().filter(|(_, task)| wanted(task, ask)).collect();
    tasks.sort_by(|(_, a), (_, b)| (b.created, &names[&a.id]).cmp(&(a.created, &names[&b.id])));
    let row = |(node, task): &(&NodeName, &ObservedTask)| {
        let row = row(task, &names[&task.id], &command(task, seen), node, now);
        if seen.silent(node).is_some() { unknown(row) } else { row }
    };
    tasks.iter().map(row).collect()
}

/// What it runs: the specification's words, else those of its image. As in docker, another
/// entrypoint leaves the image's arguments away.
fn command(task: &ObservedTask, seen: &Nodes) -> String {
    let mut images =
        seen.all_images().map(|(_, image)| image).filter(|image| image.digest == task.digest);
    let image = images.next().filter(|_| task.digest.is_some());
    let of_image = |words: fn(&ObservedImage) -> &[String]| image.map(words).unwrap_or_default();
    let spec = &task.spec;
    let (entrypoint, arguments) = match (&spec.entrypoint, &spec.command) {
        (Some(entrypoint), arguments) => (&**entrypoint, arguments.as_deref().unwrap_or_default()),
        (None, Some(arguments)) => (of_image(|image| &image.entrypoint), &**arguments),
        (None, None) => (of_image(|image| &image.entrypoint), of_image(|image| &image.command)),
    };
    [entrypoint, arguments].concat().join(" ")
}

/// One for each network, the first: of both families the IPv4 one.
fn addresses(task: &ObservedTask) -> BTreeMap<String, String> {
    let last_first = task.addresses.iter().rev();
    last_first.map(|(network, address)| (network.clone(), address.to_string())).collect()
}

fn wanted(task: &ObservedTask, ask: &PsAsk) -> bool {
    let slot = task.place.slot();
    let runs = matches!(task.phase, Phase::Running | Phase::Backoff | Phase::Draining);
    (ask.all || runs)
        && (ask.stacks.is_empty() || slot.is_some_and(|slot| ask.stacks.contains(&slot.stack)))
        && (ask.services.is_empty()
            || slot.is_some_and(|slot| ask.services.contains(&slot.service)))
}

fn row(task: &ObservedTask, name: &str, command: &str, node: &NodeName, now: u64) -> ContainerRow {
    let slot = task.place.slot();
    ContainerRow {
        id: task.id.as_str().to_owned(),
        name: name.to_owned(),
        stack: slot.map(|slot| slot.stack.to_string()).unwrap_or_default(),
        service: slot.map(|slot| slot.service.clone()).unwrap_or_default(),
        slot: slot.map(|slot| slot.slot.clone()).unwrap_or_default(),
        node: node.to_string(),
        image: task.spec.image.clone(),
        state: (&task.phase).into(),
        status: status(task, now),
        health: health(task.health).to_owned(),
        pid: task.pid,
        ports: ports(task),
        created: rfc3339(task.created),
        revision: task.revision.clone(),
        command: command.to_owned(),
        restarts: task.restarts,
        exit_code: task.exit_code,
        message: task.message.as_ref().map(ToString::to_string),
        addresses: addresses(task),
        scaled: None,
    }
}

/// The row of a task whose node does not answer: what it was last says nothing about what it is.
fn unknown(row: ContainerRow) -> ContainerRow {
    let message = format!("node {} does not answer", row.node);
    ContainerRow {
        state: ContainerState::Unknown,
        status: "Unknown".to_owned(),
        health: "none".to_owned(),
        pid: None,
        message: Some(message),
        ..row
    }
}

pub(crate) fn health(health: Health) -> &'static str {
    match health {
        Health::None => "none",
        Health::Starting => "starting",
        Health::Healthy => "healthy",
        Health::Unhealthy => "unhealthy",
    }
}

/// As docker words it.
fn status(task: &ObservedTask, now: u64) -> String {
    let age = |at: Option<u64>| roughly(now.saturating_sub(at.unwrap_or(now)) / 1000);
    let code = task.exit_code.unwrap_or(0);
    match task.phase {
        Phase::Running | Phase::Draining => {
            let check = match task.health {
                Health::None => "",
                Health::Starting => " (health: starting)",
                Health::Healthy => " (healthy)",
                Health::Unhealthy => " (unhealthy)",
            };
            format!("Up {}{check}", age(task.started))
        }
        Phase::Exited => format!("Exited ({code}) {} ago", age(task.finished)),
        Phase::Backoff => format!("Restarting ({code}) {} ago", age(task.finished)),
        Phase::Pending | Phase::Preparing | Phase::Ready => "Created".to_owned(),
        Phase::Rejected => "Dead".to_owned(),
    }
}

fn ports(task: &ObservedTask) -> Vec<PortRow> {
    let row = |port: &keel_engine::PublishedPort| PortRow {
        host_ip: port.host_ip.to_string(),
        published: port.published,
        target: port.target,
        protocol: protocol(port.protocol).to_owned(),
    };
    task.ports.iter().map(row).collect()
}

pub(crate) fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operate::samples::{observation, task};

    #[test]
    fn a_status_reads_as_dockers() {
        let mut one = task("web", "1", 'a', 0);
        let mut said = |change: &dyn Fn(&mut ObservedTask)| {
            change(&mut one);
            status(&one, 100_000)
        };
        assert_eq!(said(&|_| ()), "Up About a minute");
        assert_eq!(said(&|t| t.health = Health::Healthy), "Up About a minute (healthy)");
        assert_eq!(said(&|t| t.started = Some(97_000)), "Up 3 seconds (healthy)");
        let exited = said(&|t| {
            (t.phase, t.exit_code, t.finished) = (Phase::Exited, Some(1), Some(95_000));
        });
        assert_eq!(exited, "Exited (1) 5 seconds ago");
    }

    #[test]
    fn a_command_is_the_images_where_the_service_has_none() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let mut one = task("web", "1", 'a', 0);
        one.digest = Some(keel_engine::Digest::of(b"image"));
        let image = ObservedImage {
            digest: one.digest,
            entrypoint: words("/entry.sh"),
            command: words("nginx -g"),
            ..ObservedImage::default()
        };
        let images = vec![image.into()];
        let seen = Nodes::from(keel_engine::Observation { images, ..Default::default() });
        let mut said = |entrypoint: Option<&str>, command: Option<&str>| {
            let spec = std::sync::Arc::make_mut(&mut one.spec);
            (spec.entrypoint, spec.command) = (entrypoint.map(words), command.map(words));
            super::command(&one, &seen)
        };
        assert_eq!(said(None, None), "/entry.sh nginx -g");
        assert_eq!(said(None, Some("sh")), "/entry.sh sh");
        assert_eq!(said(Some("sh"), None), "sh");
        assert_eq!(said(Some("sh"), Some("-c x")), "sh -c x");
    }

    #[test]
    fn what_does_not_run_is_listed_only_when_asked_for() {
        let mut done = task("job", "1", 'b', 2);
        done.phase = Phase::Exited;
        let seen = observation([task("web", "1", 'a', 1), done]);
        let names = |all| {
            let ask = PsAsk { all, ..PsAsk::default() };
            rows(&seen, &ask, 0).into_iter().map(|row| row.name).collect::<Vec<_>>()
        };
        assert_eq!(names(false), ["hello-web-1"]);
        assert_eq!(names(true), ["hello-job-1", "hello-web-1"]);
    }
}
