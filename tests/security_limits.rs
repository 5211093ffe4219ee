//! What strangers feed is bounded: Git servers with ill intent, and whoever comes to the socket.
//! One source's trouble stays its own, and the controller's memory, descriptors and disk come back.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use support::git::Repo;
use support::{DEADLINE, Host, Serve, until};

/// Ends with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn script(name: &str) -> String {
    format!("{}/tests/support/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// The most memory that a process ever had, in MiB.
fn most_memory(serve: &Serve) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", serve.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
}

fn descriptors(serve: &Serve) -> usize {
    fs::read_dir(format!("/proc/{}/fd", serve.pid())).unwrap().count()
}

fn service(version: u32) -> String {
    format!(
        "services:\n  web:\n    image: busybox:1\n    init: true\n    command: sleep 100000{version}\n"
    )
}

#[test]
fn a_git_server_costs_a_bounded_amount_and_the_others_go_on() {
    let host = Host::new();
    let repo = Repo::new(&host);
    let _hostile =
        Ends(host.command("python3").arg(script("hostile_git.py")).arg("8419").spawn().unwrap());
    // What each is refused for.
    let deeds = [
        ("advert", "more than 32MiB of names of branches and tags"),
        ("drip", "in the middle"),
        ("gzip", "does not speak Git"),
        ("claims", "claims 4294967295 objects"),
        ("progress", "more than 8MiB of words beside the pack"),
        ("naks", "more than 8MiB of words beside the pack"),
        ("blob", "an object has more than 128MiB"),
        ("delta", "an object has more than 128MiB"),
        ("begun", "source begun"),
    ];
    let mut sources =
        format!("  good: {{ git: \"{}\", branch: main, path: \"*\", poll: 1s }}\n", repo.url());
    for (name, _) in deeds {
        let url = format!("http://127.0.0.1:8419/{name}.git");
        writeln!(sources, "  {name}: {{ git: \"{url}\", branch: main, poll: 1s }}").unwrap();
    }
    let config = fs::read_to_string(host.path("keel.yaml")).unwrap();
    host.write("keel.yaml", &format!("{config}sources:\n{sources}"));
    repo.write("shop/compose.yaml", &service(1));
    repo.push("first");

    let serve = host.serve(&[]);
    host.until_well("shop-web-1");
    for (name, why) in deeds {
        let told = || serve.said().contains(&format!("source {name}: ")).then_some(());
        until(&format!("{name} is refused"), told, || serve.said());
        let told = || serve.said().contains(why).then_some(());
        until(&format!("{name} is refused for: {why}"), told, || serve.said());
    }
    repo.write("shop/compose.yaml", &service(2));
    let second = repo.push("second");
    host.until_ended("shop", &second, "succeeded");
    let memory = most_memory(&serve);
    assert!(memory < 400, "serve had {memory} MiB");
    // Nothing of what was begun is left.
    for (name, _) in deeds {
        let packs = host.root().join(format!("sources/{name}/repo/objects/pack"));
        let left = || {
            let left = fs::read_dir(&packs).map_or(0, Iterator::count);
            (left == 0).then_some(())
        };
        until(&format!("{name} left nothing"), left, || format!("{packs:?}"));
    }
    drop(serve);
    host.keel(&["down", "shop"]).ok();
    drop(repo);
    host.finish();
}

/// What was left behind by a process that died while it fetched.
#[test]
fn half_a_pack_is_cleared_at_the_next_look() {
    let host = Host::new();
    let repo = Repo::new(&host);
    repo.write("shop/compose.yaml", &service(1));
    repo.push("first");
    let serve = support::git::serve(&host, &repo);
    host.until_well("shop-web-1");
    let left = host.root().join("sources/default/repo/objects/pack/pack_git2_half");
    fs::write(&left, "half").unwrap();
    until("it is cleared", || (!left.exists()).then_some(()), || serve.said());
    drop(serve);
    host.keel(&["down", "shop"]).ok();
    drop(repo);
    host.finish();
}

/// A controller of a folder without stacks.
fn serve_nothing(host: &Host) -> Serve {
    host.write("empty/readme", "");
    host.serve(&[&host.path("empty").display().to_string()])
}

