//! A forge calls, and its push runs long before the poll; the configuration is looked at first.

mod support;

use support::git::Repo;
use support::{Host, Serve, until};

const SECRET: &str = "keel-test-secret";

fn stack(version: &str) -> String {
    format!(
        "services:\n  app:\n    image: busybox:1\n    init: true\n    environment:\n      \
         COMMIT: \"${{KEEL_SHORT_COMMIT}} ${{KEEL_COMMIT}} ${{ZONE}}\"\n    \
         command: [sh, -c, 'echo version {version} of $$COMMIT; exec sleep 1000000']\n"
    )
}

fn configure(host: &Host, repo: &Repo) {
    let secret = host.write("hook-secret", &format!("{SECRET}\n"));
    let config = format!(
        "sources:\n  home:\n    git: {}\n    path: [stacks/*]\n    poll: 1h\n    \
         env: {{ ZONE: eu }}\n    webhook: {{ type: github, secret-file: {} }}\n\
         listen: {{ webhooks: \"127.0.0.1:9000\" }}\npolicy: {{ settle: 1s }}\n\
         registries:\n  docker.io: {{ mirrors: [\"http://127.0.0.1:5000\"] }}\n",
        repo.url(),
        secret.display()
    );
    host.write("keel.yaml", &config);
}

/// What the forge is answered.
fn deliver(host: &Host, secret: &str, event: &str, path: &str) -> String {
    host.sh(&format!(
        "body='{{\"ref\":\"refs/heads/main\"}}'; \
         mac=$(printf %s \"$body\" | openssl dgst -sha256 -hmac '{secret}' | sed 's/.* //'); \
         curl -s -o /dev/null -w '%{{http_code}}' -d \"$body\" -H 'Content-Type: application/json' \
         -H \"X-Hub-Signature-256: sha256=$mac\" -H 'X-GitHub-Event: {event}' \
         http://127.0.0.1:9000{path}"
    ))
}

#[track_caller]
fn until_says(host: &Host, serve: &Serve, words: &str) {
    let says = || host.keel(&["logs", "one-app-1"]).stdout.contains(words).then_some(());
    until(words, says, || format!("{}\n{}", serve.said(), host.overview()));
}

#[test]
fn a_delivery_deploys_and_a_forged_one_does_nothing() {
    let host = Host::new();
    let repo = Repo::new(&host);
    configure(&host, &repo);
    repo.write("stacks/one/compose.yaml", &stack("1"));
    let first = repo.push("first");
    let serve = host.serve(&[]);
    until_says(&host, &serve, &format!("version 1 of {} {first} eu", &first[..12]));

    repo.write("stacks/one/compose.yaml", &stack("2"));
    let second = repo.push("second");
    assert_eq!(deliver(&host, "guessed", "push", "/hooks/home"), "401");
    assert_eq!(deliver(&host, SECRET, "push", "/hooks/other"), "401");
    assert_eq!(deliver(&host, SECRET, "ping", "/hooks/home"), "202");
    serve.until_said("webhook for home refused, from 127.0.0.1: its signature is that of another");
    assert_eq!(host.status("one").expect("it is there")["revision"], first.as_str());
    assert_eq!(deliver(&host, SECRET, "push", "/hooks/home"), "202");
    until_says(&host, &serve, &format!("version 2 of {}", &second[..12]));
    assert!(!serve.said().contains(SECRET));

    let told = host.keel(&["source", "webhook", "home"]).ok().stdout;
    for words in ["http://127.0.0.1:9000/hooks/home", SECRET, "Settings, Webhooks"] {
        assert!(told.contains(words), "{told}");
    }
    let listed = host.keel(&["source", "ls"]).ok().stdout;
    assert!(listed.contains("home") && listed.contains(&second[..12]), "{listed}");
    assert!(listed.trim_end().ends_with("ok"), "{listed}");

    // For CI: what was pushed is there, or the command fails.
    repo.write("stacks/one/compose.yaml", &stack("3"));
    let third = repo.push("third");
    let synced = host.keel(&["sync", "one", "--revision", &third, "--pull", "--wait"]).ok();
    for words in ["Source home", "Fetched", "one-app-1"] {
        assert!(synced.stderr.contains(words), "{}", synced.stderr);
    }
    host.keel(&["sync", "one", "--revision", &second[..10]]).ok();
    let unknown = host.keel(&["sync", "one", "--revision", &"1".repeat(40)]);
    assert_eq!(unknown.code, 1, "{unknown:?}");
    assert!(unknown.stderr.contains("which does not hold 1111"), "{unknown:?}");
    repo.write("stacks/one/compose.yaml", &stack("3").replace("image: busybox:1", "imaage: x"));
    repo.write("stacks/two/compose.yaml", &stack("2"));
    repo.push("broken");
    assert_eq!(host.keel(&["sync", "one"]).code, 1);
    host.keel(&["sync", "two"]).ok();
    until_says(&host, &serve, "version 3");

    // The same file reads the same in a work tree.
    repo.write("stacks/one/compose.yaml", &stack("3"));
    let fourth = repo.push("fourth");
    let model = host.keel_in(&repo.tree.join("stacks/one"), &["render"]).ok().stdout;
    assert!(model.contains(&format!("{} {fourth}", &fourth[..12])), "{model}");

    drop(serve);
    for name in ["one", "two"] {
        host.keel(&["down", "-v", name]).ok();
    }
    drop(repo);
    host.finish();
}

#[test]
fn the_configuration_is_looked_at_with_the_files_that_it_names() {
    let host = Host::bare();
    let secret = host.write("secret", "s\n");
    let config = |file: &str| {
        format!(
            "sources:\n  a:\n    git: https://x/a\n    webhook: {{ type: gitea, secret-file: {file} }}\n"
        )
    };
    host.sh(&format!("chmod 600 {}", secret.display()));
    host.write("keel.yaml", &config(&secret.display().to_string()));
    let sound = host.keel(&["serve", "--check"]).ok();
    assert!(sound.stdout.contains("keel.yaml: no problems"), "{sound:?}");
    host.sh(&format!("chmod 644 {}", secret.display()));
    let open = host.keel(&["serve", "--check"]).ok();
    assert!(open.stderr.contains("warning: everybody may read") && open.stderr.contains("[W0312]"));
    host.write("keel.yaml", &config("/no/such/file"));
    let missing = host.keel(&["serve", "--check"]);
    assert_eq!(missing.code, 1);
    assert!(missing.stderr.contains("keel.yaml:4:") && missing.stderr.contains("[E0705]"));
    host.write("keel.yaml", "sorces: {}\n");
    let wrong = host.keel(&["serve", "--check"]);
    assert_eq!(wrong.code, 1);
    assert!(
        wrong.stderr.contains("keel.yaml:1:1") && wrong.stderr.contains("did you mean `sources`?")
    );
    let schema = host.keel(&["schema", "config"]).ok().json();
    assert_eq!(schema["title"], "keel.yaml");
    host.finish();
}
