//! From a wish to a container with network, names, ports and logs, and back to nothing.

use crate::Test;
use crate::lab::Lab;
use keel_engine::{
    Attachment, Depth, Engine, ExitCause, FailureKind, Goal, MountError, NetworkMode, Phase, Port,
    PortError, Protocol, RestartPolicy, TaskAssignment,
};
use std::io::Read;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

pub const TESTS: &[Test] = &[
    ("says_and_ends", || Box::pin(says_and_ends())),
    ("is_reached_and_found", || Box::pin(is_reached_and_found())),
    ("a_port_taken_is_awaited", || Box::pin(a_port_taken_is_awaited())),
    ("a_restart_is_a_stop_and_a_start", || Box::pin(a_restart_is_a_stop_and_a_start())),
    ("ready_is_no_process", || Box::pin(ready_is_no_process())),
    ("what_cannot_be_is_rejected", || Box::pin(what_cannot_be_is_rejected())),
    ("joins_a_namespace", || Box::pin(joins_a_namespace())),
    ("a_slot_keeps_its_address", || Box::pin(a_slot_keeps_its_address())),
    ("removes_itself", || Box::pin(removes_itself())),
];

pub fn in_network(wish: &mut TaskAssignment, network: &str, alias: &str) {
    let attachment =
        Attachment { network: network.into(), aliases: vec![alias.into()], addresses: vec![] };
    Arc::make_mut(&mut wish.spec).networks.push(attachment);
}

async fn says_and_ends() {
    let lab = Lab::open().await;
    let wish = lab.task("says", &["say", "one", "two"]);
    lab.assign(&wish).await;
    let task = lab.until_phase(&wish, Phase::Exited).await;
    assert_eq!((task.exit_code, task.exit_cause), (Some(0), Some(ExitCause::Own)));
    assert_eq!(lab.logs(&wish).await, "one\ntwo\n");
    lab.clean().await;
}

async fn is_reached_and_found() {
    let lab = Lab::open().await;
    lab.network("shop_default").await;
    let mut web = lab.task("shop-web-1", &["serve"]);
    in_network(&mut web, "shop_default", "web");
    let port = Port { host_ip: None, published: None, target: 80, protocol: Protocol::Tcp };
    Arc::make_mut(&mut web.spec).ports.push(port);
    lab.assign(&web).await;
    let task = lab.until_phase(&web, Phase::Running).await;
    assert_eq!(task.addresses.len(), 1, "{task:?}");
    let published = task.ports[0].published;
    let answer = fetch(published).await;
    assert_eq!(answer.trim(), web.id.short());
    let mut finds = lab.task("finds", &["find", "web"]);
    in_network(&mut finds, "shop_default", "finds");
    lab.assign(&finds).await;
    lab.until_phase(&finds, Phase::Exited).await;
    assert_eq!(lab.logs(&finds).await.trim(), task.addresses[0].1.to_string());
    let fields = lab.engine().observe(Depth::Fields).await.unwrap();
    assert_eq!((&fields.tasks[0].findings, &fields.findings), (&vec![], &vec![]));
    lab.clean().await;
}

