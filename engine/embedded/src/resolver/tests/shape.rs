//! The shape of networks: who is apart from whom, other firewalls, drift.

use super::world::{HOST, OUTSIDE, World, wait_for};
use crate::network::{NetworkFinding, Scope, disconnect, ensure_network, remove_network};
use crate::{network, resolver};
use keel_engine::{FieldPath, NetworkSpec, Protocol};

const TCP: (&str, u16, Protocol) = ("0.0.0.0", 8080, Protocol::Tcp);

/// All that the engine looks at for drift.
fn check(world: &World) -> Vec<NetworkFinding> {
    let layout = &world.layout;
    let look = || {
        let made = network::check(layout, &world.list(), &Scope::All)?;
        Ok::<_, network::NetworkError>([made, resolver::check(layout, &Scope::All)?].concat())
    };
    world.host.enter(look).unwrap()
}

fn repair(world: &World) {
    let put_right = || {
        network::repair(&world.layout, &world.list()).and_then(|()| resolver::nudge(&world.layout))
    };
    world.host.enter(put_right).unwrap();
}

fn text(findings: &[NetworkFinding]) -> Vec<String> {
    let line = |finding: &NetworkFinding| {
        format!("{}: {} -> {}", finding.what, finding.expected, finding.observed)
    };
    findings.iter().map(line).collect()
}

#[test]
fn networks_are_apart_and_only_internal_ones_have_no_way_out() {
    let mut world = World::new();
    for (name, internal) in [("blog", false), ("shop", false), ("vault", true)] {
        world.network(name, internal);
    }
    world.outside.serve_tcp(80, "outside");
    let blog = world.task("blog-web-1", "web", &["blog"], &[], &[]);
    let blog_two = world.task("blog-web-2", "web", &["blog"], &[], &[&blog]);
    let shop = world.task("shop-web-1", "web", &["shop"], &[], &[]);
    let vault = world.task("vault-db-1", "db", &["vault"], &[TCP], &[]);
    let vault_two = world.task("vault-db-2", "db", &["vault"], &[], &[&vault]);
    let both = world.task(
        "both-1",
        "both",
        &["blog", "vault"],
        &[],
        &[&blog, &blog_two, &vault, &vault_two],
    );
    world.serve_to(&vault);

    assert_eq!(blog.space.get(&blog_two.address()), "blog-web-2", "the same network");
    assert_eq!(blog.space.get(OUTSIDE), "outside", "the way out");
    assert_eq!(both.space.get(OUTSIDE), "outside", "the way out beside an internal network");
    assert_eq!(both.space.get(&vault.address()), "vault-db-1", "by its second network");
    assert_eq!(vault.space.get(&vault_two.address()), "vault-db-2", "within an internal one");
    assert_eq!(blog.space.get(&shop.address()), "", "another network");
    assert_eq!(blog.space.get(&vault.address()), "", "into an internal network");
    assert_eq!(vault.space.get(OUTSIDE), "", "out of an internal network");
    world.outside.run(&format!("ip route add 172.16.0.0/12 via {HOST}"));
    assert_eq!(world.outside.get(&blog.address()), "", "an unpublished port from outside");
    assert_eq!(world.outside.get(&format!("{HOST}:8080")), "", "internal ones publish nothing");
}

#[test]
fn a_firewall_that_drops_forwarded_packets_lets_ours_through() {
    let mut world = World::new();
    world.host.run("iptables -P FORWARD DROP");
    world.host.run("nft 'add table inet own; add chain inet own ours { type filter hook forward priority 10; policy drop; }'");
    world.network("blog", false);
    world.outside.serve_tcp(80, "outside");
    let one = world.task("blog-web-1", "web", &["blog"], &[TCP], &[]);
    world.serve_to(&one);
    assert_eq!(world.outside.get(&format!("{HOST}:8080")), "blog-web-1");
    assert_eq!(one.space.get(OUTSIDE), "outside");
    let listing = world.host.run("iptables -S FORWARD");
    assert!(listing.contains("-A FORWARD -i kl"), "{listing}");
    // As Docker does when it starts anew, and an administrator's script may.
    world.host.run("iptables -F FORWARD");
    wait_for("the rules are back", || world.host.run("iptables -S FORWARD").contains("-o kl"));
    assert_eq!(world.outside.get(&format!("{HOST}:8080")), "blog-web-1");
}

