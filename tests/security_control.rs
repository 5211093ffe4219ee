//! Attacks on the API, on the state's folders, by names that equal others', and by what a stack puts into
//! environments.

mod support;

use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Child, Stdio};
use support::raw_git::all_below;
use support::{Called, Host, until};

fn sleeper(more: &str) -> String {
    format!(
        "services:\n  app:\n    image: busybox:1\n    init: true\n    command: sleep 1000000\n{more}"
    )
}

/// What a user of the host without any rights comes to with this script.
fn nobody(host: &Host, script: &str) -> Called {
    let output = host
        .command("setpriv")
        .args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "--no-new-privs",
            "sh",
            "-c",
            script,
        ])
        .output()
        .expect("setpriv is installed");
    Called {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A `keel serve` that was started with this umask.
struct Masked(Child);

impl Masked {
    fn serve(host: &Host, umask: &str) -> Self {
        let script = format!("umask {umask}; exec {} serve stacks", env!("CARGO_BIN_EXE_keel"));
        let mut command = host.command("sh");
        command.args(["-c", &script]).stdout(Stdio::null()).stderr(Stdio::null());
        let serve = Self(command.spawn().expect("sh runs"));
        let socket = host.root().join("run/keel.sock");
        let up = || std::os::unix::net::UnixStream::connect(&socket).ok();
        until("serve answers", up, String::new);
        serve
    }
}

impl Drop for Masked {
    fn drop(&mut self) {
        self.0.kill().expect("it is ours");
        self.0.wait().expect("it is ours");
    }
}

/// A root that was made beforehand, and is open to everybody, with each umask that an installation may
/// have; a volume with a program of root's that has the setuid bit.
#[test]
fn a_user_of_the_host_comes_to_nothing_below_the_root() {
    for umask in ["000", "022", "077"] {
        let host = Host::new();
        let root = host.root();
        fs::set_permissions(host.path(""), Permissions::from_mode(0o755)).expect("it is ours");
        fs::create_dir(&root).expect("a folder");
        fs::set_permissions(&root, Permissions::from_mode(0o755)).expect("it is ours");
        let setuid =
            "cp /bin/busybox /v/su && chmod 4755 /v/su && chmod 777 /v && exec sleep 1000000";
        host.write(
            "stacks/one/compose.yaml",
            &format!(
                "services:\n  app:\n    image: busybox:1\n    init: true\n    command: [sh, -c, '{setuid}']\n    \
                 environment: {{ TOKEN: s3cret }}\n    volumes: [v:/v]\n    secrets: [s]\n\
                 volumes: {{ v: {{}} }}\nsecrets: {{ s: {{ file: ./s }} }}\n"
            ),
        );
        host.write("stacks/one/s", "s3cret");
        let serve = Masked::serve(&host, umask);
        host.until_well("one-app-1");
        let program = root.join("volumes/one_v/data/su");
        until("the program is there", || program.exists().then_some(()), || host.overview());

        let shown = root.display();
        let found = nobody(
            &host,
            &format!(
                "find {shown} \\( -type f -o -type s \\) \\( -readable -o -writable -o -executable \\) -print; \
                 find {shown} -writable -print; {} id -u; flock -n {shown}/lock echo locked",
                program.display()
            ),
        );
        assert_eq!(found.stdout, "", "with umask {umask} nobody can use this: {}", found.stderr);
        let connects = format!(
            "import socket; socket.socket(socket.AF_UNIX).connect('{shown}/run/keel.sock')"
        );
        let connected = nobody(&host, &format!("/usr/bin/python3 -c \"{connects}\""));
        assert!(
            connected.code != 0 && connected.stderr.contains("PermissionError"),
            "{connected:?}"
        );
        let socket = fs::metadata(root.join("run/keel.sock")).expect("it is there");
        assert_eq!((socket.mode() & 0o777, socket.uid()), (0o660, 0), "with umask {umask}");
        let run = fs::metadata(root.join("run")).expect("it is there");
        assert_eq!(run.mode() & 0o777, 0o755, "with umask {umask}");
        drop(serve);
        host.keel(&["down", "-v", "one"]).ok();
        host.finish();
    }
}

/// What the socket answers to a request: its status, and its body.
fn ask(host: &Host, words: &[&str]) -> (u16, String) {
    let socket = host.root().join("run/keel.sock").display().to_string();
    let fixed =
        ["-sS", "-m", "20", "--path-as-is", "--unix-socket", &socket, "-w", "\n%{http_code}"];
    let output = host.command("curl").args(fixed).args(words).output().expect("curl runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap_or((&text, "0"));
    (status.parse().unwrap_or(0), body.to_owned())
}

fn post(host: &Host, path: &str, body: &Value) -> (u16, String) {
    let (body, url) = (body.to_string(), format!("http://keel{path}"));
    ask(host, &["-H", "content-type: application/json", "-d", &body, &url])
}

/// One gate for all routes: what is not exactly one of them is refused, and does nothing.
#[test]
fn a_request_is_exactly_one_of_the_routes() {
    let host = Host::new();
    host.write("stacks/one/compose.yaml", &sleeper(""));
    let serve = host.serve(&["stacks"]);
    host.until_well("one-app-1");
    let before = host.container("one-app-1").expect("it runs");
    let json = ["-H", "content-type: application/json", "-d", r#"{"stack":"one","volumes":true}"#];
    for path in [
        "//v1/stacks/down",
        "/v1//stacks/down",
        "/v1/./stacks/down",
        "/v1/stacks/x/../down",
        "/v1/%73tacks/down",
        "/v1/stacks%2fdown",
        "/v1/info/%2e%2e/stacks/down",
        "/V1/stacks/down",
        "/v1/stacks/down/",
        "/v1/stacks/down%00",
        "/v1/stacks/down;x",
        "/../v1/stacks/down",
        "/v2/stacks/down",
    ] {
        let (status, body) = ask(&host, &[&json[..], &[&format!("http://keel{path}")]].concat());
        assert!(matches!(status, 400 | 404), "{path}: {status} {body}");
    }
    // By another method, another kind of body, none, half of one, too much of one.
    let down = "http://keel/v1/stacks/down";
    let large =
        host.write("large", &format!("{{\"stack\":\"one\",\"x\":\"{}\"}}", "x".repeat(2 << 20)));
    let large = format!("@{}", large.display());
    for words in [
        &["-X", "GET", "-H", "X-HTTP-Method-Override: POST", down][..],
        &["-X", "PUT", "-H", "content-type: application/json", "-d", r#"{"stack":"one"}"#, down],
        &["-X", "DELETE", down],
        &["-d", r#"{"stack":"one"}"#, down],
        &["-H", "content-type: text/plain", "-d", r#"{"stack":"one"}"#, down],
        &["-H", "content-type: application/json", "-d", "", down],
        &["-H", "content-type: application/json", "-d", r#"{"stack":"one""#, down],
        &["-H", "content-type: application/json", "-d", r#"{"stack":"../one"}"#, down],
        &["-H", "content-type: application/json", "-d", r#"{"stack":"one","stack":"two"}"#, down],
        &["-H", "content-type: application/json", "--data-binary", &large, down],
        // As a page of a browser would, through a port that somebody put before the socket.
        &[
            "-H",
            "Origin: http://evil.example",
            "-H",
            "content-type: application/json",
            "-d",
            r#"{"stack":"one"}"#,
            down,
        ],
        &["-H", "Sec-Fetch-Site: cross-site", "http://keel/v1/stacks/desired"],
    ] {
        let (status, body) = ask(&host, words);
        assert!((400..500).contains(&status), "{words:?}: {status} {body}");
    }
    // One request is one, whatever it says of its length.
    let smuggled = "POST /v1/containers/list HTTP/1.1\r\nhost: keel\r\ncontent-type: application/json\r\n\
                    content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n\
                    GET /v1/nothing HTTP/1.1\r\nhost: keel\r\nconnection: close\r\n\r\n";
    let file = host.write("smuggled", smuggled);
    let answers = host.sh(&format!(
        "python3 -c \"import socket,sys; s=socket.socket(socket.AF_UNIX); s.settimeout(20); \
         s.connect('{}'); s.sendall(open('{}','rb').read()); d=b''\nwhile True:\n b=s.recv(65536)\n \
         d+=b\n if not b: break\nsys.stdout.buffer.write(d)\"",
        host.root().join("run/keel.sock").display(),
        file.display()
    ));
    assert!(
        answers.matches("HTTP/1.1 ").count() <= 2 && !answers.contains("operation"),
        "{answers}"
    );
    assert_eq!(host.container("one-app-1").expect("it runs on")["id"], before["id"]);
    drop(serve);
    host.keel(&["down", "one"]).ok();
    host.finish();
}

/// Names of all kinds that lead elsewhere, an option, or are another's: in every request that takes one.
#[test]
fn names_in_requests_lead_nowhere() {
    let host = Host::new();
    host.write("stacks/one/compose.yaml", &sleeper(""));
    let serve = host.serve(&["stacks"]);
    host.until_well("one-app-1");
    let outside = host.path("outside");
    fs::create_dir(&outside).expect("a folder");
    let before = all_below(&host.root()).len();
    for name in [
        "../../outside/x",
        "..",
        ".",
        "/etc/x",
        "a/b",
        "-x",
        "--x=y",
        "a\nb",
        "a\u{0}b",
        "$(touch x)",
        "\u{202e}x",
        "Ünï",
        &"x".repeat(300),
        " x",
    ] {
        let requests = [
            (
                "/v1/volumes/create",
                json!({ "spec": { "name": name, "driver": "local", "driver_opts": {}, "labels": {} } }),
            ),
            (
                "/v1/networks/create",
                json!({ "spec": { "name": name, "driver": "bridge", "internal": false, "subnet": null, "gateway": null, "auto_remove": false, "labels": {} } }),
            ),
            ("/v1/sources/create", json!({ "name": name, "branch": "main", "paths": ["."] })),
            ("/v1/stacks/down", json!({ "stack": name, "volumes": true })),
            ("/v1/stacks/desired", json!({ "name": name })),
            ("/v1/stacks/suspend", json!({ "stack": name, "by": "x" })),
            ("/v1/stacks/scale", json!({ "stack": name, "services": { "web": 2 }, "by": "x" })),
            ("/v1/stacks/moves", json!({ "stacks": [name] })),
            ("/v1/stacks/rebalance", json!({ "stack": name, "by": "x" })),
            ("/v1/stacks/rollback", json!({ "stack": name, "by": "x" })),
            ("/v1/sources/confirm", json!({ "name": name })),
            ("/v1/sources/sync", json!({ "targets": [name], "by": "x" })),
            ("/v1/inspect", json!({ "target": name })),
            ("/v1/volumes/remove", json!({ "names": [name] })),
            ("/v1/networks/remove", json!({ "names": [name] })),
            ("/v1/images/remove", json!({ "names": [name] })),
            ("/v1/images/pull", json!({ "references": [name] })),
        ];
        for (path, body) in requests {
            let (status, answer) = post(&host, path, &body);
            let failed = (400..600).contains(&status)
                || answer.contains("\"kind\"")
                || answer.contains("failed");
            assert!(failed && status != 0, "{path} {name:?}: {status} {answer}");
        }
    }
    assert_eq!(all_below(&outside), Vec::<String>::new());
    assert_eq!(
        host.sh("find . -newer stacks/one/compose.yaml -name 'x*' -not -path './root/images/*'"),
        ""
    );
    let grown: Vec<_> = ["volumes", "networks", "repos", "records/stacks", "secrets"]
        .iter()
        .flat_map(|folder| all_below(&host.root().join(folder)))
        .filter(|path| path.contains('x') && !path.contains("one"))
        .collect();
    assert_eq!(grown, Vec::<String>::new(), "{before}");
    host.until_well("one-app-1");
    drop(serve);
    host.keel(&["down", "one"]).ok();
    host.finish();
}

/// A stack that names its things like another one's.
#[test]
fn a_stack_gets_nothing_that_is_anothers() {
    let host = Host::new();
    let write = "    command: [sh, -c, 'echo precious > /d/file; exec sleep 1000000']\n    volumes: [data:/d]\n";
    host.write(
        "victim/compose.yaml",
        &format!("services:\n  app:\n    image: busybox:1\n    init: true\n{write}volumes: {{ data: {{}} }}\n"),
    );
    host.keel(&["up", "-d", "./victim"]).ok();
    let app = host.until_well("victim-app-1");
    let bridge = || host.sh("ip -o link show type bridge | cut -d: -f1-2");
    let (bridges, data) = (bridge(), host.root().join("volumes/victim_data/data/file"));
    let labels = "com.docker.compose.project: victim, com.docker.compose.service: app, keel.stack: victim, keel.service: app";
    let cases = [
        ("volume", "    volumes: [v:/d]\nvolumes: { v: { name: victim_data } }\n".to_owned()),
        ("network", "    networks: [n]\nnetworks: { n: { name: victim_default } }\n".to_owned()),
        // Six digits of the digest of its name are those of victim_default.
        ("bridge", "    networks: [n]\nnetworks: { n: { name: twin25952126 } }\n".to_owned()),
        ("container", "    container_name: victim-app-1\n".to_owned()),
        (
            "labels",
            format!(
                "    labels: {{ {labels} }}\n    volumes: [v:/d]\n    networks: [n]\n\
             volumes: {{ v: {{ labels: {{ {labels} }} }} }}\nnetworks: {{ n: {{ labels: {{ {labels} }} }} }}\n"
            ),
        ),
    ];
    for (name, more) in &cases {
        host.write(&format!("evil-{name}/compose.yaml"), &sleeper(more));
        let up = host.keel(&["up", "-d", &format!("./evil-{name}")]);
        let said = up.stdout.clone() + &up.stderr;
        let named = match *name {
            "volume" => said.contains("belongs to stack victim: volume victim_data"),
            "network" => said.contains("belongs to stack victim"),
            "bridge" => said.contains("would share its bridge") && said.contains("victim_default"),
            "container" => said.contains("a container of stack victim is called victim-app-1"),
            _ => up.code == 0,
        };
        assert!(named, "{name}: {said}");
        assert_eq!(up.code == 0, *name == "labels", "{name}: {said}");
        host.keel(&["down", "-v", &format!("evil-{name}")]).ok();
        let still = host.container("victim-app-1").expect("it is there");
        assert_eq!((&still["id"], &still["pid"]), (&app["id"], &app["pid"]), "after {name}");
        assert_eq!(bridge(), bridges, "after {name}");
        let kept = fs::read_to_string(&data).expect("the volume is there");
        assert_eq!(kept, "precious\n", "after {name}");
    }
    // Names of one stack and key that make another's, by where the line between them is drawn.
    host.write(
        "joined/compose.yaml",
        &format!("name: victim_data\n{}", sleeper("    volumes: ['x:/d']\nvolumes: { x: {} }\n")),
    );
    host.keel(&["up", "-d", "./joined"]).ok();
    host.keel(&["down", "-v", "victim_data"]).ok();
    assert!(data.exists(), "a stack whose name begins like another's volume is another one");
    host.keel(&["down", "-v", "victim"]).ok();
    host.finish();
}

/// Stacks, services, volumes and networks whose names are more than names.
#[test]
fn a_name_in_a_compose_file_is_no_path_or_option() {
    let host = Host::bare();
    for name in [
        "../x",
        "/x",
        "a/b",
        "-x",
        "--x=y",
        "$(touch pwned)",
        "`touch pwned`",
        "a;touch pwned",
        "a\nb",
        "\u{202e}x",
        "a\u{0301}",
        "a b",
        "",
    ] {
        let text = serde_json::to_string(name).expect("a text").replace('$', "$$");
        let bodies = [
            format!("name: {text}\nservices: {{ app: {{ image: x }} }}\n"),
            format!("services: {{ {text}: {{ image: x }} }}\n"),
            format!("services: {{ app: {{ image: x, container_name: {text} }} }}\n"),
            format!(
                "services: {{ app: {{ image: x, volumes: ['v:/v'] }} }}\nvolumes: {{ v: {{ name: {text} }} }}\n"
            ),
            format!(
                "services: {{ app: {{ image: x, networks: [n] }} }}\nnetworks: {{ n: {{ name: {text} }} }}\n"
            ),
            format!(
                "services: {{ app: {{ image: x, volumes: [{{ type: volume, source: {text}, target: /v }}] }} }}\nvolumes: {{ {text}: {{}} }}\n"
            ),
            format!(
                "services: {{ app: {{ image: x, networks: [{text}] }} }}\nnetworks: {{ {text}: {{}} }}\n"
            ),
        ];
        for (number, body) in bodies.iter().enumerate() {
            host.write("stack/compose.yaml", body);
            let checked = host.keel(&["check", "stack"]);
            if number == 0 {
                // As docker compose does, what no name can have is left out of it.
                let rendered = host.keel(&["render", "stack"]).stdout;
                let named = rendered.lines().find_map(|line| line.strip_prefix("name: "));
                let sound =
                    |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
                assert!(named.is_none_or(|name| name.chars().all(sound)), "{body}{rendered}");
                continue;
            }
            // What Compose lets be a key, and an empty name is none that was given.
            let key = matches!(number, 1 | 5 | 6) && name == "-x";
            if !(key || name.is_empty() && matches!(number, 2..=4)) {
                assert_eq!(checked.code, 1, "{body}{}{}", checked.stdout, checked.stderr);
            }
        }
    }
    assert!(!host.path("pwned").exists() && !host.path("stack/pwned").exists());
    host.finish();
}

/// Variables of a stack that loaders, shells and libraries obey, and secrets of `serve`'s own: neither
/// reaches the other's processes.
#[test]
fn the_environments_of_the_host_and_of_containers_never_meet() {
    let mut host = Host::new();
    host.environment.push(("REGISTRY_TOKEN".to_owned(), "s3cret-of-serve".to_owned()));
    let evil = host.path("evil.so").display().to_string();
    let names = [
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "LD_AUDIT",
        "PATH",
        "HOME",
        "TMPDIR",
        "RUST_LOG",
        "RUST_BACKTRACE",
        "GIT_SSH_COMMAND",
        "GIT_CONFIG_GLOBAL",
        "SSH_AUTH_SOCK",
        "DOCKER_CONFIG",
        "MALLOC_CONF",
        "GLIBC_TUNABLES",
        "LOCPATH",
        "KEEL_ROOT",
        "KEEL_CONFIG",
        "BASH_ENV",
        "ENV",
    ];
    let variables: Vec<_> = names.iter().map(|name| format!("{name}: '{evil}'")).collect();
    let checks = "    healthcheck: { test: [CMD, /bin/sh, -c, 'echo x >> /checks'], interval: 300ms, retries: 1 }\n";
    host.write(
        "stacks/one/compose.yaml",
        &format!(
            "services:\n  app:\n    image: busybox:1\n    init: true\n    command: [/bin/sh, -c, '/bin/tr \"\\0\" \"\\n\" < /proc/self/environ; exec /bin/sleep 1000000']\n    environment: {{ {} }}\n{checks}    \
             labels: {{ LD_PRELOAD: x, io.systemd.unit: evil.service, traefik.enable: 'true' }}\n",
            variables.join(", ")
        ),
    );
    let serve = host.serve(&["stacks"]);
    host.until_well("one-app-1");
    let root = host.root().display().to_string();
    let checks = || {
        for pid in keel_processes(&root) {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let text = String::from_utf8_lossy(&environment).into_owned();
            assert!(
                !text.contains("evil.so"),
                "process {pid} of the host has the stack's variables: {text}"
            );
            let of_serve = pid == serve.pid();
            assert!(
                of_serve || !text.contains("s3cret"),
                "process {pid} has serve's secrets: {text}"
            );
        }
        let many = host.keel(&["exec", "one-app-1", "/bin/cat", "/checks"]).stdout.lines().count();
        (many > 10).then_some(())
    };
    until("ten health checks", checks, || host.overview());
    let inside =
        host.keel(&["exec", "one-app-1", "/bin/sh", "-c", "/bin/cat /proc/[0-9]*/environ"]).stdout;
    let logs = host.keel(&["logs", "one-app-1"]).stdout;
    for (name, text) in [("exec", &inside), ("the first process", &logs)] {
        assert!(text.contains("evil.so"), "{name} has its own: {text}");
        assert!(!text.contains("s3cret"), "{name} has serve's secrets: {text}");
    }
    drop(serve);
    host.keel(&["down", "one"]).ok();
    host.finish();
}

/// The processes of the host that work for this root.
fn keel_processes(root: &str) -> Vec<u32> {
    let pids = fs::read_dir("/proc").expect("proc is mounted").flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let ours = |pid: &u32| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let named = String::from_utf8_lossy(&environment).contains(&format!("KEEL_ROOT={root}"));
        line.contains("keel") && (line.contains(root) || named) && *pid != std::process::id()
    };
    // Commands of this test are among them while they run, and have what `serve` has.
    pids.filter(ours).filter(|pid| !is_of_test(*pid)).collect()
}

fn is_of_test(pid: u32) -> bool {
    let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.contains("\0exec\0") || line.contains("\0ps\0")
}
