//! The containers that a word means: a container by name or id, `STACK/SERVICE[.SLOT]`, a stack, or
//! a service of the current folder's stack.

use crate::context::Context;
use crate::failure::Result;
use crate::load::{self, Asked};
use keel_api::shapes::TaskRef;
use keel_api::{Client, ClientError};
use keel_engine::StackName;
use keel_reconciler::ask::RefusalKind;
use keel_reconciler::rows::PsAsk;
use std::collections::BTreeSet;

/// The words as they are understood anywhere. Where files or a project were named, or nothing else
/// is called so, a word is a service of that stack, as with docker compose.
pub async fn in_full(context: &Context, client: &Client, words: &[String]) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for word in words {
        all.push(one_in_full(context, client, word).await?);
    }
    Ok(all)
}

async fn one_in_full(context: &Context, client: &Client, word: &str) -> Result<String> {
    if !context.files.is_empty() {
        return Ok(format!("{}/{word}", here(context)?));
    }
    let error = match spread_one(client, word).await {
        Ok(_) => return Ok(word.to_owned()),
        Err(error) => error,
    };
    let service = load::name_here(context).filter(|_| !word.contains('/'));
    let Some(service) = service.map(|stack| format!("{stack}/{word}")) else { return Err(error) };
    match client.resolve(&service).await {
        Ok(_) => Ok(service),
        Err(_) => Err(error),
    }
}

/// The stack of the current folder, or of the files that were named.
fn here(context: &Context) -> Result<StackName> {
    match &context.files.project_name {
        Some(name) => super::stack(name),
        None => load::name(context, &Asked { path: ".".into(), files: context.files.clone() }),
    }
}

/// The tasks that a target or a stack's name means.
pub async fn tasks(client: &Client, word: &str) -> Result<Vec<TaskRef>> {
    let mut all = Vec::new();
    for target in spread_one(client, word).await? {
        all.extend(client.resolve(&target).await?);
    }
    Ok(all)
}

/// The same while they are followed: what is gone means nothing more.
pub async fn still_meant(
    client: &Client,
    word: &str,
) -> std::result::Result<Vec<TaskRef>, ClientError> {
    let gone = |error: &ClientError| matches!(error, ClientError::Refused(refusal) if refusal.kind == RefusalKind::NotFound);
    match client.resolve(word).await {
        Err(error) if gone(&error) => {}
        tasks => return tasks,
    }
    let mut all = Vec::new();
    for service in services_of(client, word).await?.into_iter().flatten() {
        match client.resolve(&service).await {
            Err(error) if gone(&error) => {}
            tasks => all.extend(tasks?),
        }
    }
    Ok(all)
}

/// Targets with each stack's name replaced by its services, for what acts on targets alone.
pub async fn spread(client: &Client, words: &[String]) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for word in words {
        all.extend(spread_one(client, word).await?);
    }
    Ok(all)
}

/// A container that is called like a stack is meant before the stack.
async fn spread_one(client: &Client, word: &str) -> Result<Vec<String>> {
    match client.resolve(word).await {
        Ok(_) => Ok(vec![word.to_owned()]),
        Err(ClientError::Refused(refusal)) if refusal.kind == RefusalKind::NotFound => {
            services_of(client, word).await?.ok_or_else(|| refusal.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// `STACK/SERVICE` of every service that has a container, if the word is a stack that has any.
async fn services_of(
    client: &Client,
    word: &str,
) -> std::result::Result<Option<Vec<String>>, ClientError> {
    let Ok(name) = StackName::new(word) else { return Ok(None) };
    let rows = client.ps(&PsAsk { all: true, stacks: vec![name], services: vec![] }).await?;
    let named = rows.iter().map(|row| format!("{}/{}", row.stack, row.service));
    let services: BTreeSet<_> = named.collect();
    Ok((!services.is_empty()).then(|| services.into_iter().collect()))
}
