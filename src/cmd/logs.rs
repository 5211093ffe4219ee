//! `keel logs`: the output of containers.

use crate::connect::{Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::follow::{Follower, Style};
use crate::load::{self, Asked};
use crate::show::ago;
use crate::subject;
use keel_api::shapes::TaskRef;
use keel_engine::LogOptions;

/// The arguments of `keel logs`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  keel logs -f --tail 100 shop/web")]
pub struct Args {
    /// Follow the output
    #[arg(short, long)]
    follow: bool,
    /// Number of lines to print from the end, or `all`
    #[arg(short = 'n', long, value_name = "NUMBER", default_value = "all")]
    tail: String,
    /// Print nothing older than this: a time, or an age such as 10m
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Print nothing newer than this: a time, or an age
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Print the time of each line
    #[arg(short, long)]
    timestamps: bool,
    /// Do not print the container's name before each line
    #[arg(long)]
    no_log_prefix: bool,
    /// Stacks, containers by name or id, or STACK/SERVICE[.SLOT]; the current folder's stack
    /// unless given
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
}

/// Runs `keel logs`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    let options = options(&args, ago::now())?;
    let stack = if args.targets.is_empty() { Some(stack(context)?) } else { None };
    let connection = connect(context, Need::Read, "keel logs").await?;
    let words = match stack {
        Some(stack) => vec![stack],
        None => subject::in_full(context, &connection.client, &args.targets).await?,
    };
    let mut tasks: Vec<TaskRef> = Vec::new();
    for word in &words {
        tasks.extend(subject::tasks(&connection.client, word).await?);
    }
    let style = match tasks.as_slice() {
        [_] if !args.targets.is_empty() => Style::Bare,
        _ if args.no_log_prefix => Style::Together,
        _ => Style::Named { coloured: context.screen.colours_data() },
    };
    let mut follower = Follower::new(context, connection.client.clone(), options, style);
    if args.follow {
        follower.follow(&words).await?;
    } else {
        follower.add(&tasks).await?;
        follower.print().await?;
    }
    connection.close().await;
    Ok(Exit::Done)
}

/// The stack of the current folder, or of the files that were named.
fn stack(context: &Context) -> Result<String> {
    let asked = Asked { path: ".".into(), files: context.files.clone() };
    Ok(load::name(context, &asked)?.to_string())
}

fn options(args: &Args, now: u64) -> Result<LogOptions> {
    let tail = match args.tail.as_str() {
        "all" | "-1" => None,
        number => Some(number.parse().map_err(|_| {
            Failure::usage(format!("invalid value `{number}` for `--tail`"))
                .hint("it is a number or all")
        })?),
    };
    let time = |word: &Option<String>| word.as_deref().map(|word| moment(word, now)).transpose();
    Ok(LogOptions {
        follow: args.follow,
        tail,
        since: time(&args.since)?,
        until: time(&args.until)?,
        timestamps: args.timestamps,
    })
}

/// Milliseconds since the epoch of a time (RFC 3339, a date, seconds since the epoch) or an age.
fn moment(word: &str, now: u64) -> Result<u64> {
    let millis = |time: jiff::Timestamp| u64::try_from(time.as_millisecond()).unwrap_or(0);
    if let Some(age) = age(word) {
        return Ok(now.saturating_sub(age));
    }
    if let Ok(time) = word.parse::<jiff::Timestamp>() {
        return Ok(millis(time));
    }
    let local = word.parse::<jiff::civil::DateTime>();
    let zone = jiff::tz::TimeZone::system();
    if let Some(time) = local.ok().and_then(|time| zone.to_timestamp(time).ok()) {
        return Ok(millis(time));
    }
    match word.parse::<f64>() {
        Ok(seconds) if (0.0..1e12).contains(&seconds) => Ok((seconds * 1000.0) as u64),
        _ => Err(Failure::usage(format!("`{word}` is not a time"))
            .hint("write an age as 10m or 2h30m, or a time as 2026-01-31T13:45:00Z")),
    }
}

/// Go's durations, as docker takes them: `1h30m`, `90s`, `100ms`.
fn age(word: &str) -> Option<u64> {
    let mut rest = word;
    let mut millis = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let number: f64 = rest[..end].parse().ok()?;
        let (unit, length) = match &rest[end..] {
            unit if unit.starts_with("ms") => (1.0, 2),
            unit if unit.starts_with('s') => (1_000.0, 1),
            unit if unit.starts_with('m') => (60_000.0, 1),
            unit if unit.starts_with('h') => (3_600_000.0, 1),
            unit if unit.starts_with('d') => (86_400_000.0, 1),
            _ => return None,
        };
        millis += number * unit;
        rest = &rest[end + length..];
    }
    (!word.is_empty()).then_some(millis as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_ages_moments_or_seconds() {
        let now = 1_000_000_000;
        let cases = [
            ("10s", now - 10_000),
            ("1h30m", now - 5_400_000),
            ("500ms", now - 500),
            ("1970-01-01T00:00:05Z", 5_000),
            ("7", 7_000),
            ("7.5", 7_500),
        ];
        for (word, expected) in cases {
            assert_eq!(moment(word, now).unwrap(), expected, "{word}");
        }
        for word in ["", "yesterday", "-3", "3x"] {
            assert!(moment(word, now).is_err(), "{word}");
        }
    }
}
