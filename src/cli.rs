//! The whole command line.

use crate::args::{Files, Global};
use crate::cmd::Command;
use clap::{CommandFactory, FromArgMatches, Parser};
use std::fmt::Write;

/// Keeps hosts what your Git repo says.
#[derive(Debug, Parser)]
#[command(
    name = "keel",
    version,
    about = "Keeps hosts what your Git repo says: Compose stacks, with an engine of its own",
    after_help = "Every command has an example in its `--help`.\n\
                  With KEEL_LOG=debug, diagnostics go to standard error.",
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// For every command.
    #[command(flatten)]
    pub global: Global,
    /// For commands that read Compose files; docker compose has them here.
    #[command(flatten)]
    pub files: Files,
    /// Which.
    #[command(subcommand)]
    pub command: Command,
}

/// Which commands belong together, most used first: how `keel --help` lists them.
const GROUPS: &[(&str, &[&str])] = &[
    (
        "Deploy",
        &[
            "up", "down", "plan", "apply", "sync", "rollback", "scale", "suspend", "resume",
            "confirm",
        ],
    ),
    ("Inspect", &["status", "ps", "logs", "drift", "history", "inspect"]),
    ("Containers", &["run", "exec", "attach", "start", "stop", "restart", "kill", "rm"]),
    ("Compose files", &["check", "render", "explain", "init", "schema"]),
    ("Images", &["pull", "images", "rmi", "image", "login", "logout"]),
    ("Networks and volumes", &["network", "volume"]),
    ("Pool", &["agent", "node", "token", "ca", "pool", "rebalance"]),
    (
        "System",
        &["serve", "source", "notify", "backup", "restore", "store", "system", "completion"],
    ),
];

/// The command line, with its commands in groups.
pub fn command() -> clap::Command {
    let command = Cli::command();
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{}Global options:\n{{options}}{{after-help}}",
        listing(&command)
    );
    command.help_template(template)
}

/// Reads this process's command line.
///
/// # Errors
/// What is wrong with it, or that only help was asked for.
pub fn parse() -> Result<Cli, clap::Error> {
    command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches))
}

fn listing(command: &clap::Command) -> String {
    let width = GROUPS.iter().flat_map(|(_, names)| *names).map(|name| name.len()).max();
    let mut text = String::new();
    for (title, names) in GROUPS {
        let _ = writeln!(text, "{title}:");
        for name in *names {
            let about = command.find_subcommand(name).and_then(clap::Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(text, "  {name:0$}  {about}", width.unwrap_or(0));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(command: &clap::Command, path: &str, seen: &mut Vec<(String, String)>) {
        for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
            let path = format!("{path} {}", inner.get_name());
            if inner.has_subcommands() {
                walk(inner, &path, seen);
            } else {
                let help = inner.get_after_help().map(ToString::to_string).unwrap_or_default();
                seen.push((path, help));
            }
        }
    }

    #[test]
    fn every_command_is_listed_in_one_group() {
        let command = Cli::command();
        let visible = command.get_subcommands().filter(|inner| !inner.is_hide_set());
        let mut visible: Vec<_> = visible.map(clap::Command::get_name).collect();
        let mut listed: Vec<_> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
        visible.sort_unstable();
        listed.sort_unstable();
        assert_eq!(visible, listed);
        let help = super::command().render_help().to_string();
        for part in ["Deploy:\n  up ", "Converge a stack", "Global options:\n", "--root <DIR>"] {
            assert!(help.contains(part), "{part} is not in\n{help}");
        }
    }

    #[test]
    fn every_command_has_an_example_of_itself() {
        let mut command = Cli::command();
        command.build();
        let mut seen = vec![];
        walk(&command, "keel", &mut seen);
        assert!(seen.len() > 30, "{seen:?}");
        for (path, help) in seen {
            let shown = ["Example", "Examples"];
            let shown = shown.iter().any(|head| help.contains(&format!("{head}:\n  {path}")));
            assert!(shown, "{path}: {help}");
        }
    }

    #[test]
    fn what_fingers_know_is_understood() {
        let cases = [
            "serve stacks/hello other",
            "serve --git https://git.example.org/x.git --branch main --path stacks/* --poll 1s",
            "check",
            "check a b/compose.yaml",
            "plan --format json .",
            "plan -f a.yaml -f b.yaml -p shop --profile debug --env-file prod.env",
            "-f a.yaml -f b.yaml -p shop up -d web",
            "--profile debug --project-directory /srv down -v",
            "up -d --pull always --force-recreate ./shop web db",
            "up",
            "up --wait --remove-orphans",
            "volume inspect a b",
            "network inspect lan",
            "down -v shop",
            "down --volumes",
            "status --exit-code shop",
            "ps -aq",
            "ps -a --format json",
            "logs -f --tail 10 --since 10m -t shop/web",
            "logs -fn 5",
            "exec -it shop/db psql -U app",
            "exec -i -u 1000 -w /tmp -e A=b shop-db-1 sh -c true",
            "attach --no-stdin --sig-proxy=false --detach-keys ctrl-a,d shop-db-1",
            "run --rm -it -v a:/a -p 80:80 -e A=b --name x --network host -w / -u 1 img sh -c id",
            "run --entrypoint sh img -c id",
            "run img --rm",
            "stop -t 3 shop",
            "restart -t 3 shop/web.1",
            "kill -s HUP x",
            "rm -fv x",
            "rm -s -f x",
            "login -u ann --password-stdin ghcr.io",
            "volume ls -q",
            "network create --subnet 10.0.0.0/24 lan",
            "--root /tmp/x ps",
            "ps --root /tmp/x --quiet",
        ];
        for line in cases {
            let words = std::iter::once("keel").chain(line.split(' '));
            let parsed = Cli::try_parse_from(words);
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let cases = [
            "",
            "fly",
            "serve --branch main",
            "serve --git x --poll soon",
            "up --pull sometimes",
            "exec shop",
            "run",
            "stop",
            "start",
            "start --boot x",
            "suspend Shop",
            "ps --format yaml",
            "login --password secret",
        ];
        for line in cases {
            let words = std::iter::once("keel").chain(line.split_whitespace());
            assert!(Cli::try_parse_from(words).is_err(), "{line}");
        }
    }

    #[test]
    fn a_containers_command_keeps_its_own_flags() {
        let words = ["keel", "run", "--rm", "img", "ls", "--rm", "-la", "--", "x"];
        let Command::Run(run) = Cli::try_parse_from(words).unwrap().command else {
            panic!("it is run");
        };
        assert_eq!(run.image, ["img", "ls", "--rm", "-la", "--", "x"]);
    }
}
