//! `keel scale`: another number of tasks than the source says.

use crate::connect::{Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::root::person;
use crate::show::outcome;
use keel_api::Client;
use keel_engine::StackName;
use keel_reconciler::config::parse_duration;
use keel_reconciler::rows::ScaleAsk;
use std::collections::BTreeMap;
use std::time::Duration;

/// The arguments of `keel scale`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  \
    keel scale shop/web=5 worker=8 --for 2h --reason 'sale'\n  \
    keel scale --reset shop/web\n\n\
    The source is not changed: its number counts again after --for, or after --reset.")]
pub struct Args {
    /// Go back to the source's number
    #[arg(long, conflicts_with_all = ["lasts", "reason"])]
    reset: bool,
    /// How long the number counts; until --reset unless given
    #[arg(long = "for", id = "lasts", value_name = "DURATION", value_parser = duration)]
    lasts: Option<Duration>,
    /// Reason, shown by `status`
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Do not wait for health
    #[arg(short, long)]
    detach: bool,
    /// Services and how many tasks each shall have; the first names the stack
    #[arg(required = true, value_name = "STACK/SERVICE=N")]
    services: Vec<String>,
}

fn duration(text: &str) -> std::result::Result<Duration, String> {
    let length = parse_duration(text).filter(|length| !length.is_zero());
    length.ok_or_else(|| "a duration such as 30m, 2h or 1d".to_owned())
}

/// Runs `keel scale`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    let (stack, services) = read(&args.services, args.reset)?;
    let who = format!("keel scale {stack}");
    let mut connection = connect(context, Need::Drive, &who).await?;
    let lasts = args.lasts.map(|lasts| u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX));
    let (reason, detach, by) = (args.reason, args.detach, person());
    let ask = ScaleAsk { stack, services, lasts, reason, by, detach, again: false };
    let ask =
        async |client: &Client, again| Ok(client.scale(&ScaleAsk { again, ..ask.clone() }).await?);
    let exit = outcome::through(&mut connection, context, &who, ask).await;
    connection.close().await;
    exit
}

/// The stack and its services' numbers.
fn read(targets: &[String], reset: bool) -> Result<(StackName, BTreeMap<String, Option<u32>>)> {
    let (mut stack, mut services) = (None::<&str>, BTreeMap::new());
    for target in targets {
        let (path, number) = match (target.split_once('='), reset) {
            (None, true) => (target.as_str(), None),
            (Some((path, number)), false) => (path, Some(tasks(target, number)?)),
            (Some((path, _)), true) => {
                return Err(usage(
                    target,
                    "--reset takes no number",
                    &format!("keel scale --reset {path}"),
                ));
            }
            (None, false) => {
                let example = format!("keel scale {target}=3");
                return Err(usage(target, "the number of tasks is missing", &example));
            }
        };
        let service = match path.split_once('/') {
            Some((named, service)) if stack.is_none_or(|stack| stack == named) => {
                stack = Some(named);
                service
            }
            Some((named, _)) => {
                let why = format!("{} and {named} are two stacks", stack.unwrap_or_default());
                return Err(Failure::usage(why).hint("scale one stack at a time"));
            }
            None => path,
        };
        let example = "keel scale shop/web=3";
        if service.is_empty() || stack.is_none() {
            return Err(usage(target, "the first service is named with its stack", example));
        }
        if services.insert(service.to_owned(), number).is_some() {
            return Err(usage(target, "a service is named once", example));
        }
    }
    let stack = StackName::new(stack.unwrap_or_default());
    Ok((stack.map_err(|error| Failure::usage(error.to_string()))?, services))
}

fn tasks(target: &str, number: &str) -> Result<u32> {
    let why = format!("`{number}` is no number of tasks");
    number.parse().map_err(|_| usage(target, &why, "0 or more, such as shop/web=3"))
}

fn usage(target: &str, why: &str, example: &str) -> Failure {
    Failure::usage(format!("`{target}`: {why}")).hint(format!("example: {example}"))
}

#[cfg(test)]
mod tests {
    use super::Failure;

    fn read(targets: &[&str], reset: bool) -> String {
        let targets: Vec<_> = targets.iter().map(|target| (*target).to_owned()).collect();
        match super::read(&targets, reset) {
            Ok((stack, services)) => format!("{stack} {services:?}"),
            Err(Failure::Error { message, .. }) => message,
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn services_are_named_with_their_stack_and_number() {
        let cases = [
            (&["shop/web=5"][..], false, r#"shop {"web": Some(5)}"#),
            (&["shop/web=5", "db=0"], false, r#"shop {"db": Some(0), "web": Some(5)}"#),
            (&["shop/web=5", "shop/db=1"], false, r#"shop {"db": Some(1), "web": Some(5)}"#),
            (&["shop/web"], true, r#"shop {"web": None}"#),
            (&["shop/web=-1"], false, "`shop/web=-1`: `-1` is no number of tasks"),
            (&["shop/web"], false, "`shop/web`: the number of tasks is missing"),
            (&["web=2"], false, "`web=2`: the first service is named with its stack"),
            (&["shop/web=2", "web=3"], false, "`web=3`: a service is named once"),
            (&["shop/web=2", "blog/web=3"], false, "shop and blog are two stacks"),
            (&["shop/web=2"], true, "`shop/web=2`: --reset takes no number"),
        ];
        for (targets, reset, expected) in cases {
            assert_eq!(read(targets, reset), expected, "{targets:?}");
        }
    }
}
