//! `rollback`: back to a revision that was good, and there until a person resumes.
//!
//! # Invariants
//! - Neither Git nor a registry is asked: what was good is on record, its files and images are kept.
//! - What the source says meanwhile is stored, and waits for `resume`.

use super::converge::{Stay, lines, unknown_stack};
use crate::ask::{Outcome, Progress, Refusal};
use crate::controller::{Controller, Lines};
use crate::record::Good;
use crate::rows::RollbackAsk;
use crate::store::Keep;
use keel_engine::{Digest, short};
use keel_plan::Asked;
use keel_plan::desired::Desired;
use keel_plan::standing::{Pinned, Standing};
use tokio::sync::mpsc;

impl Controller {
    /// Goes back and converges; the last line is [`Progress::End`].
    pub fn rollback(&self, ask: RollbackAsk) -> Lines<Progress> {
        let controller = self.clone();
        lines(move |lines| async move { controller.rolled_back(ask, &lines).await })
    }

    async fn rolled_back(
        &self,
        ask: RollbackAsk,
        lines: &mpsc::Sender<Progress>,
    ) -> Result<(Outcome, Vec<String>), Refusal> {
        if !ask.again {
            self.pin(&ask).await?;
        }
        let (outcome, mut notes) =
            self.drive(&ask.stack, Asked::default(), Stay::of(ask.detach), lines).await?;
        if let Some(pinned) = &self.records().standing(&ask.stack).await?.pinned {
            let (stack, revision) = (&ask.stack, short(&pinned.desired.revision));
            let until = format!("until `keel resume {stack}`, whatever its source says");
            notes.insert(0, format!("{stack} stays at {revision} {until}"));
        }
        Ok((outcome, notes))
    }

    /// From now on the stack is kept at the revision that was asked for.
    async fn pin(&self, ask: &RollbackAsk) -> Result<(), Refusal> {
        let stack = &ask.stack;
        let _kept = self.protect_all().await; // what is chosen stays until that is on record
        let Some(desired) = self.records().desired(stack).await? else {
            return Err(unknown_stack(stack));
        };
        let standing = self.records().standing(stack).await?;
        let good = self.records().good(stack).await?;
        let target = choose(&good, ask.revision.as_deref(), present(&desired, &standing))
            .map_err(|why| Refusal::not_found(format!("stack {stack}: {why}")))?;
        let (desired, images) = (target.desired.clone(), target.images.clone());
        let pinned = Pinned { desired, images, by: ask.by.clone(), since: self.now() };
        let pin = |standing: &mut Standing| {
            standing.pinned = Some(Box::new(pinned.clone()));
            // It was good: what failed of it later is tried again.
            standing.bad.remove(&pinned.desired.hash);
            standing.tried = None;
        };
        Ok(self.records().change_standing(stack, Keep::OnDisk, pin).await?)
    }
}

/// The hash of what is kept up now.
fn present<'a>(desired: &'a Desired, standing: &'a Standing) -> &'a Digest {
    let good =
        standing.good_desired.as_deref().filter(|_| standing.bad.contains_key(&desired.hash));
    let pinned = standing.pinned.as_deref().map(|pinned| &pinned.desired);
    &pinned.or(good).unwrap_or(desired).hash
}

/// What to go back to: the newest that has this revision, else the newest before the present one.
fn choose<'a>(
    good: &'a [Good],
    revision: Option<&str>,
    present: &Digest,
) -> Result<&'a Good, String> {
    let newest = good.iter().rev();
    let Some(wanted) = revision else {
        let at = good.iter().position(|good| good.desired.hash == *present).unwrap_or(good.len());
        return good[..at].last().ok_or_else(|| match good.len() {
            0 => "no revision was good here yet".to_owned(),
            _ => "no revision before the present one is on record as good".to_owned(),
        });
    };
    let named = |good: &&Good| !wanted.is_empty() && good.desired.revision.starts_with(wanted);
    newest.clone().find(named).ok_or_else(|| {
        let known: Vec<_> = newest.map(|good| short(&good.desired.revision)).collect();
        match known.is_empty() {
            true => format!("revision {wanted} is not on record as good; none is yet"),
            false => format!(
                "revision {wanted} is not on record as good; those that are: {}",
                known.join(", ")
            ),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use keel_engine::{StackName, digest_of};
    use keel_plan::desired::{Owner, Policy};

    fn good(revision: &str) -> Good {
        let stack = StackName::new("shop").unwrap();
        let desired = Desired {
            stack,
            owner: Owner::Cli { path: "/srv/shop".into() },
            revision: revision.into(),
            hash: digest_of(&revision),
            services: Default::default(),
            networks: Default::default(),
            volumes: Default::default(),
            policy: Policy::default(),
            confined: false,
        };
        Good { desired, images: Default::default(), at: 1 }
    }

    #[test]
    fn what_to_come_back_to_is_the_one_before_or_the_one_named() {
        let good = [good("a1"), good("b2"), good("c3")];
        let cases = [
            (&good[..], None, "c3", "b2"),
            (&good, None, "b2", "a1"),
            // The present one was never good.
            (&good, None, "d4", "c3"),
            (&good, Some("a"), "c3", "a1"),
            (&good, None, "a1", "no revision before the present one is on record as good"),
            (
                &good,
                Some("d4"),
                "c3",
                "revision d4 is not on record as good; those that are: c3, b2, a1",
            ),
            (
                &good,
                Some(""),
                "c3",
                "revision  is not on record as good; those that are: c3, b2, a1",
            ),
            (&[], None, "a1", "no revision was good here yet"),
            (&[], Some("a"), "a1", "revision a is not on record as good; none is yet"),
        ];
        for (good, revision, present, expected) in cases {
            let chosen = choose(good, revision, &digest_of(&present));
            let said = chosen.map_or_else(|why| why, |good| good.desired.revision.clone());
            assert_eq!(said, expected, "{revision:?} {present}");
        }
    }
}
