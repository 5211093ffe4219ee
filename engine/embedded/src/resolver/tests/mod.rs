//! On the real kernel: a real `keel net`, asked from inside the tasks' namespaces.

mod published;
mod shape;
mod world;

use super::main;
use crate::root::layout::Layout;
use crate::root::record::Activity;
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use keel_engine::Health;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::path::Path;
use world::{HOST, Space, Task, World, reply_limit, wait_for};

/// What `World::serve` runs in a process of its own.
#[test]
#[ignore = "the process `keel net`, for other tests"]
fn serves_as_keel_net() {
    if let Ok(root) = std::env::var("KEEL_TEST_NET_ROOT") {
        std::process::exit(main(&Layout::new(Path::new(&root))));
    }
}

fn question(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message.to_vec().unwrap()
}

fn ask_udp(space: &Space, name: &str, kind: RecordType) -> Message {
    let answer = space.enter(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.set_read_timeout(Some(reply_limit())).unwrap();
        socket.connect("127.0.0.11:53").unwrap();
        socket.send(&question(name, kind)).unwrap();
        let mut answer = vec![0; 4096];
        let length = socket.recv(&mut answer).unwrap();
        answer.truncate(length);
        answer
    });
    Message::from_vec(&answer).unwrap()
}

fn ask_tcp(space: &Space, name: &str) -> Message {
    let answer = space.enter(|| {
        let mut stream = TcpStream::connect("127.0.0.11:53").unwrap();
        stream.set_read_timeout(Some(reply_limit())).unwrap();
        let question = question(name, RecordType::A);
        stream.write_all(&u16::try_from(question.len()).unwrap().to_be_bytes()).unwrap();
        stream.write_all(&question).unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut answer).unwrap();
        answer
    });
    Message::from_vec(&answer).unwrap()
}

/// The addresses in an answer, sorted; or its code.
fn addresses(answer: &Message) -> String {
    if answer.metadata.response_code != ResponseCode::NoError {
        return answer.metadata.response_code.to_string();
    }
    let address = |record: &Record| match &record.data {
        RData::A(address) => Some(address.0.to_string()),
        RData::PTR(name) => Some(name.0.to_string()),
        _ => None,
    };
    let mut list: Vec<String> = answer.answers.iter().filter_map(address).collect();
    list.sort();
    list.join(" ")
}

fn resolve(task: &Task, name: &str) -> String {
    addresses(&ask_udp(&task.space, name, RecordType::A))
}

/// The neighbour knows one name, and nothing else.
fn name_server(world: &mut World) {
    world.outside.serve_udp(53, |question| {
        let message = Message::from_vec(question).unwrap();
        let mut answer = message.clone().into_response();
        let name = message.queries[0].name().clone();
        if name.to_ascii() == "example.org." {
            let data = RData::A(A(Ipv4Addr::new(192, 0, 2, 7)));
            answer.add_answer(Record::from_rdata(name, 60, data));
        } else {
            answer.metadata.response_code = ResponseCode::NXDomain;
        }
        answer.to_vec().unwrap()
    });
}

