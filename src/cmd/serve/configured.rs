//! Whether `keel.yaml` is sound, the files that it names, and what it allows its stacks.

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::machine::{Written, repos, written_config};
use crate::root;
use crate::show::problem;
use keel_reconciler::allowed::not_allowed;
use keel_reconciler::config::{Config, Looked, SourceConfig};

/// `keel serve --check`: everything that is wrong, and what was understood.
pub fn run(context: &Context) -> Result<Exit> {
    let Some(written) = written_config(context)? else {
        context.screen.data("there is no configuration; all keys are optional")?;
        return Ok(Exit::Done);
    };
    let Looked { mut errors, warnings } = written.config.look(&written.text, &written.shown);
    let layout = root::layout(&context.global.root);
    let repos = repos(context, &layout)?;
    let refused = |source: &SourceConfig| not_allowed(source, &repos, layout.root());
    errors.extend(written.config.sources.iter().flat_map(refused));
    problem::tell(&context.screen, &errors, &warnings);
    let verdict = match problem::count(&errors, &warnings) {
        counted if counted.is_empty() => "no problems".to_owned(),
        counted => counted,
    };
    context.screen.data(&format!("{}: {verdict}", written.shown))?;
    Ok(if errors.is_empty() { Exit::Done } else { Exit::Failed })
}

/// What a `serve` is started with. A file that is missing now may come: it is told, and the source
/// that needs it says so for as long as it does.
pub fn told(context: &Context) -> Result<Config> {
    let Some(Written { config, text, shown }) = written_config(context)? else {
        return Ok(Config::default());
    };
    let Looked { errors, warnings } = config.look(&text, &shown);
    problem::tell(&context.screen, &errors, &warnings);
    Ok(config)
}
