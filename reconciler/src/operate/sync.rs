//! `sync`, `suspend`, `resume`, `confirm`: how a person leads and holds the loops.

use super::converge::lines;
use crate::ask::{Outcome, Progress, Refusal};
use crate::controller::{Controller, Lines};
use crate::refresh::refresh;
use crate::rows::{SuspendAsk, SyncAsk};
use keel_engine::StackName;
use keel_plan::Asked;
use keel_plan::desired::Owner;
use keel_plan::standing::Suspended;
use std::collections::BTreeSet;
use tokio::sync::mpsc;

impl Controller {
    /// Reads the sources anew, then converges what they name. Needs `serve`.
    pub fn sync(&self, ask: SyncAsk) -> Lines<Progress> {
        let controller = self.clone();
        lines(move |lines| async move { controller.synced(ask, &lines).await })
    }

    async fn synced(
        &self,
        ask: SyncAsk,
        lines: &mpsc::Sender<Progress>,
    ) -> Result<(Outcome, Vec<String>), Refusal> {
        if !self.serves() {
            return Err(Refusal::needs_daemon("keel sync"));
        }
        let mut notes = Vec::new();
        for name in self.sources_of(&ask.targets).await? {
            refresh(&name, &self.configured()[&name], ask.take_over, self).await;
            let record = self.records().source(&name).await?;
            notes.extend(record.trouble.into_iter().chain(record.problems));
            notes.extend(
                record.held.map(|held| format!("held until `keel confirm {name}`: {}", held.why)),
            );
        }
        let mut outcome = if notes.is_empty() { Outcome::Done } else { Outcome::Failed };
        for stack in self.stacks_of(&ask.targets).await? {
            if ask.retry {
                self.try_again(&stack).await?;
            }
            let asked = Asked { resolve: true, take_over: ask.take_over, ..Asked::default() };
            let (one, said) = self.drive(&stack, asked, ask.detach, lines).await?;
            outcome = worse(outcome, one);
            notes.extend(said);
        }
        Ok((outcome, notes))
    }

    /// What is known bad gets another try, as a revision that is new.
    async fn try_again(&self, stack: &StackName) -> Result<(), Refusal> {
        let Some(desired) = self.records().desired(stack).await? else { return Ok(()) };
        let forget = |standing: &mut keel_plan::standing::Standing| {
            if standing.bad.remove(&desired.hash).is_some() {
                standing.tried = None;
            }
        };
        Ok(self.records().change_standing(stack, forget).await?)
    }

    /// Sources that the targets name, directly or by one of their stacks.
    async fn sources_of(&self, targets: &[String]) -> Result<BTreeSet<String>, Refusal> {
        if targets.is_empty() {
            return Ok(self.configured().keys().cloned().collect());
        }
        let mut names = BTreeSet::new();
        for target in targets {
            if self.configured().contains_key(target) {
                names.insert(target.clone());
            } else if let Some(Owner::Source { name, .. }) = self.owner_of(target).await?
                && self.configured().contains_key(&name)
            {
                names.insert(name);
            }
        }
        Ok(names)
    }

    async fn owner_of(&self, target: &str) -> Result<Option<Owner>, Refusal> {
        let unknown = || Refusal::not_found(format!("no such stack or source: {target}"));
        let stack = StackName::new(target).map_err(|_| unknown())?;
        self.records().owner(&stack).await?.map(Some).ok_or_else(unknown)
    }

    /// Stacks that the targets name, directly or by their source.
    async fn stacks_of(&self, targets: &[String]) -> Result<Vec<StackName>, Refusal> {
        let mut stacks = Vec::new();
        for stack in self.records().stacks().await? {
            let source = match self.records().owner(&stack).await? {
                Some(Owner::Source { name, .. }) => name,
                _ => String::new(),
            };
            let named = |target: &String| *target == stack.as_str() || *target == source;
            if targets.is_empty() || targets.iter().any(named) {
                stacks.push(stack);
            }
        }
        Ok(stacks)
    }

    /// Holds a stack off: no pass changes it until [`resume`](Self::resume).
    pub async fn suspend(&self, ask: SuspendAsk) -> Result<(), Refusal> {
        self.known(&ask.stack).await?;
        let since = self.now();
        let hold = |standing: &mut keel_plan::standing::Standing| {
            let (by, reason) = (ask.by.clone(), ask.reason.clone());
            standing.suspended = Some(Suspended { by, since, reason });
        };
        self.records().change_standing(&ask.stack, hold).await?;
        self.stacks().hint(ask.stack);
        Ok(())
    }

    /// Ends a suspension, also of a stack that `down` took away, and a rollback.
    pub async fn resume(&self, stack: &StackName) -> Result<(), Refusal> {
        self.known(stack).await?;
        let go_on = |standing: &mut keel_plan::standing::Standing| {
            (standing.suspended, standing.removed, standing.pinned) = (None, None, None);
        };
        self.records().change_standing(stack, go_on).await?;
        self.stacks().hint(stack.clone());
        // Whether its source still names it is for the source to say.
        if let Some(Owner::Source { name, .. }) = self.records().owner(stack).await? {
            self.hints().hint(name);
        }
        Ok(())
    }

    /// Lets a held revision of a source through. Needs `serve`.
    pub async fn confirm(&self, source: &str) -> Result<(), Refusal> {
        self.configured_source(source, "keel confirm")?;
        let let_through = |record: &mut crate::record::SourceRecord| {
            record.confirmed = record.held.as_ref().map(|held| held.revision.clone());
            record.confirmed.is_some()
        };
        if !self.records().change_source(source, let_through).await? {
            return Err(Refusal::conflict(format!("source {source} holds no revision back")));
        }
        self.hints().hint(source.to_owned());
        Ok(())
    }

    /// Reads a source (or all) anew soon; what a webhook does. Needs `serve`.
    pub fn hint_source(&self, source: Option<&str>) -> Result<(), Refusal> {
        if let Some(name) = source {
            self.configured_source(name, "keel sync")?;
        }
        let named = |name: &&String| source.is_none_or(|source| source == name.as_str());
        for name in self.configured().keys().filter(named) {
            self.hints().hint(name.clone());
        }
        Ok(())
    }

    fn configured_source(&self, name: &str, command: &str) -> Result<(), Refusal> {
        if !self.serves() {
            return Err(Refusal::needs_daemon(command));
        }
        if self.configured().contains_key(name) {
            return Ok(());
        }
        let names: Vec<_> = self.configured().keys().map(String::as_str).collect();
        Err(Refusal::not_found(format!("no such source: {name}"))
            .hint(format!("there is {}", names.join(", "))))
    }

    async fn known(&self, stack: &StackName) -> Result<(), Refusal> {
        if self.records().stacks().await?.contains(stack) {
            return Ok(());
        }
        Err(super::converge::unknown_stack(stack))
    }
}

fn worse(one: Outcome, other: Outcome) -> Outcome {
    match (one, other) {
        (Outcome::TakenOver, _) | (_, Outcome::TakenOver) => Outcome::TakenOver,
        (Outcome::Failed, _) | (_, Outcome::Failed) => Outcome::Failed,
        (Outcome::Unhealthy, _) | (_, Outcome::Unhealthy) => Outcome::Unhealthy,
        (Outcome::Done, Outcome::Done) => Outcome::Done,
    }
}
