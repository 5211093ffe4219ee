//! What a push would do, before it is one; and what another revision would.

mod support;

use serde_json::Value;
use std::fs;
use support::git::Repo;
use support::{Called, Host, Serve, until};

fn stack(word: &str) -> String {
    format!(
        "services:\n  app:\n    image: busybox:1\n    init: true\n    env_file: own.env\n    \
         environment: {{ WORD: \"{word}\", PLACE: \"${{PLACE}}\" }}\n    command: sleep 1000000\n    \
         volumes: [./page:/page:ro]\n"
    )
}

fn add(host: &Host, repo: &Repo<'_>, name: &str) {
    repo.write(&format!("stacks/{name}/compose.yaml"), &stack("1"));
    repo.write(&format!("stacks/{name}/page"), "first\n");
    // What Git rightly lacks.
    host.write(&format!("root/data/home/stacks/{name}/own.env"), "OWN=1\n");
}

/// A repository of three stacks that is served with variables and files of the host's own.
fn served<'a>(host: &'a Host) -> (Repo<'a>, String, Serve) {
    let repo = Repo::new(host);
    let configured = fs::read_to_string(host.path("keel.yaml")).expect("it has been written");
    host.write(
        "keel.yaml",
        &format!(
            "{configured}sources:\n  home:\n    git: {}\n    branch: main\n    path: stacks/*\n    \
             poll: 1s\n    env: {{ PLACE: attic }}\n    allow: []\n",
            repo.url()
        ),
    );
    for name in ["one", "two", "three"] {
        add(host, &repo, name);
    }
    repo.write(".gitignore", "own.env\n");
    let first = repo.push("first");
    let serve = host.serve(&[]);
    for name in ["one", "two", "three"] {
        host.until_ended(name, &first, "succeeded");
    }
    (repo, first, serve)
}

fn plan(host: &Host, repo: &Repo<'_>, words: &[&str]) -> Called {
    host.keel_in(&repo.tree, &[&["plan"], words].concat())
}

fn containers(host: &Host) -> Vec<Value> {
    host.ps().iter().map(|row| row["id"].clone()).collect()
}

fn end(host: &Host, serve: Serve, stacks: &[&str]) {
    drop(serve);
    for name in stacks {
        host.keel(&["down", "-v", name]).ok();
    }
}

#[test]
fn a_plan_in_a_work_tree_is_what_a_push_of_it_does() {
    let host = Host::new();
    let (repo, first, serve) = served(&host);
    let clean = plan(&host, &repo, &[]).ok();
    let short = &first[..12];
    let head = format!("preview of a push to source home: branch main at {short}\n");
    assert!(clean.stdout.starts_with(&head), "{clean:?}");
    assert!(!clean.stdout.contains("belongs to"), "{clean:?}");

    repo.write("stacks/one/compose.yaml", &stack("2"));
    repo.write("stacks/three/page", "second\n");
    fs::remove_dir_all(repo.tree.join("stacks/two")).unwrap();
    repo.write("stacks/four/compose.yaml", &stack("1"));
    repo.write("stacks/four/page", "first\n");
    repo.write("stacks/four/own.env", "IGNORED=1\n");
    let before = containers(&host);
    let lacks = plan(&host, &repo, &["stacks/four"]);
    assert_eq!(lacks.code, 1, "{lacks:?}");
    assert!(lacks.stderr.contains("data/home/stacks/four/own.env"), "{lacks:?}");
    let told = "`stacks/four/own.env` is ignored by Git: a push does not bring it";
    assert!(lacks.stdout.contains(told), "{lacks:?}");
    host.write("root/data/home/stacks/four/own.env", "OWN=1\n");

    let all = plan(&host, &repo, &[]);
    assert_eq!(all.code, 2, "{all:?}");
    for text in [
        "with 6 uncommitted files",
        "four at",
        "(new)",
        "(no longer in the source)",
        "environment ~WORD",
    ] {
        assert!(all.stdout.contains(text), "{text}: {all:?}");
    }
    let json = plan(&host, &repo, &["--format", "json"]).json();
    assert_eq!(json["previews"][0]["uncommitted"], 6, "{json}");
    let acts = |name: &str| {
        let stacks = json["stacks"].as_array().unwrap();
        let stack = stacks.iter().find(|one| one["stack"] == name).unwrap();
        let verdicts = stack["verdicts"].as_array().unwrap();
        verdicts.iter().filter(|one| one.get("action").is_some()).count()
    };
    assert!(["one", "two", "three", "four"].iter().all(|name| acts(name) > 0), "{json}");
    let only = plan(&host, &repo, &["stacks/one"]);
    assert!(only.stdout.contains("one at") && !only.stdout.contains("three at"), "{only:?}");
    let gone = plan(&host, &repo, &["stacks/two"]);
    assert!(gone.code == 2 && gone.stdout.contains("two at"), "{gone:?}");
    let file = plan(&host, &repo, &["stacks/one/compose.yaml"]);
    assert_eq!(file.stdout, only.stdout);

    let diff = host.keel_in(&repo.tree, &["render", "--diff", "stacks/one"]);
    assert_eq!(diff.code, 2, "{diff:?}");
    let changed: Vec<_> = diff.stdout.lines().filter(|line| line.starts_with(['+', '-'])).collect();
    assert_eq!(changed.len(), 4, "the headings and one value: {diff:?}");
    assert_eq!(containers(&host), before, "nothing was done");
    assert_eq!(host.sh(&format!("git -C {} stash list", repo.tree.display())), "");

    // Without a controller the answer is the same.
    drop(serve);
    let alone = plan(&host, &repo, &[]);
    assert_eq!((alone.code, &alone.stdout), (2, &all.stdout), "{}", alone.stderr);
    let left = host.sh(&format!(
        "ls -A {} | grep look || true",
        host.path("root/sources/home/checkouts").display()
    ));
    assert_eq!(left, "", "what was looked at is gone");

    let serve = host.serve(&[]);
    let second = repo.push("second");
    for name in ["one", "three", "four"] {
        host.until_ended(name, &second, "succeeded");
    }
    until("two is gone", || host.status("two").is_none().then_some(()), || host.overview());
    assert_ne!(containers(&host), before);
    let after = plan(&host, &repo, &[]);
    assert_eq!(after.code, 0, "{after:?}");
    end(&host, serve, &["one", "three", "four"]);
    drop(repo);
    host.finish();
}

