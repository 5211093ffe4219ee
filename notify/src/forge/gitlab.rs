//! GitLab. It refuses to be told the same twice, which is as good as being told once.

use super::kind::{Forge, Post, below};
use crate::request::{Answer, DeliveryResult, Request};
use crate::status::{CommitStatus, StatusState};
use serde_json::json;

const ROOT: &str = "/api/v4";

pub(super) const FORGE: Forge =
    Forge { name: "gitlab", request, verdict, api: |base| below(base, ROOT), root: ROOT };

const DESCRIPTION: usize = 255;

fn request(status: &CommitStatus, post: &Post<'_>) -> Request {
    let state = match status.state {
        StatusState::Pending => "pending",
        StatusState::Success => "success",
        StatusState::Failure => "failed",
        StatusState::Superseded => "canceled",
    };
    let Post { api, repo, token } = post;
    let body = json!({
        "state": state,
        "name": status.context,
        "description": status.line(DESCRIPTION),
    });
    let project = repo.replace('%', "%25").replace('/', "%2F");
    Request::json(format!("{api}/projects/{project}/statuses/{}", status.revision), &body)
        .header("private-token", *token)
}

fn verdict(answer: &Answer) -> DeliveryResult {
    let said = answer.said("message").unwrap_or_default();
    if answer.status == 400 && said.contains("Cannot transition status") {
        return DeliveryResult::Done;
    }
    answer.verdict_with("message")
}
