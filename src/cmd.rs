//! The commands: one file each, that parses, calls and shows.

mod act;
mod agent;
mod apply;
mod attach;
mod backup;
mod ca;
mod check;
mod completion;
mod confirm;
mod down;
mod drift;
mod exec;
mod explain;
mod gone;
mod history;
mod image;
mod images;
mod init;
mod inspect;
mod kill;
mod login;
mod logout;
mod logs;
mod network;
mod node;
mod notify;
mod plan;
mod pool_try;
mod ps;
mod pull;
mod reap;
mod rebalance;
mod receive;
mod render;
mod restart;
mod restore;
mod resume;
mod rm;
mod rmi;
mod rollback;
pub mod run;
mod scale;
mod schema;
mod serve;
mod source;
mod start;
mod status;
mod stop;
mod store;
mod suspend;
mod sync;
mod system;
mod token;
mod up;
mod volume;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use clap::Subcommand;

/// Every command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the controller: watch sources and reconcile this host
    Serve(serve::Args),
    /// Serve this machine as a node of another machine's controller
    Agent(agent::Args),
    /// List, label, drain and remove nodes
    #[command(subcommand)]
    Node(node::Command),
    /// Create and revoke tokens to join the pool with
    #[command(subcommand)]
    Token(token::Command),
    /// Show and replace the pool's certificate authority
    #[command(subcommand)]
    Ca(ca::Command),
    /// Try a pool of several nodes on this machine
    #[command(subcommand)]
    Pool(pool_try::Command),
    /// Check Compose files; needs neither root nor a daemon
    Check(check::Args),
    /// Explain a problem code and how to fix it
    Explain(explain::Args),
    /// Print a stack's resolved model; needs neither root nor a daemon
    Render(render::Args),
    /// Print JSON Schemas for editors
    Schema(schema::Args),
    /// Write a commented example stack
    Init(init::Args),
    /// Show what a deploy would do, and why
    Plan(plan::Args),
    /// Converge a stack and wait until it settles
    Apply(apply::Args),
    /// Start a stack and show its output
    Up(up::Args),
    /// Stop a stack and remove its containers and networks
    Down(down::Args),
    /// Show sync, health and the last operation of each stack
    Status(status::Args),
    /// Show what was done to stacks, why, and with which result
    History(history::Args),
    /// Show differences between applied and observed state
    Drift(drift::Args),
    /// Refresh sources now and wait for the result
    Sync(sync::Args),
    /// Show and test notification recipients
    #[command(subcommand)]
    Notify(notify::Command),
    /// List sources and create repositories
    #[command(subcommand)]
    Source(source::Command),
    /// Roll back to a good revision and stay there until `resume`
    Rollback(rollback::Args),
    /// Move tasks from fuller nodes to emptier ones
    Rebalance(rebalance::Args),
    /// Set the number of a service's tasks for a while
    Scale(scale::Args),
    /// Suspend a stack: stop reconciling it until `resume`
    Suspend(suspend::Args),
    /// Resume a suspended or rolled-back stack
    Resume(resume::Args),
    /// Confirm a revision that would remove many stacks
    Confirm(confirm::Args),
    /// List containers
    Ps(ps::Args),
    /// Show the output of containers
    Logs(logs::Args),
    /// Run a command in a running container
    Exec(exec::Args),
    /// Connect to the input and output of a running container
    Attach(attach::Args),
    /// Run a command in a new container
    Run(Box<run::Args>),
    /// Start stopped containers
    Start(start::Args),
    /// Stop containers and keep them stopped
    Stop(stop::Args),
    /// Restart containers
    Restart(restart::Args),
    /// Send a signal to containers
    Kill(kill::Args),
    /// Remove containers
    Rm(rm::Args),
    /// Show the details of a container, image, network or volume
    Inspect(inspect::Args),
    /// Pull images
    Pull(pull::Args),
    /// Log in to a registry
    Login(login::Args),
    /// Log out from a registry
    Logout(logout::Args),
    /// List images
    Images(images::Args),
    /// Remove images
    Rmi(rmi::Args),
    /// Remove unused images
    #[command(subcommand)]
    Image(image::Command),
    /// Show disk usage and free space
    #[command(subcommand)]
    System(system::Command),
    /// Write a backup of the controller to a file
    Backup(backup::Args),
    /// Restore a controller from its backup
    Restore(restore::Args),
    /// Move the controller's records between files and etcd
    #[command(subcommand)]
    Store(store::Command),
    /// Print a completion script for a shell
    Completion(completion::Args),
    /// Remove what was to go at its end
    #[command(hide = true)]
    Reap(reap::Args),
    /// What a push to a repository of ours calls
    #[command(subcommand, hide = true)]
    Receive(receive::Command),
    /// Manage volumes
    #[command(subcommand)]
    Volume(volume::Command),
    /// Manage networks
    #[command(subcommand)]
    Network(network::Command),
}

