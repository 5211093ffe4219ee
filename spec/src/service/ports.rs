//! Ports that are published, or only said to exist.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::ops::Range;

use crate::code::Code;
use crate::decode::Field;
use crate::item::Item;
use crate::problem::Problem;

/// One published port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// The host's address to listen on; absent: all of them.
    pub host_ip: Option<IpAddr>,
    /// The host's port.
    pub published: Published,
    /// The container's port.
    pub target: u16,
    /// The protocol.
    pub protocol: Protocol,
}

/// What a port is on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Published {
    /// Any free one.
    Any,
    /// This one.
    Port(u16),
    /// A free one of these, both ends included. Its service is held.
    Range(u16, u16),
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP. Its service is held.
    Sctp,
}

/// `tcp`, `udp`, `sctp`.
impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

/// A port that the service listens on, for people and proxies to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Exposed {
    /// The container's port.
    pub port: u16,
    /// The protocol.
    pub protocol: Protocol,
}

/// What is wrong with a short port, and at which bytes of it.
pub(crate) type Fault = (String, Range<usize>);

/// Reads `ports`.
pub(crate) fn decode(service: &Field<'_>) -> Vec<Port> {
    let mut ports: Vec<Port> = Vec::new();
    let mut seen = HashSet::new();
    for field in service.get("ports").map(|field| field.list()).unwrap_or_default() {
        let field = field.unmarked();
        for port in one(&field) {
            hold_unusual(&field, &port);
            if ports.len() >= MAX_PORTS {
                field.refuse(
                    Code::TooMany,
                    format!("{} has more than {MAX_PORTS} ports", service.scope.subject),
                );
                return ports;
            }
            if seen.insert(port.clone()) {
                service.scope.origin(format!("ports[{}]", ports.len()), field.place());
                ports.push(port);
            }
        }
    }
    ports
}

/// How many ports a service may have, ranges expanded.
const MAX_PORTS: usize = 1 << 16;

fn one(field: &Field<'_>) -> Vec<Port> {
    let Some(text) = field.item.text() else {
        return long(field).into_iter().flatten().collect();
    };
    short(text).unwrap_or_else(|(message, part)| {
        let problem = Problem::new(Code::BadPort, format!("{}: {message}", field.name()));
        let problem = problem.at(field.item.slice(part));
        field.scope.add(problem.hint("write `[IP:][HOST:]CONTAINER[/udp]`, such as `8080:80`"));
        Vec::new()
    })
}

fn hold_unusual(field: &Field<'_>, port: &Port) {
    match port {
        Port { protocol: Protocol::Sctp, .. } => field.hold("SCTP ports are not published"),
        Port { published: Published::Range(..), .. } => {
            field.hold("choosing a free port of a range is not done");
        }
        Port { host_ip: Some(IpAddr::V6(ip)), .. } if !ip.is_unspecified() => {
            field.hold("nothing is published on IPv6 addresses");
        }
        _ => {}
    }
}

/// `[IP:][HOST[-HOST]:]CONTAINER[-CONTAINER][/PROTOCOL]`.
pub(crate) fn short(text: &str) -> Result<Vec<Port>, Fault> {
    let end = text.rfind('/').unwrap_or(text.len());
    let protocol = text.get(end + 1..).map_or(Ok(Protocol::Tcp), |name| {
        protocol(name).ok_or_else(|| (format!("`{name}` is not a protocol"), end + 1..text.len()))
    })?;
    let target_at = text[..end].rfind(':').map_or(0, |colon| colon + 1);
    let target = range(text, target_at..end)?;
    if target_at == 0 {
        return spread(None, None, target, protocol, 0..end);
    }
    let rest = &text[..target_at - 1];
    let host_at = rest.rfind(':').filter(|_| !rest.ends_with(']')).map_or(0, |colon| colon + 1);
    let (host_ip, host) = match rest.ends_with(']') {
        true => (Some(rest), rest.len()..rest.len()),
        false => (rest.get(..host_at.saturating_sub(1)), host_at..rest.len()),
    };
    let host_ip = host_ip.filter(|ip| !ip.is_empty()).map(address).transpose()?;
    let host = if host.is_empty() { None } else { Some(range(text, host)?) };
    spread(host_ip, host, target, protocol, 0..end)
}

