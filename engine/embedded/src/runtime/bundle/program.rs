//! What runs: arguments, environment, folder, user.

use super::error::BundleError;
use super::inputs::{HostFacts, INIT, ImageFacts, hostname};
use super::security::Security;
use crate::runtime::oci::{Process, Rlimit, User};
use keel_engine::TaskSpec;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The process.
pub fn process(
    task: &TaskSpec,
    image: &ImageFacts,
    host: &HostFacts,
    security: &Security,
    rlimits: Vec<Rlimit>,
) -> Result<Process, BundleError> {
    let folder = task.working_dir.as_deref().or(image.working_dir.as_deref()).unwrap_or("");
    Ok(Process {
        terminal: task.tty,
        user: user(task, image),
        args: arguments(task, image)?,
        env: environment(task, image, &hostname(task, host)),
        cwd: format!("/{}", folder.trim_start_matches('/')).into(),
        capabilities: Some(security.capabilities.clone()),
        rlimits,
        no_new_privileges: security.no_new_privileges,
    })
}

/// An entrypoint of the task's own clears the image's CMD; an empty one only its ENTRYPOINT.
fn arguments(task: &TaskSpec, image: &ImageFacts) -> Result<Vec<String>, BundleError> {
    let entrypoint = task.entrypoint.as_ref().or(image.entrypoint.as_ref());
    let replaced = task.entrypoint.as_ref().is_some_and(|own| !own.is_empty());
    let inherited = image.cmd.as_ref().filter(|_| !replaced);
    let command = task.command.as_ref().or(inherited);
    let arguments: Vec<String> = entrypoint.into_iter().chain(command).flatten().cloned().collect();
    if arguments.is_empty() || arguments[0].is_empty() {
        return Err(BundleError::NoCommand);
    }
    if !task.init {
        return Ok(arguments);
    }
    let init = [INIT, "init", "--"].map(str::to_owned);
    Ok(init.into_iter().chain(arguments).collect())
}

/// Later ones win, at the place of the first.
fn environment(task: &TaskSpec, image: &ImageFacts, hostname: &str) -> Vec<String> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut set = |key: &str, value: &str| match pairs.iter_mut().find(|(known, _)| known == key) {
        Some((_, old)) => value.clone_into(old),
        None => pairs.push((key.to_owned(), value.to_owned())),
    };
    set("PATH", PATH);
    set("HOSTNAME", hostname);
    if task.tty {
        set("TERM", "xterm");
    }
    for line in &image.env {
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        set(key, value);
    }
    for (key, value) in &task.environment {
        if let Some(value) = value {
            set(key, value);
        }
    }
    let removed = |key: &str| matches!(task.environment.get(key), Some(None));
    let kept = pairs.into_iter().filter(|(key, _)| !removed(key));
    kept.map(|(key, value)| format!("{key}={value}")).collect()
}

fn user(task: &TaskSpec, image: &ImageFacts) -> User {
    let user = task.user.as_deref().or(image.user.as_deref()).unwrap_or_default();
    let (name, group) = user.split_once(':').unwrap_or((user, ""));
    User {
        uid: name.parse().unwrap_or_default(),
        gid: group.parse().unwrap_or_default(),
        username: Some(user.to_owned()),
    }
}
