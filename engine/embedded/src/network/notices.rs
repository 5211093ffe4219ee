//! What the kernel tells about addresses, without anybody waiting for it.

use super::link::{LinkAddress, parse_any_address};
use super::netlink::parts;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use std::io;

/// `RTNLGRP_IPV4_IFADDR` and `RTNLGRP_IPV6_IFADDR`.
const ADDRESS_GROUPS: [u32; 2] = [5, 9];

/// Notices that were not taken yet.
pub(crate) struct Notices(Socket);

impl Notices {
    /// Of addresses that come to the host, or go.
    pub(crate) fn of_addresses() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind(&SocketAddr::new(0, 0))?;
        for group in ADDRESS_GROUPS {
            socket.add_membership(group)?;
        }
        socket.set_non_blocking(true)?;
        Ok(Self(socket))
    }

    /// Takes them all, and says whether any matters, or may.
    pub(crate) fn take(&self, matters: impl Fn(&LinkAddress) -> bool) -> bool {
        let may_matter =
            |body: &[u8]| parse_any_address(body).is_none_or(|address| matters(&address));
        let mut any = false;
        let mut buffer = Vec::with_capacity(8192);
        loop {
            buffer.clear();
            match self.0.recv(&mut buffer, 0) {
                Ok(_) => any |= parts(&buffer).iter().any(|part| may_matter(&part.body)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Some were lost.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => any = true,
                Err(_) => return any,
            }
        }
    }
}