/// Whether it reads Compose files, or means services of their stack.
fn reads_files(command: &Command) -> bool {
    use Command::{
        Apply, Attach, Check, Down, Exec, Kill, Logs, Plan, Render, Restart, Rm, Run, Start, Stop,
        Up,
    };
    let reads = matches!(command, Check(_) | Render(_) | Plan(_) | Apply(_) | Up(_) | Down(_));
    reads
        || matches!(
            command,
            Exec(_)
                | Attach(_)
                | Run(_)
                | Logs(_)
                | Start(_)
                | Stop(_)
                | Restart(_)
                | Kill(_)
                | Rm(_)
        )
}

/// Runs one.
pub async fn run(command: Command, context: &Context) -> Result<Exit> {
    if !context.files.is_empty() && !reads_files(&command) {
        return Err(Failure::usage("this command reads no Compose files")
            .hint("give it the stack's name: `keel status` lists them"));
    }
    match command {
        Command::Serve(args) => serve::run(args, context).await,
        Command::Check(args) => check::run(args, context),
        Command::Explain(args) => explain::run(args, context),
        Command::Render(args) => render::run(args, context).await,
        Command::Schema(args) => schema::run(args, context),
        Command::Init(args) => init::run(args, context),
        Command::Plan(args) => plan::run(args, context).await,
        Command::Apply(args) => apply::run(args, context).await,
        Command::Up(args) => up::run(args, context).await,
        Command::Down(args) => down::run(args, context).await,
        Command::Status(args) => status::run(args, context).await,
        Command::History(args) => history::run(args, context).await,
        Command::Drift(args) => drift::run(args, context).await,
        Command::Sync(args) => sync::run(args, context).await,
        Command::Notify(command) => notify::run(command, context).await,
        Command::Source(command) => source::run(command, context).await,
        Command::Rollback(args) => rollback::run(args, context).await,
        Command::Rebalance(args) => rebalance::run(args, context).await,
        Command::Scale(args) => scale::run(args, context).await,
        Command::Suspend(args) => suspend::run(args, context).await,
        Command::Resume(args) => resume::run(args, context).await,
        Command::Confirm(args) => confirm::run(args, context).await,
        Command::Ps(args) => ps::run(args, context).await,
        Command::Logs(args) => logs::run(args, context).await,
        Command::Exec(args) => exec::run(args, context).await,
        Command::Attach(args) => attach::run(args, context).await,
        Command::Run(args) => run::run(*args, context).await,
        Command::Start(args) => start::run(args, context).await,
        Command::Stop(args) => stop::run(args, context).await,
        Command::Restart(args) => restart::run(args, context).await,
        Command::Kill(args) => kill::run(args, context).await,
        Command::Rm(args) => rm::run(args, context).await,
        Command::Inspect(args) => inspect::run(args, context).await,
        Command::Pull(args) => pull::run(args, context).await,
        Command::Login(args) => login::run(args, context).await,
        Command::Logout(args) => logout::run(args, context),
        Command::Images(args) => images::run(args, context).await,
        Command::Completion(args) => completion::run(args, context),
        Command::Rmi(args) => rmi::run(args, context).await,
        Command::Image(command) => image::run(command, context).await,
        Command::Store(command) => store::run(command, context).await,
        Command::Backup(args) => backup::run(args, context).await,
        Command::Restore(args) => restore::run(args, context).await,
        Command::System(command) => system::run(command, context).await,
        Command::Reap(args) => reap::run(args, context).await,
        Command::Receive(command) => receive::run(command, context).await,
        Command::Volume(command) => volume::run(command, context).await,
        Command::Agent(args) => agent::run(args, context).await,
        Command::Node(command) => node::run(command, context).await,
        Command::Token(command) => token::run(command, context).await,
        Command::Ca(command) => ca::run(command, context).await,
        Command::Pool(command) => pool_try::run(command, context).await,
        Command::Network(command) => network::run(command, context).await,
    }
}
