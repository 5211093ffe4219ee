//! What a load says beside the stack and its problems.

use std::io;
use std::path::Path;

use keel_spec::problem::render;
use keel_spec::service::MountKind;
use keel_spec::{Files, Kind, Link, Memory, Project, Via, load};

#[test]
fn a_refused_stack_still_has_its_name() {
    let files =
        Memory::default().with("/srv/a/compose.yaml", "name: blog\nservices: {web: {imag: x}}");
    let loaded = load(&Project::new("/srv/a"), &files);
    assert_eq!((loaded.stack, loaded.name.as_deref()), (None, Some("blog")));
}

#[test]
fn a_broken_file_still_says_its_name() {
    let files = Memory::default().with("/srv/a/compose.yaml", "services: [\nname: blog\n");
    let loaded = load(&Project::new("/srv/a"), &files);
    assert_eq!(loaded.name.as_deref(), Some("blog"));
    assert_eq!(loaded.problems.len(), 1, "the cause alone is told");
}

#[test]
fn paths_name_what_was_read_and_what_is_missing() {
    let text = "services: {web: {image: x, env_file: [{path: web.env, required: false}]}}";
    let files = Memory::default().with("/srv/a/compose.yaml", text);
    let loaded = load(&Project::new("/srv/a"), &files);
    let has = |name: &str| loaded.paths.contains(&Path::new("/srv/a").join(name));
    assert!(["compose.yaml", "web.env", ".env", "compose.override.yaml"].into_iter().all(has));
}

#[test]
fn paths_are_shown_below_the_name_that_is_asked_for() {
    let files =
        Memory::default().with("/tmp/checkout/stacks/a/compose.yaml", "services: {web: {}}");
    let project = Project::new("/tmp/checkout/stacks/a").shown("stacks/a");
    let loaded = load(&project, &files);
    let span = loaded.problems[0].span.clone().unwrap();
    assert_eq!(span.to_string(), "stacks/a/compose.yaml:1:12");
}

#[test]
fn a_value_knows_the_chain_that_led_to_it() {
    let files = Memory::default()
        .with("/a/compose.yaml", "services:\n  web:\n    image: nginx:1\n")
        .with("/a/compose.override.yaml", "services:\n  web:\n    image: nginx:${TAG}\n")
        .with("/a/.env", "# versions\nTAG=2\n");
    let stack = load(&Project::new("/a"), &files).stack.unwrap();
    let span = stack.services["web"].origins.get("image").unwrap();
    assert_eq!(span.to_string(), "compose.override.yaml:3:12");
    assert_eq!(span.chain(), ["from `${TAG}` at .env:2:1", "overriding compose.yaml:3:12"]);
}

#[test]
fn env_file_values_point_into_their_file() {
    let files = Memory::default()
        .with("/a/compose.yaml", "services: {web: {image: x, env_file: web.env}}")
        .with("/a/web.env", "A=1\nB=2\n");
    let stack = load(&Project::new("/a"), &files).stack.unwrap();
    let span = stack.services["web"].origins.get("environment.B").unwrap();
    assert_eq!((span.to_string().as_str(), span.len), ("web.env:2:1", 3));
    assert!(matches!(&span.via[..], [Link { how: Via::EnvFile, .. }]));
}

#[test]
fn relative_paths_start_where_their_file_says() {
    let files = Memory::default()
        .with(
            "/a/compose.yaml",
            "include: [sub/compose.yaml]\nservices: {web: {image: x, volumes: ['./w:/w']}}",
        )
        .with("/a/sub/compose.yaml", "services: {db: {image: x, volumes: ['../d:/d', '~/h:/h']}}");
    let stack = load(&Project::new("/a"), &files).stack.unwrap();
    let sources = |service: &str| -> Vec<String> {
        let mounts = stack.services[service].mounts.iter();
        let paths = mounts.filter_map(|mount| match &mount.kind {
            MountKind::Bind { source, .. } => Some(source.path().display().to_string()),
            _ => None,
        });
        paths.collect()
    };
    assert_eq!(sources("web"), ["/a/w"]);
    assert_eq!(sources("db"), ["/a/d", "~/h"]);
}

/// Files of which only those beneath `/srv` may be quoted.
struct Elsewhere(Memory);

impl Files for Elsewhere {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.read(path)
    }

    fn kind(&self, path: &Path) -> Kind {
        self.0.kind(path)
    }

    fn is_quotable(&self, path: &Path) -> bool {
        path.starts_with("/srv")
    }
}

#[test]
fn a_file_that_may_not_be_quoted_is_not_even_in_the_words_of_a_problem() {
    let compose = "include: [/etc/base.yaml]\nservices:\n  web:\n    image: nginx:1.29\n    env_file:\n      - {path: /etc/raw, format: raw}\n      - /etc/name\n      - /etc/unset\n      - /etc/quote\n";
    let files = Memory::default()
        .with("/srv/blog/compose.yaml", compose)
        .with(
            "/etc/base.yaml",
            "S3cret: {S3cret: 1}\nservices: {S3cret: {image: 'S3cret S3cret'}}\n",
        )
        .with("/etc/raw", "root S3cret\n")
        .with("/etc/name", "S3cret S3cret=1\n")
        .with("/etc/unset", "A=pa$S3cret\n")
        .with("/etc/quote", "A='S3cret\n");
    let loaded = load(&Project::new("/srv/blog"), &Elsewhere(files));
    let places: Vec<_> = loaded.problems.iter().filter_map(|one| one.span.as_ref()).collect();
    for file in ["base.yaml", "raw", "name", "unset", "quote"] {
        assert!(places.iter().any(|at| at.file.ends_with(file)), "nothing is said of {file}");
    }
    for problem in &loaded.problems {
        let printed = render(problem, &loaded.texts);
        let data = serde_json::to_string(problem).unwrap();
        assert!(!printed.contains("S3cret") && !data.contains("S3cret"), "{printed}{data}");
    }
}
