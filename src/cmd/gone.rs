//! Removing by name what may not be there.

use crate::context::Context;
use crate::failure::Result;
use keel_api::ClientError;
use keel_reconciler::ask::RefusalKind;
use keel_reconciler::rows::RemoveAsk;
use std::collections::BTreeSet;

/// Removes these; gives the names of those that are gone. With `force` what is not there is no failure;
/// it is said all the same, as it may be a slip.
pub async fn remove(
    names: &[String],
    force: bool,
    context: &Context,
    remove: impl AsyncFn(&RemoveAsk) -> std::result::Result<Vec<String>, ClientError>,
) -> Result<BTreeSet<String>> {
    if !force {
        let ask = RemoveAsk { names: names.to_vec(), force };
        return Ok(remove(&ask).await?.into_iter().collect());
    }
    let mut gone = BTreeSet::new();
    for name in names {
        // Not by force, so that it is told of what is not there.
        let ask = RemoveAsk { names: vec![name.clone()], force: false };
        match remove(&ask).await {
            Err(ClientError::Refused(refusal)) if refusal.kind == RefusalKind::NotFound => {
                context.screen.warn(&refusal.message);
            }
            removed => gone.extend(removed?),
        }
    }
    Ok(gone)
}
