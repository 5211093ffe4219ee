//! Published vectors, and what must not pass, forge by forge.

use super::*;
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

const SECRET: &str = "keel-test-secret";
const BODY: &str = "{\"ref\":\"refs/heads/main\"}";
const MAC: &str = "c96eb37c936d9597b9c86eb4139f02407541a4548441c5feaba5ae8bef583fec";
const KEY: &str = "whsec_dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0dGVzdHRlc3Q=";
const SIGNATURE: &str = "v1,YtEwIKVmXx9+w7Po38yTTOooej1fkGb+Y4GKH93yS5k=";
const SENT: u64 = 1_700_000_000;

/// `name: value` lines.
fn headers(lines: &str) -> HeaderMap {
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).unwrap();
        Some((name, HeaderValue::from_str(value.trim()).unwrap()))
    };
    lines.split('\n').filter_map(header).collect()
}

fn proven(forge: &str, secret: &str, lines: &str, body: &str, now: u64) -> bool {
    let headers = headers(lines);
    let asked = Asked { headers: &headers, secret: secret.as_bytes(), now };
    (Forge::of(forge).unwrap().begin)(&asked).is_ok_and(|mut check| {
        // As a body comes: in pieces.
        let (first, rest) = body.as_bytes().split_at(body.len() / 2);
        check.update(first);
        check.update(rest);
        check.holds()
    })
}

#[test]
fn what_is_signed_is_proven_and_nothing_else() {
    let wrong = MAC.replace("c9", "c8");
    let prefixed = |name: &str, mac: &str| format!("{name}: sha256={mac}");
    let cases = [
        ("github", prefixed("X-Hub-Signature-256", MAC), true),
        ("github", prefixed("X-Hub-Signature-256", &wrong), false),
        ("github", prefixed("X-Hub-Signature-256", &MAC[..62]), false),
        ("github", prefixed("X-Hub-Signature-256", ""), false),
        ("github", format!("X-Hub-Signature-256: {MAC}"), false),
        ("github", prefixed("X-Hub-Signature", MAC), false),
        ("github", String::new(), false),
        // The weaker scheme of another forge is not taken instead.
        ("github", format!("X-Gitlab-Token: {SECRET}"), false),
        ("github", format!("X-Gitea-Signature: {MAC}"), false),
        ("gitea", format!("X-Gitea-Signature: {MAC}"), true),
        ("gitea", format!("X-Forgejo-Signature: {MAC}"), true),
        ("gitea", format!("X-Forgejo-Signature: {wrong}\nX-Gitea-Signature: {MAC}"), false),
        ("gitea", "X-Gitea-Signature: ".to_owned(), false),
        ("gitea", prefixed("X-Hub-Signature-256", MAC), false),
        (
            "gitea",
            format!("X-Gitea-Signature: {MAC}\nContent-Type: application/x-www-form-urlencoded"),
            false,
        ),
        ("gitlab", format!("X-Gitlab-Token: {SECRET}"), true),
        ("gitlab", format!("X-Gitlab-Token: {SECRET}x"), false),
        ("gitlab", "X-Gitlab-Token: ".to_owned(), false),
        ("gitlab", String::new(), false),
        ("generic", prefixed("X-Signature", MAC), true),
        ("generic", prefixed("X-Signature", &wrong), false),
        ("generic", format!("X-Signature: sha1={MAC}"), false),
        ("generic", format!("X-Gitlab-Token: {SECRET}"), false),
    ];
    for (forge, lines, expected) in cases {
        assert_eq!(proven(forge, SECRET, &lines, BODY, SENT), expected, "{forge}: {lines}");
        let other = proven(forge, SECRET, &lines, "{\"ref\":\"refs/heads/evil\"}", SENT);
        // A token in a header says nothing of the body; a MAC does.
        assert_eq!(other, expected && forge == "gitlab", "{forge}: {lines}");
        assert!(!proven(forge, "another", &lines, BODY, SENT), "{forge}: {lines}");
    }
}

#[test]
fn githubs_own_vector() {
    let mac = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let lines = format!("X-Hub-Signature-256: sha256={mac}");
    assert!(proven("github", "It's a Secret to Everybody", &lines, "Hello, World!", 0));
}

#[test]
fn standard_webhooks_are_proven_for_five_minutes() {
    let lines = |signature: &str| {
        format!("webhook-id: msg_1\nwebhook-timestamp: {SENT}\nwebhook-signature: {signature}")
    };
    for forge in ["gitlab", "generic"] {
        let cases = [
            (lines(SIGNATURE), SENT, true),
            (lines(&format!("v1,AAAA v1a,xx {SIGNATURE}")), SENT, true),
            (lines(SIGNATURE), SENT + 300, true),
            (lines(SIGNATURE), SENT - 300, true),
            (lines(SIGNATURE), SENT + 301, false),
            (lines(SIGNATURE), SENT - 301, false),
            (lines(SIGNATURE).replace("msg_1", "msg_2"), SENT, false),
            (lines(SIGNATURE).replace("170000000", "170000001"), SENT, false),
            (lines("v1,AAAA"), SENT, false),
            (lines(""), SENT, false),
            (format!("X-Gitlab-Token: {KEY}"), SENT, false),
            (format!("X-Signature: sha256={MAC}"), SENT, false),
        ];
        for (lines, now, expected) in cases {
            assert_eq!(proven(forge, KEY, &lines, BODY, now), expected, "{forge} {now}: {lines}");
        }
        assert!(!proven(forge, "whsec_no base64", &lines(SIGNATURE), BODY, SENT));
    }
}

#[test]
fn only_what_is_about_commits_is_wanted() {
    let cases = [
        ("github", "X-GitHub-Event: push", true),
        ("github", "X-GitHub-Event: delete", true),
        ("github", "X-GitHub-Event: ping", false),
        ("github", "X-GitHub-Event: issues", false),
        ("github", "", false),
        ("gitea", "X-Gitea-Event: push\nX-GitHub-Event: push", true),
        ("gitea", "X-Forgejo-Event: push", true),
        ("gitea", "X-Gitea-Event: issues", false),
        ("gitlab", "X-Gitlab-Event: Push Hook", true),
        ("gitlab", "X-Gitlab-Event: Tag Push Hook", true),
        ("gitlab", "X-Gitlab-Event: Note Hook", false),
        ("generic", "", true),
    ];
    for (forge, lines, expected) in cases {
        let forge = Forge::of(forge).unwrap();
        assert_eq!((forge.wanted)(&headers(lines)), expected, "{}: {lines}", forge.name);
    }
}

#[test]
fn every_forge_says_where_url_and_secret_go() {
    for forge in FORGES {
        assert!(
            forge.steps.contains("{url}") && forge.steps.contains("{secret}"),
            "{}",
            forge.name
        );
        assert!(!forge.ids.is_empty());
    }
}
