//! Devices that a node has or lacks.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::{Host, until};

/// A device of this machine that only this test asks for; removed when dropped.
struct Stick(String);

impl Stick {
    fn named(name: &str) -> Self {
        Self(format!("/dev/keel-{name}-{}", std::process::id()))
    }

    fn attach(&self, host: &Host) {
        host.sh(&format!("mknod {} c 1 3", self.0));
    }
}

impl Drop for Stick {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn stack(stick: &Stick) -> String {
    format!(
        "services:\n  web:\n    image: busybox:1\n    init: true\n    command: sleep 1000000\n  radio:\n    \
         image: busybox:1\n    init: true\n    command: sleep 1000000\n    devices: ['{}:/dev/stick']\n",
        stick.0
    )
}

#[test]
fn a_missing_device_is_named_with_its_node_its_service_and_its_line() {
    let host = Host::new();
    let stick = Stick::named("up");
    host.write("air/compose.yaml", &stack(&stick));
    let up = host.keel(&["up", "-d", "./air"]);
    assert_eq!(up.code, 1, "{}{}", up.stdout, up.stderr);
    let node =
        host.keel(&["ps", "--format", "json"]).json()[0]["node"].as_str().unwrap().to_owned();
    let said = format!("node {node} has no device {}, which service radio asks for", stick.0);
    assert!(up.stderr.contains(&said), "{}", up.stderr);
    assert!(up.stderr.contains("compose.yaml:10:"), "{}", up.stderr);
    host.until_well("air-web-1");
    assert_eq!(host.container("air-radio-1"), None, "nothing was sent to the node");
    let status = host.keel(&["status", "air"]).stdout;
    assert!(status.contains(&said), "{status}");
    stick.attach(&host);
    host.keel(&["up", "-d", "./air"]).ok();
    host.until_well("air-radio-1");
    host.keel(&["exec", "air-radio-1", "test", "-c", "/dev/stick"]).ok();
    host.keel(&["down", "air"]).ok();
    host.finish();
}

#[test]
fn serve_starts_what_was_held_once_its_device_is_attached() {
    let host = Host::new();
    let stick = Stick::named("serve");
    host.write("air/compose.yaml", &stack(&stick));
    let serve = host.serve(&["air"]);
    host.until_well("air-web-1");
    let held = || {
        let status = host.status("air")?.to_string();
        status.contains(&stick.0).then_some(())
    };
    until("what is missing is told", held, || format!("{}\n{}", serve.said(), host.overview()));
    stick.attach(&host);
    host.until_well("air-radio-1");
    drop(serve);
    host.keel(&["down", "air"]).ok();
    host.finish();
}