fn address(text: &str) -> Result<IpAddr, Fault> {
    let plain = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    plain.parse().map_err(|_| (format!("`{text}` is not an IP address"), 0..text.len()))
}

/// A port, or a range of them, both ends included.
fn range(text: &str, part: Range<usize>) -> Result<(u16, u16), Fault> {
    let words = &text[part.clone()];
    let fault = || match words.is_empty() {
        true => ("a port is missing".to_owned(), part.clone()),
        false => (format!("`{words}` is not a port"), part.clone()),
    };
    let port = |word: &str| word.parse::<u16>().ok().filter(|port| *port > 0);
    let (first, last) = match words.split_once('-') {
        Some((first, last)) => (port(first), port(last)),
        None => (port(words), port(words)),
    };
    match (first, last) {
        (Some(first), Some(last)) if first <= last => Ok((first, last)),
        (Some(_), Some(_)) => Err((format!("the range `{words}` runs backwards"), part)),
        _ => Err(fault()),
    }
}

/// Pairs the ports of two ranges.
fn spread(
    host_ip: Option<IpAddr>,
    host: Option<(u16, u16)>,
    target: (u16, u16),
    protocol: Protocol,
    whole: Range<usize>,
) -> Result<Vec<Port>, Fault> {
    let port = |published, target| Port { host_ip, published, target, protocol };
    match host {
        None => Ok((target.0..=target.1).map(|target| port(Published::Any, target)).collect()),
        Some((first, last)) if last - first == target.1 - target.0 => Ok((first..=last)
            .zip(target.0..=target.1)
            .map(|(host, target)| port(Published::Port(host), target))
            .collect()),
        Some((first, last)) if target.0 == target.1 => {
            Ok(vec![port(Published::Range(first, last), target.0)])
        }
        Some(_) => Err(("the two ranges have different lengths".to_owned(), whole)),
    }
}

fn protocol(name: &str) -> Option<Protocol> {
    match name.to_ascii_lowercase().as_str() {
        "tcp" => Some(Protocol::Tcp),
        "udp" => Some(Protocol::Udp),
        "sctp" => Some(Protocol::Sctp),
        _ => None,
    }
}

/// The long form.
fn long(field: &Field<'_>) -> Option<Vec<Port>> {
    let Some(target) = field.get("target") else {
        return field.lacks("target", "a port such as `8080:80`, or a mapping");
    };
    let target = ports_of(&target)?;
    let published = match field.get("published") {
        Some(published) if published.item.text() != Some("0") => Some(ports_of(&published)?),
        _ => None,
    };
    let host_ip = match field.given("host_ip") {
        Some(ip) => Some(ip.parsed("an IP address", |text| address(text).ok())?),
        None => None,
    };
    let protocol = match field.get("protocol") {
        Some(name) => name.parsed("`tcp`, `udp` or `sctp`", protocol)?,
        None => Protocol::Tcp,
    };
    for key in ["name", "mode", "app_protocol"] {
        let text = field.get(key).and_then(|field| Some((field.text()?, field)));
        if let Some((_, field)) = text
            .filter(|(text, _)| key == "mode" && !matches!(text.as_str(), "host" | "ingress" | ""))
        {
            field.hold("only the modes `host` and `ingress` are known, and do the same");
        }
    }
    match spread(host_ip, published, target, protocol, 0..0) {
        Ok(ports) => Some(ports),
        Err((message, _)) => {
            field.refuse(Code::BadPort, format!("{}: {message}", field.name()));
            None
        }
    }
}

