//! Published ports: who reaches them, who does not, and what they lead to.

use super::world::{HOST, World, wait_for};
use crate::resolver::marks::drained_path;
use crate::root::record::Activity;
use keel_engine::{Health, Protocol};
use std::collections::BTreeSet;
use std::path::Path;

const TCP: (&str, u16, Protocol) = ("0.0.0.0", 8080, Protocol::Tcp);
const UDP: (&str, u16, Protocol) = ("0.0.0.0", 8080, Protocol::Udp);

fn two_networks() -> World {
    let mut world = World::new();
    world.network("blog_default", false);
    world.network("shop_default", false);
    world
}

/// All that answer within some tries: fewer, once several did.
fn answers(ask: impl Fn() -> String) -> BTreeSet<String> {
    let mut answers = BTreeSet::new();
    for number in 0..24 {
        if number >= 6 && answers.len() > 1 {
            break;
        }
        answers.insert(ask());
    }
    answers
}

fn names(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn all_five_callers_reach_all_tasks_behind_a_port() {
    let world = two_networks();
    let one = world.task("blog-web-1", "web", &["blog_default"], &[TCP, UDP], &[]);
    let two = world.task("blog-web-2", "web", &["blog_default"], &[TCP, UDP], &[&one]);
    let other = world.task("shop-web-1", "web", &["shop_default"], &[], &[]);
    world.serve_to(&one);
    world.serve_to(&two);
    let both = names(&["blog-web-1", "blog-web-2"]);
    let inner = world.networks["blog_default"].pools[0].gateway.unwrap().to_string();
    let callers = [
        ("outside", &world.outside, HOST),
        ("the host by its address", &world.host, HOST),
        ("the host by localhost", &world.host, "127.0.0.1"),
        ("the host by the bridge's address", &world.host, &inner),
        ("another network's task", &other.space, HOST),
        ("a task of its own network, or itself", &one.space, HOST),
        ("a task by the bridge's address", &two.space, &inner),
    ];
    for (who, space, address) in callers {
        let address = format!("{address}:8080");
        assert_eq!(answers(|| space.get(&address)), both, "{who}, TCP: {}", world.log());
        assert_eq!(answers(|| space.ask_udp(&address)), both, "{who}, UDP");
    }
}

#[test]
fn a_port_on_one_address_is_reached_there_only() {
    let world = two_networks();
    let local = ("127.0.0.1", 8080, Protocol::Tcp);
    let one = world.task("blog-web-1", "web", &["blog_default"], &[local], &[]);
    let given = (HOST, 8081, Protocol::Tcp);
    let two = world.task("blog-web-2", "web", &["blog_default"], &[given], &[&one]);
    world.serve_to(&one);
    world.serve_to(&two);
    assert_eq!(world.host.get("127.0.0.1:8080"), "blog-web-1");
    assert_eq!(world.host.get(&format!("{HOST}:8080")), "");
    assert_eq!(world.outside.get(&format!("{HOST}:8080")), "");
    assert_eq!(world.outside.get(&format!("{HOST}:8081")), "blog-web-2");
    assert_eq!(world.host.get("127.0.0.1:8081"), "");
}

#[test]
fn a_neighbour_does_not_reach_what_is_published_on_localhost() {
    let world = two_networks();
    let local = ("127.0.0.1", 8080, Protocol::Tcp);
    let one = world.task("blog-web-1", "web", &["blog_default"], &[local], &[]);
    world.serve_to(&one);
    // It sends packets for 127.0.0.1 our way.
    world.outside.run(&format!(
        "sysctl -qw net.ipv4.conf.all.route_localnet=1 && ip addr flush dev lo && \
         ip route add 127.0.0.1 via {HOST}"
    ));
    assert_eq!(world.outside.get("127.0.0.1:8080"), "");
    // The rule does it: without it, they arrive.
    world.host.run(&format!("nft flush chain ip {} raw", world.layout.table()));
    assert_eq!(world.outside.get("127.0.0.1:8080"), "blog-web-1");
}

#[test]
fn a_port_leads_to_available_tasks_and_else_to_those_that_run() {
    let world = two_networks();
    let mut one = world.task("blog-web-1", "web", &["blog_default"], &[TCP], &[]);
    let mut two = world.task("blog-web-2", "web", &["blog_default"], &[TCP], &[&one]);
    world.serve_to(&one);
    world.serve_to(&two);
    let becomes = |what: &str, expected: &[&str]| {
        wait_for(what, || answers(|| world.host.get("127.0.0.1:8080")) == names(expected));
    };
    becomes("both run", &["blog-web-1", "blog-web-2"]);
    world.set(&mut one, Activity::Running, Health::Starting);
    becomes("one is not healthy yet", &["blog-web-2"]);
    world.set(&mut two, Activity::Running, Health::Unhealthy);
    becomes("none is well", &["blog-web-1", "blog-web-2"]);
    world.set(&mut one, Activity::Running, Health::Healthy);
    becomes("one got healthy", &["blog-web-1"]);
    world.set(&mut one, Activity::Backoff, Health::None);
    becomes("it crashed", &["blog-web-2"]);
    world.set(&mut two, Activity::Draining, Health::None);
    let drained = drained_path(&world.layout.task(&two.id));
    wait_for("the shim is told", || drained.exists());
    assert_eq!(world.host.get("127.0.0.1:8080"), "");
    world.set(&mut two, Activity::Running, Health::None);
    becomes("it runs again", &["blog-web-2"]);
    wait_for("the sign is gone", || !drained.exists());
}

#[test]
fn a_published_port_is_kept_from_other_programs() {
    let world = two_networks();
    let one = world.task("blog-web-1", "web", &["blog_default"], &[TCP, UDP], &[]);
    world.serve_to(&one);
    let taken = || {
        let tcp = std::net::TcpListener::bind("0.0.0.0:8080");
        let udp = std::net::UdpSocket::bind("0.0.0.0:8080");
        [tcp.err(), udp.err()].map(|error| error.map(|error| error.kind()))
    };
    assert_eq!(world.host.enter(taken), [Some(std::io::ErrorKind::AddrInUse); 2]);
    let mut one = one;
    world.set(&mut one, Activity::Exited, Health::None);
    wait_for("the port is free", || world.host.enter(taken) == [None, None]);
}

#[test]
fn the_port_survives_the_death_of_keel_net() {
    let world = two_networks();
    let one = world.task("blog-web-1", "web", &["blog_default"], &[TCP], &[]);
    world.serve_to(&one);
    let server = world.server().unwrap();
    kill(&server);
    wait_for("it is dead", || !Path::new(&format!("/proc/{}", server.pid)).exists());
    assert_eq!(world.outside.get(&format!("{HOST}:8080")), "blog-web-1");
    let two = world.task("blog-web-2", "web", &["blog_default"], &[TCP], &[&one]);
    world.serve_to(&two);
    assert_ne!(world.server(), Some(server));
    let both = names(&["blog-web-1", "blog-web-2"]);
    assert_eq!(answers(|| world.outside.get(&format!("{HOST}:8080"))), both);
}

pub(crate) fn kill(process: &crate::root::record::Process) {
    let pid = nix::unistd::Pid::from_raw(process.pid.cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
}

#[test]
fn nothing_is_left_when_all_is_gone() {
    let world = two_networks();
    let before = "up0";
    let one = world.task("blog-web-1", "web", &["blog_default"], &[TCP], &[]);
    world.serve_to(&one);
    world.host.run("iptables -P FORWARD DROP");
    let server = world.server().unwrap();
    world.remove(one);
    wait_for("keel net ends", || !server.lives());
    let mut rest = world.list();
    while let Some(network) = rest.pop() {
        world.host.enter(|| crate::network::remove_network(&world.layout, network, &rest)).unwrap();
    }
    let links = world.host.run("ip -o link");
    // What it says of other namespaces on this machine is no link.
    let count = links.lines().filter(|line| line.contains(": <")).count();
    assert_eq!(count, 2, "{links}");
    assert!(links.contains(before));
    let rules = world.host.run("nft list ruleset");
    assert!(!rules.contains("keel"), "{rules}");
    assert!(!world.layout.run().join("net.pid").exists());
}

#[test]
fn a_client_that_keeps_its_udp_port_follows_the_tasks() {
    let world = two_networks();
    let address = format!("{HOST}:8080");
    let ask = |socket: &std::net::UdpSocket| {
        socket.send(b"who").unwrap();
        let mut answer = [0; 100];
        let length = socket.recv(&mut answer).unwrap_or(0);
        String::from_utf8_lossy(&answer[..length]).into_owned()
    };
    let socket = world.outside.enter(|| std::net::UdpSocket::bind("0.0.0.0:5000").unwrap());
    socket.set_read_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
    socket.connect(&address).unwrap();

    let idle = world.task("idle-1", "idle", &["blog_default"], &[], &[]);
    world.serve_to(&idle);
    let _keeps_the_port = world.host.enter(|| std::net::UdpSocket::bind(&address).unwrap());
    assert_eq!(ask(&socket), "", "a flow to the host itself, before there is a task");
    let one = world.task("blog-web-1", "web", &["blog_default"], &[UDP], &[&idle]);
    wait_for("the first task answers", || ask(&socket) == "blog-web-1");
    let _two = world.task("blog-web-2", "web", &["blog_default"], &[UDP], &[&idle, &one]);
    let mut one = one;
    world.set(&mut one, Activity::Draining, Health::None);
    wait_for("the second one answers", || ask(&socket) == "blog-web-2");
}
