//! `keel run`: a command in a new container, outside of every stack.

use crate::connect::{Connection, Need, connect, environment};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::oneoff::{self, Caller, Flags};
use crate::talk::{End, Manner, talk};
use keel_api::Client;
use keel_api::shapes::{TaskRef, Until};
use keel_engine::{Open, Phase, TaskId};
use keel_reconciler::ask::{RunAnswer, RunAsk};

/// What it takes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  keel run --rm -it debian:12 bash\n\nExit code: the command's own; 125 to 127 if it could not be run."
)]
pub struct Args {
    /// Start it and print its id
    #[arg(short, long)]
    detach: bool,
    /// Hand over standard input
    #[arg(short, long)]
    interactive: bool,
    /// Give it a terminal
    #[arg(short, long)]
    tty: bool,
    /// Remove it when it has ended
    #[arg(long)]
    rm: bool,
    /// The container's name; one is made up unless given
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    flags: Flags,
    /// The image; then the command, instead of the image's
    #[arg(
        required = true,
        num_args = 1..,
        trailing_var_arg = true,
        value_names = ["IMAGE", "COMMAND"]
    )]
    image: Vec<String>,
}

const OWN_FAILURE: Exit = Exit::Container(125);

/// Does it.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    launch(args, context).await.map_err(|failure| match failure.exit() {
        Exit::Failed => failure.with_exit(OWN_FAILURE),
        _ => failure,
    })
}

async fn launch(args: Args, context: &Context) -> Result<Exit> {
    let ask = ask(&args)?;
    let mut connection = connect(context, Need::Drive, "keel run").await?;
    let made = connection.client.run(&ask).await?;
    if args.detach {
        let task = connection.client.wait(&made.id, Until::Started).await?;
        connection.close().await;
        started(&task)?;
        context.screen.data(made.id.as_str())?;
        return Ok(Exit::Done);
    }
    let manner = Manner { stdin: args.interactive, tty: args.tty, signals: !args.tty };
    let end = attached(&mut connection, context, &made, manner).await;
    connection.close().await;
    end
}

fn ask(args: &Args) -> Result<RunAsk> {
    let folder = std::env::current_dir()
        .map_err(|error| Failure::caused("cannot find the current folder", &error))?;
    let read = |path: &std::path::PathBuf| {
        std::fs::read_to_string(path)
            .map_err(|error| Failure::caused(format!("cannot read `{}`", path.display()), &error))
    };
    let env_files = args.flags.env_file.iter().map(read).collect::<Result<_>>()?;
    let environment = environment();
    let caller = Caller { folder: &folder, environment: &environment, env_files };
    let (image, command) = args.image.split_first().expect("the arguments demand one");
    let mut spec = oneoff::spec(&args.flags, image, command, &caller)?;
    (spec.tty, spec.stdin_open) = (args.tty, args.interactive);
    let name = args.name.clone().unwrap_or_default();
    spec.container_name.clone_from(&name);
    Ok(RunAsk {
        name,
        spec,
        auto_remove: args.rm,
        attach: !args.detach,
        contents: Default::default(),
    })
}

/// Attaches before the process starts, so that nothing that it says is missed.
async fn attached(
    connection: &mut Connection,
    context: &Context,
    made: &RunAnswer,
    manner: Manner,
) -> Result<Exit> {
    let ready = connection.client.wait(&made.id, Until::Ready).await?;
    started(&ready)?;
    let what = Open::Attach { task: made.id.clone(), stdin: manner.stdin };
    let talking = connection.client.open(&what).await?;
    connection.client.start(&made.id).await?;
    let client = connection.client.clone();
    let end = talk(talking, manner, async |signal| send(&client, &made.id, signal).await).await?;
    let _ = context;
    match end {
        End::Exited(code) => Ok(Exit::Container(code)),
        End::Closed => Err(Failure::new("the container went away")),
    }
}

/// Refuses a task that could not be made what it was asked to be.
fn started(task: &TaskRef) -> Result<()> {
    match (&task.phase, &task.message) {
        (Phase::Rejected, Some(why)) => Err(Failure::new(why.clone())),
        (Phase::Rejected, None) => Err(Failure::new("the container could not be started")),
        _ => Ok(()),
    }
}

async fn send(client: &Client, task: &TaskId, signal: &str) {
    let what = Open::Signal { task: task.clone(), signal: signal.to_owned() };
    if let Ok(mut sent) = client.open(&what).await {
        while sent.receive().await.is_some() {}
    }
}
