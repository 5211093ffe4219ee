//! GitHub, and GitHub Enterprise Server.

use super::{Forge, Post, below};
use crate::request::{Answer, Request};
use crate::status::{CommitStatus, State};
use serde_json::json;

pub(super) const FORGE: Forge = Forge {
    name: "github",
    request,
    verdict: |answer: &Answer| answer.verdict_with("message"),
    api: |base| match base.split_once("://") {
        Some((_, "github.com" | "www.github.com")) => "https://api.github.com".to_owned(),
        _ => below(base, "/api/v3"),
    },
    root: "",
};

/// More is refused.
const DESCRIPTION: usize = 140;

fn request(status: &CommitStatus, post: &Post<'_>) -> Request {
    let state = match status.state {
        State::Pending => "pending",
        State::Success => "success",
        State::Failure => "failure",
        // There is no word for it.
        State::Superseded => "error",
    };
    let Post { api, repo, token } = post;
    let body = json!({
        "state": state,
        "context": status.context,
        "description": status.line(DESCRIPTION),
    });
    Request::json(format!("{api}/repos/{repo}/statuses/{}", status.revision), &body)
        .bearer(Some(token))
        .header("accept", "application/vnd.github+json")
        .header("x-github-api-version", "2022-11-28")
}
