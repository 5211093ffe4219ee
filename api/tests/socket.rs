//! The API over a real Unix socket and in one process: a client, every layer of HTTP, a
//! controller, and the engine that is only in memory.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use futures_util::StreamExt;
use keel_api::shapes::{Info, Until};
use keel_api::{Api, Client, ClientError, ServeError, Served, router};
use keel_engine::frames::Frame;
use keel_engine::{Exec, LogOptions, Open, Phase, TaskSpec};
use keel_plan::desired::Policy;
use keel_reconciler::ask::{Outcome, Progress, RefusalKind, RunAsk, TaskAsk, TaskVerb};
use keel_reconciler::rows::{PsAsk, PullAsk, SyncAsk, VolumeAsk};
use keel_reconciler::store::FileStore;
use keel_reconciler::{Clock, Controller, Fleet, Settings};
use keel_testing::fake::Fake;
use keel_testing::waiting::in_time;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// A server on a socket of its own, and what it needs to stay.
struct Host {
    served: Served,
    client: Client,
    folder: tempfile::TempDir,
}

async fn api(folder: &Path) -> Api {
    let late = keel_reconciler::Late::new(folder, folder.join("late"));
    let settings = Settings {
        root: folder.to_owned(),
        store: Arc::new(FileStore::open(folder.join("records"), late).unwrap()),
        sources_dir: folder.join("sources"),
        data: folder.join("data"),
        repos: keel_reconciler::repos::Repos::default(),
        fleet: Fleet::of("here".into(), Arc::new(Fake::new("here"))),
        sources: vec![],
        policy: Policy::default(),
        serve: false,
        environment: Default::default(),
        home: None,
        clock: Clock::system(),
        destinations: vec![],
        host: "here".to_owned(),
    };
    let info = Info { version: "1".into(), root: folder.display().to_string(), serve: false };
    Api { controller: Controller::start(settings).await.unwrap(), info, pool: None }
}

async fn host() -> Host {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("run/keel.sock");
    let served = Served::on_socket(router(api(folder.path()).await), &socket, None).await.unwrap();
    Host { served, client: Client::of_socket(&socket), folder }
}

fn asked(name: &str, attach: bool) -> RunAsk {
    let spec = TaskSpec { image: "busybox".into(), ..TaskSpec::default() };
    let name = name.to_owned();
    RunAsk { name, spec, auto_remove: false, attach, contents: Default::default() }
}

async fn heard(client: &Client, what: Open) -> Vec<Frame> {
    let mut talk = client.open(&what).await.unwrap();
    let mut frames = vec![];
    while let Some(frame) = in_time("a frame", talk.receive()).await {
        frames.push(frame);
    }
    frames
}

fn refusal(error: ClientError) -> (RefusalKind, String) {
    match error {
        ClientError::Refused(refusal) => (refusal.kind, refusal.message),
        other => panic!("not a refusal: {other:?}"),
    }
}

#[tokio::test]
async fn a_one_off_goes_all_the_way() {
    let host = host().await;
    let made = host.client.run(&asked("job", true)).await.unwrap();
    let ready = host.client.wait(&made.id, Until::Ready).await.unwrap();
    assert_eq!((ready.phase, ready.name.as_str()), (Phase::Ready, "job"));

    let attach = Open::Attach { task: made.id.clone(), stdin: true };
    let mut talk = host.client.open(&attach).await.unwrap();
    host.client.start(&made.id).await.unwrap();
    let said = format!("output of {}\n", made.id).into_bytes();
    assert_eq!(talk.receive().await, Some(Frame::Stdout(said)));
    assert_eq!(talk.receive().await, Some(Frame::Exit(0)));

    let exec = Exec { command: vec!["echo".into(), "hi".into()], ..Exec::default() };
    let what = Open::Exec { task: made.id.clone(), exec };
    let said = vec![Frame::Stdout(b"echo hi\n".to_vec()), Frame::Exit(0)];
    assert_eq!(heard(&host.client, what).await, said);

    let rows = host.client.ps(&PsAsk { all: true, ..PsAsk::default() }).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["job"]);
    let stop =
        TaskAsk { targets: vec!["job".into()], verb: TaskVerb::Stop, timeout: None, again: false };
    assert_eq!(host.client.act(&stop).await.unwrap()[0].containers, ["job"]);
    let over = host.client.wait(&made.id, Until::Exited).await.unwrap();
    assert_eq!(over.phase, Phase::Exited);
}

