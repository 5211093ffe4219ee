//! The stack to start from is right as it is.

use keel_spec::{Memory, Project, init, load};

#[test]
fn the_starter_loads_without_a_word() {
    for (name, wanted) in [("blog", "blog"), ("My Stack", "mystack"), ("/", "my-stack")] {
        let files = init::starter(name, None).into_iter();
        let files = files.fold(Memory::default(), |files, (path, text)| {
            files.with(std::path::Path::new("/srv/x").join(path), text)
        });
        let loaded = load(&Project::new("/srv/x"), &files);
        assert_eq!(loaded.problems, [], "{name}");
        assert_eq!(loaded.name.as_deref(), Some(wanted));
    }
}

#[test]
fn editors_are_told_of_the_schema() {
    let files = init::starter("blog", Some("./compose.schema.json"));
    let first = files[0].1.lines().next();
    assert_eq!(first, Some("# yaml-language-server: $schema=./compose.schema.json"));
}
