//! People and forges are told of what becomes of a push: once, and in spite of everything.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::Value;
use support::git::Repo;
use support::receiver::Receiver;
use support::{Host, Serve, until};

const SECRET: &str = "keel-test-secret";

fn stack(command: &str) -> String {
    format!(
        "services:\n  app:\n    image: busybox:1\n    init: true\n    \
         command: [sh, -c, '{command}']\n"
    )
}

fn good(version: u32) -> String {
    stack(&format!("echo version {version}; exec sleep 1000000"))
}

const REFUSED: &str = "services:\n  app:\n    imaage: busybox:1\n";

fn configure(host: &Host, repo: &Repo, more: &str, notify: &str) {
    let config = format!(
        "sources:\n  home:\n    git: {}\n    path: [stacks/*]\n    poll: 1s\n{more}\
         policy: {{ settle: 1s, drift: report }}\nnotify:\n{notify}\
         registries:\n  docker.io: {{ mirrors: [\"http://127.0.0.1:5000\"] }}\n",
        repo.url()
    );
    host.write("keel.yaml", &config);
    let checked = host.keel(&["serve", "--check"]);
    assert_eq!(checked.code, 0, "{checked:?}");
}

fn secret(host: &Host, name: &str, text: &str) -> String {
    let file = host.write(name, &format!("{text}\n"));
    host.sh(&format!("chmod 600 {}", file.display()));
    file.display().to_string()
}

/// Kind and stack of each. The one that was in flight at a `kill -9` may come once more, and is
/// known by its id.
fn kinds(got: &[Value]) -> Vec<String> {
    let mut got = got.to_vec();
    got.dedup_by(|a, b| a["json"]["id"] == b["json"]["id"]);
    let got = got.as_slice();
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    got.iter()
        .map(|one| format!("{} {}", word(&one["json"]["kind"]), word(&one["json"]["stack"])))
        .collect()
}

#[track_caller]
fn until_runs(host: &Host, serve: &Serve, stack: &str, version: u32) {
    let container = format!("{stack}-app-1");
    let says = || {
        host.keel(&["logs", &container])
            .stdout
            .contains(&format!("version {version}"))
            .then_some(())
    };
    until(&format!("{stack} runs version {version}"), says, || {
        format!("{}\n{}", serve.said(), host.overview())
    });
}

/// Waits until the forge was told this of a commit; gives the description.
#[track_caller]
fn until_told(forge: &Receiver, commit: &str, state: &str, explain: impl Fn() -> String) -> String {
    let path = format!("/api/v1/repos/o/r/statuses/{commit}");
    let told = || {
        let got = forge.got(&path);
        let one = got.iter().find(|one| one["json"]["state"] == state)?;
        assert_eq!(one["json"]["context"], "keel/home/shop");
        assert_eq!(one["headers"]["authorization"], "token f0rge");
        Some(one["json"]["description"].as_str()?.to_owned())
    };
    until(&format!("{commit} is {state}"), told, || format!("{:#?}\n{}", forge.got(""), explain()))
}

