//! Others on the same host: another root, Docker, a firewall that drops what it forwards.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::File;
use std::process::{Child, Stdio};
use support::{Host, until};

const WEB: &str = "services:
  web:
    image: nginx:1
    ports: ['8092:80']
  asker:
    image: busybox:1
    init: true
    command: sleep 1000000
";

fn inside_reaches(host: &Host) -> bool {
    host.keel(&["exec", "shop-asker-1", "sh", "-c", "echo | nc -w 3 web 80"]).code == 0
}

#[test]
fn two_roots_live_side_by_side() {
    let one = Host::new();
    let mut two = Host::bare();
    two.environment =
        vec![("KEEL_CONFIG".into(), one.path("keel.yaml").to_string_lossy().into_owned())];
    one.write("shop/compose.yaml", WEB);
    two.write("shop/compose.yaml", &WEB.replace("8092", "8093"));
    // Both in the network of the first.
    let in_first = |arguments: &[&str]| {
        let output = one
            .command(env!("CARGO_BIN_EXE_keel"))
            .env("KEEL_ROOT", two.root())
            .args(arguments)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    one.keel(&["up", "-d", "./shop"]).ok();
    in_first(&["up", "-d", &two.path("shop").to_string_lossy()]);
    one.until_get("http://127.0.0.1:8092/");
    one.until_get("http://127.0.0.1:8093/");
    assert_eq!(one.ps().len(), 2);
    in_first(&["down", "-v", "shop"]);
    assert!(one.get("http://127.0.0.1:8092/").is_some(), "the other root's end harms nothing");
    one.keel(&["down", "-v", "shop"]).ok();
    two.finish();
    one.finish();
}

#[test]
fn a_firewall_that_drops_forwarded_packets_still_lets_containers_be_reached() {
    let host = Host::new();
    host.sh("iptables -P FORWARD DROP");
    // Somebody outside, on the other end of a wire.
    let outside = Host::bare();
    host.sh(&format!(
        "ip link add wire0 type veth peer name wire1 netns {outside} && ip addr add 10.9.0.1/24 dev wire0 && \
         ip link set wire0 up && ip -n {outside} addr add 10.9.0.2/24 dev wire1 && ip -n {outside} link set wire1 up",
        outside = outside.name
    ));
    host.write("shop/compose.yaml", WEB);
    host.keel(&["up", "-d", "./shop"]).ok();
    outside.until_get("http://10.9.0.1:8092/");
    host.until_get("http://10.9.0.1:8092/");
    host.until_get("http://127.0.0.1:8092/");
    assert!(inside_reaches(&host));
    let out = host.keel(&["exec", "shop-asker-1", "ping", "-c", "1", "-W", "5", "10.9.0.2"]);
    assert_eq!(out.code, 0, "the way out: {out:?}");
    host.keel(&["down", "-v", "shop"]).ok();
    let rules = host.sh("iptables -S FORWARD");
    assert_eq!(rules.trim(), "-P FORWARD DROP", "no rule of ours is left");
    host.sh("ip link del wire0");
    outside.finish();
    host.finish();
}

/// Docker on this host, with everything of its own below the test's folder.
struct Docker<'a> {
    host: &'a Host,
    child: Child,
}

impl<'a> Docker<'a> {
    fn start(host: &'a Host) -> Self {
        let log = File::create(host.path("dockerd.log")).unwrap();
        let folder = host.path("docker");
        let at = |name: &str| folder.join(name).to_string_lossy().into_owned();
        let child = host
            .command("dockerd")
            .args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid")])
            .args([
                "--host",
                &format!("unix://{}", at("docker.sock")),
                "--registry-mirror",
                "http://127.0.0.1:5000",
            ])
            .args(["--storage-driver", "overlay2"])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .expect("docker.io is installed");
        let docker = Self { host, child };
        let log = || std::fs::read_to_string(host.path("dockerd.log")).unwrap_or_default();
        until("dockerd answers", || docker.try_run("version").then_some(()), log);
        docker
    }

    fn try_run(&self, arguments: &str) -> bool {
        let script = format!(
            "docker -H unix://{}/docker/docker.sock {arguments}",
            self.host.path("").display()
        );
        self.host.command("sh").args(["-c", &script]).output().unwrap().status.success()
    }

    fn run(&self, arguments: &str) -> String {
        self.host.sh(&format!(
            "docker -H unix://{}/docker/docker.sock {arguments}",
            self.host.path("").display()
        ))
    }
}

impl Drop for Docker<'_> {
    fn drop(&mut self) {
        if self.try_run("version") {
            self.host.sh(&format!(
                "d='docker -H unix://{}/docker/docker.sock'; $d ps -aq | xargs -r $d rm -f >/dev/null",
                self.host.path("").display()
            ));
        }
        support::signal(self.child.id(), "TERM");
        self.child.wait().ok();
        let folder = self.host.path("docker");
        std::process::Command::new("sh")
            .args([
                "-c",
                &format!(
                    "grep -o '{0}[^ ]*' /proc/self/mountinfo | sort -r | xargs -r -n1 umount -l",
                    folder.display()
                ),
            ])
            .status()
            .ok();
    }
}

#[test]
fn docker_goes_on_beside_us_and_we_beside_it() {
    let mut host = Host::new();
    let socket = host.path("docker/docker.sock");
    host.environment.push(("DOCKER_HOST".into(), format!("unix://{}", socket.display())));
    std::fs::create_dir_all(host.path("docker")).unwrap();
    host.write("shop/compose.yaml", WEB);
    host.keel(&["up", "-d", "./shop"]).ok();
    host.until_get("http://127.0.0.1:8092/");

    let docker = Docker::start(&host);
    docker.run("run -d --name theirs -p 8094:80 nginx:1");
    host.until_get("http://127.0.0.1:8094/");
    host.until_get("http://127.0.0.1:8092/");
    assert!(inside_reaches(&host), "Docker's FORWARD policy does not cut our networks");
    let rules = host.sh("iptables -S DOCKER; iptables -t nat -S DOCKER");

    // The same project and service, run by Docker already, is held.
    docker.run(
        "run -d --name theirs-already --label com.docker.compose.project=other --label com.docker.compose.service=web busybox:1 sleep 1000000",
    );
    host.write(
        "other/compose.yaml",
        "services:\n  web:\n    image: busybox:1\n    command: sleep 1000000\n",
    );
    let plan = host.keel(&["plan", "./other"]);
    assert!(plan.stdout.contains("theirs-already"), "the container is named: {plan:?}");
    assert_eq!(host.keel(&["up", "-d", "./other"]).code, 1);
    assert!(host.container("other-web-1").is_none());

    host.keel(&["down", "shop"]).ok();
    host.keel(&["down", "other"]);
    assert_eq!(
        host.sh("iptables -S DOCKER; iptables -t nat -S DOCKER"),
        rules,
        "Docker's rules are its own"
    );
    host.until_get("http://127.0.0.1:8094/");
    drop(docker);
    host.sh("ip link del docker0 2>/dev/null || true");
    host.finish();
}