#[test]
fn a_preview_says_what_would_be_refused_held_or_is_not_the_sources() {
    let host = Host::new();
    let (repo, _first, serve) = served(&host);
    repo.write("stacks/one/compose.yaml", "services:\n  app:\n    imagee: x\n");
    repo.write("stacks/two/compose.yaml", &stack("2").replace("init: true", "privileged: true"));
    repo.write("stacks/three/compose.yaml", &stack("2"));
    let bad = plan(&host, &repo, &[]);
    assert_eq!(bad.code, 1, "{bad:?}");
    assert!(bad.stderr.contains("stacks/one/compose.yaml:3:5"), "{bad:?}");
    assert!(bad.stderr.contains("privileged"), "the source allows nothing: {bad:?}");
    assert!(bad.stdout.contains("three at"), "the others go on: {bad:?}");
    assert!(!bad.stdout.contains("no longer in the source"), "{bad:?}");

    for name in ["one", "two"] {
        fs::remove_dir_all(repo.tree.join("stacks").join(name)).unwrap();
    }
    let held = plan(&host, &repo, &[]);
    assert_eq!(held.code, 2, "{held:?}");
    assert!(held.stdout.contains("keel confirm home"), "{held:?}");

    // A stack that somebody brought up by hand is not taken by a push.
    host.sh(&format!("git -C {} checkout -q .", repo.tree.display()));
    host.write("by-hand/compose.yaml", &stack("1"));
    host.write("by-hand/page", "x");
    host.write("by-hand/own.env", "");
    host.keel(&["up", "-d", "./by-hand", "-p", "four"]).ok();
    add(&host, &repo, "four");
    let others = plan(&host, &repo, &["stacks/four"]);
    assert!(others.stdout.contains("belongs to"), "{others:?}");

    // What its globs do not reach is planned as before.
    host.sh(&format!("cp -r {0}/stacks/three {0}/elsewhere", repo.tree.display()));
    repo.write("elsewhere/own.env", "");
    let beside = plan(&host, &repo, &["./elsewhere"]);
    assert!(beside.stderr.contains("source home does not deploy this folder"), "{beside:?}");
    assert!(beside.stdout.contains("elsewhere at"), "{beside:?}");
    end(&host, serve, &["one", "two", "three", "four"]);
    drop(repo);
    host.finish();
}