#[test]
fn the_older_iptables_lets_ours_through_too() {
    let mut world = World::new();
    world.host.run("iptables-legacy -P FORWARD DROP");
    let network = world.network("blog", false);
    let one = world.task("blog-web-1", "web", &["blog"], &[TCP], &[]);
    world.serve_to(&one);
    assert_eq!(world.outside.get(&format!("{HOST}:8080")), "blog-web-1");
    let server = world.server().unwrap();
    world.remove(one);
    wait_for("keel net ends", || !server.lives());
    world.host.enter(|| remove_network(&world.layout, &network, &[])).unwrap();
    let listing = world.host.run("iptables-legacy -S");
    assert_eq!(listing, "-P INPUT ACCEPT\n-P FORWARD DROP\n-P OUTPUT ACCEPT\n");
}

#[test]
fn drift_is_named_and_repaired() {
    let mut world = World::new();
    let network = world.network("blog", false);
    let one = world.task("blog-web-1", "web", &["blog"], &[TCP], &[]);
    world.serve_to(&one);
    let table = world.layout.table();
    let bridge = network.link.as_ref().unwrap();
    wait_for("the port is published", || check(&world).is_empty());

    let port = format!("published port 8080/tcp: {}:80 -> missing", one.address());
    let cases = [
        (format!("nft 'delete element ip {table} ports {{ tcp . 8080 }}'"), vec![port.clone()]),
        (
            format!("nft flush chain ip {table} port-8080-tcp"),
            vec![port.replace("missing", "leads nowhere")],
        ),
        (format!("nft delete table ip {table}"), vec!["firewall table: present -> missing".into(), port]),
        (
            format!("nft flush chain ip {table} prerouting"),
            vec!["firewall rule `to an address of this host` in chain prerouting: present -> missing".into()],
        ),
        (
            format!("nft flush set ip {table} same"),
            vec!["elements of firewall set same: present -> changed".into()],
        ),
        (format!("ip link set {bridge} down"), vec![format!("bridge {bridge}: up -> down")]),
        (
            format!("ip addr flush dev {bridge}"),
            vec![format!("address of bridge {bridge}: 172.20.0.1/20 -> none")],
        ),
        (
            "sysctl -qw net.ipv4.ip_forward=0".into(),
            vec!["/proc/sys/net/ipv4/ip_forward: 1 -> 0".into()],
        ),
    ];
    for (line, expected) in cases {
        world.host.run(&line);
        let findings = check(&world);
        assert_eq!(text(&findings), expected, "{line}");
        for finding in findings
            .iter()
            .filter(|finding| matches!(finding.what, FieldPath::PublishedPort { .. }))
        {
            assert_eq!(finding.tasks, std::slice::from_ref(&one.id));
        }
        repair(&world);
        wait_for(&line, || check(&world).is_empty());
        assert_eq!(world.outside.get(&format!("{HOST}:8080")), "blog-web-1", "after {line}");
    }
}

#[test]
fn making_a_network_again_changes_nothing() {
    let mut world = World::new();
    let network = world.network("blog", false);
    let listing = || world.host.run("nft -a list ruleset; ip -o addr");
    let before = listing();
    let spec = NetworkSpec { name: "blog".into(), ..NetworkSpec::default() };
    let again = world.host.enter(|| ensure_network(&world.layout, &spec, Some(&network), &[]));
    assert_eq!(again.unwrap(), network);
    assert_eq!(listing(), before);
    let other = world.network("shop", false);
    assert_eq!(other.pools[0].subnet.to_string(), "172.20.16.0/20");
}

#[test]
fn what_a_slot_had_before_is_not_taken_from_its_next_task() {
    let mut world = World::new();
    world.network("blog", false);
    let one = world.task("blog-web-1", "web", &["blog"], &[], &[]);
    let asker = world.task("asker", "asker", &["blog"], &[], &[&one]);
    let old = one.work.endpoints[0].clone();
    world.remove(one);
    let next = world.task("blog-web-1-again", "web", &["blog"], &[], &[&asker]);
    assert_eq!(next.address(), old.address_text());
    world.host.enter(|| disconnect(&old)).unwrap();
    assert_eq!(asker.space.get(&next.address()), "blog-web-1-again");
    world.host.enter(|| disconnect(&next.work.endpoints[0])).unwrap();
    assert_eq!(asker.space.get(&next.address()), "");
}

#[test]
fn a_keel_net_that_is_gone_is_a_finding() {
    let mut world = World::new();
    world.network("blog", false);
    let one = world.task("blog-web-1", "web", &["blog"], &[], &[]);
    let found = || text(&check(&world));
    assert_eq!(found(), ["process keel net: running -> missing"]);
    world.serve_to(&one);
    assert_eq!(found(), Vec::<String>::new());
}
