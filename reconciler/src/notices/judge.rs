//! How a stack, a source and a commit are, seen from outside: pure.

use super::Way;
use super::about::{About, CauseKey, Tried, What, Why};
use super::deliveries::Fares;
use super::incident::{Cause, Seen};
use crate::advice::Advice;
use crate::ask::StatusRow;
use crate::operation::{Operation, OperationState};
use crate::record::{Commit, RefusedRevision, SourceRecord, SourceTrouble};
use keel_engine::{StackName, short};
use keel_plan::desired::{Desired, Owner};
use keel_plan::pace::FailureAction;
use keel_plan::standing::{KnownBad, Standing};
use keel_plan::status::Health;
use keel_plan::text;
use std::time::Duration;

/// A node that refuses is asked again at once.
const REFUSED: u64 = 15_000;
/// Once it has settled it has no excuse.
const UNWELL: u64 = 30_000;
/// While it comes back from a revision that failed.
const RETURNING: u64 = 120_000;
/// While a revision is rolled out: that has limits of its own.
const ROLLING: u64 = 15 * 60_000;
/// A rollout that only waits: for an image, a port, a job.
const STUCK: u64 = 30 * 60_000;
/// For coming back, before it is told that a revision failed.
const BACK: u64 = 30_000;
/// A server that is away for three polls is away; never sooner, never later than this.
const HICCUP: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(180));

/// All that is known of one stack.
pub(super) struct KnownStack<'a> {
    pub stack: &'a StackName,
    pub row: &'a StatusRow,
    pub desired: Option<&'a Desired>,
    pub standing: &'a Standing,
    pub operation: &'a Operation,
    pub source: &'a SourceRecord,
    pub host: &'a str,
}

/// How a source is that is looked at so often.
pub(super) fn of_source(name: &str, record: &SourceRecord, poll: Duration) -> Seen {
    let about = |what: What, reason: Why| About {
        source: name.to_owned(),
        what,
        reason,
        ..About::default()
    };
    let away = record.trouble.as_ref().map(|trouble| Cause {
        key: CauseKey::Away,
        patience: u64::try_from((poll * 3).clamp(HICCUP.0, HICCUP.1).as_millis()).unwrap_or(0),
        passing: true,
        about: About {
            since: record.failing,
            tried: Some(Tried::AsksAgain),
            commands: vec![Advice::Sources],
            ..about(What::Unreadable, Why::Told(own_words(trouble)))
        },
    });
    let held = record.held.as_ref().map(|held| Cause {
        key: CauseKey::Held { revision: held.revision.clone() },
        patience: 0,
        passing: false,
        about: About {
            revision: held.revision.clone(),
            since: record.fetched,
            tried: Some(Tried::KeptBefore),
            commands: vec![Advice::Confirm { source: name.to_owned() }],
            ..about(What::AwaitsConfirmation, Why::Told(held.why.clone()))
        },
    });
    let causes: Vec<_> = held.into_iter().chain(away).collect();
    let well = causes.is_empty();
    Seen { causes, well, now: about(What::Nothing, Why::Readable) }
}

/// Without what the message says anyway.
fn own_words(trouble: &SourceTrouble) -> String {
    let hint = trouble.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
    format!("{}{hint}", trouble.what)
}

