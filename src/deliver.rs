//! From the configured receivers and forges to what they are sent, and how.

use keel_names::Digest;
use keel_notify::{
    CommitStatus, DeliveryResult, Forge, Http, Message, Receiver, StatusState, Target,
};
use keel_reconciler::config::{
    Api, Config, ForgeConfig, NotifyConfig, SourceConfig, UrlFrom, read_secret,
};
use keel_reconciler::notices::{
    CommitState, Content, Destination, Kind, Message as News, Notification, Wants, Way,
};
use std::path::{Path, PathBuf};

/// Somebody who gets letters, and how they are sent.
pub struct Addressee {
    /// As the controller knows it.
    pub destination: Destination,
    way: By,
}

/// How letters are sent.
enum By {
    Receiver { receiver: &'static Receiver, config: NotifyConfig },
    Forge { forge: &'static Forge, api: String, repo: String, token: PathBuf },
}

/// All that the configuration names.
pub fn addressees(config: &Config, sources: &[SourceConfig]) -> Vec<Addressee> {
    let mut all: Vec<Addressee> = config.notify.iter().filter_map(receiver).collect();
    all.extend(sources.iter().filter_map(|source| forge(source, source.forge.as_ref()?)));
    for at in 1..all.len() {
        // Two that are alike are two all the same.
        let (before, rest) = all.split_at_mut(at);
        let key = rest[0].destination.key.clone();
        let alike = before.iter().filter(|one| one.destination.key.starts_with(&key)).count();
        if alike > 0 {
            rest[0].destination.key = format!("{key} ({})", alike + 1);
        }
    }
    all
}

fn receiver(config: &NotifyConfig) -> Option<Addressee> {
    let receiver = Receiver::of(&config.kind)?;
    let whose = match &config.url {
        // The rest of a URL may be a secret: two of one host are told apart by a digest.
        UrlFrom::Text(url) => {
            let digest = Digest::of(url.as_bytes()).hex();
            format!("{} {}", host(url), &digest[..6])
        }
        UrlFrom::File(file) => file.display().to_string(),
    };
    let kinds = config.on.iter().filter_map(|word| Kind::of(word)).collect();
    let key = format!("{} {whose}", config.kind);
    let destination = Destination { key, wants: Wants::Messages(kinds) };
    Some(Addressee { destination, way: By::Receiver { receiver, config: config.clone() } })
}

/// Without a user and password that may stand before it.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    rest.rsplit('@').next().unwrap_or(rest)
}

fn forge(source: &SourceConfig, config: &ForgeConfig) -> Option<Addressee> {
    let forge = Forge::of(&config.forge)?;
    let api = match &config.api {
        Api::Named(url) => forge.api_named(url),
        Api::At(base) => forge.api_at(base),
    };
    let (repo, token) = (config.repo.clone(), config.token_file.clone());
    let key = format!("{} {} of source {}", config.forge, host(&api), source.name);
    let destination = Destination { key, wants: Wants::Commits(source.name.clone()) };
    Some(Addressee { destination, way: By::Forge { forge, api, repo, token } })
}

impl Addressee {
    /// Sends a letter of the controller on this host.
    pub async fn send(&self, letter: &Notification, http: &Http, host: &str) -> DeliveryResult {
        match &letter.content {
            Content::Message(news) => self.tell(&message(&letter.id, news, host), http).await,
            Content::Commit(state) => self.post(&status(state), http).await,
        }
    }

    /// Sends a message.
    pub async fn tell(&self, message: &Message, http: &Http) -> DeliveryResult {
        let By::Receiver { receiver, config } = &self.way else { return not_theirs() };
        let config = config.clone();
        match keel_blocking::run(move || target(&config)).await {
            Ok(target) => {
                let request = (receiver.request)(message, &target);
                http.send(&request, keel_notify::Answer::verdict).await
            }
            Err(later) => later,
        }
    }