#[test]
fn names_lead_to_the_tasks_of_ones_own_networks() {
    let mut world = World::new();
    world.network("blog", false);
    world.network("shop", false);
    name_server(&mut world);
    let one = world.task("blog-web-1", "web", &["blog"], &[], &[]);
    let two = world.task("blog-web-2", "web", &["blog"], &[], &[&one]);
    let shop = world.task("shop-db-1", "db", &["shop"], &[], &[]);
    let both = world.task("proxy-1", "proxy", &["shop", "blog"], &[], &[&one, &two, &shop]);
    for task in [&one, &two, &shop, &both] {
        world.serve_to(task);
    }
    let short = two.id.short();
    let cases = [
        (&one, "web", "172.20.0.2 172.20.0.3"),
        (&one, "WEB.", "172.20.0.2 172.20.0.3"),
        (&one, "blog-web-2", "172.20.0.3"),
        (&one, short, "172.20.0.3"),
        (&one, "web.blog", "172.20.0.2 172.20.0.3"),
        (&one, "db", "Non-Existent Domain"),
        (&both, "db", "172.20.16.2"),
        (&both, "web", "172.20.0.2 172.20.0.3"),
        (&one, "proxy", "172.20.0.4"),
        (&shop, "proxy", "172.20.16.3"),
        (&one, "example.org", "192.0.2.7"),
    ];
    for (task, name, expected) in cases {
        assert_eq!(resolve(task, name), expected, "{name}: {}", world.log());
    }
    assert_eq!(addresses(&ask_tcp(&one.space, "web")), "172.20.0.2 172.20.0.3");
    let ipv6 = ask_udp(&one.space, "web", RecordType::AAAA);
    assert_eq!((addresses(&ipv6).as_str(), ipv6.answers.len()), ("", 0));
    let reverse = ask_udp(&one.space, "3.0.20.172.in-addr.arpa.", RecordType::PTR);
    assert_eq!(addresses(&reverse), "blog-web-2.blog.");
    let lookup = one.space.run("busybox nslookup blog-web-2 127.0.0.11");
    assert!(lookup.contains("172.20.0.3"), "{lookup}");
}

#[test]
fn a_name_means_the_available_tasks_and_else_those_there_are() {
    let mut world = World::new();
    world.network("blog", false);
    let asker = world.task("asker", "asker", &["blog"], &[], &[]);
    let mut one = world.task("blog-web-1", "web", &["blog"], &[], &[&asker]);
    let mut two = world.task("blog-web-2", "web", &["blog"], &[], &[&asker, &one]);
    world.serve_to(&asker);
    let becomes = |what: &str, expected: &str| {
        wait_for(what, || resolve(&asker, "web") == expected);
    };
    becomes("both run", "172.20.0.3 172.20.0.4");
    world.set(&mut one, Activity::Running, Health::Starting);
    becomes("one is not healthy yet", "172.20.0.4");
    world.set(&mut two, Activity::Draining, Health::None);
    becomes("the other goes", "172.20.0.3");
    world.set(&mut one, Activity::Backoff, Health::None);
    becomes("the first crashed", "172.20.0.4");
    world.set(&mut two, Activity::Exited, Health::None);
    becomes("only a crashed one is left", "172.20.0.3");
    let ask = |_| ask_udp(&asker.space, "web", RecordType::A).answers.len();
    assert_eq!((0..10).map(ask).collect::<Vec<_>>(), [1; 10]);
}

#[test]
fn an_internal_network_asks_nobody_outside() {
    let mut world = World::new();
    world.network("vault", true);
    name_server(&mut world);
    let one = world.task("vault-db-1", "db", &["vault"], &[], &[]);
    world.serve_to(&one);
    assert_eq!(resolve(&one, "db"), "172.20.0.2");
    assert_eq!(resolve(&one, "example.org"), "Server Failure");
}

#[test]
fn a_new_keel_net_serves_those_that_the_dead_one_served() {
    let mut world = World::new();
    world.network("blog", false);
    let one = world.task("blog-web-1", "web", &["blog"], &[], &[]);
    world.serve_to(&one);
    let server = world.server().unwrap();
    let pid = nix::unistd::Pid::from_raw(server.pid.cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    wait_for("it is dead", || !Path::new(&format!("/proc/{}", server.pid)).exists());
    world.serve_to(&one);
    assert_eq!(resolve(&one, "web"), "172.20.0.2");
    assert_eq!(addresses(&ask_tcp(&one.space, "web")), "172.20.0.2");
}

#[test]
fn the_host_itself_has_no_part_in_names() {
    let mut world = World::new();
    world.network("blog", false);
    let one = world.task("blog-web-1", "web", &["blog"], &[], &[]);
    world.serve_to(&one);
    let sockets = world.host.run("cat /proc/net/udp");
    assert_eq!(sockets.lines().count(), 1, "{sockets} {HOST}");
}
