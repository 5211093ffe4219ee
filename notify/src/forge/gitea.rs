//! Gitea and Forgejo.

use super::kind::{Forge, Post, below, form_of_github};
use crate::request::{Answer, Request};
use crate::status::{CommitStatus, StatusState};

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
        StatusState::Pending => "pending",
        StatusState::Success => "success",
        StatusState::Failure => "failure",
        StatusState::Superseded => "warning",
    };
    form_of_github(status, post, state, DESCRIPTION)
        .header("authorization", format!("token {}", post.token))
}