    async fn post(&self, status: &CommitStatus, http: &Http) -> DeliveryResult {
        let By::Forge { forge, api, repo, token } = &self.way else { return not_theirs() };
        let token = token.clone();
        match keel_blocking::run(move || text(&token)).await {
            Ok(token) => {
                let request = forge.post(status, api, repo, &token);
                http.send(&request, |answer| forge.judge(answer)).await
            }
            Err(later) => later,
        }
    }
}

/// It was written for another kind.
fn not_theirs() -> DeliveryResult {
    DeliveryResult::Refused { why: "it is for somebody else".to_owned() }
}

/// Read anew for each letter, so that a new secret counts at once.
fn target(config: &NotifyConfig) -> Result<Target, DeliveryResult> {
    let url = match &config.url {
        UrlFrom::Text(url) => url.clone(),
        UrlFrom::File(file) => text(file)?,
    };
    let token = config.token_file.as_deref().map(text).transpose()?;
    let secret = config.secret_file.as_deref().map(secret).transpose()?;
    Ok(Target { url, token, secret })
}

/// One that cannot be read may be there later.
fn secret(file: &Path) -> Result<Vec<u8>, DeliveryResult> {
    read_secret(file).map_err(|error| {
        let why = format!("its file `{}` cannot be used: {error}", file.display());
        DeliveryResult::Later { why, wait: None }
    })
}

fn text(file: &Path) -> Result<String, DeliveryResult> {
    String::from_utf8(secret(file)?).map_err(|_| {
        let why = format!("its file `{}` holds no text", file.display());
        DeliveryResult::Later { why, wait: None }
    })
}

fn message(id: &str, news: &News, host: &str) -> Message {
    let news = news.clone();
    let one = if let [stack] = &news.stacks[..] { stack.clone() } else { String::new() };
    Message {
        id: id.to_owned(),
        incident: news.incident,
        kind: match news.kind {
            Kind::Failed => keel_notify::Kind::Failed,
            Kind::Recovered => keel_notify::Kind::Recovered,
            Kind::Drift => keel_notify::Kind::Drift,
        },
        host: host.to_owned(),
        stack: one,
        stacks: news.stacks,
        source: news.source,
        revision: news.revision,
        author: news.author,
        subject: news.subject,
        reason: news.reason,
        tried: news.tried,
        since: news.since,
        at: news.at,
        commands: news.commands,
        findings: news.findings,
        title: news.title,
        text: news.text,
    }
}

fn status(state: &CommitState) -> CommitStatus {
    CommitStatus {
        revision: state.revision.clone(),
        context: state.context.clone(),
        state: match state.state {
            Way::Pending => StatusState::Pending,
            Way::Success => StatusState::Success,
            Way::Failure => StatusState::Failure,
            Way::Superseded => StatusState::Superseded,
        },
        description: state.description.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured() -> Config {
        let text = "sources:\n  home:\n    git: https://github.com/o/r\n    \
                    forge: { type: github, token-file: /t }\nnotify:\n  \
                    - { webhook: 'https://hooks.example.org/s3cret' }\n  \
                    - { webhook: 'https://hooks.example.org/s3cret', on: [failed] }\n  \
                    - { ntfy-file: /etc/keel/ntfy }\n";
        Config::parse(text, "keel.yaml").unwrap()
    }

    #[test]
    fn destinations_have_names_that_are_no_secrets() {
        let config = configured();
        let all = addressees(&config, &config.sources);
        let keys: Vec<_> = all.iter().map(|one| one.destination.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "webhook hooks.example.org dfd4b0",
                "webhook hooks.example.org dfd4b0 (2)",
                "ntfy /etc/keel/ntfy",
                "github api.github.com of source home",
            ]
        );
        assert_eq!(all[1].destination.wants, Wants::Messages(vec![Kind::Failed]));
    }

    #[test]
    fn a_host_is_told_without_its_user() {
        assert_eq!(host("https://me:s3cret@ntfy.example.org:8443/keel?x"), "ntfy.example.org:8443");
        assert_eq!(host("http://127.0.0.1/a@b"), "127.0.0.1");
    }

    #[test]
    fn the_configuration_knows_the_same_receivers_and_forges() {
        let schema = keel_reconciler::config::schema();
        let source = &schema["properties"]["sources"]["additionalProperties"]["properties"];
        let known = source["forge"]["properties"]["type"]["enum"].as_array().unwrap();
        let known: Vec<_> = known.iter().filter_map(|name| name.as_str()).collect();
        let forges: Vec<_> = keel_notify::FORGES.iter().map(|forge| forge.name).collect();
        assert_eq!(known, forges);
        let keys = schema["properties"]["notify"]["items"]["properties"].as_object().unwrap();
        for receiver in keel_notify::RECEIVERS {
            assert!(keys.contains_key(receiver.name), "{}", receiver.name);
        }
    }
}
