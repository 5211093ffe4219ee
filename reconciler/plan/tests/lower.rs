//! Compose text in, desired state out.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use keel_engine::{Digest, MountSource};
use keel_plan::desired::{Desired, Owner, Policy, locate};
use keel_plan::lower::{Base, Context, Lack, Lowered, Sources, lower};
use keel_spec::{Code, Files, Kind, Memory, Project};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Files in memory, some of them in Git.
#[derive(Default)]
struct Facts {
    files: Memory,
    tracked: BTreeMap<PathBuf, Digest>,
}

impl Facts {
    fn with(mut self, path: &str, content: &str) -> Self {
        self.files = self.files.with(path, content);
        self
    }

    fn tracked(mut self, path: &str, content: &str) -> Self {
        self.tracked.insert(path.into(), Digest::of(content.as_bytes()));
        self.with(&format!("/checkout/{path}"), content)
    }
}

impl Sources for Facts {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.read(path)
    }
    fn kind(&self, path: &Path) -> Kind {
        self.files.kind(path)
    }
    fn tracked(&self, in_repo: &Path) -> Option<Digest> {
        self.tracked.get(in_repo).cloned()
    }
    fn linked(&self, _: &Path) -> Option<Digest> {
        None
    }
    fn lacks(&self, _: &Path) -> Option<Lack> {
        None
    }
    fn leaves(&self, _: &Path) -> bool {
        false
    }
}

fn context(base: Base, revision: &str) -> Context {
    Context {
        owner: Owner::Cli { path: "/srv/blog".into() },
        revision: revision.into(),
        base,
        home: Some("/root".into()),
        policy: Policy::default(),
        confined: false,
    }
}

