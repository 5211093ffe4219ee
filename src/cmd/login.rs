//! `keel login`: who we are at a registry, kept in docker's `config.json`.

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::machine::{config, credentials, registries as reached};
use keel_images::{Credentials, Registries};
use rustix::termios::{self, LocalModes, OptionalActions};
use std::io::{self, BufRead, IsTerminal, Read};

/// The arguments of `keel login`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  keel login -u ann --password-stdin registry.example.org <token"
)]
pub struct Args {
    /// User name
    #[arg(short, long, value_name = "NAME")]
    username: Option<String>,
    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,
    /// The registry; Docker Hub unless given
    #[arg(default_value = "docker.io", value_name = "REGISTRY")]
    registry: String,
}

/// Runs `keel login`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    let registry = registry(&args.registry);
    let (user, password) = who(&args, context)?;
    let failed = |error: keel_images::Error| failure(registry, &error);
    let path = credentials();
    let registries =
        Registries::new(reached(&config(context)?), Credentials::none()).map_err(failed)?;
    registries.check_login(registry, &user, &password).await.map_err(failed)?;
    Credentials::file(&path).store(registry, &user, &password).map_err(failed)?;
    context.screen.say(&format!("logged in to {registry}; kept in {}", path.display()));
    Ok(Exit::Done)
}

fn failure(registry: &str, error: &keel_images::Error) -> Failure {
    match error {
        keel_images::Error::Denied { .. } => {
            Failure::new(format!("cannot log in to {registry}: wrong user name or password"))
                .hint("many registries want an access token in place of the password")
        }
        error => Failure::caused(format!("cannot log in to {registry}"), error),
    }
}

/// People paste addresses.
pub fn registry(text: &str) -> &str {
    let text = text.strip_prefix("https://").or(text.strip_prefix("http://")).unwrap_or(text);
    match text.split('/').next().unwrap_or(text) {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        host => host,
    }
}

fn who(args: &Args, context: &Context) -> Result<(String, String)> {
    let asks = io::stdin().is_terminal() && !args.password_stdin;
    let user = match &args.username {
        Some(user) => user.clone(),
        None if asks => ask(context, "user: ")?,
        None => return Err(Failure::usage("who logs in?").hint("give `--username NAME`")),
    };
    if args.password_stdin {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map_err(unreadable)?;
        return match text.trim_end_matches(['\n', '\r']) {
            "" => Err(Failure::usage("standard input holds no password")),
            password => Ok((user, password.to_owned())),
        };
    }
    if !asks {
        return Err(Failure::usage("there is no terminal to ask for the password").hint(
            "give it by `--password-stdin`: keel login -u NAME --password-stdin REGISTRY <FILE",
        ));
    }
    let password = unseen(|| ask(context, "password: "))?;
    context.screen.blank();
    Ok((user, password))
}

fn ask(context: &Context, question: &str) -> Result<String> {
    context.screen.ask(question);
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(unreadable)?;
    match line.trim() {
        "" => Err(Failure::usage("nothing was given")),
        text => Ok(text.to_owned()),
    }
}

/// With a terminal that does not show what is typed.
fn unseen(ask: impl FnOnce() -> Result<String>) -> Result<String> {
    let terminal = |error: rustix::io::Errno| Failure::caused("cannot use the terminal", &error);
    let before = termios::tcgetattr(io::stdin()).map_err(terminal)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    termios::tcsetattr(io::stdin(), OptionalActions::Now, &silent).map_err(terminal)?;
    let answer = ask();
    termios::tcsetattr(io::stdin(), OptionalActions::Now, &before).map_err(terminal)?;
    answer
}

fn unreadable(error: io::Error) -> Failure {
    Failure::caused("cannot read standard input", &error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_its_host() {
        let cases = [
            ("docker.io", "docker.io"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("http://localhost:5000", "localhost:5000"),
            ("ghcr.io/ann", "ghcr.io"),
        ];
        for (text, host) in cases {
            assert_eq!(registry(text), host, "{text}");
        }
    }
}
