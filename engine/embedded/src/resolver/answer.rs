//! One question: answered from the zone, or not ours. Bytes in, bytes out; no I/O.

use super::zone::Zone;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, PTR};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use std::net::{IpAddr, Ipv4Addr};

/// Short, since a rollout moves names.
const TTL: u32 = 1;
/// What a client without EDNS takes over UDP.
const PLAIN_UDP: usize = 512;

/// What becomes of a question.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The whole answer.
    Answer(Vec<u8>),
    /// Somebody else knows.
    Forward,
    /// Not a question at all: no answer.
    Ignore,
}

/// Answers a question of somebody in these networks. `start` turns the list of addresses, so
/// that clients that take the first do not all take the same.
pub(super) fn answer(
    zone: &Zone,
    networks: &[String],
    question: &[u8],
    start: usize,
    udp: bool,
) -> Outcome {
    let Ok(message) = Message::from_vec(question) else {
        return Outcome::Ignore;
    };
    let metadata = &message.metadata;
    if metadata.message_type != MessageType::Query {
        return Outcome::Ignore;
    }
    let [query] = message.queries.as_slice() else {
        return reply(&message, ResponseCode::FormErr, Vec::new(), udp);
    };
    if metadata.op_code != OpCode::Query || query.query_class() != DNSClass::IN {
        return Outcome::Forward;
    }
    match records(zone, networks, query, start) {
        Some(records) => reply(&message, ResponseCode::NoError, records, udp),
        None => Outcome::Forward,
    }
}

/// The answer that nobody could give one.
pub(super) fn failure(question: &[u8]) -> Option<Vec<u8>> {
    let message = Message::from_vec(question).ok()?;
    match reply(&message, ResponseCode::ServFail, Vec::new(), true) {
        Outcome::Answer(bytes) => Some(bytes),
        Outcome::Forward | Outcome::Ignore => None,
    }
}

/// `None`: the name is not ours. Empty: it is, but has no record of that type (IPv6, mostly).
fn records(zone: &Zone, networks: &[String], query: &Query, start: usize) -> Option<Vec<Record>> {
    let name = query.name();
    if query.query_type() == RecordType::PTR {
        let target = zone.name(networks, reverse(name)?)?;
        let target = Name::from_ascii(format!("{target}.")).ok()?;
        return Some(vec![Record::from_rdata(name.clone(), TTL, RData::PTR(PTR(target)))]);
    }
    let text = name.to_ascii().to_ascii_lowercase();
    let addresses = zone.addresses(networks, text.strip_suffix('.').unwrap_or(&text))?;
    let asked = query.query_type();
    let data = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) if matches!(asked, RecordType::A | RecordType::ANY) => {
            Some(RData::A(A(*ip)))
        }
        IpAddr::V6(ip) if matches!(asked, RecordType::AAAA | RecordType::ANY) => {
            Some(RData::AAAA(AAAA(*ip)))
        }
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    };
    let data: Vec<RData> = addresses.iter().filter_map(data).collect();
    let turned = data.iter().cycle().skip(start % data.len().max(1)).take(data.len());
    Some(turned.map(|data| Record::from_rdata(name.clone(), TTL, data.clone())).collect())
}

fn reverse(name: &Name) -> Option<IpAddr> {
    let text = name.to_ascii().to_ascii_lowercase();
    let digits = text.trim_end_matches('.').strip_suffix(".in-addr.arpa")?;
    let turned: Vec<&str> = digits.rsplit('.').collect();
    turned.join(".").parse::<Ipv4Addr>().ok().map(IpAddr::V4)
}

fn reply(message: &Message, code: ResponseCode, records: Vec<Record>, udp: bool) -> Outcome {
    let mut reply = Message::response(message.metadata.id, message.metadata.op_code);
    reply.metadata.recursion_desired = message.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    reply.metadata.response_code = code;
    reply.queries.clone_from(&message.queries);
    reply.answers = records;
    let limit = message.edns.as_ref().map_or(PLAIN_UDP, |edns| edns.max_payload().into());
    let Ok(mut bytes) = reply.to_vec() else { return Outcome::Ignore };
    if udp && bytes.len() > limit.max(PLAIN_UDP) {
        reply.answers.clear();
        reply.metadata.truncation = true;
        bytes = reply.to_vec().unwrap_or_default();
    }
    Outcome::Answer(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::tasks::{Availability, Task};
    use super::*;
    use crate::root::record::Endpoint;

    fn zone(tasks: u8) -> Zone {
        let task = |number: u8| {
            let endpoint = Endpoint {
                network: "blog".into(),
                addresses: vec![format!("10.0.0.{number}/24").parse().unwrap()],
                names: vec!["web".into()],
                ..Endpoint::default()
            };
            Task {
                standing: Availability::Available,
                endpoints: vec![endpoint],
                ports: Vec::new(),
                reserves: true,
                draining: None,
                processes: Vec::new(),
                dns: Vec::new(),
            }
        };
        let tasks: Vec<_> = (2..tasks + 2).map(task).collect();
        let mut zone = Zone::default();
        zone.set("blog", tasks.iter());
        zone
    }

    fn ask(zone: &Zone, question: &[u8], start: usize, udp: bool) -> Option<Message> {
        match answer(zone, &["blog".to_owned()], question, start, udp) {
            Outcome::Answer(bytes) => Some(Message::from_vec(&bytes).unwrap()),
            Outcome::Forward | Outcome::Ignore => None,
        }
    }

    fn question(name: &str, kind: RecordType) -> Message {
        let mut message = Message::query();
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        message
    }

    #[test]
    fn clients_that_take_the_first_address_are_spread() {
        let (zone, bytes) = (zone(3), question("web.", RecordType::A).to_vec().unwrap());
        let first = |start| match ask(&zone, &bytes, start, true).unwrap().answers[0].data {
            RData::A(A(ip)) => ip.octets()[3],
            _ => 0,
        };
        let mut firsts: Vec<u8> = (0..3).map(first).collect();
        firsts.sort_unstable();
        assert_eq!(firsts, [2, 3, 4]);
    }

    #[test]
    fn more_than_fits_comes_by_tcp() {
        let (zone, bytes) = (zone(100), question("web.", RecordType::A).to_vec().unwrap());
        let cut = ask(&zone, &bytes, 0, true).unwrap();
        assert!(cut.metadata.truncation && cut.answers.is_empty());
        let whole = ask(&zone, &bytes, 0, false).unwrap();
        assert!(!whole.metadata.truncation);
        assert_eq!(whole.answers.len(), 100);
    }

    #[test]
    fn what_is_not_ours_is_passed_on_and_what_is_no_question_is_not_answered() {
        let zone = zone(1);
        let other = question("example.org.", RecordType::A).to_vec().unwrap();
        let networks = ["blog".to_owned()];
        assert!(matches!(answer(&zone, &networks, &other, 0, true), Outcome::Forward));
        for noise in [&b""[..], &b"noise"[..], &[0xff; 40][..]] {
            assert!(matches!(answer(&zone, &networks, noise, 0, true), Outcome::Ignore));
        }
        let reply = question("web.", RecordType::A).into_response().to_vec().unwrap();
        assert!(matches!(answer(&zone, &networks, &reply, 0, true), Outcome::Ignore));
        let failed = Message::from_vec(&failure(&other).unwrap()).unwrap();
        assert_eq!(failed.metadata.response_code, ResponseCode::ServFail);
    }
}
