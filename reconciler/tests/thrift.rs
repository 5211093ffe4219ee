//! What a refresh costs: only what a commit or an edit touches is read, stored and passed over.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keel_engine::fields::Field;
use keel_engine::{FieldPath, Finding, FindingSubject, Health, Value};
use keel_reconciler::Controller;
use keel_reconciler::config::{Follow, From, GitConfig, SourceConfig};
use keel_reconciler::operation::OperationState;
use keel_reconciler::rows::{HistoryRow, SyncAsk};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;
use support::git::Repo;
use support::{World, stack, status, told, until};

const WEB: &str = "services:\n  web:\n    image: nginx:1\n";

fn source(repo: &Repo, poll: Duration) -> SourceConfig {
    let config = GitConfig {
        follow: Follow::Branch(Some("main".to_owned())),
        paths: vec!["stacks/*".to_owned()],
        poll,
        ..GitConfig::new(repo.bare().to_str().unwrap())
    };
    SourceConfig::new("home", From::Git(Box::new(config)))
}

/// Ten stacks that run and have settled.
async fn ten(world: &World, repo: &Repo) -> Controller {
    for n in 0..10 {
        repo.write(&format!("stacks/s{n}/compose.yaml"), WEB);
    }
    repo.push();
    let controller = world.serve(vec![source(repo, Duration::from_millis(100))]).await;
    until_settled(&controller, 10).await;
    for n in 0..10 {
        until_good(world, &format!("s{n}"), "\"hash\"").await;
    }
    controller
}

/// The last that a pass writes of a stack that it found settled.
async fn until_good(world: &World, stack: &str, words: &str) {
    let record = world.path(&format!("root/records/stacks/{stack}/good.json"));
    until("it is remembered as good", || async {
        std::fs::read_to_string(&record).is_ok_and(|text| text.contains(words))
    })
    .await;
}

async fn until_settled(controller: &Controller, count: usize) {
    until("all have settled", || async {
        let rows = status(controller).await;
        rows.len() == count
            && rows.iter().all(|row| row.operation.state == Some(OperationState::Succeeded))
    })
    .await;
}

async fn until_at(controller: &Controller, commit: &str) {
    until("the source is there", || async { controller.sources().await[0].revision == commit })
        .await;
}

/// Every record but the source's own, by which file it is.
fn records(world: &World) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    files_below(&world.path("root/records/stacks"), &mut all);
    files_below(&world.path("root/records/numbers"), &mut all);
    all
}

fn files_below(folder: &Path, all: &mut BTreeMap<String, u64>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            files_below(&entry.path(), all);
        } else {
            all.insert(entry.path().display().to_string(), entry.metadata().unwrap().ino());
        }
    }
}

/// The stacks that any record was written of since.
fn touched(before: &BTreeMap<String, u64>, now: &BTreeMap<String, u64>) -> Vec<String> {
    let changed = now.iter().filter(|(path, file)| before.get(*path) != Some(file));
    let of = |path: &String| path.split("/stacks/").nth(1)?.split('/').next().map(str::to_owned);
    let mut stacks: Vec<_> = changed.filter_map(|(path, _)| of(path)).collect();
    stacks.dedup();
    stacks
}

