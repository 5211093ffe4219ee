//! From the configured webhooks to whoever refreshes sources.

use crate::context::Context;
use crate::failure::{Failure, Result};
use keel_reconciler::config::{Config, SourceConfig, read_secret};
use keel_webhooks::{Forge, Hook, Limits, Told, serve};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The listener; it ends with this.
pub struct Listening(JoinHandle<()>);

impl Listening {
    /// Ends it; its address is free once this returns.
    pub async fn end(mut self) {
        self.0.abort();
        // It was aborted.
        let _ = (&mut self.0).await;
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Between two lines about refused deliveries of one hook: senders may be many.
const QUIET: Duration = Duration::from_secs(60);

/// Opens `listen.webhooks`, where it is named.
pub async fn listen(
    config: &Config,
    refresh: impl Fn(&str) + Send + Sync + 'static,
    context: &Context,
) -> Result<Option<Listening>> {
    let hooks: Vec<_> = config.sources.iter().filter_map(hook).collect();
    let Some(address) = config.listen.webhooks else {
        for hook in &hooks {
            let name = &hook.name;
            context.screen.warn(&format!(
                "source {name} has a webhook, but `listen.webhooks` names no address: nothing is opened"
            ));
        }
        return Ok(None);
    };
    if hooks.is_empty() {
        context
            .screen
            .warn("`listen.webhooks` is named, but no source has a webhook: nothing is opened");
        return Ok(None);
    }
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| Failure::caused(format!("cannot listen on {address}"), &error))?;
    let names: Vec<_> = hooks.iter().map(|hook| format!("/hooks/{}", hook.name)).collect();
    context.screen.say(&format!("listening for webhooks on {address}: {}", names.join(", ")));
    let screen = context.screen.clone();
    let quiet = Quiet::default();
    let told = move |told: Told| match told {
        Told::Refresh { name } => refresh(&name),
        Told::Ignored { .. } => {}
        Told::Refused { name, from, why } => {
            if let Some(line) = quiet.line(name, from, &why, Instant::now()) {
                screen.tell(&line);
            }
        }
    };
    Ok(Some(Listening(tokio::spawn(serve(listener, hooks, Limits::default(), told)))))
}

fn hook(source: &SourceConfig) -> Option<Hook> {
    let webhook = source.webhook.as_ref()?;
    let (name, file) = (source.name.clone(), webhook.secret_file.clone());
    let secret = Arc::new(move || read_secret(&file));
    // The configuration knows no other names.
    Some(Hook { name, forge: Forge::of(&webhook.forge)?, secret })
}

/// What was told lately.
#[derive(Default)]
struct Quiet(Mutex<HashMap<Option<String>, (Instant, u64)>>);

impl Quiet {
    /// A line about a refused delivery, unless there was one for this hook a moment ago.
    fn line(
        &self,
        name: Option<String>,
        from: SocketAddr,
        why: &str,
        now: Instant,
    ) -> Option<String> {
        let mut told = self.0.lock().expect("nothing panics while it holds them");
        let subject = name.as_ref().map_or("of no hook".to_owned(), |name| format!("for {name}"));
        let more = match told.get_mut(&name) {
            Some((last, more)) if now.duration_since(*last) < QUIET => {
                *more += 1;
                return None;
            }
            Some((_, 0)) | None => String::new(),
            Some((_, more)) => format!(" ({more} more before)"),
        };
        told.insert(name, (now, 0));
        Some(format!("webhook {subject} refused, from {}: {why}{more}", from.ip()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_knows_the_same_forges() {
        let schema = keel_reconciler::config::schema();
        let source = &schema["properties"]["sources"]["additionalProperties"]["properties"];
        let known = source["webhook"]["properties"]["type"]["enum"].as_array().unwrap();
        let known: Vec<_> = known.iter().filter_map(|name| name.as_str()).collect();
        let forges: Vec<_> = keel_webhooks::FORGES.iter().map(|forge| forge.name).collect();
        assert_eq!(known, forges);
    }

    #[test]
    fn a_flood_is_told_once_a_minute() {
        let (quiet, began) = (Quiet::default(), Instant::now());
        let line = |name: Option<&str>, after| {
            let from = "192.0.2.1:9".parse().unwrap();
            quiet.line(name.map(str::to_owned), from, "no", began + Duration::from_secs(after))
        };
        let first = "webhook for home refused, from 192.0.2.1: no";
        assert_eq!(line(Some("home"), 0).as_deref(), Some(first));
        assert_eq!(line(Some("home"), 1), None);
        assert_eq!(line(Some("home"), 59), None);
        assert!(line(None, 59).is_some());
        assert_eq!(line(Some("home"), 61), Some(format!("{first} (2 more before)")));
        assert_eq!(line(Some("home"), 200).as_deref(), Some(first));
    }
}