#[test]
fn another_revision_is_previewed_by_its_branch_tag_or_digits() {
    let host = Host::new();
    let (repo, first, serve) = served(&host);
    let git = |words: &str| host.sh(&format!("cd {} && git {words}", repo.tree.display()));
    git("checkout -q -b feature");
    repo.write("stacks/one/compose.yaml", &stack("2"));
    git("commit -qam faster");
    git("tag -a -m v1 v1.0 && git push -q origin feature v1.0");
    let feature = git("rev-parse HEAD").trim().to_owned();
    for name in ["feature", "v1.0", &feature, &feature[..7]] {
        let plan = host.keel(&["plan", "one", "--revision", name]);
        assert_eq!(plan.code, 2, "{name}: {plan:?}");
        assert!(plan.stdout.contains("environment ~WORD"), "{name}: {plan:?}");
        assert!(
            plan.stdout.contains(&feature[..12]) && !plan.stdout.contains("two at"),
            "{plan:?}"
        );
    }
    let same = host.keel(&["plan", "one", "--revision", "main"]).ok();
    assert!(same.stdout.contains("which it is at now"), "{same:?}");
    let whole = host.keel(&["plan", "home", "--revision", &first]).ok();
    assert!(whole.stdout.contains("two at") && whole.stdout.contains("three at"), "{whole:?}");
    let there = plan(&host, &repo, &["stacks/one", "--revision", "feature"]);
    assert!(there.code == 2 && there.stdout.contains("environment ~WORD"), "{there:?}");

    let wrong = host.keel(&["plan", "one", "--revision", "featrue"]);
    assert_eq!(wrong.code, 1, "{wrong:?}");
    assert!(wrong.stderr.contains("no branch, tag or commit `featrue`"), "{wrong:?}");
    assert!(wrong.stderr.contains("did you mean `feature`?"), "{wrong:?}");
    let wrong = host.keel(&["plan", "one", "--revision", "0123abc"]);
    assert!(wrong.code == 1 && wrong.stderr.contains("`0123abc`"), "{wrong:?}");
    let wrong = host.keel(&["plan", "nosuch", "--revision", "main"]);
    assert!(wrong.code == 1 && wrong.stderr.contains("nosuch"), "{wrong:?}");

    // The branch is another one than the source follows.
    let pushed = plan(&host, &repo, &["stacks/one"]);
    let told = format!("branch feature at {}, as if it were pushed to main", &feature[..12]);
    assert!(pushed.stdout.contains(&told), "{pushed:?}");
    end(&host, serve, &["one", "two", "three"]);
    drop(repo);
    host.finish();
}

#[test]
fn repositories_of_our_own_and_served_folders_are_previewed_too() {
    let host = Host::new();
    let plain = "services: {app: {image: 'busybox:1', init: true, command: sleep 1000000}}\n";
    host.write("live/local/compose.yaml", plain);
    let serve = host.serve(&["live"]);
    host.until_well("local-app-1");
    let folder = host.keel(&["plan", "./live/local"]).ok();
    assert!(folder.stdout.starts_with("preview of source default: the folder "), "{folder:?}");
    assert!(!folder.stdout.contains("belongs to"), "{folder:?}");
    assert_eq!(host.keel(&["plan", "./live"]).code, 0);
    host.keel(&["render", "--diff", "./live/local"]).ok();

    let bare = host.keel(&["source", "create", "--bare", "home"]).ok().stdout.trim().to_owned();
    let work = host.path("work");
    host.sh(&format!(
        "git clone -q {bare} {work} 2>/dev/null; cd {work} && git checkout -q -B main && \
         git config user.name Ann && git config user.email ann@example.org",
        work = work.display()
    ));
    host.write("work/compose.yaml", &plain.replace("app:", "fresh:"));
    let before = host.keel_in(&work, &["plan"]);
    assert_eq!(before.code, 2, "{before:?}");
    for words in
        ["source home: branch main, which has no commit yet, with 1 uncommitted file", "(new)"]
    {
        assert!(before.stdout.contains(words), "{words}: {before:?}");
    }
    // The same repository by another way.
    host.sh(&format!("git -C {} remote set-url origin root@box:{bare}", work.display()));
    assert_eq!(host.keel_in(&work, &["plan"]).stdout, before.stdout);
    // No remote at all, and nothing in common: it is no source's.
    host.sh(&format!("git -C {} remote remove origin", work.display()));
    let nobodys = host.keel_in(&work, &["plan"]);
    assert!(nobodys.code == 2 && !nobodys.stdout.contains("preview"), "{nobodys:?}");
    let named = host.keel_in(&work, &["plan", "--source", "home"]);
    assert_eq!((named.code, &named.stdout), (2, &before.stdout), "{named:?}");
    let wrong = host.keel_in(&work, &["plan", "--source", "hom"]);
    assert!(
        wrong.code == 1 && wrong.stderr.contains("the sources are: default, home"),
        "{wrong:?}"
    );

    host.write("work/compose.yaml", "services: {fresh: {imagee: x}}\n");
    let refused = host.keel_in(&work, &["plan", "--source", "home"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stdout.contains("its repository refuses a push with mistakes"), "{refused:?}");
    host.write("work/compose.yaml", &plain.replace("app:", "fresh:"));

    host.sh(&format!(
        "cd {} && git add -A && git commit -qm first && git push -q {bare} main",
        work.display()
    ));
    // By the commit that both have.
    let after = host.keel_in(&work, &["plan"]).ok();
    assert!(
        after.stdout.starts_with("preview of a push to source home: branch main at "),
        "{after:?}"
    );
    let behind = host.path("behind");
    host.sh(&format!(
        "git clone -q {bare} {0} && cp -r {0} {1}",
        behind.display(),
        host.path("old").display()
    ));
    host.write("behind/compose.yaml", &plain.replace("app:", "newer:"));
    host.sh(&format!(
        "cd {} && git -c user.name=A -c user.email=a@example.org commit -qam newer && git push -q origin main",
        behind.display()
    ));
    let old = host.keel_in(&host.path("old"), &["plan"]);
    assert!(old.stdout.contains("a push needs a merge first"), "{old:?}");
    for stack in ["local", "home"] {
        host.keel(&["down", stack]).ok();
    }
    drop(serve);
    host.finish();
}
