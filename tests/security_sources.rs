//! Where a source leads, whatever else is configured on this machine; servers behind a login that mean
//! ill; histories that do not say what they seem to.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use support::git::Repo;
use support::raw_git::RawRepo;
use support::scripted::Scripted;
use support::{Host, Serve, until};

const REGISTRIES: &str = "registries:\n  docker.io: { mirrors: [\"http://127.0.0.1:5000\"] }\n";

/// Ends with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn stack(says: &str) -> String {
    format!(
        "name: shop\nservices:\n  app:\n    image: busybox:1\n    init: true\n    \
         command: [sh, -c, 'echo {says}; exec sleep 1000000']\n"
    )
}

#[track_caller]
fn until_logged(host: &Host, says: &str) {
    let look = || host.keel(&["logs", "shop-app-1"]).stdout.contains(says).then_some(());
    until(&format!("shop says {says}"), look, || host.overview());
}

#[track_caller]
fn end(host: Host, serve: Serve) {
    drop(serve);
    host.keel(&["down", "shop"]).ok();
    host.finish();
}

/// A rule for people's own work (`insteadOf`) would have a source's login sent to somebody else, or
/// another repository deployed than the one in keel.yaml.
#[test]
fn a_rule_of_gits_own_leads_no_source_elsewhere() {
    let mut host = Host::new();
    let home = host.path("home").display().to_string();
    host.environment.push(("HOME".to_owned(), home));
    let repo = Repo::new(&host);
    repo.write("compose.yaml", &stack("first"));
    repo.push("first");
    let url = repo.url();
    let aside = RawRepo::new(host.path("git/aside.git"));
    let compose = aside.blob(&stack("aside"));
    aside.commit(&aside.tree(&[("100644", b"compose.yaml", &compose)]));
    let source = format!("sources:\n  home: {{ git: \"{url}\", branch: main, poll: 200ms }}\n");
    host.write("keel.yaml", &format!("{REGISTRIES}{source}"));
    let local = aside.path.display().to_string();
    for to in [local.as_str(), "http://127.0.0.1:9/", "ext::touch /tmp/x"] {
        host.write("home/.gitconfig", &format!("[url \"{to}\"]\n\tinsteadOf = {url}\n"));
        let serve = host.serve(&[]);
        serve.until_said("Git's own configuration on this machine leads to another address");
        assert!(host.container("shop-app-1").is_none(), "{}", serve.said());
        serve.until_said("insteadof");
    }
    host.write("home/.gitconfig", "[user]\n\tname = Ann\n");
    let serve = host.serve(&[]);
    host.until_well("shop-app-1");
    until_logged(&host, "first");
    drop(repo);
    end(host, serve);
}

/// Dates are whatever their author says: a branch is where it points to, and a tag, too, when it moves.
#[test]
fn dates_prove_nothing_and_a_tag_that_moves_is_followed() {
    let host = Host::new();
    let repo = RawRepo::new(host.path("git/dates"));
    let commit = |says: &str, date: &str| {
        let compose = repo.blob(&stack(says));
        let tree = repo.tree(&[("100644", b"compose.yaml", &compose)]);
        let raw = format!(
            "tree {tree}\nauthor Ann <ann@example.org> {date}\ncommitter Ann <ann@example.org> {date}\n\nchange\n"
        );
        repo.object("commit", raw.as_bytes())
    };
    let branch = |commit: &str| {
        fs::write(repo.path.join("refs/heads/main"), format!("{commit}\n")).unwrap();
    };
    let tag = |commit: &str| {
        fs::create_dir_all(repo.path.join("refs/tags")).unwrap();
        fs::write(repo.path.join("refs/tags/v1.0.0"), format!("{commit}\n")).unwrap();
    };
    let of = |follow: &str| {
        format!(
            "{REGISTRIES}sources:\n  home: {{ git: \"{}\", {follow}, poll: 200ms }}\n",
            repo.path.display()
        )
    };
    host.write("keel.yaml", &of("branch: main"));
    let future = commit("future", "253402300799 +9959");
    branch(&future);
    let serve = host.serve(&[]);
    until_logged(&host, "future");
    for (says, date) in [("past", "0 +0000"), ("negative", "-1 -0000")] {
        let next = commit(says, date);
        branch(&next);
        host.until_ended("shop", &next, "succeeded");
        until_logged(&host, says);
    }
    // `status` and `history` show dates, and must live with all of these.
    host.keel(&["history", "shop"]).ok();
    assert!(host.status("shop").is_some());
    branch(&commit("beyond", "99999999999999999999 +0000"));
    serve.until_said("invalid Unix timestamp");
    // Back to the first by force: that is where the branch is.
    branch(&future);
    until_logged(&host, "future");
    drop(serve);

    let (first, moved) = (commit("first", "0 +0000"), commit("moved", "0 +0000"));
    tag(&first);
    host.write("keel.yaml", &of("tag: v1.0.0"));
    let serve = host.serve(&[]);
    until_logged(&host, "first");
    tag(&moved);
    host.until_ended("shop", &moved, "succeeded");
    until_logged(&host, "moved");
    drop(serve);
    // Who does not want that names the commit.
    host.write("keel.yaml", &of(&format!("commit: {first}")));
    let serve = host.serve(&[]);
    until_logged(&host, "first");
    end(host, serve);
}

