//! What a forge that gets commit statuses is, and what several of them share.

use crate::request::{Answer, DeliveryResult, Request};
use crate::status::CommitStatus;
use serde_json::json;

/// A kind of forge.
pub struct Forge {
    /// As `forge.type` of the configuration has it.
    pub name: &'static str,
    /// How a status of a commit in this repository is posted.
    pub(crate) request: fn(&CommitStatus, &Post<'_>) -> Request,
    /// What the answer means.
    pub(crate) verdict: fn(&Answer) -> DeliveryResult,
    /// Where the API is, on the host of a repository.
    pub(crate) api: fn(&str) -> String,
    /// Below an `api` that names a host alone.
    pub(crate) root: &'static str,
}

/// Where a status is posted, and as whom.
pub(crate) struct Post<'a> {
    pub api: &'a str,
    /// `owner/name`.
    pub repo: &'a str,
    pub token: &'a str,
}

impl Forge {
    /// The API of the forge that a repository is at: `base` is the repository's host with its
    /// scheme (`https://git.example.org`).
    #[must_use]
    pub fn api_at(&self, base: &str) -> String {
        (self.api)(base.trim_end_matches('/'))
    }

    /// The API as a person wrote it: the whole of it, or its host alone.
    #[must_use]
    pub fn api_named(&self, url: &str) -> String {
        let url = url.trim_end_matches('/');
        let path = url.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
        if path.is_some() { url.to_owned() } else { format!("{url}{}", self.root) }
    }

    /// How a status is posted.
    #[must_use]
    pub fn post(&self, status: &CommitStatus, api: &str, repo: &str, token: &str) -> Request {
        (self.request)(status, &Post { api, repo, token })
    }

    /// What its answer means.
    #[must_use]
    pub fn judge(&self, answer: &Answer) -> DeliveryResult {
        (self.verdict)(answer)
    }
}

/// GitHub's form of a status, which Gitea took over; who posts is not in it.
pub(super) fn form_of_github(
    status: &CommitStatus,
    post: &Post<'_>,
    state: &str,
    longest: usize,
) -> Request {
    let Post { api, repo, .. } = post;
    let body = json!({
        "state": state,
        "context": status.context,
        "description": status.line(longest),
    });
    Request::json(format!("{api}/repos/{repo}/statuses/{}", status.revision), &body)
}

/// Below the host.
pub(super) fn below(base: &str, root: &str) -> String {
    format!("{base}{root}")
}
