//! Links, addresses and routes of one network namespace, by rtnetlink. One kernel call per
//! function; no policy.

use super::netlink::{Netlink, is_missing, is_present};
use ipnet::IpNet;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage,
};
use netlink_packet_route::address::{AddressAttribute, AddressMessage, AddressMessageBuffer};
use netlink_packet_route::link::{
    InfoBridgePort, InfoData, InfoKind, InfoPortData, InfoPortKind, InfoVeth, LinkAttribute,
    LinkFlags, LinkInfo, LinkMessage, LinkMessageBuffer,
};
use netlink_packet_route::route::{
    RouteAttribute, RouteHeader, RouteMessage, RouteMessageBuffer, RouteProtocol, RouteScope,
    RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use std::ffi::CStr;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

/// A link, as far as we look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Link {
    pub index: u32,
    pub name: String,
    pub up: bool,
    /// The bridge that it is a port of.
    pub master: Option<u32>,
    /// Text for people, and for us: whose it is.
    pub alias: Option<String>,
}

/// An address of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LinkAddress {
    /// The index of its link.
    pub link: u32,
    /// What IPv4 calls it: the link's name, unless somebody gave it another.
    pub label: Option<String>,
    pub address: IpAddr,
}

/// The links of the namespace in which it was opened.
pub(crate) struct Links(Netlink);

impl Links {
    /// For the calling thread's namespace.
    pub fn open() -> io::Result<Self> {
        let netlink = Netlink::open(NETLINK_ROUTE)?;
        netlink.filter_dumps();
        Ok(Self(netlink))
    }

    fn ask(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<Vec<u8>>> {
        let mut packet = NetlinkMessage::from(message);
        packet.header.flags = NLM_F_REQUEST | flags;
        packet.header.sequence_number = self.0.sequences(1);
        packet.finalize();
        let mut bytes = vec![0; packet.buffer_len()];
        packet.serialize(&mut bytes);
        Ok(self.0.ask(&bytes)?.into_iter().map(|answer| answer.body).collect())
    }

    /// A dump that was cut by a change begins anew.
    fn dump(&mut self, message: &RouteNetlinkMessage) -> io::Result<Vec<Vec<u8>>> {
        loop {
            match self.ask(message.clone(), NLM_F_DUMP) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                answer => return answer,
            }
        }
    }

