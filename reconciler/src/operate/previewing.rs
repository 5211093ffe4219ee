//! `plan` and `render --diff` of what has not been pushed: what a source's next revision would do.
//!
//! # Invariants
//! - Nothing is stored, and no pass hears of it.
//! - The tree is loaded, guarded and claimed as a refresh would, so that both say the same.

use super::converge::unknown_stack;
use crate::accept::{Match, compared, owned};
use crate::ask::{Refusal, StackPlan, VerdictRow};
use crate::controller::Controller;
use crate::guard::too_much_gone;
use crate::load::{LoadedStack, refuse_twins, warn_of_conflicts};
use crate::owners::{Claim, claim};
use crate::preview::{
    PreviewAnswer, PreviewAsk, PreviewOf, PreviewStack, ServedSource, StackChange,
};
use crate::record::SourceRecord;
use crate::refresh::names_of;
use crate::refusal::with_causes;
use crate::source::{Look, Snapshot, Source, SourceError, Wanted};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keel_engine::{Depth, Nodes, StackName};
use keel_plan::desired::{Desired, Owner};
use keel_plan::standing::{Removal, Standing};
use keel_plan::{Asked, Inputs};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is looked at, for as long as its files are needed.
enum Seen {
    Look(Box<Look>),
    Folder(Box<Snapshot>),
}

impl Seen {
    fn snapshot(&self) -> &Snapshot {
        match self {
            Self::Look(look) => &look.snapshot,
            Self::Folder(snapshot) => snapshot,
        }
    }
}

impl Controller {
    /// The sources that something can be previewed for.
    pub async fn served_sources(&self) -> Result<Vec<ServedSource>, Refusal> {
        let mut served = Vec::new();
        for (name, source) in self.known_sources() {
            let record = self.records().source(&name).await?;
            served.push(source.served(&name, record.revision.clone()));
        }
        Ok(served)
    }

    /// What a push of it would do.
    pub async fn preview(&self, ask: PreviewAsk) -> Result<PreviewAnswer, Refusal> {
        let name = match (&ask.source, &ask.stack) {
            (Some(name), _) => name.clone(),
            (None, Some(stack)) => self.source_of(stack).await?,
            (None, None) => return Err(Refusal::invalid("a preview is of a source or a stack")),
        };
        let source = self.known_sources().remove(&name).ok_or_else(|| self.not_known(&name))?;
        let _kept = self.protect_all().await; // what is checked out for the look stays
        let seen = seen(&source, &ask.of).await?;
        let (reader, seen) = (source.clone(), Arc::new(seen));
        let files = seen.clone();
        let mut stacks = keel_blocking::run(move || reader.read(files.snapshot())).await;
        refuse_twins(&mut stacks);
        warn_of_conflicts(&mut stacks);
        let record = self.records().source(&name).await?;
        let whole = Previewed { ask: &ask, name, source: &source, record: &record, stacks };
        let revision = seen.snapshot().revision.clone().unwrap_or_default();
        self.answered(whole, revision).await
    }

    async fn answered(
        &self,
        whole: Previewed<'_>,
        revision: String,
    ) -> Result<PreviewAnswer, Refusal> {
        let Previewed { ask, source, record, stacks, .. } = &whole;
        let folders = names_of(stacks, record);
        let named: BTreeSet<StackName> = folders.values().cloned().collect();
        let owned = owned(source, self).await?;
        let held = too_much_gone(&owned, &named)
            .map(|why| format!("it would be held until `keel confirm {}`: {why}", whole.name));
        let wrong = stacks.iter().any(|stack| !stack.errors.is_empty());
        let refused = (wrong && source.is_own()).then(|| {
            "its repository refuses a push with mistakes: nothing of it is taken".to_owned()
        });
        // As closely as whoever applies it will look.
        let nodes = self.fleet().observe(Depth::Fields).await?;
        let meant: Vec<_> = stacks.iter().filter(|stack| whole.is_meant(stack)).collect();
        let mut answers = Vec::new();
        for stack in &meant {
            let Some((desired, _)) = &stack.lowered else { continue };
            answers.push(self.coming(source, stack, desired, &nodes).await?);
        }
        let places: BTreeMap<_, _> = record.folders.iter().map(|(at, name)| (name, at)).collect();
        for gone in owned.difference(&named) {
            let place = places.get(gone).map_or("", |place| place.as_str());
            let only = ask.stack.as_ref().is_none_or(|only| only == gone);
            if only && is_below(place, &ask.below) {
                answers.push(self.going(gone, &nodes).await?);
            }
        }
        answers.sort_by(|one, other| one.plan.stack.cmp(&other.plan.stack));
        let lines = |of: fn(&LoadedStack) -> &Vec<String>| {
            meant.iter().flat_map(|stack| of(stack).clone()).collect()
        };
        Ok(PreviewAnswer {
            source: whole.name.clone(),
            revision,
            present: record.revision.clone(),
            notes: refused.into_iter().chain(held).collect(),
            errors: lines(|stack| &stack.errors),
            warnings: lines(|stack| &stack.warnings),
            stacks: answers,
        })
    }

