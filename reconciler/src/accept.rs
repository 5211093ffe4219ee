//! What a refresh does to the records: stores what is named, retires what is not.

use crate::controller::Controller;
use crate::load::{LoadedStack, StackFiles};
use crate::owners::{Claim, claim};
use crate::record::RecordError;
use crate::refresh::RefreshError;
use crate::source::Source;
use keel_engine::{Assignment, StackName};
use keel_plan::standing::{Removal, Standing};
use std::collections::BTreeSet;

/// Stacks on record for this source that are not on their way out.
pub(crate) async fn owned(
    source: &Source,
    controller: &Controller,
) -> Result<BTreeSet<StackName>, RecordError> {
    let mut owned = BTreeSet::new();
    for stack in controller.records().stacks().await? {
        let mine = controller.records().owner(&stack).await?.as_ref() == Some(source.owner());
        if mine && controller.records().standing(&stack).await?.removed.is_none() {
            owned.insert(stack);
        }
    }
    Ok(owned)
}

/// Files and contents first, then what names them, then the hint. Gives what to tell people: why
/// it is not this source's, or which files were left alone.
pub(crate) async fn store(
    stack: &LoadedStack,
    files: &StackFiles,
    source: &Source,
    take_over: bool,
    controller: &Controller,
) -> Result<Vec<String>, RefreshError> {
    let Some((desired, contents)) = &stack.lowered else { return Ok(vec![]) };
    let records = controller.records();
    let before = records.desired(&desired.stack).await?;
    let owner = before.as_ref().map(|before| &before.owner);
    match claim(owner, source.owner(), &stack.dir, take_over) {
        Claim::Refused(why) => {
            return Ok(vec![format!("error: stack `{}` {why}\n", desired.stack)]);
        }
        Claim::Taken(from) => controller.note_taken(&desired.stack, &from).await?,
        Claim::Granted => {}
    }
    let kept = source.seed(files, &stack.data).await?;
    let welcome = |standing: &mut Standing| {
        let back = standing.removed.is_some() && standing.suspended.is_none();
        if back {
            standing.removed = None;
        }
        back
    };
    let back = records.change_standing(&desired.stack, welcome).await?;
    if before.as_ref() != Some(desired) {
        let contents: Vec<_> = contents.iter().cloned().map(Assignment::Content).collect();
        controller.fleet().assign(&contents).await.map_err(RefreshError::Contents)?;
    }
    if records.put_desired(desired).await? || back {
        controller.stacks().hint(desired.stack.clone());
    }
    Ok(kept)
}

/// A stack left the source. One that a person holds off stays until they let go.
pub(crate) async fn retire(stack: &StackName, controller: &Controller) -> Result<(), RefreshError> {
    let records = controller.records();
    let prune = records.desired(stack).await?.is_none_or(|desired| desired.policy.prune);
    let go = |standing: &mut Standing| {
        let goes = prune && standing.suspended.is_none();
        if goes {
            standing.removed = Some(Removal { volumes: false });
        }
        goes
    };
    if records.change_standing(stack, go).await? {
        controller.stacks().hint(stack.clone());
    }
    Ok(())
}