    /// All links.
    pub fn all(&mut self) -> io::Result<Vec<Link>> {
        let answers = self.dump(&RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
        Ok(answers.iter().filter_map(|body| parse_link(body)).collect())
    }

    /// One link by its name.
    pub fn find(&mut self, name: &str) -> io::Result<Option<Link>> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        match self.ask(RouteNetlinkMessage::GetLink(message), NLM_F_ACK) {
            Ok(answers) => Ok(answers.iter().find_map(|body| parse_link(body))),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A new bridge, down. With an address of its own: else it would take the lowest of its
    /// ports', and change it whenever one comes or goes.
    pub fn add_bridge(&mut self, name: &str, mac: [u8; 6]) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        message.attributes.push(LinkAttribute::Address(mac.to_vec()));
        let info = vec![LinkInfo::Kind(InfoKind::Bridge)];
        message.attributes.push(LinkAttribute::LinkInfo(info));
        self.create(message)
    }

    /// A pair: `host` here, up and enslaved to `master`; `peer` in the namespace `netns`, down,
    /// with its hardware address. (Asking for an up peer in this message fails with ENOTCONN.)
    pub fn add_veth(
        &mut self,
        host: &str,
        master: u32,
        peer: (&str, [u8; 6]),
        netns: BorrowedFd<'_>,
    ) -> io::Result<()> {
        let mut inner = LinkMessage::default();
        inner.attributes.push(LinkAttribute::IfName(peer.0.to_owned()));
        inner.attributes.push(LinkAttribute::Address(peer.1.to_vec()));
        inner.attributes.push(LinkAttribute::NetNsFd(netns.as_raw_fd()));
        let mut message = LinkMessage::default();
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        message.attributes.push(LinkAttribute::IfName(host.to_owned()));
        message.attributes.push(LinkAttribute::Controller(master));
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(inner))),
        ]));
        self.create(message)
    }

    fn create(&mut self, message: LinkMessage) -> io::Result<()> {
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        self.ask(RouteNetlinkMessage::NewLink(message), flags).map(drop)
    }

    /// Lets a bridge send a frame back through the port that it came from, and says whose it is.
    pub fn set_port(&mut self, name: &str, owner: &str) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        message.attributes.push(LinkAttribute::IfAlias(owner.to_owned()));
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::PortKind(InfoPortKind::Bridge),
            LinkInfo::PortData(InfoPortData::BridgePort(vec![InfoBridgePort::HairpinMode(true)])),
        ]));
        self.ask(RouteNetlinkMessage::NewLink(message), NLM_F_ACK).map(drop)
    }

    /// Brings a link up.
    pub fn up(&mut self, index: u32) -> io::Result<()> {
        self.set_flags(index, LinkFlags::Up)
    }

    /// Takes a link down; whoever is at its other end sees no carrier.
    pub fn down(&mut self, index: u32) -> io::Result<()> {
        self.set_flags(index, LinkFlags::empty())
    }

    fn set_flags(&mut self, index: u32, flags: LinkFlags) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.flags = flags;
        message.header.change_mask = LinkFlags::Up;
        self.ask(RouteNetlinkMessage::SetLink(message), NLM_F_ACK).map(drop)
    }

    /// Deletes a link; one that is not there is deleted already.
    pub fn delete(&mut self, name: &str) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        match self.ask(RouteNetlinkMessage::DelLink(message), NLM_F_ACK) {
            Err(error) if !is_missing(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// All IPv4 addresses, with the index of their link.
    pub fn addresses(&mut self) -> io::Result<Vec<(u32, IpNet)>> {
        let mut message = AddressMessage::default();
        message.header.family = AddressFamily::Inet;
        let answers = self.dump(&RouteNetlinkMessage::GetAddress(message))?;
        Ok(answers.iter().filter_map(|body| parse_address(body)).collect())
    }

    /// The IPv4 addresses of one link; none of one that is gone.
    pub fn addresses_of(&mut self, index: u32) -> io::Result<Vec<IpNet>> {
        let mut message = AddressMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.index = index;
        let answers = match self.dump(&RouteNetlinkMessage::GetAddress(message)) {
            Err(error) if is_missing(&error) => Vec::new(),
            answers => answers?,
        };
        // Kernels before 4.20 tell of all links.
        let all = answers.iter().filter_map(|body| parse_address(body));
        Ok(all.filter(|(link, _)| *link == index).map(|(_, address)| address).collect())
    }

    /// The name of a link; `None` where it is gone.
    pub fn name_of(&mut self, index: u32) -> io::Result<Option<String>> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        match self.ask(RouteNetlinkMessage::GetLink(message), NLM_F_ACK) {
            Ok(answers) => {
                Ok(answers.iter().find_map(|body| parse_link(body)).map(|link| link.name))
            }
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All addresses of both families.
    pub fn all_addresses(&mut self) -> io::Result<Vec<LinkAddress>> {
        let answers = self.dump(&RouteNetlinkMessage::GetAddress(AddressMessage::default()))?;
        Ok(answers.iter().filter_map(|body| parse_any_address(body)).collect())
    }

    /// Gives a link an address; one that it has already is fine.
    pub fn add_address(&mut self, index: u32, address: IpNet) -> io::Result<()> {
        let mut message = address_message(index, address);
        if let IpNet::V4(address) = address {
            message.attributes.push(AddressAttribute::Broadcast(address.broadcast()));
        }
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        match self.ask(RouteNetlinkMessage::NewAddress(message), flags) {
            Err(error) if !is_present(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Takes an address from a link.
    pub fn delete_address(&mut self, index: u32, address: IpNet) -> io::Result<()> {
        let message = address_message(index, address);
        self.ask(RouteNetlinkMessage::DelAddress(message), NLM_F_ACK).map(drop)
    }

    /// Destinations of all IPv4 routes in the main table, the default route apart.
    pub fn routes(&mut self) -> io::Result<Vec<IpNet>> {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet;
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        let answers = match self.dump(&RouteNetlinkMessage::GetRoute(message)) {
            // A namespace without routes has no such table.
            Err(error) if is_missing(&error) => Vec::new(),
            answers => answers?,
        };
        Ok(answers.iter().filter_map(|body| parse_route(body)).collect())
    }

    /// The default route of the gateway's family, instead of one that is there.
    pub fn set_default_route(&mut self, gateway: IpAddr) -> io::Result<()> {
        let mut message = RouteMessage::default();
        message.header.address_family = family(gateway);
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.protocol = RouteProtocol::Boot;
        message.header.scope = RouteScope::Universe;
        message.header.kind = RouteType::Unicast;
        message.attributes.push(RouteAttribute::Gateway(gateway.into()));
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
        self.ask(RouteNetlinkMessage::NewRoute(message), flags).map(drop)
    }
}

fn address_message(index: u32, address: IpNet) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(address.addr());
    message.header.prefix_len = address.prefix_len();
    message.header.index = index;
    message.attributes.push(AddressAttribute::Local(address.addr()));
    message.attributes.push(AddressAttribute::Address(address.addr()));
    message
}

fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

/// Only what we look at: the library's own parser writes down, for each attribute that it reads, how a
/// failure would be told, which costs a hundred times as much.
fn parse_link(body: &[u8]) -> Option<Link> {
    let message = LinkMessageBuffer::new_checked(&body).ok()?;
    let flags = LinkFlags::from_bits_retain(message.flags());
    let mut link =
        Link { index: message.link_index(), up: flags.contains(LinkFlags::Up), ..Link::default() };
    for attribute in message.attributes() {
        let attribute = attribute.ok()?;
        match (attribute.kind(), attribute.value()) {
            (libc::IFLA_IFNAME, value) => link.name = text(value)?,
            (libc::IFLA_IFALIAS, value) => link.alias = text(value),
            (libc::IFLA_MASTER, value) => {
                link.master = value.try_into().ok().map(u32::from_ne_bytes)
            }
            _ => {}
        }
    }
    (!link.name.is_empty()).then_some(link)
}

fn text(value: &[u8]) -> Option<String> {
    CStr::from_bytes_until_nul(value).ok()?.to_str().ok().map(str::to_owned)
}

fn parse_address(body: &[u8]) -> Option<(u32, IpNet)> {
    let message = AddressMessageBuffer::new_checked(&body).ok()?;
    let mut local = message.attributes().flatten().filter(|one| one.kind() == libc::IFA_LOCAL);
    let address: [u8; 4] = local.next()?.value().try_into().ok()?;
    Some((message.index(), IpNet::new(address.into(), message.prefix_len()).ok()?))
}

/// The link's own address: between two points `IFA_ADDRESS` is the other's, and IPv6 has only that one.
pub(super) fn parse_any_address(body: &[u8]) -> Option<LinkAddress> {
    let message = AddressMessageBuffer::new_checked(&body).ok()?;
    let of = |kind| message.attributes().flatten().find(|one| one.kind() == kind);
    let value = of(libc::IFA_LOCAL).or_else(|| of(libc::IFA_ADDRESS))?;
    let v4 = || <[u8; 4]>::try_from(value.value()).ok().map(IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(value.value()).ok().map(IpAddr::from);
    let label = of(libc::IFA_LABEL).and_then(|label| {
        let text = CStr::from_bytes_until_nul(label.value()).ok()?;
        Some(text.to_string_lossy().into_owned())
    });
    Some(LinkAddress { link: message.index(), label, address: v4().or_else(v6)? })
}

fn parse_route(body: &[u8]) -> Option<IpNet> {
    let message = RouteMessageBuffer::new_checked(&body).ok()?;
    let mut attributes = message.attributes().flatten();
    // Only numbers beyond a byte are told apart from the header.
    let is_main = message.table() == RouteHeader::RT_TABLE_MAIN;
    let mut destination = attributes.find(|one| one.kind() == libc::RTA_DST).filter(|_| is_main);
    let address: [u8; 4] = destination.take()?.value().try_into().ok()?;
    IpNet::new(address.into(), message.destination_prefix_length()).ok()
}
