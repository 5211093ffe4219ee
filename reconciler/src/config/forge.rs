//! `sources.*.forge` of `keel.yaml`: where commits get their status.

use super::named::Role;
use super::reader::Reader;
use super::{Api, ForgeConfig};
use crate::source::Location;
use keel_spec::Item;

impl Reader {
    /// Of the source at this URL.
    pub(super) fn forge(&mut self, item: &Item, git: &str) -> Option<ForgeConfig> {
        let before = self.problems.len();
        let (mut forge, mut token_file, mut api, mut repo) = (None, None, None, None);
        self.keys(item, "sources.*.forge", "a forge", |this, name, value| match name {
            "type" => forge = this.word(value, "sources.*.forge.type"),
            "token-file" => token_file = this.file(value, Role::Secret),
            "api" => api = this.http_url(value),
            "repo" => repo = this.repo(value),
            _ => {}
        });
        if self.problems.len() > before {
            return None;
        }
        let (Some(forge), Some(token_file)) = (forge, token_file) else {
            self.wrong(item, "a forge needs `type` and `token-file`");
            return None;
        };
        let seen = place_of(git, &forge);
        let base = seen.as_ref().map(|(base, _)| Api::At(base.clone()));
        let Some(api) = api.map(Api::Named).or(base) else {
            self.wrong(
                item,
                "where the forge answers does not follow from `git`, so name it: `api: https://…`",
            );
            return None;
        };
        let Some(repo) = repo.or(seen.and_then(|(_, repo)| repo)) else {
            self.wrong(
                item,
                "which repository it is does not follow from `git`, so name it: `repo: owner/name`",
            );
            return None;
        };
        Some(ForgeConfig { forge, token_file, api, repo })
    }

    fn repo(&mut self, item: &Item) -> Option<String> {
        let text = self.text(item)?;
        if !is_repo(&text) {
            self.wrong(item, "a repository is written as owner/name");
            return None;
        }
        Some(text)
    }
}

/// The host of a repository, with what is before its owner, and `owner/name`.
fn place_of(git: &str, forge: &str) -> Option<(String, Option<String>)> {
    let (host, path) = match Location::parse(git)? {
        Location::Local => return None,
        Location::Http => {
            let url = reqwest::Url::parse(git).ok()?;
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            let host = format!("{}://{}{port}", url.scheme(), url.host_str()?);
            (host, url.path().to_owned())
        }
        Location::Ssh { destination, path, .. } => {
            let host = destination.rsplit('@').next().unwrap_or_default();
            (format!("https://{host}"), path)
        }
    };
    let path = path.trim_matches('/').trim_end_matches(".git").trim_matches('/');
    let parts: Vec<_> = path.split('/').collect();
    // Groups are nested in GitLab alone; elsewhere what is before the owner belongs to the server.
    let owner = if forge == "gitlab" { 0 } else { parts.len().saturating_sub(2) };
    let (before, repo) = parts.split_at(owner);
    let base = std::iter::once(host.as_str()).chain(before.iter().copied()).collect::<Vec<_>>();
    let repo = Some(repo.join("/")).filter(|repo| is_repo(repo));
    Some((base.join("/"), repo))
}

fn is_repo(text: &str) -> bool {
    let sound = |c: char| c.is_ascii_alphanumeric() || "._-~+".contains(c);
    let part = |part: &str| {
        !part.is_empty() && part.chars().all(sound) && !part.trim_matches('.').is_empty()
    };
    text.contains('/') && text.split('/').all(part)
}