#[test]
fn a_bad_push_and_its_mend_are_told_once_to_people_and_to_the_forge() {
    let host = Host::new();
    let repo = Repo::new(&host);
    let (people, forge) = (Receiver::new(&host, 9001), Receiver::new(&host, 9002));
    let tokens =
        [secret(&host, "s", SECRET), secret(&host, "n", "tk_1"), secret(&host, "f", "f0rge")];
    let more = format!(
        "    forge: {{ type: gitea, token-file: {}, api: \"{}\", repo: o/r }}\n",
        tokens[2],
        forge.url("")
    );
    let notify = format!(
        "  - {{ webhook: \"{}\", secret-file: {} }}\n  - {{ ntfy: \"{}\", token-file: {}, on: [failed] }}\n",
        people.url("/hook"),
        tokens[0],
        people.url("/ntfy/keel"),
        tokens[1],
    );
    configure(&host, &repo, &more, &notify);
    repo.write("stacks/shop/compose.yaml", &good(1));
    let first = repo.push("first");
    let serve = host.serve(&[]);
    let explain = || format!("{}\n{}", serve.said(), host.overview());
    until_told(&forge, &first, "success", explain);
    // Commits that change nothing of the stack fare there as the one that runs.
    repo.write("readme.md", "hello\n");
    let aside = repo.push("readme");
    until_told(&forge, &aside, "success", explain);
    repo.write("stacks/shop/compose.yaml", &format!("# a comment\n{}", good(1)));
    let comment = repo.push("comment");
    until_told(&forge, &comment, "success", explain);

    // A file that is wrong.
    repo.write("stacks/shop/compose.yaml", REFUSED);
    let second = repo.push("typo");
    let description = until_told(&forge, &second, "failure", explain);
    assert!(description.starts_with("refused: stacks/shop/compose.yaml:3:5: "), "{description}");
    let got = people.until_got("/hook", 1, explain);
    let (told, headers) = (&got[0]["json"], &got[0]["headers"]);
    for (key, expected) in [
        ("kind", "failed"),
        ("stack", "shop"),
        ("source", "home"),
        ("revision", &second),
        ("subject", "typo"),
    ] {
        assert_eq!(told[key], expected, "{told:#}");
    }
    assert!(told["reason"].as_str().unwrap().contains("compose.yaml:3:5"), "{told:#}");
    assert!(told["author"].as_str().unwrap().starts_with("Ann"), "{told:#}");
    let body = host.write("body", got[0]["body"].as_str().unwrap());
    let mac = format!("openssl dgst -sha256 -hmac '{SECRET}' {} | sed 's/.* //'", body.display());
    assert_eq!(headers["x-signature"], format!("sha256={}", host.sh(&mac).trim()));
    let ntfy = people.until_got("/ntfy/", 1, explain);
    assert_eq!(ntfy[0]["json"]["topic"], "keel");
    assert_eq!(ntfy[0]["headers"]["authorization"], "Bearer tk_1");

    // Mended.
    repo.write("stacks/shop/compose.yaml", &good(2));
    let third = repo.push("mended");
    until_told(&forge, &third, "success", explain);
    let got = people.until_got("/hook", 2, explain);
    assert_eq!(kinds(&got), ["failed shop", "recovered shop"]);
    assert_eq!(got[0]["json"]["incident"], got[1]["json"]["incident"]);
    assert_ne!(got[0]["json"]["id"], got[1]["json"]["id"]);
    assert_eq!(got[1]["json"]["revision"], third);

    // One that does not run: what was good comes back.
    repo.write("stacks/shop/compose.yaml", &stack("exit 3"));
    let fourth = repo.push("crashes");
    until_told(&forge, &fourth, "pending", explain);
    let description = until_told(&forge, &fourth, "failure", explain);
    assert!(description.contains(&format!("rolled back to {}", &third[..12])), "{description}");
    let got = people.until_got("/hook", 3, explain);
    let told = &got[2]["json"];
    assert!(told["tried"].as_str().unwrap().contains(&third[..12]), "{told:#}");
    assert!(told["command"].as_str().unwrap().starts_with("keel history show "), "{told:#}");
    assert_eq!(told["subject"], "crashes");

    // Killed in the middle of it: nothing is told twice, and the end is told.
    let book = host.root().join("records/notices/book.json");
    let kept = || std::fs::read_to_string(&book).unwrap_or_default();
    let arrived = || kept().contains("\"letters\": []").then_some(());
    until("all has arrived", arrived, kept);
    serve.kill();
    let serve = host.serve(&[]);
    let explain = || format!("{}\n{}", serve.said(), host.overview());
    repo.write("stacks/shop/compose.yaml", &good(3));
    let fifth = repo.push("mended again");
    until_told(&forge, &fifth, "success", explain);
    let got = people.until_got("/hook", 4, explain);
    assert_eq!(kinds(&got), ["failed shop", "recovered shop", "failed shop", "recovered shop"]);
    assert_eq!(people.got("/ntfy/").len(), 2, "it is told of failures only");
    for commit in [&first, &second, &third, &fourth, &fifth] {
        let got = forge.got(&format!("/api/v1/repos/o/r/statuses/{commit}"));
        let mut states: Vec<_> = got.iter().map(|one| one["json"]["state"].to_string()).collect();
        let all = states.len();
        states.dedup();
        assert_eq!(states.len(), all, "{commit}: {got:#?}");
    }
    let kept = kept();
    for secret in [SECRET, "tk_1", "f0rge", "/hook"] {
        assert!(!kept.contains(secret) && !serve.said().contains(secret), "{secret}");
    }
    host.keel(&["down", "-v", "shop"]).ok();
    drop((serve, people, forge, repo));
    host.finish();
}

