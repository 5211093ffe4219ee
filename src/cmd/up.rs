//! `keel up`: as docker compose's. Without `-d` it shows the stack's output, and Ctrl-C stops the
//! stack.

use crate::connect::{Connection, Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::follow::Follower;
use crate::load;
use crate::show::{ago, outcome};
use crate::target::{self, Subject};
use futures_util::StreamExt;
use keel_api::shapes::TaskRef;
use keel_engine::{LogOptions, Phase, StackName};
use keel_reconciler::ask::{ConvergeAsk, PlanTarget, TaskAsk, TaskVerb};

/// What it takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  keel up -d ./shop web")]
pub struct Args {
    /// Return once everything runs, and leave it running
    #[arg(short, long)]
    detach: bool,
    /// When to pull images: missing, always, never
    #[arg(long, value_name = "POLICY", num_args = 0..=1, default_missing_value = "always", require_equals = true)]
    pull: Option<String>,
    /// Replace every container
    #[arg(long)]
    force_recreate: bool,
    /// Take the stack from its present owner
    #[arg(long)]
    take_over: bool,
    /// Files (anything with a `/` or `.`) or a stack's name; the current folder unless given
    #[arg(value_name = "PATH|STACK")]
    subject: Option<String>,
    /// Only these services, and what they depend on
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

/// Does it.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    let since = ago::now();
    let subject = Subject::of(args.subject.as_deref())?;
    let (target, stack) = target_of(context, &subject)?;
    let ask = ask(&args, target)?;
    let connection = connect(context, Need::Drive, &format!("keel up {stack}")).await?;
    let converging =
        async { outcome::watch(&context.screen, connection.client.converge(&ask).await?).await };
    if args.detach {
        let exit = converging.await;
        connection.close().await;
        return exit;
    }
    let exit = tokio::select! {
        exit = converging => exit?,
        () = interrupted() => return stop(connection, context, &stack).await,
    };
    if exit != Exit::Done {
        connection.close().await;
        return Ok(exit);
    }
    attached(connection, context, &stack, since).await
}

fn target_of(context: &Context, subject: &Subject) -> Result<(PlanTarget, StackName)> {
    match subject {
        Subject::Stack(name) => Ok((PlanTarget::Stack(name.clone()), name.clone())),
        Subject::Path(path) => {
            let submission = load::one(context, path)?;
            let stack = submission.desired.stack.clone();
            Ok((PlanTarget::Submitted(Box::new(submission)), stack))
        }
    }
}

fn ask(args: &Args, mut target: PlanTarget) -> Result<ConvergeAsk> {
    let pull = match args.pull.as_deref() {
        None | Some("missing") => false,
        Some("always") => true,
        Some("never") => {
            never_pull(&mut target)?;
            false
        }
        Some(other) => {
            return Err(Failure::usage(format!("`--pull={other}` makes no sense"))
                .hint("it is missing, always or never"));
        }
    };
    Ok(ConvergeAsk {
        target,
        take_over: args.take_over,
        resolve: true,
        pull,
        recreate: args.force_recreate,
        services: args.services.clone(),
        // Both ways it is not health that is waited for, but that everything runs.
        detach: true,
        keep_stopped: false,
    })
}

fn never_pull(target: &mut PlanTarget) -> Result<()> {
    let PlanTarget::Submitted(submission) = target else {
        return Err(Failure::usage("`--pull=never` needs the stack's files")
            .hint("name the path of the stack"));
    };
    for service in submission.desired.services.values_mut() {
        service.spec.pull_policy = keel_engine::PullPolicy::Never;
    }
    Ok(())
}

async fn interrupted() {
    // Without a handler Ctrl-C ends the command by itself.
    let _ = tokio::signal::ctrl_c().await;
}

/// Shows output until everything has ended, or the person has seen enough.
async fn attached(
    mut connection: Connection,
    context: &Context,
    stack: &StackName,
    since: u64,
) -> Result<Exit> {
    connection.release(context).await?;
    let client = connection.client.clone();
    let options = LogOptions { follow: true, since: Some(since), ..LogOptions::default() };
    let mut follower = Follower::new(client.clone(), options, context.screen.colours_data());
    let mut hints = client.events().await?;
    context.screen.say("showing its output; Ctrl-C stops the stack");
    loop {
        let tasks = target::tasks(&client, stack.as_str()).await.unwrap_or_default();
        follower.add(&tasks).await?;
        if tasks.iter().all(is_over) {
            connection.close().await;
            return Ok(Exit::Done);
        }
        tokio::select! {
            Some(_) = hints.next() => {}
            more = print_all(&mut follower) => more?,
            () = interrupted() => return stop(connection, context, stack).await,
        }
    }
}

/// Prints for as long as there is something to follow; then waits to be dropped.
async fn print_all(follower: &mut Follower) -> Result<()> {
    while follower.print_next().await? {}
    std::future::pending().await
}

fn is_over(task: &TaskRef) -> bool {
    matches!(task.phase, Phase::Exited | Phase::Rejected)
}

async fn stop(connection: Connection, context: &Context, stack: &StackName) -> Result<Exit> {
    connection.close().await;
    context.screen.say(&format!("\nstopping {stack} (Ctrl-C again to kill it)"));
    let connection = connect(context, Need::Drive, &format!("keel up {stack}")).await?;
    let targets = target::spread(&connection.client, &[stack.to_string()]).await?;
    let asked = |verb| TaskAsk { targets: targets.clone(), verb, timeout: None };
    let client = connection.client.clone();
    let stopping = asked(TaskVerb::Stop);
    tokio::select! {
        done = client.act(&stopping) => { done?; }
        () = interrupted() => {
            client.act(&asked(TaskVerb::Kill { signal: "KILL".to_owned() })).await?;
        }
    }
    connection.close().await;
    Ok(Exit::Done)
}
