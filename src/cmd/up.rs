//! `keel up`: as docker compose's. Without `-d` it shows the stack's output, and Ctrl-C stops the
//! stack.

use crate::args::Files;
use crate::connect::{Connection, Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::follow::{Follower, Style};
use crate::load;
use crate::show::{ago, outcome};
use crate::subject::{self, Subject};
use clap::ValueEnum;
use keel_engine::{LogOptions, StackName};
use keel_reconciler::ask::{ConvergeAsk, PlanTarget, TaskAsk, TaskVerb};

/// The arguments of `keel up`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  keel up -d ./shop web\n  keel up -f compose.yaml -f compose.prod.yaml -d web"
)]
pub struct Args {
    /// Return as soon as everything runs, and leave it running
    #[arg(short, long)]
    detach: bool,
    /// When to pull images that are already present
    #[arg(long, value_enum, value_name = "POLICY")]
    pull: Option<Pull>,
    /// Replace every container
    #[arg(long)]
    force_recreate: bool,
    /// Return as soon as everything is healthy, and leave it running
    #[arg(long)]
    wait: bool,
    /// Accepted for scripts: services that the files no longer name are removed anyway, unless `prune: false` keeps them
    #[arg(long)]
    remove_orphans: bool,
    /// Take over the stack from its current owner
    #[arg(long)]
    take_over: bool,
    /// Files (anything with a `/` or `.`), a stack, or a service of the current folder's stack, which
    /// is meant unless given
    #[arg(value_name = "PATH|STACK|SERVICE")]
    subject: Option<String>,
    #[command(flatten)]
    files: Files,
    /// Only these services, and what they depend on
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

/// When to pull images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Pull {
    /// Now, whatever is there
    Always,
    /// As the stack says
    Missing,
}

/// Runs `keel up`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    let since = ago::now();
    let (subject, services) = asked(&args, context).await?;
    let (target, stack) = target_of(context, &subject)?;
    let ask = ask(&args, target, services);
    let who = format!("keel up {stack}");
    let mut connection = connect(context, Need::Drive, &who).await?;
    subject::known(&connection.client, &subject).await?;
    let converging = converge(&mut connection, context, &who, ask);
    if args.detach || args.wait {
        let exit = converging.await;
        connection.close().await;
        return exit;
    }
    let exit = tokio::select! {
        exit = converging => exit?,
        () = interrupted() => {
            connection.close().await;
            stop(context, &stack).await?;
            return Ok(Exit::Done);
        }
    };
    if exit != Exit::Done {
        connection.close().await;
        return Ok(exit);
    }
    attached(connection, context, &stack, since).await
}

/// The stack and its services. A word is a service where the files are named or the current folder's
/// stack has it, as with docker compose, but for one that is the name of another stack.
async fn asked(args: &Args, context: &Context) -> Result<(Subject, Vec<String>)> {
    let (files, mut services) = (args.files.clone(), args.services.clone());
    let all = files.clone().after(&context.files);
    let subject = match &args.subject {
        Some(word)
            if !word.contains(['/', '.']) && subject::is_service(context, &all, word).await =>
        {
            services.insert(0, word.clone());
            None
        }
        subject => subject.as_deref(),
    };
    Ok((Subject::of(subject, files, context)?, services))
}

fn target_of(context: &Context, subject: &Subject) -> Result<(PlanTarget, StackName)> {
    match subject {
        Subject::Stack(name) => Ok((PlanTarget::Stack(name.clone()), name.clone())),
        Subject::Files(asked) => {
            let submission = load::one(context, asked)?;
            let stack = submission.desired.stack.clone();
            Ok((PlanTarget::Submitted(Box::new(submission)), stack))
        }
    }
}

fn ask(args: &Args, target: PlanTarget, services: Vec<String>) -> ConvergeAsk {
    ConvergeAsk {
        target,
        take_over: args.take_over,
        resolve: true,
        pull: args.pull == Some(Pull::Always),
        recreate: args.force_recreate,
        services,
        // Attached or not, it is not health that is waited for, but that everything runs.
        detach: !args.wait,
        keep_stopped: false,
    }
}

/// Converges; whoever takes over meanwhile has it stored already.
pub async fn converge(
    connection: &mut Connection,
    context: &Context,
    who: &str,
    ask: ConvergeAsk,
) -> Result<Exit> {
    let stack = match &ask.target {
        PlanTarget::Stack(stack) => stack.clone(),
        PlanTarget::Submitted(submission) => submission.desired.stack.clone(),
    };
    let rest = ConvergeAsk {
        target: PlanTarget::Stack(stack),
        take_over: false,
        resolve: false,
        pull: false,
        recreate: false,
        services: ask.services.clone(),
        detach: ask.detach,
        keep_stopped: true,
    };
    outcome::through(connection, context, who, async |client, again| {
        Ok(client.converge(if again { &rest } else { &ask }).await?)
    })
    .await
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
    let style = Style::Named { coloured: context.screen.colours_data() };
    let mut follower = Follower::new(context, client, options, style);
    context.screen.say("showing its output; Ctrl-C stops the stack");
    let words = [stack.to_string()];
    tokio::select! {
        ended = follower.follow(&words) => ended?,
        () = interrupted() => {
            // Its last words are shown too, so this connection stays until it has ended.
            let (stopped, followed) = tokio::join!(stop(context, stack), follower.follow(&words));
            followed?;
            stopped?;
        }
    }
    connection.close().await;
    Ok(Exit::Done)
}

/// As Ctrl-C does it; a second one kills.
async fn stop(context: &Context, stack: &StackName) -> Result<()> {
    context.screen.paragraph(&format!("\nstopping {stack} (Ctrl-C again to kill it)"));
    let connection = connect(context, Need::Drive, &format!("keel up {stack}")).await?;
    // Interrupted before anything was made, there is nothing to stop.
    let targets = subject::spread(&connection.client, &[stack.to_string()]).await;
    let targets = targets.unwrap_or_default();
    let asked = |verb| TaskAsk { targets: targets.clone(), verb, timeout: None, again: false };
    let client = connection.client.clone();
    let stopping = asked(TaskVerb::Stop);
    tokio::select! {
        done = client.act(&stopping) => { done?; }
        () = interrupted() => {
            client.act(&asked(TaskVerb::Kill { signal: "KILL".to_owned() })).await?;
        }
    }
    connection.close().await;
    Ok(())
}
