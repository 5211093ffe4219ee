//! Where everything of a pool to try is.

use crate::root;
use keel_embedded::Layout;
use keel_embedded::lab::KeptNetns;
use std::path::{Path, PathBuf};

/// Where everything of it is.
#[derive(Debug, Clone)]
pub struct Trial {
    root: PathBuf,
}

impl Trial {
    /// Below this root of keel.
    pub fn below(root: &Path) -> Self {
        Self { root: root::layout(root).root().to_owned() }
    }

    /// The root that it is below.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Its folder.
    pub fn folder(&self) -> PathBuf {
        self.root.join("try")
    }

    /// The layout of its folder: whose cgroup its daemons live in.
    pub fn layout(&self) -> Layout {
        Layout::new(&self.folder())
    }

    /// The layout of a node.
    pub fn node(&self, name: &str) -> Layout {
        Layout::new(&self.folder().join(name))
    }

    /// What a node's daemon says.
    pub fn log(&self, name: &str) -> PathBuf {
        self.folder().join(format!("{name}.log"))
    }

    /// A node's configuration.
    pub fn config(&self, name: &str) -> PathBuf {
        self.folder().join(format!("{name}.yaml"))
    }

    /// The stacks that the controller serves.
    pub fn stacks(&self) -> PathBuf {
        self.folder().join("stacks")
    }

    /// The Compose file of the demo stack.
    pub fn demo(&self) -> PathBuf {
        self.stacks().join("demo/compose.yaml")
    }

    /// Where the network namespaces are kept.
    pub fn namespaces(&self) -> PathBuf {
        self.folder().join("ns")
    }

    /// The network of a node.
    pub fn netns(&self, name: &str) -> KeptNetns {
        KeptNetns::at(self.namespaces().join(name))
    }

    /// The network that the switch is in.
    pub fn switch(&self) -> KeptNetns {
        self.netns("switch")
    }

    /// The host's link to the switch.
    pub fn host_link(&self) -> String {
        format!("kt{}", self.layout().key())
    }
}