/// So many connections to the socket that say this and nothing more, and stay.
fn connections(host: &Host, count: usize, text: &str) -> Ends {
    let mut child = host
        .command("python3")
        .arg(script("idle.py"))
        .arg(host.root().join("run/keel.sock"))
        .args([&count.to_string(), text])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "open\n");
    Ends(child)
}

#[test]
fn who_comes_to_the_socket_and_says_nothing_is_in_nobodys_way() {
    let host = Host::bare();
    let serve = serve_nothing(&host);
    host.keel(&["ps"]).ok();
    let baseline = descriptors(&serve);
    let attempts = [
        "",
        "GET /v1/info HTTP/1.1\\r\\nHost: a",
        "POST /v1/stacks/status HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: 100\\r\\n\\r\\n[",
        "POST /v1/stacks/plan HTTP/1.1\\r\\nHost: a\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n1\\r\\n[",
    ];
    for text in attempts {
        let many = connections(&host, 1000, text);
        let most = baseline + keel_api::limits::CONNECTIONS;
        assert!(descriptors(&serve) <= most, "{} descriptors: {text}", descriptors(&serve));
        let few = || (descriptors(&serve) < baseline + 200).then_some(());
        until("the oldest are cut off", few, || format!("{} of {baseline}", descriptors(&serve)));
        host.keel(&["ps"]).ok();
        if !text.starts_with("POST") {
            // Also while all of them stay.
            let back = || (descriptors(&serve) <= baseline + 2).then_some(());
            until("they are cut off", back, || format!("{} of {baseline}", descriptors(&serve)));
        }
        drop(many);
        let back = || (descriptors(&serve) <= baseline + 2).then_some(());
        until("descriptors are back", back, || format!("{} of {baseline}", descriptors(&serve)));
    }
    drop(serve);
    host.finish();
}

/// What is answered to these bytes, and to what is then poured in for as long as it is taken.
fn poured(host: &Host, head: &str, piece: &[u8]) -> String {
    let mut stream = UnixStream::connect(host.root().join("run/keel.sock")).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    let end = Instant::now() + DEADLINE;
    while !piece.is_empty() && Instant::now() < end && stream.write_all(piece).is_ok() {}
    let mut answer = Vec::new();
    // What came before the other side had enough.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn bodies_headers_and_streams_have_their_limits() {
    let host = Host::new();
    host.keel(&[
        "run",
        "-d",
        "--name",
        "loud",
        "busybox:1",
        "sh",
        "-c",
        "echo hello; sleep 100000",
    ])
    .ok();
    let serve = serve_nothing(&host);
    let answer = poured(
        &host,
        "POST /v1/stacks/plan HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000000\r\n\r\n",
        b"",
    );
    assert!(answer.contains("the request is too large"), "{answer}");
    let chunk = [b"100000\r\n".as_slice(), &vec![b' '; 1 << 20], b"\r\n"].concat();
    for path in ["/v1/stacks/plan", "/v1/stacks/status", "/v1/open"] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        poured(&host, &head, &chunk);
    }
    poured(&host, "GET /v1/info HTTP/1.1\r\nHost: a\r\nX: ", &[b'x'; 1 << 20]);
    let memory = most_memory(&serve);
    assert!(memory < 400, "serve had {memory} MiB");

    // Streams that last are not cut off, and a further one is told why it has to wait.
    let baseline = descriptors(&serve);
    let streams = connections(&host, 200, "GET /v1/events HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n");
    let refused = host.keel(&["logs", "-f", "loud"]);
    assert!(
        refused.code != 0 && refused.stderr.contains("streams are open already"),
        "{refused:?}"
    );
    assert!(host.keel(&["ps"]).ok().stdout.contains("loud"));
    drop(streams);
    let back = || (descriptors(&serve) <= baseline + 2).then_some(());
    until("descriptors are back", back, || format!("{} of {baseline}", descriptors(&serve)));
    assert!(host.keel(&["logs", "loud"]).ok().stdout.contains("hello"));
    drop(serve);
    host.keel(&["rm", "-f", "loud"]).ok();
    host.finish();
}