#[tokio::test]
async fn what_is_refused_says_why_and_of_what_kind() {
    let host = host().await;
    let (kind, message) = refusal(host.client.resolve("nobody").await.unwrap_err());
    assert_eq!((kind, message.as_str()), (RefusalKind::NotFound, "no such container: nobody"));

    host.client.run(&asked("job", false)).await.unwrap();
    let (kind, _) = refusal(host.client.run(&asked("job", false)).await.unwrap_err());
    assert_eq!(kind, RefusalKind::Conflict);

    let confirmed = host.client.confirm("home").await;
    assert_eq!(refusal(confirmed.unwrap_err()).0, RefusalKind::NeedsDaemon);

    let task = keel_engine::TaskId::from_seed("nobody");
    let logs = Open::Logs { task, options: LogOptions::default() };
    let opened = host.client.open(&logs).await.map(|_| ());
    assert_eq!(refusal(opened.unwrap_err()).0, RefusalKind::NotFound);
}

#[tokio::test]
async fn progress_comes_as_lines_and_ends_with_the_outcome() {
    let host = host().await;
    let ask = PullAsk { references: vec!["busybox".into()] };
    let lines: Vec<_> = host.client.pull(&ask).await.unwrap().map(Result::unwrap).collect().await;
    let end = Progress::End { outcome: Outcome::Done, notes: vec![] };
    assert_eq!(lines.last(), Some(&end), "{lines:?}");

    let mut hints = host.client.events().await.unwrap();
    let spec = keel_engine::VolumeSpec { name: "media".into(), ..Default::default() };
    host.client.create_volume(&VolumeAsk { spec }).await.unwrap();
    let hint = hints.next().await.unwrap().unwrap();
    assert_eq!(hint, keel_api::shapes::Hint::Resource("media".into()));
}

#[tokio::test]
async fn the_same_server_answers_within_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let (served, client) = Served::in_process(router(api(folder.path()).await));
    let made = client.run(&asked("job", false)).await.unwrap();
    let what = Open::Logs { task: made.id, options: LogOptions::default() };
    assert_eq!(heard(&client, what).await.last(), Some(&Frame::Exit(0)));
    let mut lines = client.sync(&SyncAsk::default()).await.unwrap();
    let end = lines.next().await.unwrap().unwrap();
    assert!(matches!(end, Progress::End { outcome: Outcome::Failed, .. }), "{end:?}");
    served.stop(std::time::Duration::from_secs(5)).await;
    assert!(matches!(client.info().await, Err(ClientError::Unreachable { .. })));
}

#[tokio::test]
async fn a_socket_is_for_root_and_its_group_and_is_never_taken_from_somebody() {
    let host = host().await;
    let socket = host.folder.path().join("run/keel.sock");
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let second = Served::on_socket(router(api(host.folder.path()).await), &socket, None).await;
    assert!(matches!(second.map(|_| ()), Err(ServeError::Taken(_))));
    assert_eq!(host.client.info().await.unwrap().version, "1");

    host.served.stop(std::time::Duration::from_secs(5)).await;
    assert!(!socket.exists());
    // One that was left behind by somebody who was killed.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let next = Served::on_socket(router(api(host.folder.path()).await), &socket, None).await;
    assert_eq!(host.client.info().await.unwrap().version, "1");
    drop(next);
}

/// What somebody sends who is not our client.
async fn raw(host: &Host, request: &str) -> String {
    let socket = host.folder.path().join("run/keel.sock");
    let mut stream = UnixStream::connect(socket).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn nonsense_gets_a_refusal_too() {
    let host = host().await;
    let post = |path: &str, body: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: keel\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let large = format!("\"{}\"", "x".repeat(1 << 20));
    let cases = [
        ("unknown route", post("/v1/nothing", "{}"), "404", "no such route: /v1/nothing"),
        ("not JSON", post("/v1/containers/list", "{"), "400", "invalid request"),
        ("another shape", post("/v1/containers/wait", "[]"), "400", "invalid request"),
        ("too much", post("/v1/containers/resolve", &large), "400", "the request is too large"),
        ("no upgrade", post("/v1/open", "{}"), "400", "this route needs `Upgrade: keel-frames`"),
    ];
    for (name, request, status, message) in cases {
        let answer = raw(&host, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {answer}");
        assert!(answer.contains(message), "{name}: {answer}");
    }
}