/// A real `sshd`, whose every login ends at the server with ill intent.
fn hostile_sshd(host: &Host) -> (Ends, PathBuf, PathBuf) {
    let keys = host.path("ssh");
    let shown = keys.display().to_string();
    host.sh(&format!(
        "mkdir -p {shown} /run/sshd && for k in host user; do ssh-keygen -q -t ed25519 -N '' -f {shown}/$k; done; \
         cp {shown}/user.pub {shown}/authorized; \
         echo \"[127.0.0.1]:2222 $(cut -d' ' -f1,2 {shown}/host.pub)\" >{shown}/known"
    ));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/hostile_git.py");
    host.write(
        "ssh/config",
        &format!(
            "Port 2222\nListenAddress 127.0.0.1\nHostKey {shown}/host\nPidFile none\nStrictModes no\nUsePAM no\n\
             AuthorizedKeysFile {shown}/authorized\nPermitRootLogin yes\nMaxStartups 100\n\
             ForceCommand python3 {script} --ssh\n"
        ),
    );
    let mut sshd = host.command("/usr/sbin/sshd");
    sshd.args(["-D", "-e", "-f"]).arg(keys.join("config")).stderr(Stdio::null());
    let sshd = Ends(sshd.spawn().unwrap());
    let up = || {
        let scan = host.command("ssh-keyscan").args(["-p", "2222", "127.0.0.1"]).output().ok()?;
        (!scan.stdout.is_empty()).then_some(())
    };
    until("sshd answers", up, String::new);
    (sshd, keys.join("user"), keys.join("known"))
}

#[test]
fn a_git_server_behind_a_login_costs_a_bounded_amount() {
    let host = Host::new();
    let repo = Repo::new(&host);
    let (_sshd, key, known) = hostile_sshd(&host);
    let deeds = [
        ("advert", "more than 32MiB of names of branches and tags"),
        ("drip", "in the middle"),
        ("claims", "claims 4294967295 objects"),
        ("progress", "more than 8MiB of words beside the pack"),
        ("naks", "more than 8MiB of words beside the pack"),
        ("blob", "an object has more than 128MiB"),
        ("delta", "an object has more than 128MiB"),
        ("begun", "source begun"),
        ("mute", "does not answer in time"),
        ("mutter", "does not answer in time"),
    ];
    let mut sources =
        format!("sources:\n  good: {{ git: \"{}\", branch: main, poll: 1s }}\n", repo.url());
    for (name, _) in deeds {
        let auth =
            format!("{{ ssh-key-file: {}, known-hosts: {} }}", key.display(), known.display());
        writeln!(
            sources,
            "  {name}: {{ git: \"ssh://root@127.0.0.1:2222/{name}\", branch: main, poll: 1s, auth: {auth} }}"
        )
        .unwrap();
    }
    host.write("keel.yaml", &format!("{REGISTRIES}{sources}"));
    repo.write("compose.yaml", &stack("first"));
    repo.push("first");
    let serve = host.serve(&[]);
    until_logged(&host, "first");
    for (name, why) in deeds {
        let told = || {
            let said = serve.said();
            let mut lines =
                said.lines().skip_while(|line| !line.contains(&format!("source {name}: ")));
            lines.any(|line| line.contains(why)).then_some(())
        };
        until(&format!("{name} is refused for: {why}"), told, || serve.said());
    }
    assert!(!serve.said().contains('\u{1b}'), "{}", serve.said());
    repo.write("compose.yaml", &stack("second"));
    let second = repo.push("second");
    host.until_ended("shop", &second, "succeeded");
    let most = host.sh(&format!("sed -n 's/^VmHWM:[^0-9]*//p' /proc/{}/status", serve.pid()));
    let most: u64 = most.split(' ').next().unwrap().parse().unwrap();
    assert!(most < 400 << 10, "serve had {most} KiB");
    drop(repo);
    end_with_ssh(host, serve, &key);
}