    /// A stack that the revision has: as it would be stored, and what a pass would then do.
    async fn coming(
        &self,
        source: &Source,
        loaded: &LoadedStack,
        desired: &Desired,
        nodes: &Nodes,
    ) -> Result<PreviewStack, Refusal> {
        let stack = &desired.stack;
        let stored = self.desired(stack).await?;
        let mut standing = Standing::clone(&*self.records().standing(stack).await?);
        if standing.suspended.is_none() {
            standing.removed = None;
        }
        let on_record = stored.as_ref().map(|stored| &stored.owner);
        let owner = match claim(on_record, source.owner(), &loaded.dir, false) {
            Claim::Granted | Claim::Taken(_) => Some(source.owner().clone()),
            Claim::Refused(_) => on_record.cloned(),
        };
        let same = |stored: &&Desired| {
            stored.owner == desired.owner && compared(stored, desired) != Match::Different
        };
        let coming = stored.as_ref().filter(same).unwrap_or(desired);
        let inputs = Inputs {
            stack,
            desired: Some(coming),
            owner: owner.as_ref(),
            standing: &standing,
            nodes,
            pool: &self.fleet().pool(),
            asked: Asked::default(),
            now: self.now(),
        };
        let change = if stored.is_some() { StackChange::Kept } else { StackChange::Added };
        let mut plan = super::plans::stack_plan(&inputs);
        plan.change = Some(change);
        Ok(PreviewStack { plan, desired: Some(desired.clone()), stored })
    }

    /// A stack that the revision no longer names.
    async fn going(&self, stack: &StackName, nodes: &Nodes) -> Result<PreviewStack, Refusal> {
        let stored = self.desired(stack).await?;
        let mut standing = Standing::clone(&*self.records().standing(stack).await?);
        let policy = stored.as_ref().map(|stored| stored.policy.clone()).unwrap_or_default();
        let mut plan = match policy.prune {
            false => stays(stack, stored.as_ref()),
            true => {
                if standing.suspended.is_none() {
                    standing.removed = Some(Removal { volumes: policy.prune_volumes });
                }
                self.removal(stack, stored.as_ref(), &standing, nodes)
            }
        };
        plan.change = Some(StackChange::Removed);
        Ok(PreviewStack { plan, desired: None, stored })
    }

    fn removal(
        &self,
        stack: &StackName,
        desired: Option<&Desired>,
        standing: &Standing,
        nodes: &Nodes,
    ) -> StackPlan {
        super::plans::stack_plan(&Inputs {
            stack,
            desired,
            owner: desired.map(|desired| &desired.owner),
            standing,
            nodes,
            pool: &self.fleet().pool(),
            asked: Asked::default(),
            now: self.now(),
        })
    }

    async fn source_of(&self, stack: &StackName) -> Result<String, Refusal> {
        if self.known_sources().contains_key(stack.as_str())
            && !self.records().stacks().await?.contains(stack)
        {
            return Ok(stack.to_string());
        }
        match self.records().owner(stack).await? {
            Some(Owner::Source { name, .. }) => Ok(name),
            Some(Owner::Cli { path }) => Err(Refusal::conflict(format!(
                "stack {stack} has no revisions: it comes from {path}"
            ))
            .hint("only stacks of a source in Git have")),
            None => Err(unknown_stack(stack)),
        }
    }

