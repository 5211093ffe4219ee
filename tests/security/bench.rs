//! A host, its witnesses, and the hostile images that are pushed to its registry.

use super::support::{Called, Host, until};
use super::witness::Witness;
use serde_json::{Value, json};
use std::fs;
use std::ops::Deref;
use std::path::Path;
use std::process::Stdio;

/// The image with a shell and the prober.
pub const IMAGE: &str = "prober:1";

/// Of `security_opt`.
const UNCONFINED: &str = "seccomp=unconfined";

/// Whether every attack is made without the filter of system calls: by hand, to see what holds then.
fn is_unconfined() -> bool {
    std::env::var_os("KEEL_UNCONFINED").is_some()
}

/// How `/proc/self/status` says that there is a filter, where there is to be one.
pub fn filter_mode() -> &'static str {
    if is_unconfined() { "Seccomp:\t0" } else { "Seccomp:\t2" }
}

fn unconfine(service: &mut Value) {
    let mut options = service["security_opt"].as_array().cloned().unwrap_or_default();
    options.push(json!(UNCONFINED));
    service["security_opt"] = json!(options);
}

/// A host that is attacked.
pub struct Bench {
    host: Host,
    /// What must hold.
    pub witness: Witness,
}

impl Deref for Bench {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.host
    }
}

impl Bench {
    /// With a registry, and nothing running.
    pub fn new() -> Self {
        Self { host: Host::new(), witness: Witness::new() }
    }

    /// A variant of the prober's image with this configuration and these files more; its name.
    pub fn image(&self, config: &Value, layer: Option<&Path>) -> String {
        let layered = layer.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
        let made_of = format!("{config}{}{layered}", self.host.name);
        let name = format!("prober-{}", keel_names::Digest::of(made_of.as_bytes()).short());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/security/variant.py");
        let mut command = self.host.command("python3");
        command.args([script, &name, &config.to_string()]).args(layer);
        let output = command.output().expect("python3 runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        format!("{name}:1")
    }

    /// `keel`, as a person calls it.
    pub fn keel(&self, arguments: &[&str]) -> Called {
        match arguments {
            ["run", rest @ ..] if is_unconfined() => {
                self.host.keel(&[&["run", "--security-opt", UNCONFINED], rest].concat())
            }
            _ => self.host.keel(arguments),
        }
    }

    /// `keel run --rm` with the prober's image.
    pub fn run(&self, flags: &[&str], command: &[&str]) -> Called {
        let called = self.keel(&[&["run", "--rm"], flags, &[IMAGE], command].concat());
        self.checked(called)
    }

    /// The same, where the program must have come to its end; what it said.
    #[track_caller]
    pub fn said(&self, flags: &[&str], command: &[&str]) -> String {
        let called = self.run(flags, command).ok();
        done(&called.stdout, command);
        called.stdout
    }

    /// A container of this name that only waits.
    #[track_caller]
    pub fn idle(&self, name: &str, flags: &[&str]) {
        let end = ["--init", IMAGE, "sleep", "1000000"];
        self.keel(&[&["run", "-d", "--name", name], flags, &end[..]].concat()).ok();
    }

    /// `keel exec`.
    pub fn exec(&self, flags: &[&str], name: &str, command: &[&str]) -> Called {
        let called = self.host.keel(&[&["exec"], flags, &[name], command].concat());
        self.checked(called)
    }

    /// A program inside that goes on while others act; its output is asked for in the end.
    pub fn beside(&self, name: &str, command: &[&str]) -> Beside {
        Beside::calling(self, &[&["exec", name], command].concat())
    }

    /// `keel serve` with nothing to keep.
    pub fn idle_serve(&self) -> super::support::Serve {
        fs::create_dir_all(self.path("none")).unwrap();
        self.host.serve(&["none"])
    }

    /// Starts the stack of this name, as far as it does.
    pub fn up(&self, name: &str, compose: &Value) -> Called {
        let mut compose = compose.clone();
        if is_unconfined() {
            let services = compose["services"].as_object_mut().expect("services are an object");
            services.values_mut().for_each(unconfine);
        }
        self.host.write(&format!("{name}/compose.yaml"), &compose.to_string());
        let called = self.host.keel_in(&self.host.path(name), &["up", "-d"]);
        self.checked(called)
    }

    /// All that a container has said.
    pub fn logs(&self, name: &str) -> String {
        let called = self.host.keel(&["logs", name]);
        let called = self.checked(called);
        called.stdout + &called.stderr
    }

    /// Waits until a container has said this.
    #[track_caller]
    pub fn until_said(&self, name: &str, text: &str) -> String {
        let look = || Some(self.logs(name)).filter(|said| said.contains(text));
        until(&format!("{name} says `{text}`"), look, || self.logs(name) + &self.host.overview())
    }

    /// Whatever a command answers, the host's secrets are not in it.
    #[track_caller]
    fn checked(&self, called: Called) -> Called {
        self.witness.kept_from(&called.stdout);
        self.witness.kept_from(&called.stderr);
        called
    }

    /// Removes every container and stack; keel still works, and the witnesses hold.
    #[track_caller]
    pub fn finish(self, stacks: &[&str]) {
        assert_eq!(self.said(&[], &["prober", "fds"]).matches("done").count(), 1);
        for stack in stacks {
            self.host.keel(&["down", "-v", stack]).ok();
        }
        let left: Vec<String> =
            self.host.ps().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
        for id in left {
            self.host.keel(&["rm", "-f", "-v", &id]).ok();
        }
        self.host.keel(&["network", "prune", "-f"]);
        self.witness.holds();
        self.host.finish();
    }
}

/// A program inside that has not ended.
pub struct Beside {
    child: std::process::Child,
}

impl Beside {
    /// `keel` with these words.
    pub fn calling(host: &Host, words: &[&str]) -> Self {
        Self::calling_in(host, &host.path(""), words)
    }

