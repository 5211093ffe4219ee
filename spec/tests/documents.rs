//! Pages that are made from the tables are as the tables are. `UPDATE_DOCS=1` writes them.

use std::fmt::Write;
use std::path::Path;

use keel_spec::Code;
use keel_spec::keys::{Home, KEEL, Key, Standing, keys};

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
    page += "## `x-keel`\n\nIn the stack, where it holds for all services, and in a service, where it wins.\n\n| key | where | what it decides |\n|---|---|---|\n";
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
    page += "\nIn a mount, `x-keel: {shared: true}` says that several tasks may write to it at a time.\n";
    current("compose-keys.md", &page);
}

#[test]
fn the_page_of_problems_is_current() {
    let mut page = String::from(
        "# Problems\n\n<!-- Made from the table of codes; do not edit. -->\n\n`keel explain CODE` prints these. `E` refuses the stack, `W` is legal and hurts, `N` is worth\nknowing. Warnings that are meant are allowed in `x-keel: {allow: [W0301]}` of the stack or a\nservice, or by `# keel: allow W0301` on the line or alone above it. They never change the exit code\nof `keel check`; `--strict` does.\n\n| code | name | |\n|---|---|---|\n",
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

<!-- Made from the table of keys; do not edit. -->

Every key of the Compose specification, and what it does here.

- **yes**: it means what it means in docker compose.
- **limited**: it does less here; `keel check` says what.
- **held**: it is read with care and not run yet. Its service is held: `keel plan` names it, and
  nothing of it starts. The others go on.
- **no effect**: it is accepted, and does nothing here.

Keys that are not in this table are refused, but for those that begin with `x-`. `*` is a name of
your own, `[]` an item of a list.

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
            Standing::Honoured => ("yes", ""),
            Standing::Limited(what) => ("limited", what),
            Standing::Held(why) => ("held", why),
            Standing::Notice(what) => ("no effect", what),
            Standing::Refused(why) => ("refused", why),
            Standing::Inside => ("as the key above", ""),
        };
        let _ =
            writeln!(page, "| `{}` | {word} | {note} |", path.strip_prefix(start).unwrap_or(&path));
    }
    page.push('\n');
}
