//! Messages in people's words: pure. What is wrong, where, whose, since when, what was tried, what
//! to give now.

use super::drifted::{self, State};
use super::incident::{About, News};
use super::{Kind, Message};
use crate::clock::{rfc3339, roughly};
use keel_engine::short;

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
        .filter_map(|one| one.strip_prefix("stack/"))
        .map(str::to_owned)
        .collect();
    let whose = match (stacks.as_slice(), revision.as_str()) {
        ([], _) => format!("source {source}"),
        ([stack], "") => stack.clone(),
        ([stack], _) if news.over => stack.clone(),
        ([stack], revision) => format!("{stack}: revision {}", short(revision)),
        (several, _) => format!("{} stacks of source {source}", several.len()),
    };
    let many = stacks.len() > 1;
    let verb = match (news.over, many) {
        (true, false) => "is well again",
        (true, true) => "are well again",
        (false, _) => what.as_str(),
    };
    let title = format!("{whose} {verb} on {host}");
    let mut message = Message {
        incident: news.incident.clone(),
        kind,
        stacks,
        source,
        revision,
        author,
        subject,
        reason: line(&reason),
        tried: line(&tried),
        since: rfc3339(since),
        at: rfc3339(now),
        commands,
        findings: vec![],
        title: line(&title),
        text: String::new(),
    };
    message.text = text(&message, since, now);
    message
}

pub(super) fn of_drift(
    news: &drifted::News,
    stack: &str,
    source: &str,
    host: &str,
    now: u64,
) -> Message {
    let (title, reason) = match news.state {
        State::Healed => ("drifted, and was healed", "it was changed by hand, and was put right"),
        State::Unhealed => ("drifted", "it was changed by hand, and could not be put right yet"),
        State::Reported => ("drifted", "it was changed by hand; its policy is to report that"),
        State::Over => ("is as it was applied again", "what had drifted is right again"),
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
        commands: vec![format!("keel drift {stack}")],
        findings: news.findings.clone(),
        title: format!("{stack} {title} on {host}"),
        text: String::new(),
    };
    message.text = text(&message, news.since, now);
    message
}

fn text(message: &Message, since: u64, now: u64) -> String {
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