/// A folder `/srv/blog` with this Compose file.
fn folder(text: &str, facts: Facts) -> Lowered {
    let facts = facts.with("/srv/blog/compose.yaml", text);
    let loaded = keel_spec::load(&Project::new("/srv/blog"), &facts.files);
    let errors: Vec<_> = loaded.problems.iter().filter(|problem| problem.is_error()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let base = Base::Folder { root: "/srv/blog".into() };
    lower(&loaded.stack.unwrap(), &facts, &context(base, "r1"))
}

/// A repository with this Compose file at `stacks/blog`.
fn git(text: &str, facts: Facts) -> Lowered {
    let facts = facts.with("/checkout/stacks/blog/compose.yaml", text);
    let project = Project::new("/checkout/stacks/blog").shown("stacks/blog");
    let loaded = keel_spec::load(&project, &facts.files);
    let base = Base::Git { checkout: "/checkout".into(), data: "/var/lib/keel/data/home".into() };
    lower(&loaded.stack.unwrap(), &facts, &context(base, "r1"))
}

fn desired(text: &str) -> Desired {
    let lowered = folder(text, Facts::default());
    assert!(lowered.problems.is_empty(), "{:?}", lowered.problems);
    lowered.desired
}

#[test]
fn names_labels_and_the_default_network() {
    let desired = desired(
        "services:\n  web:\n    image: nginx:1\n    volumes: [data:/data]\nvolumes: {data: }\n",
    );
    let spec = serde_json::to_string_pretty(&desired.services["web"].spec).unwrap();
    insta::assert_snapshot!(spec, @r#"
    {
      "container_name": "blog-web",
      "image": "nginx:1",
      "volumes": [
        {
          "source": {
            "volume": {
              "name": "blog_data"
            }
          },
          "target": "/data"
        }
      ],
      "networks": [
        {
          "network": "blog_default",
          "aliases": [
            "web"
          ]
        }
      ],
      "labels": {
        "com.docker.compose.oneoff": "False",
        "com.docker.compose.project": "blog",
        "com.docker.compose.project.working_dir": "/srv/blog",
        "com.docker.compose.service": "web",
        "keel.service": "web",
        "keel.stack": "blog"
      }
    }
    "#);
    assert_eq!(desired.networks.keys().collect::<Vec<_>>(), ["blog_default"]);
    assert_eq!(desired.volumes.keys().collect::<Vec<_>>(), ["blog_data"]);
}

#[test]
fn what_docker_would_do_anyway_is_not_stored() {
    let plain = desired("services: {web: {image: x}}");
    let said = desired(
        "services:\n  web:\n    image: x\n    shm_size: 64m\n    stop_grace_period: 10s\n    \
         restart: \"no\"\n    init: false\n    networks: [default]\n    # a comment\n",
    );
    assert_eq!(plain.services["web"].spec, said.services["web"].spec);
    assert_eq!(plain.hash, said.hash);
}

#[test]
fn order_in_the_file_has_no_meaning_and_origins_follow() {
    let one = "services:\n  web:\n    image: x\n    ports:\n      - 81:80\n      - 80:80\n    \
               cap_add: [NET_ADMIN, CHOWN]\n    volumes:\n      - /b:/b\n      - /a:/a\n";
    let two = "services:\n  web:\n    cap_add: [CHOWN, NET_ADMIN]\n    volumes: [/a:/a, /b:/b]\n    \
               ports: [80:80, 81:80]\n    image: x\n";
    let (one, two) = (desired(one), desired(two));
    assert_eq!(one.hash, two.hash);
    let web = &one.services["web"];
    assert_eq!(web.spec.ports[0].published, Some(80));
    let at = |field| locate(&web.origins, field).unwrap();
    assert_eq!((at("ports[0]").line, at("ports[0]").text.trim()), (6, "- 80:80"));
    assert_eq!(at("volumes[0]").line, 10);
}

#[test]
fn the_revision_is_no_part_of_the_meaning() {
    let text = "services: {web: {image: x, volumes: [./site:/site:ro]}}";
    let one = git(text, Facts::default().tracked("stacks/blog/site", "1")).desired;
    let two = git(&format!("# moved\n{text}"), Facts::default().tracked("stacks/blog/site", "1"));
    let three = git(text, Facts::default().tracked("stacks/blog/site", "2")).desired;
    assert_eq!(one.hash, two.desired.hash);
    assert_ne!(one.hash, three.hash, "another content");
}

#[test]
fn a_path_of_a_repository_is_decided_over_the_whole_stack() {
    let text = "
services:
  web:
    image: x
    volumes: [./site:/site:ro, ./both:/both:ro, ./untracked:/untracked:ro, ../media:/media, /mnt:/mnt, ~/x:/x]
  other: {image: x, volumes: [./both:/both]}
";
    let facts = Facts::default().tracked("stacks/blog/site", "1").tracked("stacks/blog/both", "1");
    let lowered = git(text, facts);
    let shown: Vec<_> = lowered.desired.services["web"]
        .spec
        .volumes
        .iter()
        .map(|mount| match &mount.source {
            MountSource::Revision { path, digest, .. } => {
                assert!(path.is_empty(), "nodes do not know the checkout");
                let path = Path::new("/checkout").join(&lowered.trees[digest]);
                format!("{}: revision {}", mount.target, path.display())
            }
            MountSource::Bind { path, .. } => format!("{}: bind {path}", mount.target),
            other => format!("{other:?}"),
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @r"
    /both: bind /var/lib/keel/data/home/stacks/blog/both
    /media: bind /var/lib/keel/data/home/stacks/media
    /mnt: bind /mnt
    /site: revision /checkout/stacks/blog/site
    /untracked: bind /var/lib/keel/data/home/stacks/blog/untracked
    /x: bind /root/x
    ");
    let data: Vec<_> = lowered.data.iter().map(|path| path.display().to_string()).collect();
    assert_eq!(data, ["stacks/blog/both", "stacks/blog/untracked", "stacks/media"]);
}

#[test]
fn what_leaves_the_repository_is_refused() {
    let lowered =
        git("services: {web: {image: x, volumes: [../../../etc:/etc]}}", Facts::default());
    assert_eq!(lowered.problems[0].code, Code::OutsideRepository);
    assert_eq!(lowered.problems[0].span.as_ref().unwrap().line, 1);
}

#[test]
fn a_read_only_file_of_a_folder_counts_by_its_content() {
    let text = "services: {web: {image: x, volumes: [./nginx.conf:/etc/nginx.conf:ro]}}";
    let of = |content| folder(text, Facts::default().with("/srv/blog/nginx.conf", content)).desired;
    assert_eq!(of("a").hash, of("a").hash);
    assert_ne!(of("a").services["web"].hash, of("b").services["web"].hash);
    let source = of("a").services["web"].spec.volumes[0].source.clone();
    assert_eq!(source, MountSource::Bind { path: "/srv/blog/nginx.conf".into(), create: true });
}

#[test]
fn configs_and_secrets_go_by_digest() {
    let text = "
services: {web: {image: x, configs: [site], secrets: [key]}}
configs: {site: {content: hello}}
secrets: {key: {file: ./key.txt}}
";
    let lowered = folder(text, Facts::default().with("/srv/blog/key.txt", "hush"));
    let digests: Vec<_> = lowered.contents.iter().map(|content| content.digest).collect();
    assert_eq!(digests.len(), 2);
    assert!(digests.contains(&lowered.desired.services["web"].spec.secrets[0].digest));
    let stored = serde_json::to_string(&lowered.desired).unwrap();
    assert!(!stored.contains("hush"));
}

#[test]
fn what_git_rightly_lacks_is_read_from_the_data_folder_or_named() {
    let text = "services: {web: {image: x, secrets: [key]}}\nsecrets: {key: {file: ./key.txt}}";
    let missing = git(text, Facts::default());
    assert!(missing.problems[0].message.contains("/var/lib/keel/data/home/stacks/blog/key.txt"));
    let kept = "/var/lib/keel/data/home/stacks/blog/key.txt";
    let there = git(text, Facts::default().with(kept, "hush"));
    assert!(there.problems.is_empty(), "{:?}", there.problems);
}

#[test]
fn what_is_held_stays_in_sight_and_what_is_off_does_not() {
    let text = "
services:
  web: {build: .}
  gpu: {image: x, devices: [/dev/nope:/dev/nope]}
  debug: {image: x, profiles: [debug]}
";
    let desired = folder(text, Facts::default()).desired;
    let held: Vec<_> = desired
        .services
        .iter()
        .map(|(name, service)| {
            (name.as_str(), service.held.first().map(|held| held.field.as_str()))
        })
        .collect();
    assert_eq!(held, [("gpu", None), ("web", Some("build"))], "devices are for the node to judge");
}

#[test]
fn names_inside_networks() {
    let text = "
services:
  web:
    image: x
    container_name: front
    networks: {back: {aliases: [api]}, edge: {priority: 5}}
networks: {back: , edge: {name: edge, external: true}}
";
    let desired = desired(text);
    let networks = &desired.services["web"].spec.networks;
    let shown: Vec<_> =
        networks.iter().map(|on| format!("{}: {}", on.network, on.aliases.join(" "))).collect();
    assert_eq!(shown, ["edge: front web", "blog_back: api front web"]);
    assert!(desired.networks["edge"].external);
    let origin = |path: &str| locate(&desired.services["web"].origins, path).unwrap().line;
    assert_eq!(origin("networks.blog_back.aliases"), 6, "by the full name, as the task has it");
}

#[test]
fn a_password_s_line_is_in_no_record() {
    let text = "services:\n  db:\n    image: x\n    environment:\n      DB_PASSWORD: hush\n      TZ: UTC\n";
    let origins = &desired(text).services["db"].origins;
    assert_eq!(locate(origins, "environment.DB_PASSWORD").unwrap().text, "");
    assert_eq!(locate(origins, "environment.TZ").unwrap().text.trim(), "TZ: UTC");
}

#[test]
fn policy_comes_from_outside_unless_the_stack_says_otherwise() {
    let text = "x-keel: {drift: report}\nservices: {web: {image: x, x-keel: {settle: 3s, exclusive: true}}, other: {image: x}}";
    let desired = desired(text);
    assert_eq!(serde_json::to_value(&desired.policy).unwrap()["drift"], "report");
    assert_eq!(desired.policy.settle, 10_000);
    assert_eq!(desired.services["web"].settle, Some(3_000));
    assert!(desired.services["web"].placement.exclusive);
    assert!(!desired.services["other"].placement.exclusive);
}

#[test]
fn a_missing_file_is_an_error_from_git_and_a_warning_elsewhere() {
    let cases = [
        (
            "./nginx.conf:/etc/nginx/nginx.conf",
            Some(Code::MissingSource),
            Some(Code::FolderForFile),
        ),
        ("./there.conf:/etc/app.conf:ro", None, None),
        ("./kept.conf:/etc/app.conf:ro", None, Some(Code::FolderForFile)),
        ("./data:/data", None, None),
        ("./nginx.conf/:/etc/nginx/nginx.conf", None, None),
        ("/etc/app.conf:/etc/app.conf", Some(Code::MissingSource), Some(Code::FolderForFile)),
        ("/etc/hosts:/etc/hosts:ro", None, None),
        ("/etc/timezone:/etc/timezone:ro", Some(Code::FolderForFile), Some(Code::FolderForFile)),
        ("./state/app.db:/app.db", Some(Code::FolderForFile), Some(Code::FolderForFile)),
        ("./other/app.db:/app.db", Some(Code::MissingSource), Some(Code::FolderForFile)),
        (
            "{type: bind, source: ./data, target: /d, bind: {create_host_path: false}}",
            Some(Code::MissingSource),
            Some(Code::FolderForFile),
        ),
    ];
    for (mount, from_git, in_folder) in cases {
        let text = format!(
            "services:\n  web: {{image: x, volumes: [{mount:?}]}}\n  \
             other: {{image: x, volumes: ['./state:/s', './other:/o:ro']}}\n"
        );
        let text =
            if mount.starts_with('{') { text.replace(&format!("{mount:?}"), mount) } else { text };
        let facts = || {
            let facts = Facts::default()
                .with("/var/lib/keel/data/home/stacks/blog/kept.conf", "")
                .with("/etc/hosts", "");
            facts.tracked("stacks/blog/there.conf", "").with("/srv/blog/there.conf", "")
        };
        let code = |lowered: Lowered| lowered.problems.first().map(|problem| problem.code);
        assert_eq!(code(git(&text, facts())), from_git, "{mount} from Git");
        assert_eq!(code(folder(&text, facts())), in_folder, "{mount} in a folder");
    }
}

#[test]
fn where_tasks_may_run_is_no_part_of_what_they_are() {
    let plain = desired("services:\n  web:\n    image: nginx\n");
    let text = "services:\n  web:\n    image: nginx\n    deploy:\n      placement:\n        \
                constraints: [node.labels.zone==a]\n        preferences: [{spread: \
                node.labels.rack}]\n        max_replicas_per_node: 2\n";
    let placed = desired(text);
    let placement = &placed.services["web"].placement;
    assert_eq!(placement.constraints[0].to_string(), "node.labels.zone == a");
    assert_eq!(
        (placement.spread.as_slice(), placement.max_per_node),
        (&["rack".into()][..], Some(2))
    );
    assert_eq!(plain.services["web"].hash, placed.services["web"].hash, "nothing is restarted");
    assert_ne!(plain.hash, placed.hash, "it is another revision");
    let (from, to) = (keel_plan::lines::of(&plain), keel_plan::lines::of(&placed));
    let shown = keel_plan::lines::unified(("old", &from), ("new", &to));
    assert!(
        shown.contains("+services.web.deploy.placement.constraints[0]: node.labels.zone == a"),
        "{shown}"
    );
}

#[test]
fn what_is_reserved_is_changed_in_place() {
    let reserved = |text: &str| {
        desired(&format!(
            "services:\n  web:\n    image: nginx\n    deploy: {{resources: {{reservations: {text}}}}}\n"
        ))
    };
    let (one, other) = (reserved("{memory: 64m}"), reserved("{cpus: '0.5', memory: 128m}"));
    let spec = &other.services["web"].spec;
    assert_eq!((spec.reserved_cpus, spec.reserved_memory), (Some(500_000_000), Some(128 << 20)));
    let differences = keel_engine::diff(&one.services["web"].spec, spec);
    assert_eq!(keel_engine::cost_of(&differences), Some(keel_engine::fields::Cost::InPlace));
    let origin = locate(&other.services["web"].origins, "reserved_memory").unwrap();
    assert_eq!((origin.line, origin.column), (4, 62));
}

/// What lies beside the Compose file is on the controller's node; what a revision holds goes with it.
#[test]
fn paths_that_do_not_travel_keep_a_service_at_home() {
    let path = |mount: &str, read: fn(&str, Facts) -> Lowered| {
        let facts = Facts::default().tracked("stacks/blog/conf", "x");
        let text = format!(
            "services:\n  web:\n    image: nginx\n    volumes: [\"{mount}\"]\nvolumes: {{data: }}\n"
        );
        read(&text, facts).desired.services["web"].placement.home_path.clone()
    };
    assert_eq!(path("./conf:/conf:ro", folder), Some("./conf".into()));
    assert_eq!(path("./conf:/conf:ro", git), None);
    assert_eq!(path("./data:/data", git), Some("./data".into()));
    assert_eq!(path("/srv/data:/data", folder), None);
    assert_eq!(path("data:/data", folder), None);
}
