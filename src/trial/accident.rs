//! What may happen to a node of a pool to try: its power is cut, or its cable pulled.

use super::blueprint::{Blueprint, PlannedNode};
use super::daemon;
use super::joining::start;
use super::places::Trial;
use crate::failure::{Failure, Result};
use keel_embedded::lab::{cabling, end_node};
use std::io;
use std::os::fd::AsFd;

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accident {
    /// All that runs on it ends at once.
    Kill,
    /// Its daemon is started again.
    Start,
    /// Its cable is pulled.
    Unplug,
    /// And plugged in again.
    Plug,
}

/// Lets it happen; what a person is told of it.
pub async fn happen(
    accident: Accident,
    name: &str,
    trial: &Trial,
    blueprint: &Blueprint,
) -> Result<String> {
    let Some(node) = blueprint.node(name) else {
        let names: Vec<_> = blueprint.nodes().into_iter().map(|node| node.name).collect();
        return Err(Failure::new(format!("this pool has no node `{name}`"))
            .hint(format!("its nodes are {}", names.join(", "))));
    };
    match accident {
        Accident::Start => match start(trial, blueprint, &node, None).await? {
            true => Ok(format!("{name} is started")),
            false => Ok(format!("{name} runs already")),
        },
        _ => {
            let here = trial.clone();
            let done = keel_blocking::run(move || suffer(accident, &node, &here)).await;
            done.map_err(|error| Failure::caused(format!("cannot do that to {name}"), &error))
        }
    }
}

fn suffer(accident: Accident, node: &PlannedNode, trial: &Trial) -> io::Result<String> {
    let name = &node.name;
    if accident == Accident::Kill {
        let ran = daemon::runs(trial, name)?;
        end_node(&trial.node(name))?;
        return Ok(match ran {
            true => format!("{name} is off: keel and all containers on it were killed"),
            false => format!("{name} was off already"),
        });
    }
    let none = || io::Error::other("the switch is gone; `keel pool try` makes it again");
    let switch = trial.switch().open()?.ok_or_else(none)?;
    cabling::set_plugged(switch.as_fd(), name, accident == Accident::Plug)?;
    Ok(match accident {
        Accident::Plug => format!("the cable of {name} is plugged in"),
        _ => format!("the cable of {name} is unplugged: it is cut off, and its containers go on"),
    })
}
