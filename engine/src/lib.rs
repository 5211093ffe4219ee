//! The contract between Evenkeel and whatever runs tasks on a node.
