//! What each forge is sent, and what its answers mean.

use super::*;
use crate::request::{Answer, DeliveryResult, Request};
use crate::status::CommitStatus;
use crate::status::StatusState;

fn status(state: StatusState) -> CommitStatus {
    CommitStatus {
        revision: "2222222222222222222222222222222222222222".into(),
        context: "keel/home/shop".into(),
        state,
        description: "shop is healthy".into(),
    }
}

fn shown(request: &Request) -> String {
    let headers: String =
        request.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    format!("POST {}\n{headers}{}\n", request.url, String::from_utf8_lossy(&request.body))
}

#[test]
fn a_status_is_posted_as_each_forge_wants_it() {
    let all = FORGES.iter().map(|forge| {
        let api = forge.api_at("https://git.example.org");
        shown(&forge.post(&status(StatusState::Success), &api, "o/r", "t0ken"))
    });
    insta::assert_snapshot!(all.collect::<Vec<_>>().join("\n"), @r#"
    POST https://git.example.org/api/v3/repos/o/r/statuses/2222222222222222222222222222222222222222
    authorization: Bearer t0ken
    accept: application/vnd.github+json
    x-github-api-version: 2022-11-28
    {"context":"keel/home/shop","description":"shop is healthy","state":"success"}

    POST https://git.example.org/api/v4/projects/o%2Fr/statuses/2222222222222222222222222222222222222222
    private-token: t0ken
    {"description":"shop is healthy","name":"keel/home/shop","state":"success"}

    POST https://git.example.org/api/v1/repos/o/r/statuses/2222222222222222222222222222222222222222
    authorization: token t0ken
    {"context":"keel/home/shop","description":"shop is healthy","state":"success"}
    "#);
}

#[test]
fn every_state_has_a_word_that_the_forge_knows() {
    let word = |forge: &Forge, state| {
        let request = forge.post(&status(state), "https://x", "o/r", "t");
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        body["state"].as_str().unwrap().to_owned()
    };
    let cases = [
        ("github", ["pending", "success", "failure", "error"]),
        ("gitlab", ["pending", "success", "failed", "canceled"]),
        ("gitea", ["pending", "success", "failure", "warning"]),
    ];
    for (name, words) in cases {
        let forge = Forge::of(name).unwrap();
        let states = [
            StatusState::Pending,
            StatusState::Success,
            StatusState::Failure,
            StatusState::Superseded,
        ];
        assert_eq!(states.map(|state| word(forge, state)), words, "{name}");
    }
}

#[test]
fn descriptions_keep_to_the_limits_and_to_one_line() {
    let long = CommitStatus {
        description: format!("refused:\n {}", "ä".repeat(400)),
        ..status(StatusState::Failure)
    };
    for (name, most) in [("github", 140), ("gitlab", 255), ("gitea", 255)] {
        let request = Forge::of(name).unwrap().post(&long, "https://x", "o/r", "t");
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        let description = body["description"].as_str().unwrap();
        assert_eq!(description.chars().count(), most, "{name}");
        assert!(description.starts_with("refused: ä") && description.ends_with('…'), "{name}");
    }
}

#[test]
fn the_api_is_found_on_the_host_or_as_it_is_named() {
    let cases = [
        ("github", "https://github.com", "https://api.github.com"),
        ("github", "https://ghes.example.org", "https://ghes.example.org/api/v3"),
        ("gitlab", "https://gitlab.com", "https://gitlab.com/api/v4"),
        ("gitea", "https://codeberg.org", "https://codeberg.org/api/v1"),
        ("gitea", "http://git.lan:3000/", "http://git.lan:3000/api/v1"),
    ];
    for (name, base, api) in cases {
        assert_eq!(Forge::of(name).unwrap().api_at(base), api);
    }
    let named = [
        ("github", "https://api.github.com/", "https://api.github.com"),
        ("github", "https://ghes.example.org/api/v3", "https://ghes.example.org/api/v3"),
        ("gitlab", "https://gitlab.example.org", "https://gitlab.example.org/api/v4"),
        ("gitlab", "https://example.org/git/api/v4/", "https://example.org/git/api/v4"),
        ("gitea", "http://127.0.0.1:3000", "http://127.0.0.1:3000/api/v1"),
    ];
    for (name, url, api) in named {
        assert_eq!(Forge::of(name).unwrap().api_named(url), api);
    }
}

#[test]
fn gitlab_being_told_the_same_again_is_done() {
    let gitlab = Forge::of("gitlab").unwrap();
    let answer = |body: &str| Answer { status: 400, body: body.into(), ..Answer::default() };
    let same = r#"{"message":"Cannot transition status via :run from :running (Reason(s): x)"}"#;
    assert_eq!(gitlab.judge(&answer(same)), DeliveryResult::Done);
    let other = r#"{"message":{"name":["is too long"]}}"#;
    let DeliveryResult::Refused { why } = gitlab.judge(&answer(other)) else {
        panic!("it is refused")
    };
    assert_eq!(why, r#"answered 400: {"name":["is too long"]}"#);
    let github = Forge::of("github").unwrap();
    assert!(matches!(github.judge(&answer(same)), DeliveryResult::Refused { .. }));
}
