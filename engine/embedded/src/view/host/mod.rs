//! Facts about the machine that a node reports: read at the start, and again when the kernel says that they changed.
//!
//! # Invariants
//! - Nothing is read again for a look unless devices or addresses changed, or everything is read again.
//! - What cannot be read is reported as unknown.

mod device_list;
mod machine;

use crate::network::notices::Notices;
use crate::network::own_addresses;
use crate::root::layout::Layout;
use keel_engine::{HostDevices, HostFacts};
use std::path::{Path, PathBuf};

/// Reads the facts, and is told when addresses change.
pub(super) struct Host {
    layout: Layout,
    /// `None` where the kernel tells nothing: then addresses are read with everything else.
    addresses: Option<Notices>,
}

impl Host {
    pub(super) fn new(layout: &Layout) -> Self {
        Self { layout: layout.clone(), addresses: Notices::of_addresses().ok() }
    }

    /// Whether addresses that are reported came or went since the last call.
    pub(super) fn is_told(&self) -> bool {
        let matters = |changed: &_| own_addresses::matters(&self.layout, changed);
        self.addresses.as_ref().is_some_and(|addresses| addresses.take(matters))
    }

    /// The facts as they are now. Folders of devices are handed to `watch` before they are read, so that no
    /// later change is missed.
    pub(super) fn read(&self, watch: &mut dyn FnMut(PathBuf)) -> HostFacts {
        HostFacts {
            addresses: own_addresses::all(&self.layout).unwrap_or_default(),
            devices: devices(watch),
            ..machine::read()
        }
    }
}

fn devices(watch: &mut dyn FnMut(PathBuf)) -> Option<HostDevices> {
    device_list::list(Path::new("/dev"), device_list::MANY, watch).ok()
}