fn ports_of(field: &Field<'_>) -> Option<(u16, u16)> {
    field.parsed("a port", |text| range(text, 0..text.len()).ok())
}

/// What two items of `ports` have in common when the later one takes the earlier one's place.
pub(crate) fn identity(item: &Item) -> Option<String> {
    if let Some(text) = item.text() {
        return Some(match short(text).as_deref() {
            Ok([port]) => canonical(port),
            _ => text.to_owned(),
        });
    }
    let text = |key| item.get(key).and_then(Item::text);
    let ip = text("host_ip").and_then(|ip| address(ip).ok());
    let published = text("published").unwrap_or_default();
    let protocol = text("protocol").unwrap_or("tcp");
    Some(form(ip, published, text("target")?, protocol))
}

fn canonical(port: &Port) -> String {
    let published = match port.published {
        Published::Any => String::new(),
        Published::Port(port) => port.to_string(),
        Published::Range(first, last) => format!("{first}-{last}"),
    };
    form(port.host_ip, &published, &port.target.to_string(), &port.protocol.to_string())
}

fn form(ip: Option<IpAddr>, published: &str, target: &str, protocol: &str) -> String {
    let ip = ip.filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string()).unwrap_or_default();
    format!("{ip}:{published}:{target}/{protocol}")
}

/// Reads `expose`.
pub(crate) fn exposed(service: &Field<'_>) -> Vec<Exposed> {
    let mut exposed = Vec::new();
    for field in service.get("expose").map(|field| field.list()).unwrap_or_default() {
        let Some(text) = field.loose_text() else { continue };
        match short(&text) {
            Ok(ports) if ports.iter().all(|port| port.published == Published::Any) => {
                exposed
                    .extend(ports.iter().map(|p| Exposed { port: p.target, protocol: p.protocol }));
            }
            _ => {
                field.bad::<()>("a port or a range of ports, such as `8080` or `53/udp`");
            }
        }
    }
    exposed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let ports = match short(text) {
            Err((message, part)) => return format!("{message} @ {:?}", &text[part]),
            Ok(ports) => ports,
        };
        let one = |port: &Port| {
            let ip = port.host_ip.map(|ip| format!("{ip} ")).unwrap_or_default();
            let host = match port.published {
                Published::Any => "any".to_owned(),
                Published::Port(host) => host.to_string(),
                Published::Range(first, last) => format!("{first}..{last}"),
            };
            format!("{ip}{host}>{}/{}", port.target, port.protocol)
        };
        ports.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn short_forms() {
        let cases = [
            ("80", "any>80/tcp"),
            ("8080:80", "8080>80/tcp"),
            ("22:22", "22>22/tcp"),
            ("53:53/UDP", "53>53/udp"),
            ("127.0.0.1:8080:80", "127.0.0.1 8080>80/tcp"),
            ("127.0.0.1::80", "127.0.0.1 any>80/tcp"),
            ("[::1]:8080:80", "::1 8080>80/tcp"),
            ("::1:8080:80", "::1 8080>80/tcp"),
            ("80-82:8080-8082", "80>8080/tcp 81>8081/tcp 82>8082/tcp"),
            ("3000-3001", "any>3000/tcp any>3001/tcp"),
            ("8000-9000:80", "8000..9000>80/tcp"),
            ("127.0.1:8080:80", r#"`127.0.1` is not an IP address @ "127.0.1""#),
            ("80-82:80-81", r#"the two ranges have different lengths @ "80-82:80-81""#),
            ("82-80", r#"the range `82-80` runs backwards @ "82-80""#),
            ("8080:http", r#"`http` is not a port @ "http""#),
            ("80:99999", r#"`99999` is not a port @ "99999""#),
            ("80:80/icmp", r#"`icmp` is not a protocol @ "icmp""#),
            ("", r#"a port is missing @ """#),
            ("80:", r#"a port is missing @ """#),
        ];
        for (text, result) in cases {
            assert_eq!(shown(text), result, "{text}");
        }
    }
}
