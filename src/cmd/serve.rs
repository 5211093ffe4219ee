//! `keel serve`: the controller, its API, and this node's engine, for as long as it is wanted.

mod authority;
mod configured;
mod containers;
mod hooks;
mod locked;
mod notices;
mod pool;
mod shared;
mod sources;
mod standby;
mod watch;

use crate::connect::api;
use crate::context::Context;
use crate::deliver::addressees;
use crate::ending::until_told;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::machine::{Driving, check_machine, engine, repos, settings};
use crate::pool_records::check_migrated;
use crate::show::ago;
use crate::{driver_lock, env, root, sudo};
use futures_util::{FutureExt, StreamExt};
use keel_api::{Api, Served, router};
use keel_embedded::Layout;
use keel_embedded::layout::DEFAULT_ROOT;
use keel_reconciler::config::{Config, SourceConfig};
use keel_reconciler::store::{LeadershipLost, Store};
use keel_reconciler::{Controller, StatusNews};
use shared::Shared;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use watch::{Seen, Watch};

/// The arguments of `keel serve`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  keel serve stacks/\n  keel serve --git https://git.example.org/home.git --path 'stacks/*'\n  keel serve --config /etc/keel/keel.yaml --check"
)]
pub struct Args {
    #[command(flatten)]
    given: sources::Given,
    /// Check the configuration and the files that it names, then exit
    #[arg(long, conflicts_with_all = ["git", "paths"])]
    check: bool,
}

/// How long requests may take once it ends.
const FAREWELL: Duration = Duration::from_secs(3);
/// Between two looks for people where nothing happens: hints may be lost, and that a container has held
/// out is no event.
const QUIET: Duration = Duration::from_secs(10);
/// Hints come in bursts; people read lines.
const BURST: Duration = Duration::from_millis(100);

/// Runs `keel serve`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    if args.check {
        return configured::run(context);
    }
    if !sudo::is_root() {
        return Err(sudo::offer(context, "keel serve needs root"));
    }
    let config = configured::told(context)?;
    let layout = root::layout(&context.global.root);
    let own = repos(context, &layout)?.sources();
    let sources = sources::of(&args.given, config.sources.clone(), own)?;
    check_machine()?;
    let _lock = driver_lock::for_life(context, &layout, "keel serve").await?;
    root::check_restored(&layout)?;
    let Some(etcd) = shared::open(&config)? else {
        return serve(&config, sources, &layout, None, context).await.map(|_| Exit::Done);
    };
    loop {
        // Who cannot open the pool's authority leaves the lead to others.
        let store: Arc<dyn Store> = Arc::new(etcd.clone());
        if !locked::until_unlocked(store.clone(), &config, &layout, context).await? {
            return Ok(Exit::Done);
        }
        let led = standby::until_leading(&etcd, &config, &layout, context).await?;
        let Some(led) = led else { return Ok(Exit::Done) };
        // Another controller may have sealed it meanwhile, or etcd did not answer before.
        if !locked::is_unlocked(store, &config, &layout).await {
            led.resign().await;
            continue;
        }
        context.screen.say("this controller leads");
        let shared = Some(Shared { etcd: etcd.clone(), led });
        match serve(&config, sources.clone(), &layout, shared, context).await? {
            Some(lost) => context.screen.warn(&lost.to_string()),
            None => return Ok(Exit::Done),
        }
    }
}

