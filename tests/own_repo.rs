//! A repository of this host's own: `git push` is checked, deploys, and is told what became of it.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use support::{Called, Host, until};

fn stack(version: &str) -> String {
    format!(
        "services:\n  app:\n    image: busybox:1\n    init: true\n    \
         command: [sh, -c, 'echo version {version}; exec sleep 1000000']\n"
    )
}

/// A work tree whose `origin` is the host's repository.
struct Work<'a> {
    host: &'a Host,
    tree: PathBuf,
}

impl<'a> Work<'a> {
    fn new(host: &'a Host, url: &str) -> Self {
        let tree = host.path("work");
        host.sh(&format!(
            "git init -q -b main {tree} && cd {tree} && git remote add origin {url} && \
             git config user.name Ann && git config user.email ann@example.org",
            tree = tree.display()
        ));
        Self { host, tree }
    }

    fn commit(&self, name: &str, text: &str) {
        let path = self.tree.join(name);
        std::fs::create_dir_all(path.parent().expect("it is in a folder")).expect("a folder");
        std::fs::write(path, text).expect("it can be written");
        self.host.sh(&format!("cd {} && git add -A && git commit -qm change", self.tree.display()));
    }

    /// `git push` with these words; what it says to whoever pushes.
    fn push(&self, words: &[&str]) -> Called {
        let output = self
            .host
            .command("git")
            .arg("push")
            .args(words)
            .current_dir(&self.tree)
            .output()
            .expect("git runs");
        Called {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A real `sshd` for root, in the host's network.
struct Sshd(Child);

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn sshd(host: &Host) -> Sshd {
    let keys = host.path("ssh");
    let shown = keys.display();
    host.sh(&format!(
        "mkdir -p {shown} /run/sshd && for k in host user; do \
         ssh-keygen -q -t ed25519 -N '' -f {shown}/$k; done && cp {shown}/user.pub {shown}/authorized"
    ));
    host.write(
        "ssh/config",
        &format!(
            "Port 2222\nListenAddress 127.0.0.1\nHostKey {shown}/host\nPidFile none\n\
             AuthorizedKeysFile {shown}/authorized\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"
        ),
    );
    let child = host
        .command("/usr/sbin/sshd")
        .args(["-D", "-e", "-f"])
        .arg(keys.join("config"))
        .stderr(Stdio::null())
        .spawn()
        .expect("sshd is installed");
    let up = || {
        let scan = host.command("ssh-keyscan").args(["-p", "2222", "127.0.0.1"]).output().ok()?;
        (!scan.stdout.is_empty()).then_some(())
    };
    until("sshd answers", up, String::new);
    Sshd(child)
}

fn over_ssh(host: &mut Host, path: &Path) -> String {
    let key = host.path("ssh/user");
    let words = format!(
        "ssh -F /dev/null -i {} -o IdentitiesOnly=yes -o StrictHostKeyChecking=no \
         -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
        key.display()
    );
    host.environment.push(("GIT_SSH_COMMAND".to_owned(), words));
    format!("ssh://root@127.0.0.1:2222{}", path.display())
}

#[test]
fn a_push_is_checked_deployed_and_answered() {
    let mut host = Host::new();
    let registries = "registries:\n  docker.io: { mirrors: [\"http://127.0.0.1:5000\"] }\n";
    host.write("keel.yaml", &format!("policy: {{ settle: 1s }}\n{registries}"));
    let _sshd = sshd(&host);
    // One that nobody has pushed to yet is no trouble, also after a start.
    let quiet = host.keel(&["source", "create", "quiet", "--bare"]).ok();
    assert!(quiet.stderr.contains("`keel serve` is not running"), "{quiet:?}");
    host.write("other/compose.yaml", &stack("other"));
    let serve = host.serve(&[&host.path("other").display().to_string()]);
    let made = host.keel(&["source", "create", "home", "--bare", "--path", "stacks/*"]).ok();
    let bare = PathBuf::from(made.stdout.trim());
    assert!(bare.starts_with(host.root()) && made.stderr.contains("git push ssh://"), "{made:?}");
    let again = host.keel(&["source", "create", "home", "--bare"]);
    assert!(again.code == 1 && again.stderr.contains("already"), "{again:?}");

    // What was made before is followed from the start on; there is nothing in it yet.
    let known = host.keel(&["source", "ls", "--format", "json"]).ok().json();
    let names = known.as_array().expect("a listing").iter().map(|row| row["name"].clone());
    assert_eq!(names.collect::<Vec<_>>(), ["default", "home", "quiet"]);

    let url = over_ssh(&mut host, &bare);
    let work = Work::new(&host, &url);
    work.commit("stacks/one/compose.yaml", &stack("1"));
    let pushed = work.push(&["origin", "main"]).ok();
    for words in ["remote: ", "Source home", "one-app-1", "deployed, and healthy"] {
        assert!(pushed.stderr.contains(words), "{}", pushed.stderr);
    }
    let one = host.container("one-app-1").expect("the push waited for it");
    assert_eq!(one["state"], "running");

    work.commit("stacks/one/compose.yaml", &stack("2").replace("image:", "imaage:"));
    let refused = work.push(&["origin", "main"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    for words in
        ["stacks/one/compose.yaml:3:5", "did you mean `image`?", "pre-receive hook declined"]
    {
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    // A branch that nobody follows may hold what it likes.
    let aside = work.push(&["origin", "main:aside"]).ok();
    assert!(aside.stderr.contains("follows another branch"), "{}", aside.stderr);
    assert_eq!(host.container("one-app-1").expect("it runs on")["id"], one["id"]);
    let gone = work.push(&["origin", ":main"]);
    assert!(gone.code != 0 && host.container("one-app-1").is_some(), "{gone:?}");
    assert_eq!(host.sh(&format!("ls {}", bare.display())).matches("keel-check").count(), 0);

    // The mending commit, and one whose container does not stay.
    work.commit("stacks/one/compose.yaml", &stack("3"));
    let mended = work.push(&["origin", "main"]).ok();
    assert!(mended.stderr.contains("deployed, and healthy"), "{}", mended.stderr);
    assert!(host.keel(&["logs", "one-app-1"]).stdout.contains("version 3"));
    work.commit("stacks/one/compose.yaml", &stack("4").replace("exec sleep 1000000", "exit 1"));
    let failed = work.push(&["origin", "main"]);
    assert!(failed.stderr.contains("not deployed"), "{}", failed.stderr);

    // Without a daemon it is taken, and deployed by the next one.
    drop(serve);
    work.commit("stacks/one/compose.yaml", &stack("5"));
    let taken = work.push(&["origin", "main"]).ok();
    assert!(taken.stderr.contains("`keel serve` is not running"), "{}", taken.stderr);
    let serve = host.serve(&[]);
    let says = || host.keel(&["logs", "one-app-1"]).stdout.contains("version 5").then_some(());
    until("the next serve deploys it", says, || format!("{}\n{}", serve.said(), host.overview()));
    let status = host.keel(&["status"]).ok();
    assert!(!status.stdout.contains("source quiet"), "{}", status.stdout);
    assert!(!serve.said().contains("source quiet"), "{}", serve.said());

    drop(serve);
    for name in ["one", "other"] {
        host.keel(&["down", "-v", name]).ok();
    }
    drop(_sshd);
    host.finish();
}