    /// The same in another current folder.
    pub fn calling_in(host: &Host, folder: &Path, words: &[&str]) -> Self {
        let mut call = host.command(env!("CARGO_BIN_EXE_keel"));
        call.current_dir(folder).args(words).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { child: call.spawn().expect("keel runs") }
    }

    /// What it said by its end.
    pub fn end(self) -> String {
        let output = self.child.wait_with_output().expect("it is ours");
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr)
    }

    /// Ends it.
    pub fn kill(mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A prober that did not come to its end has tried nothing.
#[track_caller]
pub fn done(said: &str, command: &[&str]) {
    if let ["prober", name, ..] = command {
        assert!(said.contains(&format!("done {name}")), "{command:?} was cut short:\n{said}");
    }
}

/// What an attempt of the prober came to.
#[track_caller]
pub fn result<'a>(said: &'a str, name: &str) -> &'a str {
    let lines = said.lines().map(str::trim);
    let line = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).next();
    line.unwrap_or_else(|| panic!("`{name}` was not tried:\n{said}"))
}

/// A service of the prober's image with these keys.
pub fn service(keys: Value) -> Value {
    let mut service = json!({ "image": IMAGE, "stop_grace_period": "0s" });
    for (key, value) in keys.as_object().expect("keys are an object") {
        service[key] = value.clone();
    }
    service
}

/// Starts a stack of services that end, and gives what each has said.
#[track_caller]
pub fn ends(bench: &Bench, stack: &str, compose: Value) -> Vec<(String, String)> {
    let names: Vec<_> = compose["services"].as_object().unwrap().keys().cloned().collect();
    let up = bench.up(stack, &compose);
    // Which have ended is asked for all at once.
    let over = || {
        let rows = bench.ps();
        let ended = |name: &String| {
            let task = format!("{stack}-{name}-1");
            rows.iter().any(|row| {
                row["name"] == task
                    && !["running", "created", "starting"]
                        .contains(&row["state"].as_str().unwrap_or(""))
            })
        };
        names.iter().all(ended).then_some(())
    };
    until(&format!("{stack} ends"), over, || format!("{}\n{}", up.stderr, bench.overview()));
    let said = |name: String| {
        let said = bench.logs(&format!("{stack}-{name}-1"));
        (name, said)
    };
    names.into_iter().map(said).collect()
}
