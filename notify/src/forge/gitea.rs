//! Gitea and Forgejo.

use super::{Forge, Post, below};
use crate::request::{Answer, Request};
use crate::status::{CommitStatus, State};
use serde_json::json;

const ROOT: &str = "/api/v1";

pub(super) const FORGE: Forge = Forge {
    name: "gitea",
    request,
    verdict: |answer: &Answer| answer.verdict_with("message"),
    api: |base| below(base, ROOT),
    root: ROOT,
};

const DESCRIPTION: usize = 255;

fn request(status: &CommitStatus, post: &Post<'_>) -> Request {
    let state = match status.state {
        State::Pending => "pending",
        State::Success => "success",
        State::Failure => "failure",
        State::Superseded => "warning",
    };
    let Post { api, repo, token } = post;
    let body = json!({
        "state": state,
        "context": status.context,
        "description": status.line(DESCRIPTION),
    });
    Request::json(format!("{api}/repos/{repo}/statuses/{}", status.revision), &body)
        .header("authorization", format!("token {token}"))
}
