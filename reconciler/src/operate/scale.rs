//! `scale`: another number of tasks than the source says, until its time is over or a person says so.
//!
//! # Invariants
//! - The source is not touched: its revision stays what is desired, and is no other one by this.
//! - The number is on record before anything is done for it, with who set it, when, until when and why.

use super::converge::{Stay, lines, unknown_stack};
use crate::ask::{Outcome, Progress, Refusal};
use crate::controller::{Controller, Lines};
use crate::record::RecordError;
use crate::rows::ScaleAsk;
use crate::store::Keep;
use keel_engine::StackName;
use keel_plan::Asked;
use keel_plan::desired::{Desired, DesiredService};
use keel_plan::standing::{ScaleOverride, Standing};
use tokio::sync::mpsc;

/// More tasks than anybody means.
const MOST: u32 = 10_000;

impl Controller {
    /// Sets the numbers and converges; the last line is [`Progress::End`].
    pub fn scale(&self, ask: ScaleAsk) -> Lines<Progress> {
        let controller = self.clone();
        lines(move |lines| async move { controller.scaled(ask, &lines).await })
    }

    async fn scaled(
        &self,
        ask: ScaleAsk,
        lines: &mpsc::Sender<Progress>,
    ) -> Result<(Outcome, Vec<String>), Refusal> {
        if !ask.again {
            self.set_scale(&ask).await?;
        }
        let (outcome, notes) =
            self.drive(&ask.stack, Asked::default(), Stay::of(ask.detach), lines).await?;
        Ok((outcome, self.scales(&ask.stack).await?.into_iter().chain(notes).collect()))
    }

    async fn set_scale(&self, ask: &ScaleAsk) -> Result<(), Refusal> {
        let stack = &ask.stack;
        let _writing = self.writing(stack).await?;
        let Some(desired) = self.records().desired(stack).await? else {
            return Err(unknown_stack(stack));
        };
        let standing = self.records().standing(stack).await?;
        let kept = standing.pinned.as_deref().map_or(&*desired, |pinned| &pinned.desired);
        for (service, number) in &ask.services {
            check(kept, &standing, service, *number)?;
        }
        let now = self.now();
        let set = |standing: &mut Standing| set(standing, ask, now);
        Ok(self.records().change_standing(stack, Keep::OnDisk, set).await?)
    }

    /// Of one stack, the numbers that people set, a line each.
    pub(super) async fn scales(&self, stack: &StackName) -> Result<Vec<String>, RecordError> {
        let standing = self.records().standing(stack).await?;
        if standing.scaled.is_empty() {
            return Ok(vec![]);
        }
        let Some(desired) = self.records().desired(stack).await? else { return Ok(vec![]) };
        let pinned = standing.pinned.as_deref().map(|pinned| &pinned.desired);
        Ok(words(&standing, pinned.unwrap_or(&desired), self.now()))
    }
}

/// The numbers that people set, a line each.
pub(super) fn words(standing: &Standing, desired: &Desired, now: u64) -> Vec<String> {
    let line = |(service, desired, scale): (&String, u32, &ScaleOverride)| {
        keel_plan::text::of_scale(service, desired, scale, scale.left(now))
    };
    standing.scales(desired, now).map(line).collect()
}

/// A number whose time is over at once is one that the next pass puts aside, and tells of.
fn set(standing: &mut Standing, ask: &ScaleAsk, now: u64) {
    for (service, number) in &ask.services {
        let until = ask.lasts.map(|lasts| now.saturating_add(lasts));
        let (by, reason) = (ask.by.clone(), ask.reason.clone());
        match number {
            Some(replicas) => {
                let scale = ScaleOverride { replicas: *replicas, by, since: now, until, reason };
                standing.scaled.insert(service.clone(), scale);
            }
            None => {
                if let Some(scale) = standing.scaled.get_mut(service) {
                    scale.until = Some(now);
                }
            }
        }
    }
}

/// Whether a service can have this many tasks.
fn check(
    desired: &Desired,
    standing: &Standing,
    name: &str,
    number: Option<u32>,
) -> Result<(), Refusal> {
    let stack = &desired.stack;
    let Some(service) = desired.services.get(name) else {
        let names: Vec<_> = desired.services.keys().map(String::as_str).collect();
        return Err(Refusal::not_found(format!("stack {stack} has no service {name}"))
            .hint(format!("its services: {}", names.join(", "))));
    };
    match number {
        Some(number) => match why_not(name, service, number) {
            Some((why, hint)) => Err(Refusal::invalid(why).hint(hint)),
            None => Ok(()),
        },
        None if standing.scaled.contains_key(name) => Ok(()),
        None => Err(Refusal::conflict(format!("{stack}/{name} is not scaled"))
            .hint("`keel status` shows which services are")),
    }
}

/// What is in the way of so many tasks, and what to do instead.
fn why_not(name: &str, service: &DesiredService, number: u32) -> Option<(String, String)> {
    let mode = service.placement.mode;
    if mode.is_global() || mode.is_job() || service.runs_before_deploy() {
        let what = match mode.is_global() {
            true => "runs one task on each node",
            false => "is a job",
        };
        let why = format!("service {name} {what}: it has no number of tasks to set");
        return Some((why, "only services that keep running can be scaled".to_owned()));
    }
    if number > MOST {
        let why = format!("service {name} cannot have {number} tasks: {MOST} are the most");
        return Some((why, "give a smaller number".to_owned()));
    }
    let spec = &service.spec;
    let fixed = spec.networks.iter().find(|network| !network.addresses.is_empty());
    let (key, what) = match fixed {
        _ if number <= 1 => return None,
        _ if service.fixed_name => {
            ("container_name", format!("its container is named {}", spec.container_name))
        }
        Some(network) => {
            ("ipv4_address", format!("it has a fixed address in network {}", network.network))
        }
        None => return None,
    };
    let why = format!("service {name} cannot have {number} tasks: {what}, which only one can have");
    Some((why, format!("remove `{key}` from its Compose file first")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use keel_engine::{Digest, TaskSpec};
    use keel_plan::placement::Mode;

    fn service() -> DesiredService {
        let (spec, hash) = (TaskSpec::default(), Digest::of(b""));
        let service = serde_json::json!({ "spec": spec, "hash": hash, "replicas": 1 });
        serde_json::from_value(service).unwrap()
    }

    fn said(change: impl FnOnce(&mut DesiredService), number: u32) -> String {
        let mut service = service();
        change(&mut service);
        why_not("web", &service, number)
            .map(|(why, hint)| format!("{why}; {hint}"))
            .unwrap_or_default()
    }

    #[test]
    fn a_number_that_cannot_be_is_refused_with_what_is_in_its_way() {
        assert_eq!(said(|_| (), 0), "");
        assert_eq!(said(|_| (), 7), "");
        assert_eq!(said(|web| web.fixed_name = true, 1), "");
        insta::assert_snapshot!(
            said(|web| (web.fixed_name, web.spec.container_name) = (true, "front".into()), 2),
            @"service web cannot have 2 tasks: its container is named front, which only one can have; remove `container_name` from its Compose file first"
        );
        insta::assert_snapshot!(
            said(|web| web.placement.mode = Mode::Global, 2),
            @"service web runs one task on each node: it has no number of tasks to set; only services that keep running can be scaled"
        );
        insta::assert_snapshot!(
            said(|_| (), 4_000_000),
            @"service web cannot have 4000000 tasks: 10000 are the most; give a smaller number"
        );
    }
}
