//! `ps`, targets, `start`, `stop`, `restart`, `kill`, `rm`, `run`, and waiting for a task.

use super::answer::{Answer, Api};
use crate::refusal::Ask;
use crate::shapes::{Name, StartAsk, TaskRef, WaitAsk};
use crate::{lines, paths};
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use axum::{Json, Router};
use futures_util::StreamExt;
use keel_engine::ObservedTask;
use keel_reconciler::Controller;
use keel_reconciler::ask::{ContainerRow, Refusal, RunAnswer, RunAsk, TaskAsk};
use keel_reconciler::rows::PsAsk;
use std::time::Duration;

/// Hints may be lost: a waiting person is given the truth at least this often.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Those whose bodies are small.
pub fn routes() -> Router<Api> {
    Router::new()
        .route(paths::PS, post(ps))
        .route(paths::RESOLVE, post(resolve))
        .route(paths::ACT, post(act))
        .route(paths::WAIT, post(wait))
        .route(paths::RUN_START, post(start))
}

async fn ps(State(api): State<Api>, Ask(ask): Ask<PsAsk>) -> Answer<Vec<ContainerRow>> {
    Ok(Json(api.controller.ps(ask).await?))
}

async fn resolve(State(api): State<Api>, Ask(ask): Ask<Name>) -> Answer<Vec<TaskRef>> {
    let tasks = api.controller.resolve_target(&ask.name).await?;
    Ok(Json(tasks.into_iter().map(reference).collect()))
}

async fn act(State(api): State<Api>, Ask(ask): Ask<TaskAsk>) -> Response {
    lines::answer(api.controller.act(ask))
}

pub async fn run(State(api): State<Api>, Ask(ask): Ask<RunAsk>) -> Answer<RunAnswer> {
    Ok(Json(api.controller.run(ask).await?))
}

async fn start(State(api): State<Api>, Ask(ask): Ask<StartAsk>) -> Answer<()> {
    Ok(Json(api.controller.start_oneoff(&ask.task).await?))
}

async fn wait(State(api): State<Api>, Ask(ask): Ask<WaitAsk>) -> Answer<TaskRef> {
    // Listening begins before the first look, so that nothing falls between the two.
    let mut hints = api.controller.events();
    loop {
        let task = observed(&api.controller, &ask).await?;
        if ask.until.reached(&task.phase) || (ask.once && task.attempts > 0) {
            return Ok(Json(reference(task)));
        }
        let _ = tokio::time::timeout(LOOK_AGAIN, hints.next()).await;
    }
}

async fn observed(controller: &Controller, ask: &WaitAsk) -> Result<ObservedTask, Refusal> {
    let tasks = controller.resolve_target(ask.task.as_str()).await?;
    Ok(tasks.into_iter().next().expect("a target that means nothing is refused"))
}

fn reference(task: ObservedTask) -> TaskRef {
    TaskRef {
        id: task.id,
        name: task.spec.container_name.clone(),
        place: task.place,
        phase: task.phase,
        tty: task.spec.tty,
        stdin: task.spec.stdin_open,
        attempts: task.attempts,
        exit_code: task.exit_code,
        exit_cause: task.exit_cause,
        message: task.message.map(|failure| failure.to_string()),
    }
}
