//! Messages in people's words: pure. What is wrong, where, whose, since when, what was tried, what
//! to give now.

use super::about::{About, Subject, Tried, What, Why};
use super::drifted::{self, State};
use super::incident::News;
use super::{Kind, Message};
use crate::advice::Advice;
use crate::clock::{rfc3339, roughly};
use keel_engine::short;
use keel_plan::text;
use std::fmt;

/// Stacks that a message names.
const NAMED: usize = 10;
/// Characters of any one line: some errors quote much.
const LINE: usize = 500;

pub(super) fn of_incident(news: &News, host: &str, now: u64) -> Message {
    let About { source, what, revision, author, subject, reason, tried, since, commands } =
        news.about.clone();
    let kind = if news.over { Kind::Recovered } else { Kind::Failed };
    let stacks: Vec<String> = news
        .subjects
        .iter()
        .filter_map(|one| match one {
            Subject::Stack(name) => Some(name.clone()),
            Subject::Source(_) | Subject::Node(_) => None,
        })
        .collect();
    let nodes: Vec<&str> = news
        .subjects
        .iter()
        .filter_map(|one| match one {
            Subject::Node(name) => Some(name.as_str()),
            Subject::Source(_) | Subject::Stack(_) => None,
        })
        .collect();
    let whose = match (stacks.as_slice(), revision.as_str()) {
        ([], _) if !nodes.is_empty() => of_nodes(&nodes),
        ([], _) => format!("source {source}"),
        ([stack], "") => stack.clone(),
        ([stack], _) if news.over => stack.clone(),
        ([stack], revision) => format!("{stack}: revision {}", short(revision)),
        (several, _) => format!("{} stacks of source {source}", several.len()),
    };
    let many = stacks.len() > 1 || nodes.len() > 1;
    let verb = match (news.over, many) {
        (true, false) => "has recovered",
        (true, true) => "have recovered",
        (false, _) => of_what(what),
    };
    let place = if nodes.is_empty() { "on" } else { "in the pool of" };
    let title = format!("{whose} {verb} {place} {host}");
    let mut message = Message {
        incident: news.incident.clone(),
        kind,
        stacks,
        source,
        revision,
        author,
        subject,
        reason: line(&of_why(&reason)),
        tried: tried.map(|tried| line(&of_tried(&tried))).unwrap_or_default(),
        since: rfc3339(since),
        at: rfc3339(now),
        commands: commands.iter().map(ToString::to_string).collect(),
        findings: vec![],
        title: line(&title),
        text: String::new(),
    };
    message.text = whole(&message, since, now);
    message
}

fn of_nodes(nodes: &[&str]) -> String {
    match nodes {
        [one] => format!("node {one}"),
        several => format!("nodes {}", several.join(", ")),
    }
}

pub(super) fn of_drift(
    news: &drifted::News,
    stack: &str,
    source: &str,
    host: &str,
    now: u64,
) -> Message {
    let (title, reason) = match news.state {
        State::Healed => {
            ("drifted, and was healed", "it was changed by hand, and the change was undone")
        }
        State::Unhealed => {
            ("drifted", "it was changed by hand, and the change could not be undone yet")
        }
        State::Reported => ("drifted", "it was changed by hand; its policy is to report that"),
        State::Over => ("matches what was applied again", "the drift is gone"),
    };
    let mut message = Message {
        incident: news.incident.clone(),
        kind: Kind::Drift,
        stacks: vec![stack.to_owned()],
        source: source.to_owned(),
        revision: String::new(),
        author: String::new(),
        subject: String::new(),
        reason: reason.to_owned(),
        tried: String::new(),
        since: rfc3339(news.since),
        at: rfc3339(now),
        commands: vec![Advice::Drift { stack: stack.to_owned() }.to_string()],
        findings: news.findings.clone(),
        title: format!("{stack} {title} on {host}"),
        text: String::new(),
    };
    message.text = whole(&message, news.since, now);
    message
}

pub(super) fn of_what(what: What) -> &'static str {
    match what {
        What::Nothing => "",
        What::Failed => "failed",
        What::Refused => "was refused",
        What::Unwell => "is not well",
        What::RollingOut => "is still being rolled out",
        What::Unreadable => "cannot be read",
        What::AwaitsConfirmation => "waits for confirmation",
        What::Down => "is down",
        What::Isolated => "cannot reach any other node",
    }
}