#[test]
fn whoever_hangs_or_is_away_slows_no_deployment_and_is_told_later() {
    let host = Host::new();
    let repo = Repo::new(&host);
    let (hanging, mut away) = (Receiver::new(&host, 9001), Receiver::away(&host, 9002));
    hanging.answers("hang");
    let notify = format!(
        "  - {{ webhook: \"{}\" }}\n  - {{ webhook: \"{}\" }}\n",
        hanging.url("/hook"),
        away.url("/hook")
    );
    configure(&host, &repo, "", &notify);
    repo.write("stacks/shop/compose.yaml", &good(1));
    repo.push("first");
    let serve = host.serve(&[]);
    let explain = || format!("{}\n{}", serve.said(), host.overview());
    until_runs(&host, &serve, "shop", 1);
    repo.write("stacks/shop/compose.yaml", REFUSED);
    repo.push("typo");
    hanging.until_got("/hook", 1, explain);
    serve.until_said("cannot be reached: ");
    let status = host.keel(&["status"]).ok().stdout;
    assert!(
        status.contains("webhook 127.0.0.1:9002 ") && status.contains(" is unreachable, first "),
        "{status}"
    );

    // Nothing waits for them.
    let began = std::time::Instant::now();
    repo.write("stacks/shop/compose.yaml", &good(2));
    repo.push("mended");
    until_runs(&host, &serve, "shop", 2);
    assert!(began.elapsed().as_secs() < 20, "one of them takes half a minute to give up");
    assert_eq!(hanging.got("/hook").len(), 1, "it is still at it");

    // The message outlives its controller.
    serve.kill();
    away.start();
    hanging.answers("200");
    let serve = host.serve(&[]);
    let explain = || format!("{}\n{}", serve.said(), host.overview());
    let got = away.until_got("/hook", 2, explain);
    assert_eq!(kinds(&got), ["failed shop", "recovered shop"]);
    let got = hanging.until_got("/hook", 3, explain);
    assert_eq!(got[0]["json"]["id"], got[1]["json"]["id"], "the one in flight, once more");
    assert_eq!(kinds(&got[1..]), ["failed shop", "recovered shop"]);
    let status = || (!host.keel(&["status"]).stdout.contains("is unreachable")).then_some(());
    until("all of them are reached", status, || host.overview());
    host.keel(&["down", "-v", "shop"]).ok();
    drop((serve, hanging, away, repo));
    host.finish();
}

