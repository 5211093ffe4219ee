//! Takes a pool to try away, whatever there is of it.

use super::belongings::{check, entries};
use super::blueprint::{Blueprint, MOST_NODES, node_name, record};
use super::places::Trial;
use crate::failure::{Failure, Result};
use keel_embedded::lab::{cabling, clear_cgroup, clear_node, end_all, unmount_below};
use std::fs;
use std::io::{self, ErrorKind};

/// Removes all of it; whether there was anything. What is in the folder and was not made by us is left alone, and
/// everything else with it.
pub fn take_down(trial: &Trial) -> Result<bool> {
    let folder = trial.folder();
    let cannot = |error: &io::Error| {
        Failure::caused(format!("cannot remove the pool in `{}`", folder.display()), error)
            .hint("try again; what was removed already stays removed")
    };
    check(trial)?;
    // A record that cannot be read is no reason to leave the rest.
    let made_root = Blueprint::read(trial).ok().flatten().is_some_and(|known| known.made_root);
    let had_link = cabling::has(&trial.host_link()).map_err(|error| cannot(&error))?;
    let found = folder.exists() || had_link;
    clear(trial).map_err(|error| cannot(&error))?;
    if made_root {
        // Only if it is empty; else somebody uses it by now.
        let _ = fs::remove_dir(trial.root());
    }
    Ok(found)
}

fn clear(trial: &Trial) -> io::Result<()> {
    let folder = trial.folder();
    // All daemons first, so that none starts anything again.
    end_all(&folder)?;
    for number in 1..=MOST_NODES {
        clear_node(&trial.node(&node_name(number)))?;
    }
    clear_cgroup(&trial.layout())?;
    cabling::remove(&trial.host_link())?;
    unmount_below(&folder)?;
    let record = record(trial);
    for name in entries(trial)?.iter().map(|name| folder.join(name)) {
        if name != record {
            remove(&name)?;
        }
    }
    remove(&record)?;
    match fs::remove_dir(&folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn remove(path: &std::path::Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_made_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let trial = Trial::below(root.path());
        assert!(!take_down(&trial).unwrap(), "nothing is there");
        fs::create_dir_all(trial.folder().join("node1/records")).unwrap();
        fs::write(trial.folder().join("photos.tar"), "").unwrap();
        let refused = take_down(&trial).unwrap_err();
        assert!(
            matches!(refused, Failure::Error { message, .. } if message.contains("photos.tar"))
        );
        assert!(trial.folder().join("node1/records").exists());
        fs::rename(trial.folder().join("photos.tar"), root.path().join("photos.tar")).unwrap();
        assert!(take_down(&trial).unwrap());
        assert!(!trial.folder().exists() && root.path().join("photos.tar").exists());
    }

    #[test]
    fn a_link_is_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let trial = Trial::below(root.path());
        fs::create_dir_all(root.path().join("elsewhere/node1")).unwrap();
        std::os::unix::fs::symlink("elsewhere", trial.folder()).unwrap();
        take_down(&trial).unwrap_err();
        assert!(root.path().join("elsewhere/node1").exists());
    }
}