async fn history(controller: &Controller, name: &str) -> Vec<HistoryRow> {
    controller.history(&[stack(name)]).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_means_nothing_new_is_written_nowhere_but_with_its_source() {
    let (world, repo) = (World::new(), Repo::new());
    let controller = ten(&world, &repo).await;
    let (before, wishes) = (records(&world), world.seen().await.tasks);
    repo.write("README.md", "nothing\n");
    repo.write("stacks/s3/compose.yaml", &format!("{WEB}# a comment\n"));
    repo.write("stacks/s4/notes.txt", "beside it\n");
    let commit = repo.push();
    until_at(&controller, &commit).await;
    let rows = status(&controller).await;
    assert!(rows.iter().all(|row| row.revision == commit), "{rows:#?}");
    assert_eq!(records(&world), before);
    let generations = |tasks: &[std::sync::Arc<keel_engine::ObservedTask>]| {
        tasks.iter().map(|task| (task.id.clone(), task.generation)).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(generations(&world.seen().await.tasks), generations(&wishes));

    repo.write("README.md", "nothing new\n");
    until_at(&controller, &repo.push()).await;
    assert_eq!(records(&world), before);

    // Lines that moved are what people are shown; nobody passes over the stack for that.
    repo.write("stacks/s3/compose.yaml", &format!("# a comment\n{WEB}"));
    until_at(&controller, &repo.push()).await;
    let now = records(&world);
    let changed = now.iter().filter(|(path, file)| before.get(*path) != Some(file));
    let changed: Vec<_> = changed.map(|(path, _)| path).collect();
    assert!(matches!(&changed[..], [path] if path.ends_with("s3/desired.json")), "{changed:?}");
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_stack_of_many_is_passed_over_alone_and_says_how_it_came() {
    let (world, repo) = (World::new(), Repo::new());
    let controller = ten(&world, &repo).await;
    let before = records(&world);
    repo.write("stacks/s7/compose.yaml", &WEB.replace("nginx:1", "nginx:2"));
    let commit = repo.push();
    until("it runs", || async {
        let last = history(&controller, "s7").await.pop().unwrap();
        (last.revision.as_str(), last.state) == (commit.as_str(), OperationState::Succeeded)
    })
    .await;
    until_good(&world, "s7", &commit).await;
    assert_eq!(touched(&before, &records(&world)), ["s7"]);
    let told_now = history(&controller, "s7").await.pop().unwrap();
    let trigger = format!("revision {} of source home, poll", &commit[..12]);
    assert_eq!(told_now.trigger, trigger);
    assert!(told_now.author.contains('@') && told_now.subject == "change", "{told_now:?}");
    let stages = told_now.stages;
    assert!(stages.fetch.is_some() && stages.load.is_some() && stages.plan.is_some());

    // A further stack costs the others nothing.
    let before = records(&world);
    repo.write("stacks/s10/compose.yaml", WEB);
    repo.push();
    until_settled(&controller, 11).await;
    assert_eq!(touched(&before, &records(&world)), ["s10"]);
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_outside_of_a_stacks_folder_counts_too() {
    let (world, repo) = (World::new(), Repo::new());
    let service = |rest: &str| format!("{WEB}    environment: {{ A: \"{rest}\" }}\n");
    repo.write("stacks/plain/compose.yaml", WEB);
    repo.write("stacks/shared/compose.yaml", &format!("{WEB}    env_file: ../../common.env\n"));
    repo.write("stacks/lacks/compose.yaml", &service("${LACKED:-none}"));
    repo.write("stacks/commit/compose.yaml", &service("${KEEL_SHORT_COMMIT}"));
    repo.write("stacks/linked/compose.yaml", &format!("{WEB}    env_file: ./link.env\n"));
    repo.link("../../linked.env", "stacks/linked/link.env");
    repo.write("linked.env", "L=1\n");
    repo.write("common.env", "C=1\n");
    let first = repo.push();
    let controller = world.serve(vec![source(&repo, Duration::from_millis(100))]).await;
    until_settled(&controller, 5).await;
    let variable = |name: &'static str, key: &'static str| {
        let world = &world;
        async move {
            let task = world.task(&format!("{name}-web-1")).await;
            task.spec.environment.get(key).cloned().flatten().unwrap_or_default()
        }
    };
    assert_eq!(variable("commit", "A").await, first[..12]);
    world.write("root/data/home/stacks/lacks/.env", "LACKED=found\n");
    until("a file that Git lacks is found", || async { variable("lacks", "A").await == "found" })
        .await;
    world.write("root/data/home/stacks/lacks/.env", "LACKED=again\n");
    until("it is edited", || async { variable("lacks", "A").await == "again" }).await;
    std::fs::remove_file(world.path("root/data/home/stacks/lacks/.env")).unwrap();
    until("it is removed", || async { variable("lacks", "A").await == "none" }).await;

    let plain = world.task("plain-web-1").await.id;
    repo.write("common.env", "C=2\n");
    repo.write("linked.env", "L=2\n");
    let second = repo.push();
    until("a shared file counts", || async { variable("shared", "C").await == "2" }).await;
    until("one behind a link, too", || async { variable("linked", "L").await == "2" }).await;
    until("and the commit's name", || async { variable("commit", "A").await == second[..12] })
        .await;
    assert_eq!(world.task("plain-web-1").await.id, plain);
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_without_news_repairs_what_was_lost_meanwhile() {
    let (world, repo) = (World::new(), Repo::new());
    let mounted = format!("{WEB}    volumes: [\"./conf:/conf:ro\"]\n");
    repo.write("stacks/a/compose.yaml", &mounted);
    repo.write("stacks/a/conf/file", "1\n");
    repo.write("stacks/b/compose.yaml", WEB);
    repo.push();
    let controller = world.serve(vec![source(&repo, Duration::from_millis(100))]).await;
    until_settled(&controller, 2).await;
    let tree = || async { world.task("a-web-1").await.spec.volumes[0].source.tree().unwrap() };
    // Another stack's commit leaves this one with the files that it has.
    let first = tree().await;
    repo.write("stacks/b/compose.yaml", &WEB.replace("nginx:1", "nginx:2"));
    let commit = repo.push();
    until_at(&controller, &commit).await;
    assert_eq!(tree().await, first);
    let task = world.task("a-web-1").await.id;
    let file = || world.fake.tree_file(&first, "file");
    std::fs::remove_dir_all(world.path("root/sources/home")).unwrap();
    let checkout = world.path("root/sources/home/checkouts").join(&commit);
    until("the clone is made anew", || async { checkout.exists() }).await;
    assert_eq!(file().as_deref(), Some(b"1\n".as_slice()), "what it mounts was never away");
    controller.stop().await;
    world.fake.lose_trees();
    let controller = world.serve(vec![source(&repo, Duration::from_millis(100))]).await;
    until("what it mounts is there again", || async { file().is_some() }).await;
    assert_eq!(world.task("a-web-1").await.id, task, "the same files are no change");

    // A record that went is stored again, though nothing came.
    std::fs::remove_file(world.path("root/records/stacks/b/desired.json")).unwrap();
    until("it is stored again", || async {
        world.path("root/records/stacks/b/desired.json").exists()
    })
    .await;
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_began_an_operation_is_told_truly() {
    let (world, repo) = (World::new(), Repo::new());
    repo.write("stacks/a/compose.yaml", WEB);
    repo.push();
    let controller = world.serve(vec![source(&repo, Duration::from_secs(3600))]).await;
    until_settled(&controller, 1).await;
    let mut version = 1;
    let mut next = || {
        version += 1;
        repo.write("stacks/a/compose.yaml", &WEB.replace("nginx:1", &format!("nginx:{version}")));
        repo.push()
    };
    let until_told = |commit: String, cause: &'static str| {
        let controller = &controller;
        async move {
            let expected = format!("revision {} of source home, {cause}", &commit[..12]);
            until(cause, || async {
                let last = history(controller, "a").await.pop().unwrap();
                last.trigger == expected && last.state == OperationState::Succeeded
            })
            .await;
        }
    };
    let first = history(&controller, "a").await.remove(0).trigger;
    assert!(first.ends_with("of source home, start of keel serve"), "{first}");
    let commit = next();
    controller.hint_source("home").unwrap();
    until_told(commit, "webhook").await;
    for (pushed, cause) in [(false, "keel sync by ann@shop"), (true, "push by ann@shop")] {
        let commit = next();
        let ask = SyncAsk { by: "ann@shop".into(), pushed, ..SyncAsk::default() };
        let _ = told(controller.sync(ask)).await;
        until_told(commit, cause).await;
    }
    controller.stop().await;
    let folder = World::new();
    folder.write("stacks/a/compose.yaml", WEB);
    let controller = folder.serve_folder("stacks").await;
    until_settled(&controller, 1).await;
    folder.write("stacks/a/compose.yaml", &WEB.replace("nginx:1", "nginx:2"));
    until("an edit", || async {
        let last = history(&controller, "a").await.pop().unwrap();
        last.trigger.ends_with(" of source default, edited files")
    })
    .await;
    controller.stop().await;
}

/// A file below folders that nothing is read from lies where nobody watches: that it changed is never told.
#[tokio::test(flavor = "multi_thread")]
async fn an_edit_looks_at_what_was_told_of_and_a_command_and_a_poll_at_everything() {
    let world = World::new();
    let linked = format!("{WEB}    env_file: ./app.env\n");
    let untold = |value: u8| world.write("stacks/b/far/below/app.env", &format!("A={value}\n"));
    untold(1);
    std::os::unix::fs::symlink("far/below/app.env", world.path("stacks/b/app.env")).unwrap();
    world.write("stacks/b/compose.yaml", &linked);
    world.write("stacks/a/compose.yaml", WEB);
    let source = |poll| {
        let (path, globs) = (world.path("stacks"), vec![".".to_owned()]);
        let from = From::Directory { path, globs, poll: Some(poll) };
        vec![SourceConfig::new("home", from)]
    };
    let seen = || async {
        let task = world.task("b-web-1").await;
        task.spec.environment.get("A").cloned().flatten().unwrap_or_default()
    };
    let controller = world.serve(source(Duration::from_secs(3600))).await;
    until_settled(&controller, 2).await;
    for name in ["a", "b"] {
        until_good(&world, name, "\"hash\"").await;
    }
    untold(2);
    let before = records(&world);
    let revision = status(&controller).await[0].revision.clone();
    world.write("stacks/a/compose.yaml", &WEB.replace("nginx:1", "nginx:2"));
    until("a is edited", || async { world.task("a-web-1").await.spec.image == "nginx:2" }).await;
    until("a has settled", || async {
        let rows = status(&controller).await;
        rows[0].operation.state == Some(OperationState::Succeeded) && rows[0].revision != revision
    })
    .await;
    assert_eq!(
        (touched(&before, &records(&world)), seen().await),
        (vec!["a".to_owned()], "1".to_owned())
    );

    let _ = told(controller.sync(SyncAsk::default())).await;
    until("a command finds it", || async { seen().await == "2" }).await;
    controller.stop().await;
    let controller = world.serve(source(Duration::from_millis(100))).await;
    until_settled(&controller, 2).await;
    untold(3);
    until("a poll finds it", || async { seen().await == "3" }).await;
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_of_all_looks_closely_once_and_still_heals_what_drifted() {
    let (world, repo) = (World::new(), Repo::new());
    let controller = ten(&world, &repo).await;
    let before = world.fake.close_looks();
    let _ = told(controller.sync(SyncAsk::default())).await;
    let looks = world.fake.close_looks() - before;
    assert!((1..=2).contains(&looks), "the loop that looks for drift may look, too: {looks}");

    let task = world.task("s3-web-1").await;
    let finding = Finding {
        subject: FindingSubject::Task { id: Some(task.id.clone()), slot: None },
        path: FieldPath::Row(Field::MemLimit),
        applied: Value::Bytes(64 << 20),
        observed: Value::Bytes(32 << 20),
        cause: None,
        fixed: false,
    };
    world.fake.drift(Some(&task.id), finding);
    let _ = told(controller.sync(SyncAsk::default())).await;
    let again = || async { world.task("s3-web-1").await.generation > task.generation };
    until("it is applied again", again).await;
    controller.stop().await;
}

/// What is remembered of records is compared with the disk as soon as the kernel tells of a change.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_somebody_else_takes_away_is_seen_to_be_gone() {
    let world = World::new();
    world.write("stacks/a/compose.yaml", WEB);
    let controller = world.serve_folder("stacks").await;
    until_settled(&controller, 1).await;
    until_good(&world, "a", "\"hash\"").await;
    assert!(!history(&controller, "a").await.is_empty());
    std::fs::remove_file(world.path("root/records/stacks/a/history.json")).unwrap();
    until("its history is empty", || async { history(&controller, "a").await.is_empty() }).await;
    controller.stop().await;
}

/// The stacks that were examined again since the look of this number.
async fn examined(controller: &Controller, look: &mut u64, complete: bool) -> Vec<String> {
    let news = controller.status_news(look, complete, &BTreeSet::new()).await.unwrap();
    let stacks: BTreeSet<_> = news.stacks.iter().map(|row| row.stack.clone()).collect();
    let with_containers: BTreeSet<_> = news.containers.iter().map(|row| &row.stack).collect();
    assert!(with_containers.iter().all(|stack| stacks.contains(*stack)), "{news:#?}");
    stacks.into_iter().collect()
}

/// Who tells people what changes, line by line, examines what was touched, however many stacks there are.
#[tokio::test(flavor = "multi_thread")]
async fn only_stacks_that_were_touched_are_examined_again() {
    let (world, repo) = (World::new(), Repo::new());
    let controller = ten(&world, &repo).await;
    let mut look = 0;
    assert_eq!(examined(&controller, &mut look, true).await.len(), 10);
    for complete in [false, true, false] {
        let again = examined(&controller, &mut look, complete).await;
        assert_eq!(again, [""; 0], "nothing happened ({complete})");
    }

    let (task, before) = (world.task("s3-web-1").await, look);
    world.fake.set_health(&task.id, Health::Unhealthy);
    until("it is seen not to be well", || async {
        let mut from = before;
        examined(&controller, &mut from, false).await == ["s3"]
    })
    .await;

    // A commit beside the stacks is what they are at, and nothing else of them is made anew.
    repo.write("README.md", "nothing\n");
    let commit = repo.push();
    until_at(&controller, &commit).await;
    let news = controller.status_news(&mut look, false, &BTreeSet::new()).await.unwrap();
    assert!(news.stacks.iter().all(|row| row.revision == commit), "{:#?}", news.stacks);
    assert_eq!(news.stacks.len(), 10);
    controller.stop().await;
}

/// A record that another process takes away is in no hint of this one: a complete look sees it.
#[tokio::test(flavor = "multi_thread")]
async fn what_others_change_is_seen_by_a_complete_look() {
    let world = World::new();
    for name in ["a", "b"] {
        world.write(&format!("stacks/{name}/compose.yaml"), WEB);
    }
    let controller = world.serve_folder("stacks").await;
    until_settled(&controller, 2).await;
    for name in ["a", "b"] {
        until_good(&world, name, "\"hash\"").await;
    }
    let mut look = 0;
    assert_eq!(examined(&controller, &mut look, true).await, ["a", "b"]);
    std::fs::remove_file(world.path("root/records/stacks/a/operation.json")).unwrap();
    until("a is examined again", || async {
        let mut from = look;
        examined(&controller, &mut from, true).await == ["a"]
    })
    .await;
    std::fs::remove_dir_all(world.path("root/records/stacks/b")).unwrap();
    until("b is gone", || async {
        let mut from = look;
        let news = controller.status_news(&mut from, true, &BTreeSet::new()).await.unwrap();
        news.gone == ["b"]
    })
    .await;
    controller.stop().await;
}
