use super::*;
use keel_plan::desired::DriftPolicy;
use std::os::unix::fs::PermissionsExt;

#[test]
fn the_keys_that_are_obeyed() {
    let text = r#"
sources:
  home:
    git: https://git.example.org/home.git
    branch: main
    path: [stacks/*, extra]
    poll: 10s
    max-size: 500MiB
    env: { ZONE: eu, COUNT: 3, OLD: 0755 }
    allow: [host-paths]
    data-dir: /srv/data/home
    auth: { token-file: /etc/keel/token }
    webhook: { type: github, secret-file: /etc/keel/hook }
  pinned:
    git: git@example.org:team/a.git
    commit: 3F9C2A1B5D7E9F0011223344556677889900AABB
    auth: { ssh-key-file: /etc/keel/key, known-hosts: /etc/keel/known_hosts }
  tagged: { git: "https://x/t", tag: ">=1.2 <2" }
  here: { dir: /srv/stacks/, poll: 5s }
  named: { git: "https://x/a", auth: { username: me, password-file: /etc/keel/pw } }
policy: { drift: report, settle: 1m30s, prune: false, prune-volumes: true, rollback: false, image-wait: 1h }
listen: { webhooks: "0.0.0.0:9000" }
registries:
  docker.io: { mirrors: ["http://127.0.0.1:5000"] }
  r.example: { auth-hosts: ["login.example", "sso.example:8443"] }
"#;
    let config = Config::parse(text, "keel.yaml").unwrap();
    let home = GitConfig {
        follow: Follow::Branch(Some("main".into())),
        paths: vec!["stacks/*".into(), "extra".into()],
        poll: Duration::from_secs(10),
        max_size: 500 << 20,
        auth: Some(Auth::Token { file: "/etc/keel/token".into(), username: None }),
        data_dir: Some("/srv/data/home".into()),
        ..GitConfig::new("https://git.example.org/home.git")
    };
    let env = [("ZONE", "eu"), ("COUNT", "3"), ("OLD", "0755")];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let webhook = WebhookConfig { forge: "github".into(), secret_file: "/etc/keel/hook".into() };
    let from = From::Git(Box::new(home));
    let home = SourceConfig {
        env,
        allow: Some([Permission::HostPaths].into()),
        webhook: Some(webhook),
        ..SourceConfig::new("home", from)
    };
    assert_eq!(config.sources[0], home);
    let auth = Auth::Ssh {
        key: Some("/etc/keel/key".into()),
        known_hosts: Some("/etc/keel/known_hosts".into()),
    };
    let pinned = GitConfig {
        follow: Follow::Commit("3f9c2a1b5d7e9f0011223344556677889900aabb".into()),
        auth: Some(auth),
        ..GitConfig::new("git@example.org:team/a.git")
    };
    assert_eq!(config.sources[1], SourceConfig::new("pinned", From::Git(Box::new(pinned))));
    let follow = Follow::Tag(">=1.2 <2".into());
    let tagged = GitConfig { follow, ..GitConfig::new("https://x/t") };
    assert_eq!(config.sources[2], SourceConfig::new("tagged", From::Git(Box::new(tagged))));
    let here = From::Directory {
        path: "/srv/stacks".into(),
        globs: vec![".".into()],
        poll: Some(Duration::from_secs(5)),
    };
    assert_eq!(config.sources[3], SourceConfig::new("here", here));
    let expected = Policy {
        drift: DriftPolicy::Report,
        settle: 90_000,
        prune: false,
        prune_volumes: true,
        rollback: false,
        image_wait: 3_600_000,
        ..Policy::default()
    };
    assert_eq!(config.policy, expected);
    assert_eq!(config.listen.webhooks, "0.0.0.0:9000".parse().ok());
    assert_eq!(config.registries["docker.io"].mirrors, ["http://127.0.0.1:5000"]);
    let hosts = &config.registries["r.example"].auth_hosts;
    assert_eq!(hosts, &["login.example", "sso.example:8443"]);
}

#[test]
fn headings_without_keys_are_nothing() {
    assert_eq!(Config::parse("# nothing\n", "keel.yaml").unwrap(), Config::default());
    let headings = "sources:\npolicy:\nlisten: ~\nregistries: {}\n";
    assert_eq!(Config::parse(headings, "keel.yaml").unwrap(), Config::default());
}

#[test]
fn everything_else_is_refused_with_its_position() {
    let text = "policy:
  settle: soon
  deploy: approve
  drift: heel
listen: { api: x, webhooks: 9000 }
sources:
  a: {}
  b: { git: https://x/b, brnach: main }
  c: { dir: /srv, branch: main }
  d: { git: https://x/d, commit: 3f9c2a1 }
  e: { git: https://x/e, auth: { ssh-key-file: /k } }
  f: { git: https://x/f, webhook: { type: gitub, secret-file: hook } }
  g: { git: https://x/g, auth: { username: me } }
  h: { git: https://me@x/h, auth: { token-file: /t } }
  no name: { dir: /srv }
reports: {}
";
    let error = Config::parse(text, "/etc/keel/keel.yaml").unwrap_err().to_string();
    insta::assert_snapshot!(error, @r#"
    error: `soon` is not a duration, such as `90s`, `2m` or `1m30s` [E0704]
     --> /etc/keel/keel.yaml:2:11
      |
    2 |   settle: soon
      |           ^^^^

    error: this version does not obey the key `deploy` in policy [E0704]
     --> /etc/keel/keel.yaml:3:3
      |
    3 |   deploy: approve
      |   ^^^^^^

    error: `drift` is one of `heal`, `report`, not `heel` [E0704]
     --> /etc/keel/keel.yaml:4:10
      |
    4 |   drift: heel
      |          ^^^^

    hint: did you mean `heal`?

    error: this version does not obey the key `api` in listen [E0704]
     --> /etc/keel/keel.yaml:5:11
      |
    5 | listen: { api: x, webhooks: 9000 }
      |           ^^^

    error: `9000` is not an address with a port, such as `0.0.0.0:9000` or `[::]:9000` [E0704]
     --> /etc/keel/keel.yaml:5:29
      |
    5 | listen: { api: x, webhooks: 9000 }
      |                             ^^^^

    error: a source needs either `git` or `dir` [E0704]
     --> /etc/keel/keel.yaml:7:6
      |
    7 |   a: {}
      |      ^^

    error: unknown key `brnach` in a source [E0704]
     --> /etc/keel/keel.yaml:8:26
      |
    8 |   b: { git: https://x/b, brnach: main }
      |                          ^^^^^^

    hint: did you mean `branch`?

    error: `branch`, `commit`, `tag`, `auth`, `forge`, `max-size` and `data-dir` are about `git`, not about `dir` [E0704]
     --> /etc/keel/keel.yaml:9:27
      |
    9 |   c: { dir: /srv, branch: main }
      |                           ^^^^

    error: a commit is named by all of its 40 digits, as `git rev-parse` prints them [E0704]
      --> /etc/keel/keel.yaml:10:34
       |
    10 |   d: { git: https://x/d, commit: 3f9c2a1 }
       |                                  ^^^^^^^

    error: a key is for ssh: write the repository as `ssh://` or `user@host:path` [E0704]
      --> /etc/keel/keel.yaml:11:32
       |
    11 |   e: { git: https://x/e, auth: { ssh-key-file: /k } }
       |                                ^^^^^^^^^^^^^^^^^^^^

    error: `type` is one of `github`, `gitlab`, `gitea`, `generic`, not `gitub` [E0704]
      --> /etc/keel/keel.yaml:12:43
       |
    12 |   f: { git: https://x/f, webhook: { type: gitub, secret-file: hook } }
       |                                           ^^^^^

    hint: did you mean `github`?

    error: `hook` must be a whole path, from `/` on [E0704]
      --> /etc/keel/keel.yaml:12:63
       |
    12 |   f: { git: https://x/f, webhook: { type: gitub, secret-file: hook } }
       |                                                               ^^^^

    error: auth is one of: `token-file`; `username` and `password-file`; `ssh-key-file` and `known-hosts` [E0704]
      --> /etc/keel/keel.yaml:13:32
       |
    13 |   g: { git: https://x/g, auth: { username: me } }
       |                                ^^^^^^^^^^^^^^^^

    error: the URL names a user already: take it out of there [E0704]
      --> /etc/keel/keel.yaml:14:35
       |
    14 |   h: { git: https://me@x/h, auth: { token-file: /t } }
       |                                   ^^^^^^^^^^^^^^^^^^

    error: `no name` is not a valid source name: letters, digits, `-` and `_` [E0704]
      --> /etc/keel/keel.yaml:15:3
       |
    15 |   no name: { dir: /srv }
       |   ^^^^^^^

    error: this version does not obey the key `reports` in keel.yaml [E0704]
      --> /etc/keel/keel.yaml:16:1
       |
    16 | reports: {}
       | ^^^^^^^
    "#);
}

#[test]
fn what_could_never_work_is_refused_at_its_place() {
    let cases = [
        ("tag: '>=new'", "`>=new` is not a range of versions"),
        ("path: [a, ../b]", "`../b` can match nothing: it leaves the source"),
        ("path: []", "the list is empty"),
        ("max-size: 5 apples", "`5 apples` is not a size"),
        ("poll: 0s", "the minimum is `100ms`"),
        ("env: { A B: 1 }", "`A B` is not a valid variable name"),
    ];
    for (key, words) in cases {
        let text = format!("sources:\n  a: {{ git: https://x/a, {key} }}\n");
        let told = Config::parse(&text, "keel.yaml").unwrap_err().to_string();
        assert!(told.contains(words) && told.matches("error: ").count() == 1, "{told}");
        assert!(told.contains("keel.yaml:2:"), "{told}");
    }
    for tag in ["v1.2.3", "stable", ">=1.2 <2", "1.4.x", "1.2 - 1.4"] {
        let text = format!("sources: {{ a: {{ git: /a, tag: '{tag}' }} }}\n");
        Config::parse(&text, "keel.yaml").unwrap();
    }
    let mirror = "registries: { docker.io: { mirrors: [cache.example.org] } }\n";
    let told = Config::parse(mirror, "keel.yaml").unwrap_err().to_string();
    assert!(told.contains("begins with neither http:// nor https://"), "{told}");
    let host = "registries: { r.example: { auth-hosts: ['https://x'] } }\n";
    let told = Config::parse(host, "keel.yaml").unwrap_err().to_string();
    assert!(told.contains("`https://x` is not HOST or HOST:PORT"), "{told}");
    let twice = "sources: { a: { git: 'ftp://x/a' } }\n";
    let told = Config::parse(twice, "keel.yaml").unwrap_err().to_string();
    assert!(
        told.contains("not the address of a repository") && !told.contains("needs either"),
        "{told}"
    );
}

#[test]
fn named_files_are_looked_at() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, mode| {
        let path = folder.path().join(name);
        std::fs::write(&path, "s\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    };
    let auth = |auth: &str| {
        format!("sources:\n  a:\n    git: ssh://x/a\n    auth: {{ ssh-key-file: {auth} }}\n")
    };
    let hook = |path: &str| {
        format!("sources:\n  a:\n    dir: /\n    webhook: {{ type: gitea, secret-file: {path} }}\n")
    };
    let cases = [
        (hook(&file("closed", 0o600)), None),
        (hook(&file("open", 0o644)), Some("warning: everybody may read")),
        (hook("/no/such/file"), Some("error: cannot read `/no/such/file`: No such file")),
        (hook("/"), Some("error: `/` is a folder, and must be a file")),
        (auth(&file("key", 0o600)), None),
        (auth(&file("shared-key", 0o640)), Some("error: others may use the key")),
    ];
    for (text, expected) in cases {
        let looked = Config::parse(&text, "keel.yaml").unwrap().look(&text, "keel.yaml");
        let told = [looked.errors, looked.warnings].concat();
        match expected {
            None => assert_eq!(told, Vec::<String>::new(), "{text}"),
            Some(words) => {
                assert!(told.len() == 1 && told[0].starts_with(words), "{told:?}");
                assert!(told[0].contains("--> keel.yaml:4:"), "{told:?}");
            }
        }
    }
}

#[test]
fn a_password_in_a_url_is_in_no_excerpt() {
    let text = "sources: { a: { git: \"https://me:s3cret@x/a\", brnach: main } }\n";
    let told = Config::parse(text, "keel.yaml").unwrap_err().to_string();
    assert!(!told.contains("s3cret") && told.contains("https://*********@x/a"), "{told}");
    assert!(told.contains("keel.yaml:1:47"), "{told}");
}

#[test]
fn the_example_is_obeyed_and_shows_every_key() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../dist/keel.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    Config::parse(&text, "keel.yaml").unwrap_or_else(|error| panic!("{error}"));
    for key in keys::KEYS.iter().filter(|key| key.shape != keys::Shape::NotYet) {
        let name = key.path.rsplit('.').next().unwrap_or_default();
        // For servers of long ago.
        let shown = name == "insecure" || text.contains(&format!("{name}:"));
        assert!(shown, "{} is not in the example", key.path);
    }
}

#[test]
fn a_store_needs_its_endpoints_and_all_files_of_tls() {
    let text = "store: { etcd: { endpoints: [https://a:2379, http://b:2379], prefix: home } }\n";
    let etcd = Config::parse(text, "keel.yaml").unwrap().store.unwrap();
    assert_eq!((etcd.endpoints.len(), etcd.prefix.as_str(), etcd.tls), (2, "home", None));
    let told = |text: &str| Config::parse(text, "keel.yaml").unwrap_err().to_string();
    assert!(told("store: { etcd: { prefix: a } }\n").contains("etcd needs `endpoints`"));
    assert!(told("store: { etcd: { endpoints: [a:2379] } }\n").contains("this is not a URL"));
    let half = "store: { etcd: { endpoints: [https://a], tls: { ca: /a } } }\n";
    assert!(told(half).contains("tls of etcd needs `ca`, `cert` and `key`"));
}

#[test]
fn receivers_and_forges_are_understood() {
    let text = r#"
sources:
  home:
    git: git@github.com:o/r.git
    forge: { type: github, token-file: /etc/keel/t }
  nested:
    git: https://me@gitlab.example.org:8443/a/b/c.git
    forge: { type: gitlab, token-file: /etc/keel/t }
  below:
    git: https://example.org/git/o/r
    forge: { type: gitea, token-file: /etc/keel/t }
  named:
    git: /srv/git/r.git
    forge: { type: gitea, token-file: /etc/keel/t, api: "http://127.0.0.1:3000", repo: o/r }
notify:
  - webhook: https://example.org/hook
    secret-file: /etc/keel/s
    on: [failed, drift]
  - { webhook-file: /etc/keel/slack }
  - { ntfy: "https://ntfy.example.org/keel", token-file: /etc/keel/t }
"#;
    let config = Config::parse(text, "keel.yaml").unwrap();
    let forge = |forge: &str, api: Api, repo: &str| {
        let (forge, repo) = (forge.to_owned(), repo.to_owned());
        Some(ForgeConfig { forge, token_file: "/etc/keel/t".into(), api, repo })
    };
    let at = |base: &str| Api::At(base.to_owned());
    let forges: Vec<_> = config.sources.iter().map(|source| source.forge.clone()).collect();
    let expected = [
        forge("github", at("https://github.com"), "o/r"),
        forge("gitlab", at("https://gitlab.example.org:8443"), "a/b/c"),
        forge("gitea", at("https://example.org/git"), "o/r"),
        forge("gitea", Api::Named("http://127.0.0.1:3000".into()), "o/r"),
    ];
    assert_eq!(forges, expected);
    let all = ["failed", "recovered", "drift"].map(str::to_owned).to_vec();
    let hook = NotifyConfig {
        kind: "webhook".into(),
        url: UrlFrom::Text("https://example.org/hook".into()),
        token_file: None,
        secret_file: Some("/etc/keel/s".into()),
        on: vec!["failed".into(), "drift".into()],
    };
    let slack = NotifyConfig {
        url: UrlFrom::File("/etc/keel/slack".into()),
        secret_file: None,
        on: all.clone(),
        ..hook.clone()
    };
    let ntfy = NotifyConfig {
        kind: "ntfy".into(),
        url: UrlFrom::Text("https://ntfy.example.org/keel".into()),
        token_file: Some("/etc/keel/t".into()),
        secret_file: None,
        on: all,
    };
    assert_eq!(config.notify, [hook, slack, ntfy]);
}

#[test]
fn receivers_and_forges_that_could_never_work_are_refused_at_their_place() {
    let notify = [
        ("{ webhook: example.org }", "this is not a URL"),
        ("{ webhook: 'ftp://example.org/a' }", "this is not a URL"),
        ("{ webhook: 'https://a:b@example.org' }", "the URL names a user"),
        ("{ ntfy: 'https://ntfy.sh' }", "a topic is needed"),
        ("{ ntfy: 'https://ntfy.sh/a?auth=x' }", "a topic is needed"),
        ("{ webhook: 'https://x/a', on: [faild] }", "`on` is one of `failed`"),
        ("{ webhook: 'https://x/a', on: [] }", "the list is empty"),
        ("{ webhook: 'https://x/a', on: failed }", "a list is needed"),
        ("{ webhook: 'https://x/a', ntfy: 'https://x/a' }", "two receivers"),
        ("{ webhook: 'https://x/a', webhook-file: /a }", "two receivers"),
        ("{ on: [failed] }", "no receiver is named"),
        ("{ ntfy: 'https://x/a', secret-file: /a }", "`secret-file` signs a webhook's body"),
        ("{ webhok: 'https://x/a' }", "unknown key `webhok`"),
        ("https://x/a", "must be a map of keys"),
    ];
    let notify = notify.map(|(entry, words)| (format!("notify:\n  - {entry}\n"), words));
    let forge = [
        ("git: 'https://h/o/r', forge: { type: github }", "needs `type` and `token-file`"),
        ("git: 'https://h/o/r', forge: { type: svn, token-file: /t }", "`type` is one of `github`"),
        ("git: 'https://h/r', forge: { type: gitea, token-file: /t }", "name it: `repo"),
        ("git: /srv/r, forge: { type: gitea, token-file: /t, repo: o/r }", "name it: `api"),
        ("dir: /srv/r, forge: { type: gitea, token-file: /t }", "not about `dir`"),
        (
            "git: 'https://h/o/r', forge: { type: gitea, token-file: /t, api: h }",
            "this is not a URL",
        ),
        ("git: 'https://h/o/r', forge: { type: gitea, token-file: /t, repo: r }", "owner/name"),
        ("git: 'https://h/o/r', forge: { type: gitea, token-file: /t, repo: ../r }", "owner/name"),
    ];
    let forge = forge.map(|(keys, words)| (format!("sources:\n  a: {{ {keys} }}\n"), words));
    for (text, words) in notify.into_iter().chain(forge) {
        let told = Config::parse(&text, "keel.yaml").expect_err(&text).to_string();
        assert!(told.contains(words) && told.matches("error: ").count() == 1, "{text}\n{told}");
        assert!(told.contains("keel.yaml:2:"), "{told}");
    }
}

#[test]
fn the_unlock_key_of_a_pool_is_a_file_that_is_looked_at_as_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("unlock");
    let text = format!("pool: {{ unlock-key-file: {} }}\n", file.display());
    let config = Config::parse(&text, "keel.yaml").unwrap();
    assert_eq!(config.pool.unlock_key_file.as_deref(), Some(file.as_path()));
    assert_eq!(config.pool.down_after, crate::fleet::DOWN_AFTER);
    assert!(config.look(&text, "keel.yaml").errors[0].contains("cannot read"));
    std::fs::write(&file, "open to all").unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    assert!(config.look(&text, "keel.yaml").warnings[0].contains("everybody may read"));
}