pub(super) fn of_why(why: &Why) -> String {
    match why {
        Why::Told(words) => words.clone(),
        Why::Failure(cause) => text::of_failure(cause),
        Why::Operation(reason) => reason.to_string(),
        Why::Note(note) => text::of_note(note),
        Why::Healthy { revision } if revision.is_empty() => "it is healthy".to_owned(),
        Why::Healthy { revision } => format!("it is healthy at {}", short(revision)),
        Why::HealthyAt { revision, by } => {
            format!("it is healthy, rolled back to {} by {by}", short(revision))
        }
        Why::Readable => "it can be read".to_owned(),
        Why::Heard => "it answers again".to_owned(),
        Why::AllSilent => {
            "all nodes fell silent at the same time, so the network of this machine may be the cause; nothing is \
             started elsewhere until one of them answers"
                .to_owned()
        }
        Why::Gone => "it is no longer there".to_owned(),
        Why::AllWell => "all of them are healthy".to_owned(),
        Why::Several { reasons, more } => {
            let more = (*more > 0).then(|| format!("and {more} more"));
            reasons.iter().map(of_why).chain(more).collect::<Vec<_>>().join("; ")
        }
    }
}

pub(super) fn of_tried(tried: &Tried) -> String {
    match tried {
        Tried::RunsElsewhere => {
            "its tasks run on other nodes, except those whose data is on it and exclusive ones"
                .to_owned()
        }
        Tried::AsksAgain => {
            "what was read before keeps running, and it is retried automatically".to_owned()
        }
        Tried::KeptBefore => "what was read before keeps running".to_owned(),
        Tried::KeptRunning => "what was there before keeps running".to_owned(),
        Tried::NothingRuns => "nothing of it is running".to_owned(),
        Tried::LeftByPolicy => "it is left as it is: its policy says not to roll back".to_owned(),
        Tried::GoesOn => "its rollout goes on, by `failure_action: continue`".to_owned(),
        Tried::LeftAlone => "nothing was good before it, so it is left as it is".to_owned(),
        Tried::RolledBack { revision } => format!(
            "rolled back to revision {}, which is healthy; not retried until its commit or its files change",
            short(revision)
        ),
        Tried::RollingBack { revision } => {
            format!("rolling back to revision {}, which is not healthy yet", short(revision))
        }
    }
}

fn whole(message: &Message, since: u64, now: u64) -> String {
    let mut lines = vec![message.title.clone(), message.reason.clone()];
    if message.stacks.len() > 1 {
        let more = message.stacks.len().saturating_sub(NAMED);
        let mut named: Vec<_> = message.stacks.iter().take(NAMED).cloned().collect();
        if more > 0 {
            named.push(format!("and {more} more"));
        }
        lines.push(format!("stacks: {}", named.join(", ")));
    }
    lines.extend(message.findings.iter().take(NAMED).map(|finding| format!("  {finding}")));
    if message.findings.len() > NAMED {
        lines.push(format!("  and {} more", message.findings.len() - NAMED));
    }
    if !message.author.is_empty() {
        let revision = short(&message.revision);
        lines.push(format!("commit {revision} by {}: {}", message.author, line(&message.subject)));
    }
    lines.extend(Some(message.tried.clone()).filter(|tried| !tried.is_empty()));
    let lasted = roughly(now.saturating_sub(since) / 1000).to_lowercase();
    lines.push(match message.kind {
        Kind::Recovered => format!("it had lasted {lasted}, since {}", message.since),
        Kind::Failed | Kind::Drift => format!("since {}", message.since),
    });
    lines.extend(message.commands.iter().map(|command| format!("`{command}`")));
    lines.retain(|line| !line.is_empty());
    let plain = lines.iter().map(|line| keel_plain::line(line));
    plain.collect::<Vec<_>>().join("\n")
}

/// On one line, within limits.
fn line(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    let line = keel_plain::line(&words.join(" ")).into_owned();
    if line.chars().count() <= LINE {
        return line;
    }
    line.chars().take(LINE - 1).chain(['…']).collect()
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(of_what(*self))
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&of_why(self))
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&of_tried(self))
    }
}
