//! Attacks by whoever names a source, serves one, or pushes to one.

mod support;

use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use support::git::{Repo, serve as git_serve};
use support::raw_git::{RawRepo, all_below};
use support::scripted::{Scripted, advertises, leads};
use support::{Host, Serve, until};

/// An `ssh` that writes down its words and variables, and lets a shell do what it was asked to, as the
/// other side would.
const SSH: &str = r#"#!/bin/sh
{ for word; do printf '%s\036' "$word"; done; printf '\035'; env -0 | tr '\0\n' '\036 '; printf '\n\035\n'; } > "$0.log.$$"
for word; do last=$word; done
cd "${0%/*}" && exec sh -c "$last"
"#;

/// A host whose `ssh` is that one.
fn host_with_ssh() -> Host {
    let mut host = Host::bare();
    let ssh = host.write("bin/ssh", SSH);
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let path = format!("{}:{}", host.path("bin").display(), std::env::var("PATH").expect("a path"));
    host.environment.push(("PATH".to_owned(), path));
    host
}

/// Each call of that `ssh`: its words, and its variables.
fn calls(host: &Host) -> Vec<(Vec<String>, Vec<String>)> {
    let logs = fs::read_dir(host.path("bin")).expect("a folder").flatten();
    let log = |entry: fs::DirEntry| fs::read_to_string(entry.path()).expect("a text");
    let is_log = |entry: &fs::DirEntry| entry.path().display().to_string().contains("ssh.log");
    let log: String = logs.filter(is_log).map(log).collect();
    let words = |text: &str| {
        text.split('\u{1e}').map(|word| word.trim().to_owned()).filter(|w| !w.is_empty()).collect()
    };
    let parts: Vec<_> = log.split('\u{1d}').collect();
    parts.chunks_exact(2).map(|call| (words(call[0]), words(call[1]))).collect()
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text")
}

/// What `keel source ls` and `keel status` say of each source, once all of them fail.
#[track_caller]
fn until_all_fail(host: &Host, serve: &Serve, count: usize) -> Vec<Value> {
    let failing = || {
        let called = host.keel(&["source", "ls", "--format", "json"]);
        let rows: Vec<Value> = serde_json::from_str(&called.stdout).ok()?;
        (rows.len() == count && rows.iter().all(|row| row["failing"].is_string())).then_some(rows)
    };
    until("all sources fail", failing, || {
        format!("{}\n{}", serve.said(), host.keel(&["source", "ls"]).stdout)
    })
}

