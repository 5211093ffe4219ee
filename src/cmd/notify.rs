//! `keel notify test`: whether messages arrive. Reads the configuration alone.

use crate::context::Context;
use crate::deliver::{Addressee, addressees};
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::show::ago;
use crate::{machine, root};
use keel_notify::{DeliveryResult, Http, Kind, Message};
use keel_reconciler::clock::rfc3339;

/// The subcommands of `keel notify`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Send a test message to every recipient in keel.yaml and report whether it arrived
    #[command(after_help = "Example:\n  keel notify test")]
    Test,
}

/// Runs `keel notify`.
pub async fn run(command: Command, context: &Context) -> Result<Exit> {
    let Command::Test = command;
    let config = machine::config(context)?;
    let receivers = addressees(&config, &[]);
    if receivers.is_empty() {
        return Err(Failure::new("keel.yaml names no receiver")
            .hint("notify: [{ ntfy: \"https://ntfy.example.org/keel\" }]"));
    }
    let (http, message) = (Http::new(), message(root::node().as_str(), ago::now()));
    let mut exit = Exit::Done;
    for one in &receivers {
        let (line, arrived) = told(one, &one.tell(&message, &http).await);
        context.screen.data(&line)?;
        if !arrived {
            exit = Exit::Failed;
        }
    }
    Ok(exit)
}

fn message(host: &str, now: u64) -> Message {
    let (id, title) = (format!("test-{now:x}"), format!("a test of keel on {host}"));
    Message {
        incident: id.clone(),
        id,
        kind: Kind::Test,
        host: host.to_owned(),
        stack: String::new(),
        stacks: vec![],
        source: String::new(),
        revision: String::new(),
        author: String::new(),
        subject: String::new(),
        reason: "a test of whether messages arrive".to_owned(),
        tried: String::new(),
        since: rfc3339(now),
        at: rfc3339(now),
        commands: vec![],
        findings: vec![],
        text: format!("{title}\nmessages arrive; nothing is wrong"),
        title,
    }
}

fn told(one: &Addressee, verdict: &DeliveryResult) -> (String, bool) {
    let key = &one.destination.key;
    match verdict {
        DeliveryResult::Done => (format!("{key}: sent"), true),
        DeliveryResult::Later { why, .. } | DeliveryResult::Refused { why } => {
            (format!("{key}: {why}"), false)
        }
    }
}
