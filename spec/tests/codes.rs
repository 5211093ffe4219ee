//! The explanation of every code shows it: its first example has the problem, and the one after
//! `Instead:` has not.

use keel_spec::{Code, Memory, Project, load};

/// What a Compose file alone cannot show, or would take too much room to.
const WITHOUT_EXAMPLE: &[Code] = &[
    Code::TooLarge,
    Code::NotUtf8,
    Code::AliasBomb,
    Code::TooDeep,
    Code::NoFile,
    Code::Empty,
    Code::ValueTooLong,
    Code::TooMany,
    Code::NotANumber,
    Code::NoHome,
    Code::OutsideRepository,
    Code::Config,
    Code::ConfigFile,
    Code::NotAllowed,
    Code::NotFetched,
    Code::MissingSource,
    Code::StacksConflict,
    Code::WritableFile,
    Code::HealthTimeout,
    Code::OpenSecret,
    Code::FolderForFile,
    Code::More,
];

#[test]
fn examples_show_what_they_explain() {
    for code in Code::ALL {
        let Some((bad, good)) = code.explanation().split_once("Instead:") else {
            assert!(WITHOUT_EXAMPLE.contains(code), "{code} has no example");
            continue;
        };
        assert!(
            codes(bad).contains(code),
            "the first example of {code} shows it: {:?}",
            codes(bad)
        );
        let left: Vec<Code> =
            codes(good).into_iter().filter(|left| *left != Code::RelativeData).collect();
        assert!(left.is_empty(), "the second example of {code} is right, but for {left:?}");
    }
}

/// The codes of what loading the files of a text says.
fn codes(text: &str) -> Vec<Code> {
    let blocks = text.split("\n```").filter_map(|block| {
        let (info, content) = block.split_once('\n')?;
        let (language, name) = info.split_once(' ').unwrap_or((info, "compose.yaml"));
        matches!(language, "yaml" | "env").then_some((name, content))
    });
    let files = blocks.fold(Memory::default(), |files, (name, content)| {
        files.with(format!("/srv/blog/{name}"), format!("{content}\n"))
    });
    let loaded = load(&Project::new("/srv/blog"), &files);
    loaded.problems.iter().map(|problem| problem.code).collect()
}
