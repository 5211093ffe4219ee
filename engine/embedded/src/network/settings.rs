//! The kernel's settings of links.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// Where the kernel keeps an IPv4 setting of a link.
pub(super) fn of_link(link: &str, name: &str) -> PathBuf {
    format!("/proc/sys/net/ipv4/conf/{link}/{name}").into()
}

/// Our networks speak IPv4 only: no link-local addresses that nobody asked for. A kernel without
/// IPv6 has none to turn off.
pub(super) fn disable_ipv6(link: &str) -> io::Result<()> {
    let path = format!("/proc/sys/net/ipv6/conf/{link}/disable_ipv6");
    match write(Path::new(&path), "1") {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Writes only what differs: where /proc/sys is read-only, being right already is enough.
pub(super) fn write(path: &Path, value: &str) -> io::Result<()> {
    if fs::read_to_string(path)?.trim() == value {
        return Ok(());
    }
    fs::write(path, value)
}