/// Serves until that is to end, or the lead is lost.
async fn serve(
    config: &Config,
    sources: Vec<SourceConfig>,
    layout: &Layout,
    shared: Option<Shared>,
    context: &Context,
) -> Result<Option<LeadershipLost>> {
    let engine = engine(context, layout, Driving::ForLife).await?;
    let described = sources::describe(&sources);
    let told = addressees(config, &sources);
    let mut settings = settings(context, layout, engine.clone(), Some(sources))?;
    settings.destinations = told.iter().map(|one| one.destination.clone()).collect();
    if let Some(shared) = &shared {
        settings.store = Arc::new(shared.etcd.clone());
    }
    check_migrated(&*settings.store).await?;
    if shared.is_none()
        && !locked::until_unlocked(settings.store.clone(), config, layout, context).await?
    {
        engine.close().await;
        return Ok(None);
    }
    let mut opened = pool::open(config, layout, &settings, shared.as_ref(), context).await?;
    let controller = Controller::start(settings).await?;
    let hooks = hooks::listen(config, refresh(&controller), context).await?;
    let hinted = shared.as_ref().map(|shared| shared.hints(refresh(&controller)));
    let delivering = notices::deliver(told, &controller, context);
    let pool = opened.as_ref().map(|opened| opened.pool.clone());
    let router = router(Api { pool, ..api(&controller, layout, true) });
    let relayed = opened.as_mut().and_then(|opened| opened.relayed.take());
    let relayed = relayed.map(|lines| Served::on_lines(router.clone(), lines));
    let group = root::group();
    root::admit(layout, group)
        .map_err(|error| Failure::caused("cannot give group keel access", &error))?;
    let served = Served::on_socket(router, &layout.socket(), group).await?;
    context.screen.say(&format!("serving {described}"));
    context.screen.paragraph("Ctrl-C stops the controller and leaves the stacks running\n");
    let ended = tokio::select! {
        ended = until_told() => ended.map(|()| None),
        never = tell(&controller, context) => never.map(|()| None),
        lost = shared::lost(shared.as_ref()) => Ok(Some(lost)),
    };
    drop((delivering, hinted, opened, relayed));
    if let Some(hooks) = hooks {
        hooks.end().await;
    }
    served.stop(FAREWELL).await;
    if !matches!(ended, Ok(Some(_))) {
        farewell(&controller, context, layout).await;
    }
    controller.stop().await;
    engine.close().await;
    if let Some(shared) = shared {
        shared.led.resign().await;
    }
    ended
}

/// From a name of a source to its queue.
fn refresh(controller: &Controller) -> impl Fn(&str) + Send + Sync + 'static {
    let controller = controller.clone();
    // A source that is configured is one that can be hinted.
    move |name| drop(controller.hint_source(name))
}

/// Tells what changes, line by line, until it is dropped.
async fn tell(controller: &Controller, context: &Context) -> Result<()> {
    let mut hints = controller.stirs();
    let (mut watch, mut last) = (Watch::default(), 0);
    let mut complete = tokio::time::Instant::now();
    loop {
        let began = tokio::time::Instant::now();
        let is_due = began >= complete;
        if is_due {
            complete = began + QUIET;
        }
        let seen = look(controller, &mut last, is_due, &watch.waits_for()).await?;
        for line in watch.look(&seen) {
            context.screen.tell(&line);
        }
        // However many stacks there are, most of the time is the passes'.
        let rest = BURST.max(began.elapsed() * 4);
        let _ = tokio::time::timeout(QUIET, hints.next()).await;
        tokio::time::sleep(rest).await;
        while let Some(Some(())) = hints.next().now_or_never() {}
    }
}

/// What is new since the look of this number; `complete`: also what no hint tells of.
async fn look(
    controller: &Controller,
    last: &mut u64,
    complete: bool,
    waiting: &BTreeSet<String>,
) -> Result<Seen> {
    let nobody = BTreeSet::new();
    let always = if complete { waiting } else { &nobody };
    let news = controller.status_news(last, complete, always).await?;
    let StatusNews { stacks, gone, containers } = news;
    let (sources, cleared) = (controller.sources().await, controller.cleared());
    Ok(Seen { stacks, gone, containers, sources, cleared, now: ago::now() })
}

async fn farewell(controller: &Controller, context: &Context, layout: &Layout) {
    // Nobody needs this enough to fail for it.
    let Ok(stacks) = controller.status(&[]).await else { return };
    let running: Vec<_> = stacks.iter().map(|row| row.stack.as_str()).collect();
    let Some(first) = running.first() else { return };
    // As they would call it: a root that the environment names need not be named again.
    let named = env::get(env::ROOT).map(Into::into) == Some(context.global.root.clone());
    let root = match layout.root() == Path::new(DEFAULT_ROOT) || named {
        true => String::new(),
        false => format!(" --root {}", layout.root().display()),
    };
    context.screen.paragraph(&format!(
        "\nthe controller has stopped; the stacks keep running: {}\n`keel down {first}{root}` removes it",
        running.join(", ")
    ));
}
