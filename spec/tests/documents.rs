//! Pages that are made from the tables are as the tables are. `UPDATE_DOCS=1` writes them.

use std::fmt::Write;
use std::path::Path;

use keel_spec::Code;
use keel_spec::keys::{Home, KEEL, Key, Support, keys};

fn current(name: &str, wanted: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().expect("it is in a folder")).expect("it can be made");
        std::fs::write(&path, wanted).expect("it can be written");
        return;
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == wanted, "docs/{name} is not current: run the tests with UPDATE_DOCS=1");
}

#[test]
fn the_page_of_keys_is_current() {
    let mut page = String::from(KEYS);
    let all: Vec<Key> = keys().collect();
    section(&mut page, "The file", &all, |path| !path.contains('.'), "");
    let below = |start: &'static str| move |path: &str| path.starts_with(start);
    section(&mut page, "`include`", &all, below("include[]"), "include[].");
    section(&mut page, "`services`", &all, below("services.*."), "services.*.");
    for name in ["networks", "volumes", "configs", "secrets", "models"] {
        let start = format!("{name}.*.");
        section(&mut page, &format!("`{name}`"), &all, |path| path.starts_with(&start), &start);
    }
    page += "## `x-keel`\n\nSet `x-keel` in the stack, where it applies to all services, or in a service, where it overrides the stack.\n\n| key | where | what it decides |\n|---|---|---|\n";
    for key in KEEL {
        let home = match key.home {
            Home::Stack => "stack",
            Home::Service => "service",
            Home::Both => "stack, service",
        };
        let words: Vec<_> = key.words.iter().map(|word| format!("`{word}`")).collect();
        let words =
            if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) };
        let _ = writeln!(page, "| `{}` | {home} | {}{words} |", key.name, key.about);
    }
    page += "\nIn a mount, `x-keel: {shared: true}` declares that several tasks may write to the mount at the same time.\n";
    current("compose-keys.md", &page);
}

#[test]
fn the_page_of_problems_is_current() {
    let mut page = String::from(
        "# Problems\n\n<!-- Generated from the table of codes; do not edit. -->\n\n`keel explain CODE` prints these explanations. `E` refuses the stack, `W` is valid but risky, `N` is\nworth knowing. To accept a warning, use `x-keel: {allow: [W0301]}` in the stack or a service, or\n`# keel: allow W0301` on the line or alone on the line above it. Warnings do not change the exit code\nof `keel check`, unless you use `--strict`.\n\n| code | name | |\n|---|---|---|\n",
    );
    for code in Code::ALL {
        let _ = writeln!(
            page,
            "| [{code}](#{}) | {} | {} |",
            code.id().to_lowercase(),
            code.name(),
            code.title()
        );
    }
    for code in Code::ALL {
        let _ =
            write!(page, "\n## {code}\n\n{}\n\n{}\n", capital(code.title()), code.explanation());
    }
    current("problems.md", &page);
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("**{first}{}**", chars.as_str())
}

const KEYS: &str = "# Keys of Compose files

<!-- Generated from the table of keys; do not edit. -->

This page lists every key of the Compose specification and how keel handles it.

- **yes**: the key means the same as in Docker Compose.
- **limited**: the key does less than in Docker Compose; `keel check` says what is missing.
- **held**: the key is validated but not supported yet. A service that uses it is held: `keel plan`
  names the key, and nothing of the service starts. Other services are not affected.
- **no effect**: the key is accepted and does nothing.

Keys that are not in this table are refused, except for those that start with `x-`. `*` stands for a
name of your choice, `[]` for an item of a list.

";

fn section(
    page: &mut String,
    title: &str,
    keys: &[Key],
    within: impl Fn(&str) -> bool,
    start: &str,
) {
    let _ = write!(page, "## {title}\n\n| key | here | |\n|---|---|---|\n");
    for key in keys {
        let path = key.path();
        if !within(&path) || path.contains("x-keel") {
            continue;
        }
        let (word, note) = match key.row.standing {
            Support::Honored => ("yes", ""),
            Support::Limited(what) => ("limited", what),
            Support::Held(why) => ("held", why),
            Support::Notice(what) => ("no effect", what),
            Support::Refused(why) => ("refused", why),
            Support::Inside => ("as the key above", ""),
        };
        let _ =
            writeln!(page, "| `{}` | {word} | {note} |", path.strip_prefix(start).unwrap_or(&path));
    }
    page.push('\n');
}
