//! Whether a machine has room for so many nodes. [`judge`] is pure.

use crate::failure::{Failure, Result};
use crate::show::size::size;
use std::path::Path;

/// Memory of a node: its daemon and the containers of the demo stack.
const MEMORY: u64 = 48 << 20;
/// Records, logs and layers of a node; its copies of the program come on top.
const DISK: u64 = 16 << 20;
/// Copies of the program that a node has: one that containers run from, and the demo's image.
const COPIES: u64 = 3;

/// What a machine has. `None` where it does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    memory: Option<u64>,
    disk: Option<u64>,
}

/// An error where there is too little room below `folder` for so many further nodes.
pub fn check(folder: &Path, nodes: u64, program: u64) -> Result<()> {
    let memory = std::fs::read_to_string("/proc/meminfo").ok();
    let memory = memory.and_then(|text| available(&text));
    judge(Room { memory, disk: keel_durable::free_room(folder) }, nodes, program, folder)
}

fn judge(room: Room, nodes: u64, program: u64, folder: &Path) -> Result<()> {
    let (memory, disk) = (nodes * MEMORY, nodes * (DISK + COPIES * program));
    let lack = |what: String, needed: u64, free: u64| {
        let (needed, free) = (size(needed), size(free));
        let message = format!("{nodes} nodes need {needed} of {what}, and {free} are free");
        Err(Failure::new(message).hint("try fewer nodes: `keel pool try 2`"))
    };
    match room {
        Room { memory: Some(free), .. } if free < memory => lack("memory".into(), memory, free),
        Room { disk: Some(free), .. } if free < disk => {
            lack(format!("the disk that `{}` is on", folder.display()), disk, free)
        }
        _ => Ok(()),
    }
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_little_is_named() {
        let judged = |memory: u64, disk: u64| {
            let room = Room { memory: Some(memory << 20), disk: Some(disk << 20) };
            match judge(room, 3, 8 << 20, Path::new("/lab")) {
                Ok(()) => String::new(),
                Err(Failure::Error { message, .. }) => message,
                Err(other) => panic!("{other:?}"),
            }
        };
        assert_eq!(judged(1000, 1000), "");
        assert_eq!(judged(100, 1000), "3 nodes need 151MB of memory, and 105MB are free");
        let disk = "3 nodes need 126MB of the disk that `/lab` is on, and 52.4MB are free";
        assert_eq!(judged(1000, 50), disk);
        let unsaid = Room { memory: None, disk: None };
        assert!(judge(unsaid, 3, 0, Path::new("/")).is_ok());
    }

    #[test]
    fn the_kernels_words_are_read() {
        assert_eq!(available("MemTotal: 9 kB\nMemAvailable:   2048 kB\n"), Some(2 << 20));
        assert_eq!(available("MemTotal: 9 kB\n"), None);
    }
}
