//! `keel run SERVICE`: a command in a container as a service of the current folder's stack has them,
//! as with `docker compose run`.
//!
//! # Invariants
//! - The container is none of the stack's: no pass looks at it, and no name leads to it.
//! - What it depends on runs before it, and its networks and volumes are the stack's own.

use super::ask::{Args, WHO, asked, caller_of};
use crate::args::Files;
use crate::cmd::up::converge;
use crate::connect::Connection;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::load::{self, Asked};
use crate::oneoff;
use crate::subject;
use keel_api::Client;
use keel_engine::{NetworkMode, StackName, TaskSpec};
use keel_plan::desired::{Desired, DesiredService};
use keel_reconciler::ask::{ConvergeAsk, PlanTarget, RunAsk, Submission};
use keel_reconciler::rows::{NetworkAsk, VolumeAsk};
use std::collections::BTreeSet;

/// A service, with its stack.
pub struct Service {
    name: String,
    submission: Submission,
}

impl Service {
    /// The service that the first word means; `None`: it is an image.
    pub fn meant(word: &str, context: &Context) -> Result<Option<Self>> {
        let files = &context.files;
        let can_be = !word.contains(['/', ':', '@', '.']);
        let here = || load::service_here(context, files, word).is_some();
        if !files.is_empty() || (can_be && here()) {
            let asked = Asked { path: ".".into(), files: Files::clone(files) };
            let (name, submission) = (word.to_owned(), load::one(context, &asked)?);
            return Ok(Some(Self { name, submission }));
        }
        Ok(None)
    }

    fn desired(&self) -> Result<&DesiredService> {
        let Desired { stack, services, .. } = &self.submission.desired;
        let service = services.get(&self.name).ok_or_else(|| {
            let names: Vec<_> = services.keys().map(String::as_str).collect();
            Failure::new(format!("stack {stack} has no service `{}`", self.name))
                .hint(format!("it has {}", names.join(", ")))
        })?;
        match service.held.first() {
            None => Ok(service),
            Some(held) => Err(Failure::new(format!(
                "service {} cannot run: `{}`: {}",
                self.name, held.field, held.why
            ))),
        }
    }

    /// What is to be run, once all that it needs is there.
    pub async fn ask(
        &self,
        args: &Args,
        connection: &mut Connection,
        context: &Context,
    ) -> Result<RunAsk> {
        let service = self.desired()?;
        let caller = caller_of(args)?;
        let command = &args.image[1..];
        let mut spec = oneoff::over(&service.spec, &args.flags, command, &caller.as_caller())?;
        let needs: BTreeSet<_> = service
            .depends_on
            .iter()
            .filter(|other| other.required)
            .map(|other| other.service.clone())
            .collect();
        if !needs.is_empty() && !args.no_deps {
            self.start(needs, connection, context).await?;
        }
        self.make_resources(&spec, &connection.client).await?;
        let stack = &self.submission.desired.stack;
        if let NetworkMode::Service(other) = &spec.network_mode {
            let tasks = subject::tasks(&connection.client, &format!("{stack}/{other}")).await?;
            let joined = tasks.first().map(|task| task.id.as_str().to_owned());
            spec.network_mode = NetworkMode::Container(joined.unwrap_or_default());
        }
        let name = args.name.clone().unwrap_or_else(|| self.made_up(stack));
        Ok(asked(args, spec, name, self.submission.contents.clone()))
    }

    /// As docker compose names them.
    fn made_up(&self, stack: &StackName) -> String {
        let seed = format!("{} {:?}", std::process::id(), std::time::SystemTime::now());
        let id = keel_engine::TaskId::from_seed(&seed);
        format!("{stack}-{}-run-{}", self.name, id.short())
    }

    async fn start(
        &self,
        services: BTreeSet<String>,
        connection: &mut Connection,
        context: &Context,
    ) -> Result<()> {
        let ask = ConvergeAsk {
            target: PlanTarget::Submitted(Box::new(self.submission.clone())),
            take_over: false,
            resolve: false,
            pull: false,
            recreate: false,
            services: services.into_iter().collect(),
            detach: false,
            keep_stopped: false,
        };
        match converge(connection, context, WHO, ask).await? {
            Exit::Done => Ok(()),
            _ => Err(Failure::new(format!("what service {} depends on does not run", self.name))
                .hint("`--no-deps` runs it without")),
        }
    }

    /// The stack's networks and volumes that it uses, where they are not there yet: as the stack has
    /// them, so that they are its own from then on.
    async fn make_resources(&self, spec: &TaskSpec, client: &Client) -> Result<()> {
        let Desired { networks, volumes, .. } = &self.submission.desired;
        let there: BTreeSet<_> =
            client.networks().await?.into_iter().map(|network| network.name).collect();
        let used = spec.networks.iter().map(|attachment| &attachment.network);
        for network in
            used.filter(|name| !there.contains(*name)).filter_map(|name| networks.get(name))
        {
            if !network.external {
                client.create_network(&NetworkAsk { spec: network.spec.clone() }).await?;
            }
        }
        let there: BTreeSet<_> =
            client.volumes().await?.into_iter().map(|volume| volume.name).collect();
        let used = spec.volumes.iter().filter_map(|mount| match &mount.source {
            keel_engine::MountSource::Volume { name, .. } => Some(name),
            _ => None,
        });
        for volume in
            used.filter(|name| !there.contains(*name)).filter_map(|name| volumes.get(name))
        {
            if !volume.external {
                client.create_volume(&VolumeAsk { spec: volume.spec.clone() }).await?;
            }
        }
        Ok(())
    }
}
