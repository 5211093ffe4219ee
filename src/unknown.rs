//! A command that there is not: whether it is one of docker's that a later version has, what does the
//! same here, or what was meant.

use crate::cli::Cli;
use crate::exit::Exit;
use crate::failure::Failure;
use clap::{Command, CommandFactory};
use keel_spec::nearest;

/// Commands that are planned, with what helps until then.
const LATER: &[(&str, &str)] = &[
    ("approve", "`keel confirm` lets a held revision through"),
    ("commit", "images are built elsewhere, and pulled"),
    ("cp", "`keel exec -i CONTAINER sh -c 'cat > FILE' < FILE` writes a file"),
    ("diff", "`keel drift` shows what differs from what was applied"),
    ("events", "`keel serve` tells what happens, and `keel history` what happened"),
    ("load", "push the image to a registry"),
    ("port-forward", "`ports:` of the service publishes a port"),
    ("push", "images are pushed by what builds them"),
    ("save", "pull the image from a registry"),
    ("stats", "`keel exec CONTAINER top` shows what a container uses"),
    ("top", "`keel exec CONTAINER ps` lists its processes"),
    ("wait", "`keel logs -f CONTAINER` returns when it has ended"),
];

/// What people call a command that is called otherwise here: docker's other commands, and those of
/// similar programs.
const OTHERWISE: &[(&str, &str)] = &[
    ("build", "help: images are built elsewhere, and pulled"),
    ("compose", "help: `keel compose up` is `keel up` here"),
    ("config", "render"),
    ("container", "ps"),
    ("create", "up"),
    ("delete", "rm"),
    ("deploy", "apply"),
    ("describe", "inspect"),
    ("destroy", "down"),
    ("df", "system df"),
    ("events-log", "history"),
    ("get", "ps"),
    ("info", "status"),
    ("lint", "check"),
    ("list", "ps"),
    ("log", "logs"),
    ("ls", "status"),
    ("pause", "suspend"),
    ("port", "ps"),
    ("prune", "system prune"),
    ("reconcile", "sync"),
    ("refresh", "sync"),
    ("reload", "sync"),
    ("remove", "rm"),
    ("restart-all", "restart"),
    ("revert", "rollback"),
    ("sh", "exec -it"),
    ("shell", "exec -it"),
    ("show", "inspect"),
    ("stack", "status"),
    ("undo", "rollback"),
    ("unpause", "resume"),
    ("update", "sync"),
    ("validate", "check"),
    ("version", "--version"),
    ("watch", "serve"),
];

/// What to say of the arguments (without the program's name) of which one is no command.
pub fn told(arguments: &[String], word: &str) -> Failure {
    let (path, command) = parent(arguments, word);
    let full = if path.is_empty() { word.to_owned() } else { format!("{path} {word}") };
    if path.is_empty()
        && let Some((_, until)) = LATER.iter().find(|(name, _)| *name == word)
    {
        return usage(format!("`keel {full}` is not in this version")).hint(*until);
    }
    let unknown = usage(format!("there is no command `keel {full}`"));
    let other = OTHERWISE.iter().find(|(name, _)| *name == word).filter(|_| path.is_empty());
    if let Some((_, other)) = other {
        return match other.strip_prefix("help: ") {
            Some(help) => unknown.hint(help),
            None => unknown.hint(format!("`keel {other}` does that here")),
        };
    }
    let shown = command.get_subcommands().filter(|inner| !inner.is_hide_set());
    let names: Vec<_> = shown.map(Command::get_name).collect();
    let prefix = if path.is_empty() { "keel".to_owned() } else { format!("keel {path}") };
    match nearest::of(word, names.iter().copied()) {
        Some(near) => unknown.hint(format!("did you mean `{prefix} {near}`?")),
        None if path.is_empty() => unknown.hint("`keel --help` lists the commands"),
        None => unknown.hint(format!("there are {}", names.join(", "))),
    }
}

fn usage(message: String) -> Failure {
    Failure::usage(message).with_exit(Exit::Usage)
}

/// The command that the word was to be one of: `image` of `keel image histry`.
fn parent(arguments: &[String], word: &str) -> (String, Command) {
    let (mut path, mut command) = (Vec::new(), Cli::command());
    for argument in arguments.iter().take_while(|argument| *argument != word) {
        if let Some(inner) = command.find_subcommand(argument).cloned() {
            path.push(argument.clone());
            command = inner;
        }
    }
    (path.join(" "), command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(line: &str) -> (String, String) {
        let arguments: Vec<_> = line.split(' ').map(str::to_owned).collect();
        let word = arguments.last().expect("there is one");
        match told(&arguments, word) {
            Failure::Error { message, hint, .. } => (message, hint.unwrap_or_default()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_word_gets_the_answer_that_helps() {
        let cases = [
            ("cp", "`keel cp` is not in this version", "keel exec -i"),
            ("statsu", "there is no command `keel statsu`", "did you mean `keel status`?"),
            ("lgos", "there is no command `keel lgos`", "did you mean `keel logs`?"),
            ("config", "there is no command `keel config`", "`keel render` does that here"),
            ("build", "there is no command `keel build`", "images are built elsewhere, and pulled"),
            ("fly", "there is no command `keel fly`", "`keel --help` lists the commands"),
            ("--root /x volume lss", "`keel volume lss`", "did you mean `keel volume ls`?"),
            ("volume fly", "`keel volume fly`", "there are "),
        ];
        for (line, message, advice) in cases {
            let (said, hint) = hint(line);
            assert!(said.contains(message) && hint.contains(advice), "{line}: {said}: {hint}");
        }
    }

    #[test]
    fn what_is_said_of_commands_is_true() {
        let cli = Cli::command();
        for (name, _) in LATER.iter().chain(OTHERWISE) {
            assert!(cli.find_subcommand(name).is_none(), "there is a command {name}");
        }
        for (_, other) in OTHERWISE.iter().filter(|(_, other)| !other.starts_with(['h', '-'])) {
            let mut command = &cli;
            for word in other.split(' ').take_while(|word| !word.starts_with('-')) {
                command = command.find_subcommand(word).expect(other);
            }
        }
    }
}
