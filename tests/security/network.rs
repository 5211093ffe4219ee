//! The network: the host's loopback, ports that nobody published, IPv6 that nobody asked for, made-up
//! sources, names, and what keel itself listens on.

use super::bench::{Bench, done, result, service};
use super::support::until;
use serde_json::json;
use std::process::{Child, Stdio};

/// A program of the host's that listens, or waits; ended with the test.
struct Background(Child);

impl Background {
    fn start(bench: &Bench, words: &[&str]) -> Self {
        let mut command = bench.command(words[0]);
        let child = command.args(&words[1..]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Self(child.unwrap())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// What listens on the host, on 127.0.0.1 alone; waits until it does.
fn listener(bench: &Bench, port: &str) -> Background {
    let address = format!("TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr");
    let socat = Background::start(bench, &["socat", &address, "SYSTEM:echo hosts-own"]);
    let up = || bench.sh("ss -ltn").contains(&format!("127.0.0.1:{port} ")).then_some(());
    until("the listener is up", up, String::new);
    socat
}

/// A second machine on a wire to the host: a namespace with 198.51.100.2, the host having .1.
struct Neighbor<'a> {
    bench: &'a Bench,
    name: String,
}

impl<'a> Neighbor<'a> {
    fn new(bench: &'a Bench) -> Self {
        let name = format!("{}-n", bench.name);
        bench.sh(&format!(
            "ip netns add {name} && ip link add wire type veth peer name wire netns {name} && \
             ip addr add 198.51.100.1/24 dev wire && ip link set wire up && \
             ip -n {name} addr add 198.51.100.2/24 dev wire && ip -n {name} link set wire up && \
             ip -n {name} link set lo up"
        ));
        Self { bench, name }
    }

    /// What a program on it says; empty where it fails.
    fn sh(&self, script: &str) -> String {
        let mut command = self.bench.command("ip");
        let output = command.args(["netns", "exec", &self.name, "sh", "-c", script]).output();
        String::from_utf8_lossy(&output.unwrap().stdout).into_owned()
    }

    fn get(&self, address: &str) -> String {
        self.sh(&format!("curl -s -m 1 http://{address}/"))
    }
}

impl Drop for Neighbor<'_> {
    fn drop(&mut self) {
        self.bench.command("ip").args(["netns", "del", &self.name]).status().ok();
    }
}

/// A stack with a web server whose port 80 is published as `ports` says; its address.
fn web(bench: &Bench, ports: &serde_json::Value) -> String {
    let command = json!([
        "sh",
        "-c",
        "mkdir /www; echo the-page >/www/index.html; exec httpd -f -p 80 -h /www"
    ]);
    let web = service(json!({ "command": command, "ports": ports, "init": true }));
    bench.up("web", &json!({ "services": { "web": web } })).ok();
    let pid = bench.container("web-web-1").unwrap()["pid"].as_u64().unwrap();
    let shown = bench.sh(&format!("nsenter -t {pid} -n ip -4 -o addr show dev eth0"));
    shown.split_whitespace().nth(3).unwrap().split('/').next().unwrap().to_owned()
}

/// CVE-2020-8558: from a container that may do what it likes with its own routes.
#[test]
fn the_hosts_loopback_is_out_of_reach() {
    let bench = Bench::new();
    let _listener = listener(&bench, "7001");
    web(&bench, &json!(["127.0.0.1:7002:80"]));
    assert!(bench.until_get("http://127.0.0.1:7002/").contains("the-page"));
    let attack = "gw=$(ip route | sed -n 's/default via \\([^ ]*\\).*/\\1/p'); \
        ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.0/8 via $gw dev eth0; \
        prober connect 127.0.0.1 7001 127.0.0.1 7002 127.0.0.1 5000 $gw 7001 $gw 7002";
    let said = bench.run(&["--cap-add", "NET_ADMIN"], &["sh", "-c", attack]).ok().stdout;
    done(&said, &["prober", "connect"]);
    assert!(said.matches("connect ").count() >= 5 && !said.contains(" ok "), "{said}");
    // From the wire, by a route to 127/8 through the host.
    let neighbor = Neighbor::new(&bench);
    neighbor.sh("ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.0/8 via 198.51.100.1");
    for port in ["7001", "7002", "5000"] {
        assert_eq!(neighbor.get(&format!("127.0.0.1:{port}")), "", "{port}");
    }
    assert_eq!(neighbor.get("198.51.100.1:7001") + &neighbor.get("198.51.100.1:7002"), "");
    // The table is gone: until it is back nothing is open, and it comes back.
    let serve = bench.serve(&["web"]);
    bench.sh("nft flush ruleset");
    let mut answers = String::new();
    let healed = || {
        answers += &neighbor.get("127.0.0.1:7002");
        bench.get("http://127.0.0.1:7002/")
    };
    until("the ports are back", healed, || serve.said());
    assert_eq!(answers, "", "open to the wire while the rules were gone");
    drop(serve);
    drop(neighbor);
    bench.finish(&["web"]);
}

/// A source in 127/8, or of the neighbor's, that a container makes up.
#[test]
fn a_made_up_source_is_not_believed() {
    let bench = Bench::new();
    let heard = bench.path("heard");
    let file = format!("OPEN:{},creat,append", heard.display());
    let _socat = Background::start(&bench, &["socat", "-u", "UDP-RECV:7003", &file]);
    let up = || bench.sh("ss -lun").contains(":7003 ").then_some(());
    until("the listener is up", up, String::new);
    let attack = "gw=$(ip route | sed -n 's/default via \\([^ ]*\\).*/\\1/p'); ping -c 1 -W 2 $gw >/dev/null; \
        mac=$(ip neigh show $gw | sed -n 's/.*lladdr \\([^ ]*\\).*/\\1/p'); \
        for s in 127.0.0.1 127.0.0.2 127.5.5.5; do prober raw-udp $s $gw 7003 raw-$s; \
        prober frame-udp eth0 $mac $s $gw 7003 frame-$s; \
        prober frame-udp eth0 $mac 127.0.0.9 127.0.0.1 7003 to-loopback; done; \
        own=$(ip -4 -o addr show dev eth0 | sed 's/.*inet \\([^/]*\\).*/\\1/'); \
        prober raw-udp $own $gw 7003 honest; sleep 0.3; echo done all";
    let said = bench.run(&[], &["sh", "-c", attack]).ok().stdout;
    assert!(said.matches("frame-udp ok").count() >= 6, "{said}");
    let honest = || std::fs::read_to_string(&heard).ok().filter(|text| text.contains("honest"));
    let text = until("the honest packet comes", honest, || said.clone());
    for lie in ["raw-127", "frame-127", "to-loopback"] {
        assert!(!text.contains(lie), "a packet from 127/8 came in: {text}");
    }
    bench.finish(&[]);
}

/// CVE-2025-54388 and -54410: ports that are not published, or on one address, from the wire.
#[test]
fn only_what_is_published_is_reached_from_the_wire() {
    let bench = Bench::new();
    let neighbor = Neighbor::new(&bench);
    let address = web(&bench, &json!(["198.51.100.1:7004:80", "127.0.0.1:7005:80"]));
    let network = address.rsplit_once('.').unwrap().0.to_owned();
    neighbor.sh(&format!("ip route add {network}.0/24 via 198.51.100.1"));
    let published =
        || Some(neighbor.get("198.51.100.1:7004")).filter(|page| page.contains("the-page"));
    until("the published port answers", published, || bench.overview());
    let shut = || {
        for target in
            [format!("{address}:80"), "198.51.100.1:7005".into(), "198.51.100.1:80".into()]
        {
            assert_eq!(neighbor.get(&target), "", "{target}");
        }
    };
    shut();
    // Another stack, whose container knows the address, and has a network of its own.
    let said = bench.said(&[], &["prober", "connect", &address, "80"]);
    let same_bridge = result(&said, &format!("connect {address}:80")).starts_with("ok");
    assert!(!same_bridge, "another network's container: {said}");
    // Somebody reloads their own firewall.
    let serve = bench.serve(&["web"]);
    bench.sh("nft flush ruleset");
    until("the published port is back", published, || serve.said());
    shut();
    drop(serve);
    drop(neighbor);
    bench.finish(&["web"]);
}

/// CVE-2020-10749, CVE-2020-13401: a container that says it is the router.
#[test]
fn router_advertisements_configure_nobody() {
    let bench = Bench::new();
    let stack = json!({ "services": {
        "evil": service(json!({ "command": ["sleep", "1000000"], "init": true })),
        "victim": service(json!({ "command": ["sleep", "1000000"], "init": true })),
    } });
    bench.up("six", &stack).ok();
    let said = bench.exec(&[], "six-evil-1", &["prober", "router-advert", "eth0"]).ok().stdout;
    assert!(said.contains("router-advert ok 3"), "{said}");
    let victim = bench.exec(
        &[],
        "six-victim-1",
        &["sh", "-c", "ip -6 addr; ip -6 route; cat /proc/net/if_inet6"],
    );
    assert!(!victim.stdout.contains("2001:db8"), "{victim:?}");
    let host = bench.sh("ip -6 addr; ip -6 route");
    assert!(!host.contains("2001:db8") && !host.contains("fe80::99"), "{host}");
    let own =
        bench.sh("for i in /proc/sys/net/ipv6/conf/kl*; do echo $i $(cat $i/disable_ipv6); done");
    assert!(own.contains("kl") && !own.contains(" 0\n"), "bridges have IPv6: {own}");
    bench.finish(&["six"]);
}

/// A neighbor on the same bridge claims the gateway's address: the host and other networks are as
/// they were.
#[test]
fn a_claimed_gateway_concerns_its_own_network_alone() {
    let bench = Bench::new();
    let address = web(&bench, &json!(["7006:80"]));
    let gateway = format!("{}.1", address.rsplit_once('.').unwrap().0);
    bench.idle("evil", &[]);
    for claimed in [&gateway, &address, "198.51.100.1"] {
        let said =
            bench.exec(&[], "evil", &["prober", "arp-claim", "eth0", claimed, "20"]).ok().stdout;
        assert!(said.contains("arp-claim ok 20"), "{said}");
    }
    assert!(bench.until_get("http://127.0.0.1:7006/").contains("the-page"));
    let neighbors = bench.sh("ip neigh");
    assert!(!neighbors.contains("198.51.100.1 "), "{neighbors}");
    bench.finish(&["web"]);
}

/// CVE-2024-29018: a name leaves an internal network as a question. And questions that are none.
#[test]
fn the_resolver_answers_its_own_and_survives_the_rest() {
    let bench = Bench::new();
    let upstream = bench.path("upstream");
    let file = format!("OPEN:{},creat,append", upstream.display());
    bench.sh("ip addr add 203.0.113.53/32 dev lo");
    let _socat =
        Background::start(&bench, &["socat", "-u", "UDP-RECV:53,bind=203.0.113.53", &file]);
    let inside = json!({ "command": ["sleep", "1000000"], "init": true, "networks": ["closed"],
                         "dns": ["203.0.113.53"] });
    let other = json!({ "command": ["sleep", "1000000"], "init": true, "networks": ["open"] });
    let stack = json!({
        "services": { "inside": service(inside), "secret": service(other) },
        "networks": { "closed": { "internal": true }, "open": {} },
    });
    bench.up("names", &stack).ok();
    let ask = |name: &str, words: &str| {
        bench
            .exec(
                &[],
                "names-inside-1",
                &["sh", "-c", &format!("timeout 3 nslookup {words} {name}; true")],
            )
            .stdout
    };
    assert!(ask("inside", "").contains("Address"), "it resolves at all");
    ask("data.leaves.example", "");
    ask("data.leaves.example", "-type=txt");
    assert!(!ask("secret", "").contains("172."), "another network's name");
    let left = std::fs::read(&upstream).unwrap_or_default();
    assert!(
        !String::from_utf8_lossy(&left).contains("leaves"),
        "the name left the internal network"
    );
    let strange = [
        "",
        "00",
        "abcd01000000000000000000",
        "abcd0100ffffffffffffffff",
        "abcd01000001000000000000c00c00010001",
        "abcd01000001000000000000c00d00010001",
        "abcd0100000100000000000001610000fc0001",
        "abcd010000010000000000000161000010ff0003",
        "abcd81000001000000000000016100000100ff",
        "abcd0100000200000000000001610000010001016200000100 01",
    ];
    let strange: Vec<_> = strange.iter().map(|text| text.replace(' ', "")).collect();
    let mut command = vec!["prober", "dns-raw", "127.0.0.11"];
    command.extend(strange.iter().map(String::as_str));
    let said = bench.exec(&[], "names-inside-1", &command).ok().stdout;
    done(&said, &command);
    let flood = bench.beside("names-secret-1", &["prober", "dns-flood", "127.0.0.11", "100000"]);
    assert!(ask("inside", "").contains("Address"), "others are answered meanwhile");
    assert!(flood.end().contains("done dns-flood"));
    assert!(ask("inside", "").contains("Address"), "and afterwards");
    bench.finish(&["names"]);
}

/// CVE-2020-15257: sockets without a path; and keel's own ports and paths from containers.
#[test]
fn keels_own_sockets_are_for_nobody_inside() {
    let bench = Bench::new();
    bench.write(
        "idle/compose.yaml",
        &json!({ "services": { "box": service(json!({
        "command": ["sleep", "1000000"], "init": true })) } })
        .to_string(),
    );
    let serve = bench.serve(&["idle"]);
    bench.until_well("idle-box-1");
    let said = bench.run(&["--network", "host"], &["cat", "/proc/net/unix"]).ok().stdout;
    assert!(said.lines().count() > 1, "{said}");
    let abstract_ones: Vec<_> = said
        .lines()
        .filter(|line| line.split_whitespace().last().is_some_and(|path| path.starts_with('@')))
        .collect();
    assert!(abstract_ones.is_empty(), "{abstract_ones:#?}");
    // What keel listens on in the host's namespace: nothing that a bridge reaches.
    let own = bench.sh("ss -H -ltunp");
    let keels: Vec<_> = own.lines().filter(|line| line.contains("\"keel\"")).collect();
    for line in &keels {
        let address = line.split_whitespace().nth(4).unwrap();
        assert!(address.starts_with("127.") || address.starts_with("[::1]"), "{line}");
    }
    let said = bench.exec(
        &[],
        "idle-box-1",
        &[
            "sh",
            "-c",
            "gw=$(ip route | sed -n 's/default via \\([^ ]*\\).*/\\1/p'); \
         prober connect 169.254.169.254 80 $gw 22 $gw 80 $gw 443 $gw 2375 $gw 8080 $gw 9000",
        ],
    );
    let said = said.ok().stdout;
    assert!(said.matches("connect ").count() >= 7 && !said.contains(" ok "), "{said}");
    drop(serve);
    bench.finish(&["idle"]);
}