/// Addresses that carry `touch PWNED` to whoever takes a part of them for an option or a command.
#[test]
fn an_address_is_never_an_option_or_a_command() {
    let mut host = host_with_ssh();
    host.environment.push(("FORGE_TOKEN".to_owned(), "s3cret".to_owned()));
    // In the folder of whoever runs it: `serve`, or `ssh`.
    let witnesses = [host.path("pwned"), host.path("bin/pwned")];
    let payload = "touch pwned";
    let refused = [
        "-oProxyCommand=PAYLOAD:x",
        "ssh://-oProxyCommand=PAYLOAD/x",
        "git@-oProxyCommand=PAYLOAD:x",
        "ssh://git@-oProxyCommand=PAYLOAD/x",
        "-oProxyCommand=PAYLOAD@host:x",
        "$(PAYLOAD)@host:x",
        "`PAYLOAD`:x",
        "host;PAYLOAD:x",
        "ssh://host&PAYLOAD/x",
        "ssh://host'x/x",
        "host\n-oProxyCommand=PAYLOAD:x",
        "ssh://host:22-oProxyCommand=x/x",
        "ssh://host:PAYLOAD/x",
        "host:-x",
        "host:--upload-pack=PAYLOAD",
        "ssh://host/a\n",
        "host:a\nPAYLOAD",
        "ext::sh -c PAYLOAD",
        "ext::sh",
        "fd::17/x",
        "transport::https://host/x",
        "git://host/x",
        "ftp://host/x",
        "HTTPS://host/x",
        "https://good.example\n.evil.example/x",
        "https://good.example\r\nX-Header: 1/x",
        "https:///x",
    ];
    for url in refused {
        let url = url.replace("PAYLOAD", payload);
        let config =
            host.write("refused.yaml", &format!("sources:\n  a: {{ git: {} }}\n", quoted(&url)));
        let checked = host.keel(&["--config", &config.display().to_string(), "serve", "--check"]);
        let all = checked.stdout + &checked.stderr;
        assert!(
            checked.code == 1 && all.contains("not the address of a repository"),
            "{url:?}: {all}"
        );
    }

    // These are plain data: addresses of repositories that do not exist.
    let data = [
        "host:$(PAYLOAD)",
        "host:`PAYLOAD`",
        "host:';PAYLOAD;'",
        "host:x'; PAYLOAD; echo '",
        "host:~$(PAYLOAD)/x",
        "ssh://host/~;PAYLOAD/x",
        "ssh://host/~git$(PAYLOAD)/x",
        "ssh://git@host:2222/a b\\' ; PAYLOAD",
        "ssh://[::1]:22/$(PAYLOAD)",
        "[::1]:$(PAYLOAD)",
        "host:a%00b",
        "--upload-pack=PAYLOAD",
        "-u",
        "./--upload-pack=PAYLOAD",
        "file://--upload-pack=PAYLOAD",
        "file:///%00/../$(PAYLOAD)",
        "/$(PAYLOAD);PAYLOAD",
        "http://127.0.0.1:1/$(PAYLOAD)`PAYLOAD`;--upload-pack=PAYLOAD%00",
    ];
    let mut config = "sources:\n".to_owned();
    for (number, url) in data.iter().enumerate() {
        let url = quoted(&url.replace("PAYLOAD", payload));
        writeln!(config, "  s{number}: {{ git: {url}, poll: 1h }}").expect("a text");
    }
    host.write("keel.yaml", &config);
    let serve = host.serve(&[]);
    until_all_fail(&host, &serve, data.len());
    let calls = calls(&host);
    assert_eq!(
        calls.len(),
        data.iter().filter(|url| url.contains("host") || url.contains("[::1]")).count(),
        "{calls:?}"
    );
    for (words, variables) in &calls {
        let names = variables.iter().filter_map(|variable| variable.split('=').next());
        let known = ["PATH", "HOME", "USER", "LOGNAME", "SSH_AUTH_SOCK", "LANG", "LC_ALL", "PWD"];
        let foreign: Vec<_> = names.filter(|name| !known.contains(name) && *name != "_").collect();
        assert_eq!(foreign, Vec::<&str>::new(), "variables of ours that `ssh` got");
        assert!(words.iter().any(|word| word == "ForwardAgent=no"), "{words:?}");
        let operands = words.iter().position(|word| word == "--").expect("operands are told apart");
        let options = words[..operands].concat();
        assert!(words.len() == operands + 3 && !options.contains("touch"), "{words:?}");
        assert!(words[operands + 2].starts_with("git-upload-pack "), "{words:?}");
    }
    for witness in &witnesses {
        assert!(!witness.exists(), "a command of an address ran: {calls:?}");
    }
    drop(serve);
    host.finish();
}