impl KnownStack<'_> {
    pub fn seen(&self) -> Seen {
        let causes: Vec<_> = [self.refused(), self.bad(), self.unwell(), self.stuck()]
            .into_iter()
            .flatten()
            .collect();
        let settled =
            matches!(self.operation.state, OperationState::Succeeded | OperationState::Held);
        let pinned = self.standing.pinned.as_deref().map(|pinned| &pinned.desired);
        let followed = pinned.or(self.desired);
        let at = followed.is_some_and(|desired| self.was_passed(desired));
        let well = causes.is_empty() && settled && at && self.row.health == Health::Healthy;
        Seen { causes, well, now: self.now() }
    }

    fn now(&self) -> About {
        let revision = self.desired.map(|desired| desired.revision.clone()).unwrap_or_default();
        let mut about = self.about(&revision, What::Nothing);
        about.reason = match &self.standing.pinned {
            Some(pinned) => {
                let (revision, by) = (pinned.desired.revision.clone(), pinned.by.clone());
                Why::HealthyAt { revision, by }
            }
            None => Why::Healthy { revision },
        };
        about.commands = vec![];
        about
    }

    /// With whoever wrote this revision.
    fn about(&self, revision: &str, what: What) -> About {
        let trouble = self.row.trouble.clone().unwrap_or_default();
        let commit = self.source.commit.clone().filter(|commit| commit.revision == revision);
        let Commit { author, subject, .. } = commit.unwrap_or_else(|| {
            let mine = trouble.revision == revision && !revision.is_empty();
            let trouble = if mine { trouble.clone() } else { Default::default() };
            Commit { revision: trouble.revision, author: trouble.author, subject: trouble.subject }
        });
        About {
            source: self.row.source.clone(),
            what,
            revision: revision.to_owned(),
            author,
            subject,
            commands: trouble.advice,
            ..About::default()
        }
    }

    fn refusal(&self) -> Option<&RefusedRevision> {
        self.source.refused.get(self.stack)
    }

    /// The stack's files are wrong.
    fn refused(&self) -> Option<Cause> {
        let refused = self.refusal()?;
        let mut about = self.about(&refused.revision, What::Refused);
        about.reason = Why::Told(refused.why.clone());
        about.since = refused.since;
        about.tried = Some(match self.desired {
            Some(_) => Tried::KeptRunning,
            None => Tried::NothingRuns,
        });
        about.commands.retain(|advice| !matches!(advice, Advice::Logs { .. }));
        about.commands.push(self.see_status());
        let key = CauseKey::Refused { why: refused.why.clone() };
        Some(Cause { key, patience: 0, passing: false, about })
    }

    fn known_bad(&self) -> Option<&KnownBad> {
        let desired = self.desired.filter(|_| self.standing.pinned.is_none())?;
        self.standing.bad.get(&desired.hash)
    }

    /// What was good before, and is come back to.
    fn good(&self) -> Option<&str> {
        let (good, desired) = (self.standing.good_desired.as_deref()?, self.desired?);
        let rolls_back = self.standing.failure_action(desired) == FailureAction::Rollback;
        let back = good.hash != desired.hash && rolls_back;
        back.then_some(good.revision.as_str())
    }

    /// The revision failed. Until it is come back from that, it is not known how it stands.
    fn bad(&self) -> Option<Cause> {
        let bad = self.known_bad()?;
        let mut about = self.about(&bad.revision, What::Failed);
        about.reason = Why::Failure(bad.cause.clone());
        about.since = bad.at;
        let back = self.row.health == Health::Healthy;
        let action = self.desired.map(|desired| self.standing.failure_action(desired));
        about.tried = Some(match self.good() {
            None if action == Some(FailureAction::Continue) => Tried::GoesOn,
            None if action == Some(FailureAction::Pause) => Tried::LeftByPolicy,
            None => Tried::LeftAlone,
            Some(good) if back => Tried::RolledBack { revision: good.to_owned() },
            Some(good) => Tried::RollingBack { revision: good.to_owned() },
        });
        let patience = if back || self.good().is_none() { 0 } else { BACK };
        let hash = self.desired.map(|desired| desired.hash.to_string()).unwrap_or_default();
        Some(Cause { key: CauseKey::Bad { hash }, patience, passing: false, about })
    }

    /// It failed without its revision being to blame, or what runs is not well.
    fn unwell(&self) -> Option<Cause> {
        let bad = self.known_bad();
        if bad.is_some() && self.good().is_none() {
            return None;
        }
        let failed = self.operation.state == OperationState::Failed && bad.is_none();
        let unwell = matches!(self.row.health, Health::Degraded | Health::Missing);
        let (patience, reason) = match (failed, unwell) {
            (false, false) => return None,
            (true, _) => (REFUSED, Why::Operation(self.operation.reason.clone())),
            (false, true) => (self.patience(), self.first_note()),
        };
        if self.desired.is_none() || self.standing.suspended.is_some() {
            return None;
        }
        let mut about =
            self.about(&self.row.revision, if failed { What::Failed } else { What::Unwell });
        // It is about how it runs, not about its commit.
        about.revision = if failed { about.revision } else { String::new() };
        (about.reason, about.since) = (reason, self.operation.at);
        Some(Cause { key: CauseKey::Unwell, patience, passing: true, about })
    }

    /// A rollout waits for what is never its fault, and the old runs on meanwhile.
    fn stuck(&self) -> Option<Cause> {
        let rolling = self.operation.state == OperationState::Running;
        let desired = self.desired.filter(|_| rolling && self.standing.rollout.is_some())?;
        let mut about = self.about(&desired.revision, What::RollingOut);
        about.reason = Why::Operation(self.operation.reason.clone());
        about.since = self.standing.rollout.unwrap_or_default();
        about.commands = vec![self.see_status()];
        Some(Cause { key: CauseKey::Stuck, patience: STUCK, passing: true, about })
    }

    fn patience(&self) -> u64 {
        match (self.standing.rollout, self.known_bad()) {
            (Some(_), _) => ROLLING,
            (None, Some(_)) => RETURNING,
            (None, None) => UNWELL,
        }
    }

    /// Without what a health check printed: it may print anything.
    fn first_note(&self) -> Why {
        let note = self.row.noted.iter().find(|note| !note.is_about_revision());
        match note {
            Some(note) => Why::Note(Box::new(note.without_output())),
            None => Why::Operation(self.operation.reason.clone()),
        }
    }

    fn see_status(&self) -> Advice {
        Advice::Status { stack: Some(self.row.stack.clone()) }
    }

    /// How the newest commit of its source does.
    pub fn fares(&self) -> Option<Fares> {
        let (revision, way, words) = match self.refusal() {
            Some(refused) => {
                (refused.revision.clone(), Way::Failure, format!("refused: {}", refused.why))
            }
            None => {
                let desired =
                    self.desired.filter(|one| matches!(one.owner, Owner::Source { .. }))?;
                let (way, words) = self.way(desired);
                (self.commit_of(desired).to_owned(), way, words)
            }
        };
        let (source, stack) = (self.row.source.clone(), self.row.stack.clone());
        Some(Fares { source, stack, revision, way, words })
    }

    /// A commit that changes nothing of the stack leaves it at an earlier one, and fares like that.
    fn commit_of<'b>(&'b self, desired: &'b Desired) -> &'b str {
        let newest = &self.source.revision;
        let named = self.source.folders.values().any(|stack| stack == self.stack);
        if named && !newest.is_empty() && self.was_passed(desired) {
            return newest;
        }
        &desired.revision
    }

    /// A pass has seen this, or another revision of the same meaning.
    fn was_passed(&self, desired: &Desired) -> bool {
        self.operation.revision == desired.revision
            || self.standing.tried.as_ref() == Some(&desired.hash)
    }

    fn way(&self, desired: &Desired) -> (Way, String) {
        if let Some(bad) = self.standing.bad.get(&desired.hash) {
            let back = self.good().map(|good| format!("; rolled back to {}", short(good)));
            return (Way::Failure, {
                let cause = text::of_failure(&bad.cause);
                format!("{cause}{}", back.unwrap_or_default())
            });
        }
        if let Some(pinned) = &self.standing.pinned {
            let to = short(&pinned.desired.revision);
            return (Way::Pending, format!("held: rolled back to {to} by {}", pinned.by));
        }
        if let Some(held) = &self.standing.suspended {
            return (Way::Pending, format!("held: suspended by {}", held.by));
        }
        let (operation, host) = (self.operation, self.host);
        if !self.was_passed(desired) {
            return (Way::Pending, format!("rolling out on {host}"));
        }
        match operation.state {
            OperationState::Running => (Way::Pending, format!("rolling out on {host}")),
            OperationState::Succeeded if self.row.health == Health::Healthy => {
                (Way::Success, format!("healthy on {host}"))
            }
            // It was good: how it runs now is no news about the commit.
            OperationState::Succeeded => (Way::Success, format!("deployed on {host}")),
            OperationState::Held => (Way::Failure, format!("held: {}", operation.reason)),
            OperationState::Failed => (Way::Failure, operation.reason.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::OperationReason;
    use crate::record::HeldRevision;
    use crate::rows::TroubleRow;
    use keel_engine::{Slot, digest_of};
    use keel_plan::desired::Policy;
    use keel_plan::standing::Pinned;
    use keel_plan::status::Note;
    use keel_plan::why::FailureCause;

    fn desired(revision: &str) -> Desired {
        Desired {
            stack: StackName::new("shop").unwrap(),
            owner: Owner::Source { name: "home".into(), location: String::new() },
            revision: revision.into(),
            hash: digest_of(&revision),
            services: [].into(),
            networks: [].into(),
            volumes: [].into(),
            policy: Policy::default(),
            confined: false,
        }
    }

    /// The dull case, at revision r2 after r1, to be changed.
    struct World {
        row: StatusRow,
        desired: Desired,
        standing: Standing,
        operation: Operation,
        source: SourceRecord,
    }

    impl World {
        fn known<'a>(&'a self, stack: &'a StackName) -> KnownStack<'a> {
            KnownStack {
                stack,
                row: &self.row,
                desired: Some(&self.desired),
                standing: &self.standing,
                operation: &self.operation,
                source: &self.source,
                host: "host",
            }
        }
    }

    fn world(edit: impl FnOnce(&mut World)) -> World {
        let row = StatusRow {
            stack: "shop".into(),
            source: "home".into(),
            health: Health::Healthy,
            ..StatusRow::default()
        };
        let operation = Operation {
            revision: "r2".into(),
            state: OperationState::Succeeded,
            reason: OperationReason::Other("the reason".into()),
            at: 5,
        };
        let good_desired = Some(Box::new(desired("r1")));
        let standing = Standing { good_desired, ..Standing::default() };
        let source = SourceRecord::default();
        let mut world = World { row, desired: desired("r2"), standing, operation, source };
        edit(&mut world);
        world
    }

    fn fail(world: &mut World) {
        let bad = KnownBad {
            revision: "r2".into(),
            at: 7,
            cause: FailureCause::Other("it exits".into()),
            since: 6,
            action: None,
        };
        world.standing.bad.insert(world.desired.hash, bad);
        world.operation.state = OperationState::Failed;
    }

    fn refuse(world: &mut World) {
        let why = "compose.yaml:3:5: unknown key".to_owned();
        let refused = RefusedRevision { revision: "r3".into(), why, since: 8 };
        world.source.refused.insert(StackName::new("shop").unwrap(), refused);
        world.operation.state = OperationState::Failed;
    }

    fn pin(world: &mut World) {
        let pinned = Pinned {
            desired: desired("r1"),
            by: "ann@host".into(),
            since: 9,
            images: Default::default(),
        };
        world.standing.pinned = Some(Box::new(pinned));
        world.operation.revision = "r1".into();
        world.operation.state = OperationState::Succeeded;
    }

    fn told(world: &World) -> String {
        let stack = StackName::new("shop").unwrap();
        let known = world.known(&stack);
        let seen = known.seen();
        let cause = |cause: &Cause| {
            let About { what, revision, reason, tried, .. } = &cause.about;
            let tried = tried.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("{what} {revision} after {} s: {reason} ({tried})", cause.patience / 1_000)
        };
        let mut lines: Vec<_> = seen.causes.iter().map(cause).collect();
        lines.extend(seen.well.then(|| format!("well: {}", seen.now.reason)));
        lines.extend(
            known.fares().map(|one| format!("{} {:?}: {}", one.revision, one.way, one.words)),
        );
        lines.join("\n    ")
    }

    #[test]
    fn how_a_stack_and_its_commit_are() {
        use OperationState::{Failed, Held, Running};
        let cases = [
            ("well", world(|_| {})),
            ("a newer one was read", world(|w| w.desired = desired("r3"))),
            (
                "a comment was pushed",
                world(|w| {
                    w.standing.tried = Some(w.desired.hash);
                    w.desired.revision = "r3".into();
                }),
            ),
            (
                "a commit touched others",
                world(|w| {
                    w.source.revision = "r3".into();
                    let stack = StackName::new("shop").unwrap();
                    w.source.folders.insert("stacks/shop".into(), stack);
                }),
            ),
            ("rolling out", world(|w| w.operation.state = Running)),
            (
                "rolling out, and crashing",
                world(|w| {
                    (w.operation.state, w.standing.rollout) = (Running, Some(1));
                    w.row.health = Health::Degraded;
                }),
            ),
            (
                "unhealthy for a while",
                world(|w| {
                    w.row.health = Health::Degraded;
                    let stack = StackName::new("shop").unwrap();
                    let slot = Slot { stack, service: "web".into(), slot: "1".into() };
                    let output = Some("password=s3cret".into());
                    w.row.noted = vec![Note::Unhealthy { slot, output }];
                }),
            ),
            (
                "failed, and coming back",
                world(|w| {
                    fail(w);
                    w.row.health = Health::Degraded;
                }),
            ),
            ("failed, and back", world(fail)),
            (
                "failed, nothing before",
                world(|w| {
                    fail(w);
                    w.standing.good_desired = None;
                    w.row.health = Health::Degraded;
                }),
            ),
            (
                "failed, and left",
                world(|w| {
                    fail(w);
                    w.desired.policy.rollback = false;
                }),
            ),
            (
                "failed, and goes on",
                world(|w| {
                    fail(w);
                    let bad = w.standing.bad.get_mut(&w.desired.hash).unwrap();
                    bad.action = Some(FailureAction::Continue);
                }),
            ),
            (
                "failed, and a person went back",
                world(|w| {
                    fail(w);
                    pin(w);
                }),
            ),
            ("refused", world(refuse)),
            ("not the revision's fault", world(|w| w.operation.state = Failed)),
            ("held", world(|w| w.operation.state = Held)),
        ];
        let text = cases.map(|(name, world)| format!("{name}\n    {}\n", told(&world))).concat();
        insta::assert_snapshot!(text, @r"
        well
            well: it is healthy at r2
            r2 Success: healthy on host
        a newer one was read
            r3 Pending: rolling out on host
        a comment was pushed
            well: it is healthy at r3
            r3 Success: healthy on host
        a commit touched others
            well: it is healthy at r2
            r3 Success: healthy on host
        rolling out
            r2 Pending: rolling out on host
        rolling out, and crashing
            is not well  after 900 s: the reason ()
            is still being rolled out r2 after 1800 s: the reason ()
            r2 Pending: rolling out on host
        unhealthy for a while
            is not well  after 30 s: web.1 is unhealthy ()
            r2 Success: deployed on host
        failed, and coming back
            failed r2 after 30 s: it exits (rolling back to revision r1, which is not healthy yet)
            is not well  after 120 s: the reason ()
            r2 Failure: it exits; rolled back to r1
        failed, and back
            failed r2 after 0 s: it exits (rolled back to revision r1, which is healthy; not retried until its commit or its files change)
            r2 Failure: it exits; rolled back to r1
        failed, nothing before
            failed r2 after 0 s: it exits (nothing was good before it, so it is left as it is)
            r2 Failure: it exits
        failed, and left
            failed r2 after 0 s: it exits (it is left as it is: its policy says not to roll back)
            r2 Failure: it exits
        failed, and goes on
            failed r2 after 0 s: it exits (its rollout goes on, by `failure_action: continue`)
            r2 Failure: it exits
        failed, and a person went back
            well: it is healthy, rolled back to r1 by ann@host
            r2 Failure: it exits; rolled back to r1
        refused
            was refused r3 after 0 s: compose.yaml:3:5: unknown key (what was there before keeps running)
            failed  after 15 s: the reason ()
            r3 Failure: refused: compose.yaml:3:5: unknown key
        not the revision's fault
            failed  after 15 s: the reason ()
            r2 Failure: the reason
        held
            well: it is healthy at r2
            r2 Failure: held: the reason
        ");
    }

    #[test]
    fn how_a_source_is() {
        let poll = Duration::from_secs(60);
        let seen = |record: &SourceRecord, poll| {
            let seen = of_source("home", record, poll);
            let cause = |cause: &Cause| {
                let About { what, reason, .. } = &cause.about;
                format!("{what} after {} s: {reason}", cause.patience / 1_000)
            };
            seen.causes.iter().map(cause).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(seen(&SourceRecord::default(), poll), "");
        let trouble = SourceTrouble {
            source: "home".into(),
            what: "cannot fetch x: refused".into(),
            hint: Some("is it up?".into()),
        };
        let away = SourceRecord { trouble: Some(trouble), ..SourceRecord::default() };
        let words = "cannot fetch x: refused; is it up?";
        for (seconds, patience) in [(1, 10), (20, 60), (60, 180), (3_600, 180)] {
            let expected = format!("cannot be read after {patience} s: {words}");
            assert_eq!(seen(&away, Duration::from_secs(seconds)), expected);
        }
        let held = HeldRevision { revision: "r3".into(), why: "it removes 3 of 4 stacks".into() };
        let held = SourceRecord { held: Some(held), ..SourceRecord::default() };
        assert_eq!(seen(&held, poll), "waits for confirmation after 0 s: it removes 3 of 4 stacks");
    }

    #[test]
    fn whose_commit_it_was_is_told() {
        let commit =
            Commit { revision: "r2".into(), author: "Ann".into(), subject: "faster".into() };
        let history = TroubleRow {
            revision: "r2".into(),
            author: "Bob".into(),
            subject: "slower".into(),
            ..TroubleRow::default()
        };
        let author = |world: &World| {
            let stack = StackName::new("shop").unwrap();
            world.known(&stack).seen().causes[0].about.author.clone()
        };
        let newest = world(|w| {
            fail(w);
            w.source.commit = Some(commit.clone());
        });
        assert_eq!(author(&newest), "Ann");
        let older = world(|w| {
            fail(w);
            w.source.commit = Some(Commit { revision: "r9".into(), ..commit });
            w.row.trouble = Some(history);
        });
        assert_eq!(author(&older), "Bob");
    }
}
