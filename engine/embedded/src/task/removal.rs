//! Takes away a task.
//!
//! # Invariants
//! - A task's folder goes last: until then the next driver goes on with the removal.
//! - A network or volume that a task uses stays.

use crate::desk::Desk;
use crate::network::stored;
use crate::root::contents;
use crate::task::processes::end_processes;
use crate::task::records::{self, Records};
use crate::task::step_error::{StepError, Stepped};
use crate::task::surroundings;
use crate::{blocking, network, volumes};
use std::sync::Arc;

/// Removes a task of which nothing lives.
pub(crate) async fn remove(desk: &Arc<Desk>, records: Records) -> Stepped<()> {
    end_processes(&desk.layout, &records.wish.id).await?;
    let forgotten = {
        let _turn = desk.networks.turn().await;
        let _taking = desk.taking.lock().await;
        let at = Arc::clone(desk);
        blocking::run(move || forget_task(&at, &records)).await
    };
    // Also after a failure: the task may be gone for everybody, and nobody comes back for what it used.
    surroundings::sweep(desk).await;
    forgotten
}

fn forget_task(desk: &Desk, records: &Records) -> Stepped<()> {
    let (layout, Records { wish, work, .. }) = (&desk.layout, records);
    for endpoint in &work.endpoints {
        network::disconnect(endpoint).map_err(StepError::of_network)?;
    }
    if wish.remove_volumes || wish.auto_remove {
        for volume in desk.view.volumes()? {
            if volume.owner.as_ref().is_some_and(|owner| owner.task == wish.id) {
                volumes::remove(layout, &volume.spec.name)?;
            }
        }
    }
    for attachment in &wish.spec.networks {
        stored::left(layout, &attachment.network)?;
    }
    records::remove(layout, &wish.id)?;
    let others = desk.view.records()?;
    let others = others.iter().filter(|other| other.wish.id != wish.id);
    let wishes = others.flat_map(|other| [Some(&other.wish), other.following.as_ref()]);
    let specs: Vec<_> = wishes.flatten().map(|wish| &*wish.spec).collect();
    contents::forget(layout, &wish.spec, specs.iter().copied());
    if specs.iter().all(|spec| spec.image != wish.spec.image) {
        desk.images.drop_login(&wish.spec.image);
    }
    Ok(())
}