/// Trees with entries that no `git add` makes. Each is a source of its own, and all of them fail, by name
/// of the entry; beside them one of odd, but harmless ones.
#[test]
fn a_tree_writes_nothing_outside_and_nothing_that_a_program_obeys() {
    let host = Host::bare();
    let (witness, outside) = (host.path("pwned"), host.path("outside"));
    fs::create_dir(&outside).expect("a folder");
    let monitor = host.write("monitor", &format!("#!/bin/sh\ntouch {}\n", witness.display()));
    fs::set_permissions(&monitor, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let settings = format!(
        "[core]\n\tbare = false\n\trepositoryformatversion = 0\n\tfsmonitor = {}\n",
        monitor.display()
    );
    let mut config = "sources:\n".to_owned();
    let mut cases: Vec<(String, String)> = vec![];
    let mut add = |name: &str, shown: &str, build: &dyn Fn(&RawRepo, &str) -> String| {
        let source = format!("s{}", cases.len());
        let repo = RawRepo::new(host.path(&format!("git/{source}")));
        let compose = repo.blob("services: { app: { image: \"busybox:1\" } }\n");
        repo.commit(&build(&repo, &compose));
        let url = repo.path.display();
        writeln!(config, "  {source}: {{ git: {url}, branch: main, poll: 1h }}").expect("a text");
        cases.push((name.to_owned(), shown.to_owned()));
    };
    let inner = |repo: &RawRepo| {
        let config = repo.blob(&settings);
        let empty = repo.tree(&[]);
        let head = repo.blob("ref: refs/heads/main\n");
        repo.tree(&[
            ("100644", b"HEAD", &head),
            ("100644", b"config", &config),
            ("40000", b"objects", &empty),
            ("40000", b"refs", &empty),
        ])
    };
    // As a folder that Git obeys, whatever the file system thinks of case, dots and what nobody sees.
    for name in [
        ".git",
        ".GIT",
        ".gIt",
        "git~1",
        "GIT~1",
        ".g\u{200c}it",
        ".git\u{feff}",
        ".git ",
        ".git.",
        ".git::$INDEX_ALLOCATION",
    ] {
        // What nobody sees is told by its number.
        let seen =
            |c: char| if c.is_ascii() { c.to_string() } else { c.escape_unicode().to_string() };
        let shown: String = name.chars().map(seen).collect();
        add(name, &shown, &|repo, compose| {
            repo.tree(&[
                ("40000", name.as_bytes(), &inner(repo)),
                ("100644", b"compose.yaml", compose),
            ])
        });
    }
    add("a file .git", ".git", &|repo, compose| {
        let leads = repo.blob(&format!("gitdir: {}\n", outside.display()));
        repo.tree(&[("100644", b".git", &leads), ("100644", b"compose.yaml", compose)])
    });
    for name in ["..", ".", "../outside/x", "a/b", "/x", "d/"] {
        add(name, name, &|repo, compose| {
            repo.tree(&[("100644", name.as_bytes(), compose), ("100644", b"compose.yaml", compose)])
        });
        add(&format!("folder {name}"), name, &|repo, compose| {
            let below = repo.tree(&[("100644", b"x", compose)]);
            repo.tree(&[("100644", b"compose.yaml", compose), ("40000", name.as_bytes(), &below)])
        });
    }
    let to = outside.display().to_string();
    add("a link, and a folder of its name", "d", &|repo, compose| {
        let link = repo.blob(&to);
        let below = repo.tree(&[("100755", b"evil", compose)]);
        repo.tree(&[
            ("120000", b"d", &link),
            ("100644", b"compose.yaml", compose),
            ("40000", b"d", &below),
        ])
    });
    add("a folder, and a link of its name", "d", &|repo, compose| {
        let link = repo.blob(&to);
        let below = repo.tree(&[("100755", b"evil", compose)]);
        repo.tree(&[
            ("40000", b"d", &below),
            ("120000", b"d", &link),
            ("100644", b"compose.yaml", compose),
        ])
    });
    add("a link, and a file of its name", "sub/d", &|repo, compose| {
        let link = repo.blob(&format!("{to}/evil"));
        let below = repo.tree(&[("120000", b"d", &link), ("100644", b"d", compose)]);
        repo.tree(&[("100644", b"compose.yaml", compose), ("40000", b"sub", &below)])
    });
    add("a link that leads to NUL", "sub/l", &|repo, compose| {
        let link = repo.object("blob", b"a\0b");
        let below = repo.tree(&[("120000", b"l", &link)]);
        repo.tree(&[("100644", b"compose.yaml", compose), ("40000", b"sub", &below)])
    });
    add("a name that is too long", "xxxxx", &|repo, compose| {
        repo.tree(&[("100644", b"compose.yaml", compose), ("100644", &[b'x'; 300], compose)])
    });
    add("a folder that is a file", "type", &|repo, compose| {
        repo.tree(&[("100644", b"compose.yaml", compose), ("40000", b"d", compose)])
    });
    add("more bits than a mode has", "filemode", &|repo, compose| {
        repo.tree(&[("100644", b"compose.yaml", compose), ("777777", b"d", compose)])
    });
    host.write("keel.yaml", &config);
    let serve = host.serve(&[]);
    let rows = until_all_fail(&host, &serve, cases.len());
    for (number, (name, shown)) in cases.iter().enumerate() {
        let row = rows.iter().find(|row| row["name"] == format!("s{number}")).expect("it is there");
        let told = row["problems"][0].as_str().expect("a text");
        assert!(told.contains(shown), "{name}: {told}");
        let checkouts = host.root().join(format!("sources/s{number}/checkouts"));
        let finished = all_below(&checkouts).into_iter().filter(|path| !path.starts_with('.'));
        assert_eq!(finished.collect::<Vec<_>>(), Vec::<String>::new(), "{name}");
    }
    assert_eq!(all_below(&outside), Vec::<String>::new());
    assert!(!witness.exists(), "a repository's own settings ran a program");
    drop(serve);
    host.finish();
}

/// What only looks dangerous is data: nothing of it is obeyed, and it gets the modes of plain files.
#[test]
fn odd_entries_of_a_tree_are_plain_data() {
    let host = Host::bare();
    let witness = host.path("pwned");
    let repo = RawRepo::new(host.path("git/odd"));
    let compose = repo.blob("services: { app: { image: \"busybox:1\" } }\n");
    let hook = repo.blob(&format!("#!/bin/sh\ntouch {}\n", witness.display()));
    let attributes = repo.blob("* filter=evil diff=evil merge=evil eol=crlf ident export-subst\n");
    let pointer = repo.blob("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n");
    let modules = repo.blob(&format!(
        "[submodule \"../../x\"]\n\tpath = sub\n\turl = ext::sh -c 'touch {w}'\n\tupdate = !touch {w}\n",
        w = witness.display()
    ));
    let hooks = repo.tree(&[("100755", b"post-checkout", &hook), ("100755", b"pre-commit", &hook)]);
    repo.commit(&repo.tree(&[
        ("100644", b".gitattributes", &attributes),
        ("100644", b".gitmodules", &modules),
        ("100644", b"carriage\r", &pointer),
        ("100644", b"compose.yaml", &compose),
        ("104755", b"setuid", &hook),
        ("40000", b"hooks", &hooks),
        ("0", b"modeless", &compose),
        ("177777", b"all-modes", &compose),
        ("60644", b"device", &compose),
        ("10644", b"pipe", &compose),
        ("160000", b"sub", &"1".repeat(40)),
        ("100644", b"~$(touch x)", &compose),
    ]));
    let url = repo.path.display();
    host.write(
        "keel.yaml",
        &format!("sources:\n  odd: {{ git: {url}, branch: main, poll: 1h }}\n"),
    );
    let serve = host.serve(&[]);
    let checkouts = host.root().join("sources/odd/checkouts");
    let whole = |path: &String| !path.starts_with('.') && path.ends_with("/compose.yaml");
    let there = || all_below(&checkouts).into_iter().find(whole);
    let found = until("it is checked out", there, || serve.said());
    let root = checkouts.join(Path::new(&found).parent().expect("a folder"));
    for entry in fs::read_dir(&root).expect("a folder").flatten() {
        let (name, meta) =
            (entry.file_name(), entry.path().symlink_metadata().expect("it is there"));
        let mode = meta.permissions().mode() & 0o7777;
        let sound = match name.to_str() {
            Some("hooks" | "sub") => meta.is_dir() && mode == 0o755,
            Some("setuid") => meta.is_file() && mode == 0o755,
            _ => meta.is_file() && matches!(mode, 0o644 | 0o755),
        };
        assert!(sound, "{name:?} has mode {mode:o}");
    }
    assert_eq!(fs::read_dir(root.join("sub")).expect("a folder").count(), 0, "nothing was fetched");
    let kept = fs::read_to_string(root.join("carriage\r")).expect("it is there");
    assert!(kept.contains("git-lfs") && !kept.contains('\r'), "no filter ran: {kept:?}");
    assert!(!witness.exists(), "a program of the tree ran");
    drop(serve);
    host.keel(&["down", "odd"]);
    host.finish();
}

/// Servers that lead elsewhere, at each step of a fetch, and one that says aloud what it was shown.
#[test]
fn credentials_go_to_nobody_else_and_are_told_nowhere() {
    let host = Host::bare();
    let page = |path: &str| format!("{path}/info/refs?service=git-upload-pack");
    let here = |path: &str| format!("http://127.0.0.1:8430{}", page(path));
    let evil = |path: &str| format!("http://127.0.0.1:8431{}", page(path));
    let refs = advertises(&[("refs/heads/main", &"1".repeat(40))]);
    let rules = json!({
        "/port/info/refs": leads(302, &evil("/x")),
        "/name/info/refs": leads(301, &format!("http://localhost:8431{}", page("/x"))),
        "/user/info/refs": leads(302, &format!("http://evil:s3cret-of-evil@127.0.0.1:8431{}", page("/x"))),
        "/file/info/refs": leads(302, "file:///etc/passwd"),
        "/gopher/info/refs": leads(302, "gopher://127.0.0.1:8431/x"),
        "/far/info/refs": leads(302, &here("/far2")),
        "/far2/info/refs": leads(307, &evil("/x")),
        "/circle/info/refs": leads(302, &here("/circle")),
        "/pack/info/refs": refs,
        "/pack/git-upload-pack": leads(307, "http://127.0.0.1:8431/pack/git-upload-pack"),
        "/moved/info/refs": leads(302, &here("/moved2")),
        "/moved2/info/refs": json!({ "status": 401, "body": "{authorization}" }),
        "/echo/info/refs": json!({ "status": 500, "type": "text/plain", "body": "{authorization}" }),
    });
    let asked = Scripted::new(&host, 8430, &rules);
    let other = Scripted::new(&host, 8431, &json!({}));
    let names =
        ["port", "name", "user", "file", "gopher", "far", "circle", "pack", "moved", "echo"];
    let token = host.write("token", "s3cret-token\n");
    let mut config = "sources:\n".to_owned();
    for name in names {
        let auth = format!("auth: {{ username: me, password-file: {} }}", token.display());
        let named = format!("http://me:s3cret-in-url@127.0.0.1:8430/{name}");
        writeln!(
            config,
            "  {name}-a: {{ git: \"http://127.0.0.1:8430/{name}\", {auth}, branch: main }}"
        )
        .expect("a text");
        writeln!(config, "  {name}-b: {{ git: \"{named}\", branch: main }}").expect("a text");
    }
    host.write("keel.yaml", &config);
    let serve = host.serve(&[]);
    let rows = until_all_fail(&host, &serve, names.len() * 2);
    let shown = |row: &&Value| row["name"] == "port-a" || row["name"] == "user-b";
    for row in rows.iter().filter(shown) {
        let told = row["problems"].to_string();
        assert!(told.contains("the server leads to http://127.0.0.1:8431"), "{told}");
    }
    assert_eq!(other.asked(), Vec::<Value>::new(), "nobody else is asked anything");
    let proven =
        asked.asked().iter().filter(|one| one["headers"]["authorization"].is_string()).count();
    assert!(proven >= names.len() * 2, "the server that is named was shown who asks");

    // `bWU6` is `me:` as basic authentication writes it.
    let secret = |text: &str| text.contains("s3cret") || text.contains("bWU6");
    let said = [&["status"][..], &["source", "ls"], &["history"], &["status", "--format", "json"]];
    for words in said {
        let called = host.keel(words);
        assert!(!secret(&(called.stdout.clone() + &called.stderr)), "{words:?}: {called:?}");
    }
    assert!(!secret(&serve.said()), "{}", serve.said());
    assert!(!secret(&Value::from(rows).to_string()));
    for file in all_below(&host.root()) {
        let text = fs::read(host.root().join(&file)).unwrap_or_default();
        assert!(!secret(&String::from_utf8_lossy(&text)), "{file} holds a secret");
    }
    for name in ["cmdline", "environ"] {
        let text = fs::read(format!("/proc/{}/{name}", serve.pid())).expect("it runs");
        assert!(!secret(&String::from_utf8_lossy(&text)), "{name}");
    }
    drop((serve, asked, other));
    host.finish();
}

/// A server whose references are no names of references, and whose HEAD leads elsewhere.
#[test]
fn a_reference_is_no_path() {
    let host = Host::bare();
    let commit = "1".repeat(40);
    let hostile = [
        "refs/heads/../../../outside/x",
        "refs/heads/--upload-pack=touch pwned",
        "refs/heads/a\u{7f}b",
        "refs/heads/.lock",
        "refs/heads/x.lock",
        "refs/heads/@{-1}",
        "refs/tags/../../x",
        "refs/heads/",
    ];
    let mut rules = serde_json::Map::new();
    let mut config = "sources:\n".to_owned();
    let mut count = 0;
    for (number, name) in hostile.iter().enumerate() {
        rules.insert(
            format!("/r{number}/info/refs"),
            advertises(&[("HEAD", &commit), (name, &commit)]),
        );
        let short = name.trim_start_matches("refs/heads/").trim_start_matches("refs/tags/");
        let url = format!("\"http://127.0.0.1:8430/r{number}\"");
        for (key, value) in
            [("branch", quoted(short)), ("tag", quoted(short)), ("commit", quoted(&commit))]
        {
            let checked = format!("sources:\n  a: {{ git: {url}, {key}: {value} }}\n");
            let file = host.write("checked.yaml", &checked).display().to_string();
            if host.keel(&["--config", &file, "serve", "--check"]).code == 0 {
                writeln!(config, "  r{number}-{key}: {{ git: {url}, {key}: {value}, poll: 1h }}")
                    .expect("a text");
                count += 1;
            }
        }
        // Whatever HEAD is said to be.
        writeln!(config, "  r{number}-head: {{ git: {url}, poll: 1h }}").expect("a text");
        count += 1;
    }
    let server = Scripted::new(&host, 8430, &Value::Object(rules));
    host.write("keel.yaml", &config);
    let before = all_below(&host.path("")).len();
    let serve = host.serve(&[]);
    for row in until_all_fail(&host, &serve, count) {
        let made = host
            .root()
            .join("sources")
            .join(row["name"].as_str().expect("a name"))
            .join("repo/refs");
        let files = all_below(&made).into_iter().filter(|path| made.join(path).is_file());
        assert_eq!(files.collect::<Vec<_>>(), Vec::<String>::new(), "{row}");
    }
    assert!(before > 0 && !host.path("outside").exists() && !host.path("pwned").exists());
    assert!(
        !all_below(&host.root())
            .iter()
            .any(|path| path.ends_with(".lock") && path.contains("repo"))
    );
    drop((serve, server));
    host.finish();
}

/// A revision that has a folder where the one before had a link, a container that puts links in the way
/// of what is brought next, and a link in the revision that leads to the host's files.
#[test]
fn what_tasks_write_to_is_filled_within_its_folder() {
    let host = Host::new();
    let repo = Repo::new(&host);
    let outside = host.path("outside");
    fs::create_dir(&outside).expect("a folder");
    let canary = host.write("canary", "untouched");
    let compose = |mounts: &str| {
        format!(
            "services:\n  app:\n    image: busybox:1\n    init: true\n    command: sleep 1000000\n    volumes: [{mounts}]\n"
        )
    };
    repo.write("one/compose.yaml", &compose("'./d:/d'"));
    repo.write("one/d/file", "1");
    std::os::unix::fs::symlink(&outside, repo.tree.join("one/d/sub")).expect("a link");
    repo.push("a link");
    let serve = git_serve(&host, &repo);
    host.until_well("one-app-1");
    let data = host.root().join("data/default/one");
    assert!(data.join("d/sub").is_symlink());
    host.keel(&[
        "exec",
        "one-app-1",
        "ln",
        "-s",
        &canary.display().to_string(),
        "/d/file.keel-new",
    ])
    .ok();

    fs::remove_file(repo.tree.join("one/d/sub")).expect("it is there");
    repo.write("one/d/sub/evil", "evil");
    repo.write("one/d/file", "2");
    repo.push("a folder in its place");
    let brought =
        || fs::read_to_string(data.join("d/file")).is_ok_and(|text| text == "2").then_some(());
    until("the next revision is brought", brought, || {
        format!("{}{}", serve.said(), host.overview())
    });
    std::os::unix::fs::symlink("/etc", repo.tree.join("one/away")).expect("a link");
    repo.write("one/compose.yaml", &compose("'./d:/d', './away/hostname:/h'"));
    repo.push("a link out");
    serve.until_said("`./away/hostname` leaves the repository");
    assert_eq!(
        all_below(&outside),
        Vec::<String>::new(),
        "written through the link of the revision before"
    );
    assert_eq!(fs::read_to_string(&canary).expect("it is there"), "untouched");
    assert_eq!(fs::read_to_string(data.join("d/sub/evil")).expect("it is there"), "evil");
    assert!(!data.join("away/hostname").is_file(), "a file of the host was copied");
    drop(serve);
    host.keel(&["down", "-v", "one"]).ok();
    drop(repo);
    host.finish();
}

/// Two sources with one stack's name, a tag that is moved, a repository that belongs to somebody else.
#[test]
fn who_owns_a_stack_is_said_and_kept() {
    let host = Host::new();
    let stack = |what: &str| {
        format!(
            "name: shop\nservices:\n  app:\n    image: busybox:1\n    init: true\n    command: [sh, -c, 'echo {what}; exec sleep 1000000']\n"
        )
    };
    let made = |name: &str, what: &str| {
        let repo = RawRepo::new(host.path(&format!("git/{name}")));
        let compose = repo.blob(&stack(what));
        repo.commit(&repo.tree(&[("100644", b"compose.yaml", &compose)]));
        repo
    };
    let (first, second, third) =
        (made("first", "first"), made("second", "second"), made("third", "third"));
    let source = |name: &str, repo: &RawRepo| {
        format!("  {name}: {{ git: {}, branch: main, poll: 200ms }}\n", repo.path.display())
    };
    let registries = "registries:\n  docker.io: { mirrors: [\"http://127.0.0.1:5000\"] }\n";
    host.write("keel.yaml", &format!("{registries}sources:\n{}", source("first", &first)));
    let serve = host.serve(&[]);
    let app = host.until_well("shop-app-1");
    drop(serve);
    host.sh(&format!("chown -R 65534 {}", third.path.display()));
    let all =
        [source("first", &first), source("second", &second), source("third", &third)].concat();
    host.write("keel.yaml", &format!("{registries}sources:\n{all}"));
    let serve = host.serve(&[]);
    serve.until_said("belongs to source first");
    serve.until_said("the repository belongs to another user");
    let still = host.container("shop-app-1").expect("it runs on");
    assert_eq!((&still["id"], &still["pid"]), (&app["id"], &app["pid"]));
    // Its owner moves the branch to a commit that does not follow the one before: that is followed.
    let compose = first.blob(&stack("forced"));
    let forced = first.commit(&first.tree(&[("100644", b"compose.yaml", &compose)]));
    host.until_ended("shop", &forced, "succeeded");
    fs::remove_file(first.path.join("refs/heads/main")).expect("it is there");
    serve.until_said("has no branch `main`");
    host.until_well("shop-app-1");
    drop(serve);
    host.keel(&["down", "shop"]).ok();
    host.finish();
}
