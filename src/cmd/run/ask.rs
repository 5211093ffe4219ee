//! What `keel run` is asked, and what is asked of the controller for it.

use crate::failure::{Failure, Result};
use crate::machine::environment;
use crate::oneoff::{self, Caller, Flags};
use keel_engine::{Digest, TaskSpec};
use keel_reconciler::ask::RunAsk;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The arguments of `keel run ask`.
#[derive(Debug, clap::Args)]
#[command(
    disable_help_flag = true,
    after_help = "Examples:\n  keel run --rm -it debian:12 bash\n  keel run --rm web ./manage.py migrate\n\nExit code: the command's own; 125 to 127 if it could not be run."
)]
pub struct Args {
    /// Start the container and print its id
    #[arg(short, long)]
    pub(super) detach: bool,
    /// Pass standard input on
    #[arg(short, long)]
    pub(super) interactive: bool,
    /// Allocate a terminal
    #[arg(short, long)]
    pub(super) tty: bool,
    /// Remove the container when it has ended
    #[arg(long)]
    pub(super) rm: bool,
    /// Name of the container [default: a generated one]
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(super) name: Option<String>,
    #[command(flatten)]
    pub(super) flags: Flags,
    /// Print help; `-h` is the host's name here, as with docker
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Do not start the services that a service depends on
    #[arg(long)]
    pub(super) no_deps: bool,
    /// The image, or a service of the current folder's stack; then the command, instead of its own
    #[arg(
        required = true,
        num_args = 1..,
        trailing_var_arg = true,
        value_names = ["IMAGE|SERVICE", "COMMAND"]
    )]
    pub(crate) image: Vec<String>,
}

pub(super) const WHO: &str = "keel run";

/// As docker takes it: a host's name begins with it.
fn name(text: &str) -> std::result::Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let right = text.chars().all(fits) && text.starts_with(|c: char| c.is_ascii_alphanumeric());
    let wrong = "a name has letters, digits, `_`, `.` and `-`, and begins with a letter or digit";
    right.then(|| text.to_owned()).ok_or_else(|| wrong.to_owned())
}

/// What is read where the command was given.
pub(super) struct Here {
    folder: PathBuf,
    environment: BTreeMap<String, String>,
    env_files: Vec<String>,
}

impl Here {
    pub(super) fn as_caller(&self) -> Caller<'_> {
        let (folder, environment) = (&self.folder, &self.environment);
        Caller { folder, environment, env_files: self.env_files.clone() }
    }
}

pub(super) fn caller_of(args: &Args) -> Result<Here> {
    let folder = std::env::current_dir()
        .map_err(|error| Failure::caused("cannot find the current folder", &error))?;
    let read = |path: &PathBuf| {
        std::fs::read_to_string(path)
            .map_err(|error| Failure::caused(format!("cannot read `{}`", path.display()), &error))
    };
    let env_files = args.flags.env_file.iter().map(read).collect::<Result<_>>()?;
    Ok(Here { folder, environment: environment(), env_files })
}

pub(super) fn ask(args: &Args) -> Result<RunAsk> {
    let (image, command) = args.image.split_first().expect("the arguments demand one");
    let spec = oneoff::spec(&args.flags, image, command, &caller_of(args)?.as_caller())?;
    let name = args.name.clone().unwrap_or_default();
    Ok(asked(args, spec, name, Default::default()))
}

/// A container of this name, as the flags have it attached and removed.
pub(super) fn asked(
    args: &Args,
    mut spec: TaskSpec,
    name: String,
    contents: BTreeMap<Digest, String>,
) -> RunAsk {
    (spec.tty, spec.stdin_open) = (args.tty, args.interactive);
    spec.container_name.clone_from(&name);
    RunAsk { name, spec, auto_remove: args.rm, attach: !args.detach, contents }
}