#[test]
fn many_that_fail_at_once_are_one_message_and_a_source_that_is_away_is_one() {
    let host = Host::new();
    let mut repo = Repo::new(&host);
    let people = Receiver::new(&host, 9001);
    configure(&host, &repo, "", &format!("  - {{ webhook: \"{}\" }}\n", people.url("/hook")));
    let names = ["a", "b", "c", "d", "e"];
    let write = |text: &str| {
        for name in names {
            repo.write(&format!("stacks/{name}/compose.yaml"), text);
        }
    };
    write(&good(1));
    repo.push("first");
    let serve = host.serve(&[]);
    let explain = || format!("{}\n{}", serve.said(), host.overview());
    names.iter().for_each(|name| until_runs(&host, &serve, name, 1));
    write(REFUSED);
    repo.push("all of them");
    let got = people.until_got("/hook", 1, explain);
    assert_eq!(got[0]["json"]["stacks"].as_array().unwrap().len(), 5, "{got:#?}");
    assert_eq!(got[0]["json"]["subject"], "all of them");
    write(&good(2));
    repo.push("mended");
    let got = people.until_got("/hook", 2, explain);
    assert_eq!(kinds(&got), ["failed ", "recovered "]);

    repo.stop();
    let got = people.until_got("/hook", 3, explain);
    let told = &got[2]["json"];
    assert_eq!((&told["source"], &told["stacks"]), (&"home".into(), &Value::Array(vec![])));
    assert!(told["reason"].as_str().unwrap().contains("cannot be reached"), "{told:#}");
    repo.start();
    host.keel(&["sync"]).ok();
    let got = people.until_got("/hook", 4, explain);
    assert_eq!(kinds(&got), ["failed ", "recovered ", "failed ", "recovered "]);
    for name in names {
        host.keel(&["down", "-v", name]).ok();
    }
    drop((serve, people, repo));
    host.finish();
}

#[test]
fn drift_is_told_once_and_a_test_message_arrives() {
    let host = Host::new();
    let repo = Repo::new(&host);
    let mut people = Receiver::new(&host, 9001);
    configure(&host, &repo, "", &format!("  - {{ webhook: \"{}\" }}\n", people.url("/hook")));
    let tried = host.keel(&["notify", "test"]).ok().stdout;
    assert!(tried.contains("webhook 127.0.0.1:9001 ") && tried.contains(": sent"), "{tried}");
    assert_eq!(people.got("/hook")[0]["json"]["kind"], "test");
    people.answers("401");
    let tried = host.keel(&["notify", "test"]);
    assert!(tried.code == 1 && tried.stdout.contains("answered 401"), "{tried:?}");
    people.answers("200");

    let limited = good(1).replace("    init: true\n", "    init: true\n    mem_limit: 64m\n");
    repo.write("stacks/shop/compose.yaml", &limited);
    repo.push("first");
    let serve = host.serve(&[]);
    let explain = || format!("{}\n{}", serve.said(), host.overview());
    until_runs(&host, &serve, "shop", 1);
    let settled = || (host.status("shop")?["operation"]["state"] == "succeeded").then_some(());
    until("it has settled", settled, explain);
    let file = host.limit_file("shop-app-1");
    host.sh(&format!("echo 33554432 > {file}"));
    assert_eq!(host.keel(&["drift"]).code, 2);
    let got = people.until_got("/hook", 3, explain);
    let told = &got[2]["json"];
    assert_eq!((&told["kind"], &told["stack"]), (&"drift".into(), &"shop".into()));
    assert_eq!(told["findings"], serde_json::json!(["shop-app-1: mem_limit"]), "{told:#}");
    assert_eq!(told["command"], "keel drift shop");
    host.sh(&format!("echo 67108864 > {file}"));
    assert_eq!(host.keel(&["drift"]).code, 0);
    let got = people.until_got("/hook", 4, explain);
    let told = &got[3]["json"];
    assert!(told["title"].as_str().unwrap().contains("matches what was applied again"), "{told:#}");
    people.stop();
    host.keel(&["down", "-v", "shop"]).ok();
    drop((serve, people, repo));
    host.finish();
}

