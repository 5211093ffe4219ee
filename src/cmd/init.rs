//! `keel init`: a commented stack to start from.

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::root::settled;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The arguments of `keel init`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  keel init blog && keel up -d blog/")]
pub struct Args {
    /// The folder, which is made where it is missing
    #[arg(default_value = ".", value_name = "FOLDER")]
    folder: PathBuf,
    /// Where editors find the schema: a path or an address, written into the file
    #[arg(long, value_name = "PLACE")]
    schema: Option<String>,
}

/// Runs `keel init`. Files that exist are left alone.
pub fn run(args: Args, context: &Context) -> Result<Exit> {
    let folder = settled(&args.folder);
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if keel_reconciler::find::holds_stack(&folder) {
        let message = format!("`{}` holds a stack already", args.folder.display());
        return Err(Failure::new(message).hint("name a new folder: `keel init blog`"));
    }
    fs::create_dir_all(&folder).map_err(|error| cannot(&args.folder, &error))?;
    for (path, text) in keel_spec::init::starter(&name, args.schema.as_deref()) {
        let file = args.folder.join(&path);
        match write(&folder.join(&path), &text) {
            Ok(()) => context.screen.say(&format!("wrote {}", file.display())),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                context.screen.say(&format!("{} already exists", file.display()));
            }
            Err(error) => return Err(cannot(&file, &error)),
        }
    }
    Ok(Exit::Done)
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    File::create_new(path)?.write_all(text.as_bytes())
}

fn cannot(path: &Path, error: &io::Error) -> Failure {
    Failure::caused(format!("cannot write `{}`", path.display()), error)
}
