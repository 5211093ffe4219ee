//! Merging is associative: of three files, two may be merged and written out first. Not where the
//! specification says otherwise: `logging`, whose drivers decide, and `!reset` and `!override`,
//! which are gone once they were obeyed.

use keel_spec::{Memory, Project, render};
use proptest::prelude::*;
use proptest::sample::select;

/// Keys of a service with values that meet in every way: in both forms, with the same names, and
/// with others.
const KEYS: &[(&str, &[&str])] = &[
    ("build", &["./a", "{context: ./b, args: {A: 1}}", "{args: [A=2, B=3]}"]),
    ("cap_add", &["[NET_ADMIN]", "[SYS_TIME, NET_ADMIN]"]),
    ("command", &["[a, b]", "c d", "[]"]),
    ("container_name", &["one", "two"]),
    ("depends_on", &["[db]", "{db: {condition: service_healthy}}", "[cache]"]),
    ("deploy", &["{replicas: 1}", "{resources: {limits: {memory: 64m}}}", "{labels: [a=b]}"]),
    ("devices", &["[/dev/a]", "[\"/dev/b:/dev/a\", /dev/c]"]),
    ("dns", &["1.1.1.1", "[1.1.1.1, 8.8.8.8]"]),
    ("entrypoint", &["[e]", "f g"]),
    ("environment", &["{A: 1, B: 2}", "[A=3, C]", "{C: x, D: }"]),
    ("extra_hosts", &["[\"a:1.1.1.1\"]", "{a: 2.2.2.2, b: 3.3.3.3}"]),
    ("group_add", &["[a]", "[b, a]"]),
    ("healthcheck", &["{test: a, retries: 2}", "{interval: 5s}", "{test: [CMD, b]}"]),
    ("init", &["true", "false"]),
    ("labels", &["{a: b}", "[a=c, d]"]),
    ("networks", &["[m]", "{n: {aliases: [x]}}", "{n: {aliases: [y]}, m: }"]),
    ("ports", &["[\"80:80\", 81]", "[\"80:80\", {target: 90, published: 91}]", "[\"80:80/udp\"]"]),
    ("secrets", &["[s]", "[{source: s, target: t}, s]"]),
    ("security_opt", &["[\"no-new-privileges:true\"]", "[\"label=disable\"]"]),
    ("sysctls", &["{net.a: 1}", "[net.a=2, net.b=3]"]),
    ("tmpfs", &["/t", "[/t, /u]"]),
    ("ulimits", &["{nofile: 9, nproc: {soft: 1, hard: 2}}", "{nofile: {soft: 3, hard: 4}}"]),
    ("volumes", &["[\"./a:/a\", \"v:/v\"]", "[\"./b:/a:ro\"]", "[{type: tmpfs, target: /v}]"]),
];

/// What every file declares, so that each of them is right by itself.
const DECLARED: &str = "  db: {image: y}
  cache: {image: z}
networks: {m: , n: {ipam: {config: [{subnet: 10.0.0.0/24}]}}}
volumes: {v: {labels: [a=b]}}
secrets: {s: {file: ./s}}
";

/// A file with some of the keys.
fn file() -> impl Strategy<Value = String> {
    let values = KEYS.iter().map(|(key, values)| {
        let line = |value: &str| format!("    {key}: {value}\n");
        let lines: Vec<String> = values.iter().map(|value| line(value)).collect();
        // Where none is given, writing a model out gives the default network.
        let none = if *key == "networks" { lines[0].clone() } else { String::new() };
        prop_oneof![Just(none), select(lines)]
    });
    values
        .collect::<Vec<_>>()
        .prop_map(|lines| format!("services:\n  web:\n    image: x\n{}{DECLARED}", lines.concat()))
}

/// The model of some files, as a file.
fn merged(files: &[&str]) -> String {
    let names = ["a.yaml", "b.yaml", "c.yaml"];
    let named = names.iter().zip(files);
    let memory = named.fold(Memory::default(), |memory, (name, text)| {
        memory.with(format!("/blog/{name}"), *text)
    });
    let project = Project::new("/blog").files(&names[..files.len()]);
    let rendered = render(&project, &memory);
    match rendered.document {
        Some(document) => document.yaml(),
        None => panic!("{files:#?}\n{:#?}", rendered.loaded.problems),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn merging_is_associative(a in file(), b in file(), c in file()) {
        let all = merged(&[&a, &b, &c]);
        prop_assert_eq!(&merged(&[&merged(&[&a, &b]), &c]), &all, "the first two first");
        prop_assert_eq!(&merged(&[&a, &merged(&[&b, &c])]), &all, "the last two first");
    }
}