/// A receiver is a stranger, too: it leads no message and no token elsewhere, and what it says is no
/// terminal's command.
#[test]
fn a_receiver_leads_nobody_elsewhere_and_commands_no_terminal() {
    let host = Host::new();
    let repo = Repo::new(&host);
    let (people, other) = (Receiver::new(&host, 9001), Receiver::new(&host, 9002));
    let [token, key, split] = [("t", "tk_secret"), ("k", SECRET), ("c", "a\r\nX-Injected: yes")]
        .map(|(name, text)| secret(&host, name, text));
    let secrets = format!("token-file: {token}, secret-file: {key}");
    let hook = people.url("/hook/path-that-is-a-secret");
    let receivers = format!(
        "  - {{ webhook: \"{hook}\", {secrets} }}\n  - {{ ntfy: \"{}\", token-file: {token} }}\n",
        people.url("/ntfy/keel")
    );
    configure(&host, &repo, "", &receivers);
    let try_with = |answer: &str| {
        people.answers(answer);
        let tried = host.keel(&["notify", "test"]);
        for private in ["tk_secret", SECRET, "path-that-is-a-secret", "\u{1b}", "\u{7}"] {
            assert!(
                !tried.stdout.contains(private) && !tried.stderr.contains(private),
                "{answer}: {private:?} in {tried:?}"
            );
        }
        assert_eq!(
            tried.stdout.matches("curl evil").count(),
            tried.stdout.matches("taken").count()
        );
        tried
    };
    for to in [
        other.url("/x"),
        "http://169.254.169.254/".into(),
        "file:///etc/passwd".into(),
        "gopher://a/".into(),
    ] {
        let tried = try_with(&format!("lead {to}"));
        assert!(
            tried.code == 1 && tried.stdout.contains("redirects are not followed"),
            "{to}: {tried:?}"
        );
    }
    assert!(other.got("").is_empty(), "{:?}", other.got(""));
    let sworn = try_with("swear");
    assert!(
        sworn.code == 1 && sworn.stdout.lines().all(|line| !line.starts_with("error: run")),
        "{sworn:?}"
    );
    assert_eq!(try_with("endless").code, 0, "an answer is read to a limit");

    // A real server of today, which would rather speak HTTP/2.
    host.sh(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout tls.key -out tls.pem \
           -subj /CN=people -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=CA:FALSE 2>/dev/null",
    );
    let config = format!(
        "daemon off; pid none; error_log stderr; events {{}} http {{ access_log off; \
         server {{ listen 127.0.0.1:9443 ssl http2; ssl_certificate {0}/tls.pem; ssl_certificate_key {0}/tls.key; \
         location / {{ return 204; }} }} }}",
        host.path("").display()
    );
    let config = host.write("nginx.conf", &config);
    let mut nginx =
        host.command("nginx").arg("-c").arg(config).spawn().expect("nginx is installed");
    let up = || {
        let asked = host.command("curl").args(["-ks", "https://127.0.0.1:9443/"]).status();
        asked.is_ok_and(|status| status.success()).then_some(())
    };
    until("nginx answers", up, String::new);
    configure(&host, &repo, "", "  - { webhook: \"https://127.0.0.1:9443/hook\" }\n");
    let mut test = host.command(env!("CARGO_BIN_EXE_keel"));
    test.args(["notify", "test"]).env("SSL_CERT_FILE", host.path("tls.pem"));
    let tried = test.output().expect("keel runs");
    assert!(tried.status.success(), "{}", String::from_utf8_lossy(&tried.stderr));
    nginx.kill().expect("it is ours");
    nginx.wait().expect("it is ours");

    // A token cannot become a header of its own, and nothing but http and https is spoken.
    configure(&host, &repo, "", &format!("  - {{ webhook: \"{hook}\", token-file: {split} }}\n"));
    let before = people.got("").len();
    let tried = try_with("200");
    assert!(tried.code == 1 && people.got("").len() == before, "{tried:?}");
    for url in [
        "gopher://127.0.0.1/",
        "file:///etc/passwd",
        "http://a\\r\\nb/",
        "http://u:p@127.0.0.1:9001/",
    ] {
        host.write("keel.yaml", &format!("notify:\n  - {{ webhook: \"{url}\" }}\n"));
        let checked = host.keel(&["serve", "--check"]);
        assert!(checked.code != 0 && checked.stderr.contains("keel.yaml:2:"), "{url}: {checked:?}");
        assert!(!checked.stderr.contains("u:p@"), "{checked:?}");
    }
    drop((people, other, repo));
    host.finish();
}
