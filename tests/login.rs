//! A registry that wants to know who asks: login, a private image, logout.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use support::{Called, Host};

const IMAGE: &str = "127.0.0.1:5000/library/busybox:1";

/// Somebody at a terminal, who answers what is asked; prints all that the terminal shows.
const PERSON: &str = r#"
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
seen, answers = b"", [(b"user: ", b"ann\n"), (b"password: ", b"s3cret\n")]
while True:
    try:
        some = os.read(terminal, 4096)
    except OSError:
        break
    seen += some
    if answers and seen.endswith(answers[0][0]):
        os.write(terminal, answers.pop(0)[1])
sys.stdout.write(seen.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

fn kept(host: &Host) -> String {
    fs::read_to_string(host.path("docker/config.json")).unwrap_or_default()
}

#[test]
fn a_private_image_comes_to_whoever_is_logged_in() {
    let host = Host::with_users("s3cret");
    host.write(
        "docker/config.json",
        r#"{ "psFormat": "mine", "auths": { "r.io": { "auth": "YTpi" } } }"#,
    );
    let stranger = host.keel(&["pull", IMAGE]);
    assert!(
        stranger.code == 1 && stranger.stderr.contains("keel login 127.0.0.1:5000"),
        "{stranger:?}"
    );

    let wrong = host.login("wrong", "-u ann --password-stdin 127.0.0.1:5000");
    assert_eq!(wrong.code, 1, "{wrong:?}");
    assert!(wrong.stderr.contains("cannot log in to 127.0.0.1:5000: wrong user name or password"));
    assert!(!kept(&host).contains("127.0.0.1"), "{}", kept(&host));

    host.login("s3cret", "-u ann --password-stdin http://127.0.0.1:5000/").ok();
    for text in ["psFormat", "YTpi", "127.0.0.1:5000"] {
        assert!(kept(&host).contains(text), "{}", kept(&host));
    }
    let mode = fs::metadata(host.path("docker/config.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    host.keel(&["pull", IMAGE]).ok();
    assert_eq!(host.keel(&["run", "--rm", IMAGE, "echo", "hello"]).ok().stdout, "hello\n");

    host.keel(&["logout", "127.0.0.1:5000"]).ok();
    assert!(!kept(&host).contains("127.0.0.1") && kept(&host).contains("YTpi"), "{}", kept(&host));
    let again = host.keel(&["logout", "127.0.0.1:5000"]).ok();
    assert!(again.stderr.contains("not logged in to 127.0.0.1:5000"), "{again:?}");
    host.finish();
}

#[test]
fn a_terminal_is_asked_and_does_not_show_the_password() {
    let host = Host::with_users("s3cret");
    host.write("person.py", PERSON);
    let keel = env!("CARGO_BIN_EXE_keel");
    let output =
        host.command("python3").args(["person.py", keel, "login", "127.0.0.1:5000"]).output();
    let seen = Called::from(output.unwrap());
    assert_eq!(seen.code, 0, "{seen:?}");
    assert!(seen.stdout.contains("user: ann") && seen.stdout.contains("logged in"), "{seen:?}");
    assert!(!seen.stdout.contains("s3cret"), "{seen:?}");
    assert!(kept(&host).contains("127.0.0.1:5000"));
    host.finish();
}

#[test]
fn without_a_terminal_it_says_how() {
    let host = Host::bare();
    let cases = [
        ("", "", "who logs in?"),
        ("", "-u ann", "there is no terminal to ask for the password"),
        ("", "-u ann --password-stdin", "standard input holds no password"),
    ];
    for (password, arguments, said) in cases {
        let refused = host.login(password, arguments);
        assert!(refused.code == 64 && refused.stderr.contains(said), "{arguments}: {refused:?}");
    }
    let away = host.login("x", "-u ann --password-stdin 127.0.0.1:5999");
    assert!(
        away.code == 1 && away.stderr.contains("cannot reach registry `127.0.0.1:5999`"),
        "{away:?}"
    );
    host.finish();
}
