//! The Linux engine: namespaces, cgroups, overlayfs, networks, DNS, volumes.