/// Until it answers: the program may not listen yet.
async fn fetch(port: u16) -> String {
    for _ in 0..200 {
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
            let mut text = String::new();
            if stream.read_to_string(&mut text).is_ok() && !text.is_empty() {
                return text;
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nobody answers on port {port}");
}

async fn a_port_taken_is_awaited() {
    let lab = Lab::open().await;
    lab.network("shop_default").await;
    let holder = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let number = holder.local_addr().unwrap().port();
    let mut web = lab.task("web", &["serve"]);
    in_network(&mut web, "shop_default", "web");
    let published = Some(number);
    let port = Port { host_ip: None, published, target: 80, protocol: Protocol::Tcp };
    Arc::make_mut(&mut web.spec).ports.push(port);
    lab.assign(&web).await;
    let waits = |task: &keel_engine::ObservedTask| {
        let kind = task.message.as_ref().map(|failure| &failure.kind);
        matches!(kind, Some(FailureKind::Port(PortError::Taken { published, .. })) if *published == number)
    };
    let task = lab.until_task(&web, "it says which port is taken", waits).await;
    assert_eq!(task.phase, Phase::Preparing);
    assert!(
        task.message.unwrap().to_string().contains(&std::process::id().to_string()),
        "and by whom"
    );
    drop(holder);
    lab.until_phase(&web, Phase::Running).await;
    lab.clean().await;
}

async fn a_restart_is_a_stop_and_a_start() {
    let lab = Lab::open().await;
    let mut wish = lab.task("web", &[]);
    Arc::make_mut(&mut wish.spec).restart = RestartPolicy::UnlessStopped;
    lab.assign(&wish).await;
    let first = lab.until_phase(&wish, Phase::Running).await;
    (wish.generation, wish.goal) = (2, Goal::Stopped);
    lab.assign(&wish).await;
    (wish.generation, wish.goal) = (3, Goal::Running);
    lab.assign(&wish).await;
    let again = |task: &keel_engine::ObservedTask| {
        task.phase == Phase::Running && task.generation == 3 && task.pid != first.pid
    };
    let second = lab.until_task(&wish, "another process runs", again).await;
    assert!(second.pid.is_some());
    wish.generation = 4;
    lab.assign(&wish).await;
    lab.engine().idle().await;
    let third = lab.until_phase(&wish, Phase::Running).await;
    assert_eq!((third.pid, third.generation), (second.pid, 4), "healing restarts nothing");
    lab.clean().await;
}

async fn ready_is_no_process() {
    let lab = Lab::open().await;
    let mut wish = lab.task("web", &[]);
    wish.goal = Goal::Ready;
    lab.assign(&wish).await;
    let ready = lab.until_phase(&wish, Phase::Ready).await;
    assert!(ready.pid.is_none() && ready.digest.is_some());
    wish.goal = Goal::Running;
    lab.assign(&wish).await;
    lab.until_phase(&wish, Phase::Running).await;
    lab.clean().await;
}

async fn what_cannot_be_is_rejected() {
    let lab = Lab::open().await;
    let mut wish = lab.task("web", &[]);
    let source = keel_engine::MountSource::Bind { path: "/no/such/path".into(), create: false };
    let mount = keel_engine::Mount {
        source,
        target: "/data".into(),
        read_only: false,
        shared: false,
        propagation: None,
        digest: None,
    };
    Arc::make_mut(&mut wish.spec).volumes.push(mount);
    lab.assign(&wish).await;
    let task = lab.until_phase(&wish, Phase::Rejected).await;
    let missing = MountError::SourceMissing { path: "/no/such/path".into() };
    assert_eq!(task.message, Some(FailureKind::Mount(missing).into()));
    lab.clean().await;
}

async fn joins_a_namespace() {
    let lab = Lab::open().await;
    lab.network("shop_default").await;
    let mut web = lab.task("web", &["serve"]);
    in_network(&mut web, "shop_default", "web");
    let mut beside = lab.task("beside", &["fetch", "127.0.0.1:80"]);
    Arc::make_mut(&mut beside.spec).network_mode = NetworkMode::Service("web".into());
    beside.joins = Some(web.id.clone());
    // It waits for the other's namespace.
    lab.assign(&beside).await;
    let waits = |task: &keel_engine::ObservedTask| task.attempts > 0;
    lab.until_task(&beside, "it waits", waits).await;
    lab.assign(&web).await;
    let done = lab.until_phase(&beside, Phase::Exited).await;
    assert_eq!(done.exit_code, Some(0), "{}", lab.logs(&beside).await);
    assert_eq!(lab.logs(&beside).await.trim(), web.id.short());
    lab.clean().await;
}

async fn a_slot_keeps_its_address() {
    let lab = Lab::open().await;
    lab.network("shop_default").await;
    let mut old = lab.task("old", &[]);
    in_network(&mut old, "shop_default", "web");
    lab.assign(&old).await;
    let first = lab.until_phase(&old, Phase::Running).await;
    let mut beside = lab.task("beside", &[]);
    in_network(&mut beside, "shop_default", "beside");
    lab.assign(&beside).await;
    let other = lab.until_phase(&beside, Phase::Running).await;
    assert_ne!(other.addresses, first.addresses);
    let mut new = lab.task("new", &[]);
    in_network(&mut new, "shop_default", "web");
    (new.replaces, new.goal) = (Some(old.id.clone()), Goal::Ready);
    lab.assign(&new).await;
    let ready = lab.until_phase(&new, Phase::Ready).await;
    assert_eq!(ready.addresses, first.addresses, "for when the one before it has ended");
    (old.generation, old.goal) = (2, Goal::Stopped);
    lab.assign(&old).await;
    lab.until_phase(&old, Phase::Exited).await;
    (new.generation, new.goal) = (3, Goal::Running);
    lab.assign(&new).await;
    let second = lab.until_phase(&new, Phase::Running).await;
    assert_eq!(second.addresses, first.addresses);
    lab.clean().await;
}

async fn removes_itself() {
    let mut lab = Lab::open().await;
    let mut wish = lab.task("once", &["say", "bye"]);
    wish.auto_remove = true;
    lab.assign(&wish).await;
    lab.until("it goes by itself", Depth::State, |seen| seen.tasks.is_empty()).await;
    let mut wish = lab.task("alone", &[]);
    wish.auto_remove = true;
    lab.assign(&wish).await;
    let pid = lab.until_phase(&wish, Phase::Running).await.pid.unwrap();
    lab.close().await;
    crate::person::kill(pid);
    let folder = lab.layout.task(&wish.id).0;
    for _ in 0..500 {
        if !folder.exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!folder.exists(), "without a driver, the shim starts one");
    lab.reopen().await;
    lab.clean().await;
}
