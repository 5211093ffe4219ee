//! `sync`, `suspend`, `resume`, `confirm`: how a person leads and holds the loops.

use super::converge::{Stay, lines};
use super::drift::differing;
use crate::ask::{Outcome, Progress, Refusal};
use crate::cause::Cause;
use crate::controller::{Controller, Lines};
use crate::history::Arrival;
use crate::record::SourceProblem;
use crate::refresh::{Why, refresh};
use crate::repos::RepoError;
use crate::rows::{RepoAnswer, RepoAsk, SuspendAsk, SyncAsk};
use crate::source::Ancestry;
use crate::store::Keep;
use futures_util::future::try_join_all;
use keel_engine::StackName;
use keel_plan::Asked;
use keel_plan::desired::Owner;
use keel_plan::standing::Suspended;
use std::collections::BTreeSet;
use std::time::Duration;
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
        let before = self.stacks_of(&ask.targets).await?;
        let names = self.sources_of(&ask.targets).await?;
        // At once: one that does not answer holds up no other.
        let rereading = names.iter().map(|name| self.reread_for(name, &ask, &before, lines));
        let mut notes: Vec<_> = try_join_all(rereading).await?.concat();
        if ask.revision.is_some() && !notes.is_empty() {
            // What is there is not what was asked for.
            return Ok((Outcome::Failed, notes));
        }
        let mut outcome = if notes.is_empty() { Outcome::Done } else { Outcome::Failed };
        let stacks = self.stacks_of(&ask.targets).await?;
        self.suspect_those(&stacks).await?;
        for stack in stacks {
            if ask.retry {
                self.try_again(&stack, &ask.by).await?;
            }
            let stay = if ask.wait { Stay::Images } else { Stay::of(ask.detach) };
            let asked = Asked {
                resolve: true,
                pull: ask.pull,
                take_over: ask.take_over,
                ..Asked::default()
            };
            let (one, said) = self.drive_on(&stack, asked, stay, lines).await?;
            outcome = worse(outcome, one);
            notes.extend(said);
        }
        Ok((outcome, notes))
    }

    /// What drifted is put right, too. One close look at everything costs less than one at each of many stacks,
    /// and finds out which of them are worth another.
    async fn suspect_those(&self, stacks: &[StackName]) -> Result<(), Refusal> {
        let most = 2 * stacks.len() > self.records().stacks().await?.len();
        let differing = match stacks.len() > 1 && most {
            true => differing(self).await.ok(),
            false => None,
        };
        let suspected =
            |stack: &&StackName| differing.as_ref().is_none_or(|found| found.contains(*stack));
        stacks.iter().filter(suspected).for_each(|stack| self.suspect(stack));
        Ok(())
    }

    /// Refreshes one source; what keeps it from what was asked.
    async fn reread_for(
        &self,
        name: &str,
        ask: &SyncAsk,
        stacks: &[StackName],
        lines: &mpsc::Sender<Progress>,
    ) -> Result<Vec<String>, Refusal> {
        let Some(source) = self.configured().get(name).cloned() else { return Ok(vec![]) };
        let step = |what: &str, failed: bool, detail: Option<String>| Progress::Step {
            subject: format!("Source {name}"),
            what: what.to_owned(),
            failed,
            detail,
        };
        // Who does not listen any more is noticed with the stacks.
        let _ = lines.send(step("Fetching", false, None)).await;
        let why = Why { cause: cause(ask), take_over: ask.take_over };
        refresh(name, &source, &why, self).await;
        let record = self.records().source(name).await?;
        let failed = record.trouble.is_some();
        let at = keel_engine::short(&record.revision).to_owned();
        let word = if failed { "Error" } else { "Fetched" };
        let _ = lines.send(step(word, failed, (!failed).then_some(at))).await;
        let whole = ask.targets.is_empty() || ask.targets.iter().any(|target| target == name);
        let concerns = |problem: &&SourceProblem| whole || problem.concerns(stacks);
        let mut notes: Vec<_> = record.trouble.iter().map(ToString::to_string).collect();
        notes.extend(record.problems.iter().filter(concerns).map(|problem| problem.text.clone()));
        let held = record.held.as_ref();
        notes.extend(held.map(|held| format!("held until `keel confirm {name}`: {}", held.why)));
        if let Some(asked) = ask.revision.as_deref().filter(|_| !failed)
            && source.knows(asked, &record.revision).await == Ancestry::Unknown
        {
            let at = keel_engine::short(&record.revision);
            let location = source.location();
            notes.push(format!(
                "source {name} is at {at}, which does not hold {asked} ({location})"
            ));
        }
        Ok(notes)
    }

    /// Makes a repository of our own, and follows it from now on.
    pub async fn create_repo(&self, ask: RepoAsk) -> Result<RepoAnswer, Refusal> {
        if self.configured().contains_key(&ask.name) {
            return Err(Refusal::conflict(format!("source {} already exists", ask.name)));
        }
        let (repos, wish) = (self.settings().repos.clone(), ask.clone());
        let made = keel_blocking::run(move || {
            let path = repos.create(&wish.name, &wish.branch, &wish.paths)?;
            Ok((path, repos.source(&wish.name)))
        });
        let (path, source) = made.await.map_err(|error| match error {
            RepoError::Exists(_) => Refusal::conflict(error.to_string()),
            RepoError::Name(_) => Refusal::invalid(error.to_string()),
            RepoError::Make { .. } => Refusal::failed(&error),
        })?;
        let source = source.filter(|_| self.serves());
        // Nothing is in it yet, so the first look is that after the first push.
        let served = source.is_some_and(|source| self.add_source(source));
        Ok(RepoAnswer { path: path.display().to_string(), served })
    }

    /// What is known bad gets another try, as a revision that is new.
    async fn try_again(&self, stack: &StackName, by: &str) -> Result<(), Refusal> {
        let Some(desired) = self.records().desired(stack).await? else { return Ok(()) };
        let forget = |standing: &mut keel_plan::standing::Standing| {
            if standing.bad.remove(&desired.hash).is_some() {
                (standing.tried, standing.retry) = (None, true);
            }
            standing.tried.is_none()
        };
        if self.records().change_standing(stack, Keep::OnDisk, forget).await? {
            // It is not as it came that this try begins.
            let before = self.records().arrival(stack).await?;
            let cause =
                Cause::Command { command: "keel sync --retry".to_owned(), by: by.to_owned() };
            let (cause, revision) = (cause.to_string(), desired.revision.clone());
            let (author, subject) = (before.author.clone(), before.subject.clone());
            let again = Arrival { revision, author, subject, cause, ..Arrival::default() };
            self.records().put_arrival(stack, &again).await?;
        }
        Ok(())
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
        self.records().change_standing(&ask.stack, Keep::ForNow, hold).await?;
        self.stacks().hint(ask.stack);
        Ok(())
    }

    /// Ends a suspension, also of a stack that `down` took away, and a rollback.
    pub async fn resume(&self, stack: &StackName) -> Result<(), Refusal> {
        self.known(stack).await?;
        let go_on = |standing: &mut keel_plan::standing::Standing| {
            (standing.suspended, standing.removed, standing.pinned) = (None, None, None);
        };
        self.records().change_standing(stack, Keep::OnDisk, go_on).await?;
        self.stacks().hint(stack.clone());
        // Whether its source still names it is for the source to say.
        if let Some(Owner::Source { name, .. }) = self.records().owner(stack).await? {
            self.hint_source_in(&name, command("keel resume"), Duration::ZERO);
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
            return Err(Refusal::conflict(format!("source {source} has no revision to confirm")));
        }
        self.hint_source_in(source, command("keel confirm"), Duration::ZERO);
        Ok(())
    }

    /// Reads a source anew soon, because a webhook says so. Needs `serve`.
    pub fn hint_source(&self, source: &str) -> Result<(), Refusal> {
        self.configured_source(source, "keel sync")?;
        self.hint_source_in(source, Cause::Webhook, Duration::ZERO);
        Ok(())
    }

    fn configured_source(&self, name: &str, command: &str) -> Result<(), Refusal> {
        if !self.serves() {
            return Err(Refusal::needs_daemon(command));
        }
        if self.configured().contains_key(name) {
            return Ok(());
        }
        let configured = self.configured();
        let names: Vec<_> = configured.keys().map(String::as_str).collect();
        Err(Refusal::not_found(format!("no such source: {name}"))
            .hint(format!("the sources are: {}", names.join(", "))))
    }

    async fn known(&self, stack: &StackName) -> Result<(), Refusal> {
        if self.records().stacks().await?.contains(stack) {
            return Ok(());
        }
        Err(super::converge::unknown_stack(stack))
    }
}

fn cause(ask: &SyncAsk) -> Cause {
    let by = ask.by.clone();
    match ask.pushed {
        true => Cause::Push { by },
        false => Cause::Command { command: "keel sync".to_owned(), by },
    }
}

fn command(command: &str) -> Cause {
    Cause::Command { command: command.to_owned(), by: String::new() }
}

fn worse(one: Outcome, other: Outcome) -> Outcome {
    match (one, other) {
        (Outcome::TakenOver, _) | (_, Outcome::TakenOver) => Outcome::TakenOver,
        (Outcome::Failed, _) | (_, Outcome::Failed) => Outcome::Failed,
        (Outcome::Unhealthy, _) | (_, Outcome::Unhealthy) => Outcome::Unhealthy,
        (Outcome::Done, Outcome::Done) => Outcome::Done,
    }
}