    fn not_known(&self, name: &str) -> Refusal {
        let known = self.known_sources();
        let names: Vec<_> = known.keys().map(String::as_str).collect();
        let refusal = Refusal::not_found(format!("no such source: {name}"));
        match (self.serves(), names.as_slice()) {
            (false, _) => refusal.hint(
                "`keel serve` is not running, and keel.yaml does not name it: start `keel serve`",
            ),
            (true, []) => refusal,
            (true, names) => refusal.hint(format!("the sources are: {}", names.join(", "))),
        }
    }
}

/// One revision of one source, loaded.
struct Previewed<'a> {
    ask: &'a PreviewAsk,
    name: String,
    source: &'a Source,
    record: &'a SourceRecord,
    stacks: Vec<LoadedStack>,
}

impl Previewed<'_> {
    /// Whether it was asked for: by its name or its folder.
    fn is_meant(&self, stack: &LoadedStack) -> bool {
        let known = || self.record.folders.get(&stack.shown);
        let name = stack.name.as_ref().or_else(known);
        let whole = |only: &StackName| only.as_str() == self.name && name != Some(only);
        let only = self.ask.stack.as_ref();
        only.is_none_or(|only| name == Some(only) || whole(only))
            && is_below(&stack.shown, &self.ask.below)
    }
}

fn is_below(folder: &str, below: &str) -> bool {
    let rest = folder.strip_prefix(below);
    below.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

async fn seen(source: &Arc<Source>, of: &PreviewOf) -> Result<Seen, Refusal> {
    let no_revisions = || {
        Refusal::invalid("this source is a folder: it has no revisions")
            .hint("name a path in it, without `--revision`")
    };
    let wanted = match of {
        PreviewOf::Folder => {
            let folder = source.clone();
            let now = keel_blocking::run(move || folder.folder_now()).await;
            let now = now.map_err(|error| refused(&error))?.ok_or_else(no_revisions)?;
            return Ok(Seen::Folder(Box::new(now)));
        }
        PreviewOf::Revision(name) => Wanted::Revision(name.clone()),
        PreviewOf::Tree { commit, tree, pack } => {
            let pack = STANDARD.decode(pack).map_err(|_| Refusal::invalid("it is not a pack"))?;
            Wanted::Tree { commit: commit.clone(), tree: tree.clone(), pack }
        }
    };
    let look = source.look(wanted).await.map_err(|error| refused(&error))?;
    Ok(Seen::Look(Box::new(look.ok_or_else(no_revisions)?)))
}

fn refused(error: &SourceError) -> Refusal {
    let refusal = match error {
        SourceError::NoRevision { .. } => Refusal::not_found(with_causes(error)),
        _ => Refusal::failed(error),
    };
    match error.hint() {
        Some(hint) => refusal.hint(hint),
        None => refusal,
    }
}

/// Nothing is removed.
fn stays(stack: &StackName, stored: Option<&Desired>) -> StackPlan {
    let verdict = VerdictRow {
        node: String::new(),
        slot: None,
        resource: None,
        action: None,
        hold: Some("prune-off".to_owned()),
        reason: serde_json::json!("prune-off"),
        text: "hold: the revision does not name it any more, but `prune` is off".to_owned(),
    };
    let revision = stored.map(|stored| stored.revision.clone()).unwrap_or_default();
    let stack = stack.to_string();
    let (scaled, notes, verdicts) = (vec![], vec![], vec![verdict]);
    StackPlan { stack, revision, change: None, scaled, verdicts, notes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_holds_itself_and_what_is_below() {
        let cases = [
            ("stacks/a", "", true),
            ("stacks/a", "stacks", true),
            ("stacks/a", "stacks/a", true),
            ("stacks/ab", "stacks/a", false),
            ("stacks", "stacks/a", false),
            ("", "", true),
        ];
        for (folder, below, expected) in cases {
            assert_eq!(is_below(folder, below), expected, "{folder} {below}");
        }
    }
}
