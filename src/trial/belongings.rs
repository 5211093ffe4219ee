//! What may be in the folder of a pool to try: whatever else is there is somebody's.

use super::blueprint::{MOST_NODES, node_name};
use super::places::Trial;
use crate::failure::{Failure, Result};
use std::fs;
use std::io::{self, ErrorKind};

/// An error where anything else is in the folder.
pub fn check(trial: &Trial) -> Result<()> {
    let folder = trial.folder();
    let shown = folder.display();
    let names = entries(trial)
        .map_err(|error| Failure::caused(format!("cannot use `{shown}` for a pool"), &error))?;
    match names.iter().find(|name| !is_ours(name)) {
        None => Ok(()),
        Some(stranger) => {
            let message = format!("`{stranger}` in `{shown}` does not belong to a pool to try");
            Err(Failure::new(message).hint("move it away, then run this again"))
        }
    }
}

/// What is in its folder; a link to elsewhere is none of ours.
pub fn entries(trial: &Trial) -> io::Result<Vec<String>> {
    let folder = trial.folder();
    match fs::symlink_metadata(&folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(error),
        Ok(found) if !found.is_dir() => {
            return Err(io::Error::other("a folder was expected, and something else is there"));
        }
        Ok(_) => {}
    }
    let names = fs::read_dir(&folder)?.map(|entry| Ok(entry?.file_name()));
    let names: io::Result<Vec<_>> = names.collect();
    Ok(names?.into_iter().map(|name| name.to_string_lossy().into_owned()).collect())
}

fn is_ours(name: &str) -> bool {
    let of_node = |number| {
        let node = node_name(number);
        name == node || [".log", ".yaml"].iter().any(|end| name == node.clone() + end)
    };
    matches!(name, "ns" | "stacks" | "pool.json")
        || name.starts_with(".pool.json.")
        || (1..=MOST_NODES).any(of_node)
}