/// A `kill -9` of `serve` leaves `ssh` to end by itself, which it does not while its server talks on.
fn end_with_ssh(host: Host, serve: Serve, key: &std::path::Path) {
    drop(serve);
    let clients = format!("IdentityFile=.{}", key.display());
    let left = || {
        let ended = host.command("pkill").args(["-KILL", "-f", &clients]).status();
        ended.is_ok_and(|status| !status.success()).then_some(())
    };
    until("no ssh is left", left, String::new);
    host.keel(&["down", "shop"]).ok();
    host.finish();
}

/// A repository in a folder that a container writes to (a forge's, say), and that a source follows by its
/// path: it borrows the objects of a repository that the container cannot read, and has them checked out.
#[test]
fn a_repository_hands_out_nothing_of_others() {
    let host = Host::new();
    let secret = RawRepo::new(host.path("secret.git"));
    let canary = secret.blob("CANARY=S3cretCanary\n");
    let inside = secret.tree(&[("100644", b"secret.env", &canary)]);
    secret.commit(&inside);
    let repo = RawRepo::new(host.path("data/repo.git"));
    let text = stack("$$CANARY").replace("    image", "    env_file: of/secret.env\n    image");
    let compose = repo.blob(&text);
    repo.commit(&repo.tree(&[("100644", b"compose.yaml", &compose), ("40000", b"of", &inside)]));
    let source = format!(
        "sources:\n  home: {{ git: {}, branch: main, poll: 200ms, allow: [] }}\n",
        repo.path.display()
    );
    host.write("keel.yaml", &format!("{REGISTRIES}{source}"));
    let write = |script: &str| {
        let bind = format!("{}:/d", host.path("data").display());
        host.keel(&["run", "--rm", "-v", &bind, "busybox:1", "sh", "-c", script]).ok();
    };
    let objects = host.path("secret.git/objects").display().to_string();
    let (fan, rest) = inside.split_at(2);
    for (lead, undo, told) in [
        (
            format!("echo {objects} >/d/repo.git/objects/info/alternates"),
            "rm /d/repo.git/objects/info/alternates".to_owned(),
            "it borrows objects of other repositories",
        ),
        (
            format!(
                "mkdir -p /d/repo.git/objects/{fan} && ln -s {objects}/{fan}/{rest} /d/repo.git/objects/{fan}/"
            ),
            format!("rm /d/repo.git/objects/{fan}/{rest}"),
            "by the link `",
        ),
        (
            format!(
                "mv /d/repo.git /d/away && mkdir /d/repo.git && echo gitdir: {} >/d/repo.git/.git",
                secret.path.display()
            ),
            "rm -r /d/repo.git && mv /d/away /d/repo.git".to_owned(),
            "it is kept elsewhere",
        ),
    ] {
        write(&lead);
        let serve = host.serve(&[]);
        serve.until_said(told);
        let shown = serve.said() + &host.overview() + &host.keel(&["logs", "shop-app-1"]).stdout;
        assert!(!shown.contains("S3cretCanary"), "{shown}");
        drop(serve);
        write(&undo);
    }
    host.finish();
}

/// A server that has whoever clones fetch a bundle of objects from an address of its choice: Git's own
/// client asks there when it is told to, and a source never does.
#[test]
fn a_bundle_that_a_server_names_is_not_fetched() {
    let host = Host::new();
    let repo = Repo::new(&host);
    repo.write("compose.yaml", &stack("first"));
    repo.push("first");
    let elsewhere = Scripted::new(&host, 8419, &serde_json::json!({}));
    host.sh(&format!(
        "cd {} && git config uploadpack.advertiseBundleURIs true && git config bundle.version 1 && \
         git config bundle.mode all && git config bundle.all.uri http://127.0.0.1:8419/all.bundle",
        repo.bare.display()
    ));
    let asked = || -> Vec<String> {
        elsewhere.asked().iter().map(|one| one["path"].as_str().unwrap().to_owned()).collect()
    };
    host.sh(&format!(
        "git -c transfer.bundleURI=true clone -q {} {} 2>/dev/null",
        repo.url(),
        host.path("cloned").display()
    ));
    assert_eq!(asked(), ["/all.bundle"], "the server names it, and Git asks");
    let serve = host.serve(&["--git", &repo.url(), "--branch", "main", "--poll", "1s"]);
    until_logged(&host, "first");
    assert_eq!(asked(), ["/all.bundle"]);
    drop(repo);
    end(host, serve);
}
