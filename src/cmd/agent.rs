//! `keel agent`: this machine as a node of a pool, for as long as it is wanted.

use crate::context::Context;
use crate::driver_lock;
use crate::ending::until_told;
use crate::env;
use crate::exit::Exit;
use crate::failure::{Failure, Result, chain};
use crate::machine::{Driving, check_machine, engine};
use crate::{root, sudo};
use keel_durable::Hold;
use keel_embedded::Layout;
use keel_engine::NodeName;
use keel_pool::identity::Token;
use keel_pool::membership::{Membership, MembershipError, Whereabouts};
use keel_pool::transport::{AgentState, Allegiance, DialError, Limits};
use keel_reconciler::config::read_secret;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The arguments of `keel agent`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  keel agent --join controller.example.org:7443 --token-file /run/keel-token"
)]
pub struct Args {
    /// Controller to join; needed once
    #[arg(long, value_name = "HOST:PORT")]
    join: Option<String>,
    /// Token of `keel token create`; needed once
    #[arg(long, env = env::TOKEN, hide_env_values = true, conflicts_with = "token_file")]
    token: Option<String>,
    /// File that holds the token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Name of this node [default: the machine's name]
    #[arg(long)]
    name: Option<String>,
    /// Address at which other machines reach this node [default: the one it is connected from]
    #[arg(long, value_name = "ADDRESS")]
    advertise: Option<IpAddr>,
}

/// Runs `keel agent`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    if !sudo::is_root() {
        return Err(sudo::offer(context, "keel agent needs root"));
    }
    check_machine()?;
    let layout = root::layout(&context.global.root);
    let token = token(&args)?;
    let _lock = driver_lock::for_life(context, &layout, "keel agent").await?;
    let controller = controller(&args, &layout)?;
    let name = args.name.map_or_else(root::node, NodeName::new);
    let file = layout.root().join("pool/node.pem");
    let allegiance = allegiance(&layout, &controller)?;
    let (limits, advertise) = (Limits::default(), args.advertise);
    let at = Whereabouts { file, allegiance, limits, advertise };
    let screen = context.screen.clone();
    let again = move |why: Option<&DialError>, after: Duration| {
        let why = why.map_or("the controller is busy".to_owned(), |error| chain(error));
        screen.tell(&format!("cannot join yet, next try in {after:?}: {why}"));
    };
    let opened = Membership::open(at, token, name, again);
    let membership = tokio::select! {
        opened = opened => Arc::new(opened.map_err(failure)?),
        ended = until_told() => return ended.map(|()| Exit::Done),
    };
    keep_controller(&layout, &controller)?;
    keep_contents_in_memory(&layout)?;
    let engine = engine(context, &layout, Driving::ForLife).await?;
    context.screen.say(&format!("serving {controller} as node {}", membership.node()));
    context.screen.paragraph("Ctrl-C stops the agent and leaves the containers running\n");
    let (state, states) = watch::channel(AgentState::Dialing);
    let spool = layout.root().join("pool/spool");
    let ended = tokio::select! {
        ended = until_told() => ended,
        error = membership.serve(engine.clone(), spool, state) => Err(failure(error)),
        never = tell(states, context) => never,
    };
    engine.close().await;
    ended.map(|()| Exit::Done)
}

fn token(args: &Args) -> Result<Option<Token>> {
    let text = match (&args.token, &args.token_file) {
        (Some(token), _) => token.clone(),
        (None, Some(file)) => {
            let bytes = read_secret(file).map_err(|error| {
                Failure::caused(format!("cannot read the token in `{}`", file.display()), &error)
            })?;
            String::from_utf8_lossy(&bytes).into_owned()
        }
        (None, None) => return Ok(None),
    };
    let token = Token::parse(text.trim()).map_err(|error| Failure::usage(error.to_string()))?;
    Ok(Some(token))
}

/// Where the controller is: said once, and remembered with the node's identity.
fn controller(args: &Args, layout: &Layout) -> Result<String> {
    if let Some(controller) = &args.join {
        return match controller
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok())
        {
            true => Ok(controller.clone()),
            false => Err(Failure::usage(format!("`{controller}` is not HOST:PORT"))),
        };
    }
    let remembered = std::fs::read_to_string(controller_file(layout));
    remembered.map(|text| text.trim().to_owned()).map_err(|_| {
        Failure::usage("this machine has not joined a pool yet").hint(
            "run `keel token create` on the controller; it prints the command for this machine",
        )
    })
}

/// What the controller sends of configs and secrets is never on this machine's disk.
fn keep_contents_in_memory(layout: &Layout) -> Result<()> {
    keel_embedded::keep_in_memory(layout).map_err(|error| {
        let folder = layout.secrets_in_memory();
        Failure::caused(format!("cannot keep secrets in memory, at `{}`", folder.display()), &error)
    })
}

/// Whom this machine follows: it has seen the pool's present controller, or one of those before.
fn allegiance(layout: &Layout, controller: &str) -> Result<Allegiance> {
    let file = layout.root().join("pool/allegiance");
    Allegiance::open(&file, controller).map_err(|error| {
        Failure::caused(format!("cannot read `{}`", file.display()), &error).hint(
            "it says which controller this node follows; remove it only if no older controller of the pool runs",
        )
    })
}

fn controller_file(layout: &Layout) -> PathBuf {
    layout.root().join("pool/controller")
}

fn keep_controller(layout: &Layout, controller: &str) -> Result<()> {
    let file = controller_file(layout);
    keel_durable::replace(&file, controller.as_bytes(), 0o644, Hold::Power)
        .map_err(|error| Failure::caused(format!("cannot write `{}`", file.display()), &error))
}

fn failure(error: MembershipError) -> Failure {
    let failure = Failure::new(chain(&error));
    match error {
        MembershipError::NoToken => failure.hint("run `keel token create` on the controller"),
        _ => failure,
    }
}

/// Tells when the connection comes and goes, until it is dropped.
async fn tell(mut states: watch::Receiver<AgentState>, context: &Context) -> Result<()> {
    let mut last = String::new();
    loop {
        let line = match &*states.borrow_and_update() {
            AgentState::Connected(controller) => format!("connected to keel {}", controller.keel),
            AgentState::Waiting { why, .. } => format!("not connected: {}", chain(&**why)),
            _ => String::new(),
        };
        if !line.is_empty() && line != last {
            context.screen.tell(&line);
            last = line;
        }
        if states.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
