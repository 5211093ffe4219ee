//! What a person opens: a further process, the process's own output, a signal.

use crate::Test;
use crate::lab::Lab;
use keel_engine::frames::Frame;
use keel_engine::{Depth, Engine, Exec, ExitCause, Goal, LogOptions, Open, Phase};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

pub const TESTS: &[Test] = &[
    ("executes_inside", || Box::pin(executes_inside())),
    ("executes_on_a_terminal", || Box::pin(executes_on_a_terminal())),
    ("attached_before_the_start_misses_nothing", || {
        Box::pin(attached_before_the_start_misses_nothing())
    }),
    ("a_signal_arrives", || Box::pin(a_signal_arrives())),
];

pub fn kill(pid: u32) {
    nix::sys::signal::kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGKILL).unwrap();
}

fn exec(words: &[&str]) -> Exec {
    let command = ["/keel", "hello"].iter().chain(words).map(|word| (*word).to_owned()).collect();
    Exec { command, ..Exec::default() }
}

async fn executes_inside() {
    let lab = Lab::open().await;
    let wish = lab.task("web", &[]);
    lab.assign(&wish).await;
    lab.until_phase(&wish, Phase::Running).await;
    let open = |exec: Exec| Open::Exec { task: wish.id.clone(), exec };
    let hostname = lab.heard(open(exec(&["cat", "/etc/hostname"]))).await;
    assert_eq!(hostname.0.trim(), wish.id.short());
    assert_eq!(lab.heard(open(exec(&["exit", "7"]))).await.1, Some(7));
    let mut typed = lab.engine().open(open(Exec { stdin: true, ..exec(&["echo"]) })).await.unwrap();
    typed.send(Frame::Stdin(b"typed".to_vec())).await.unwrap();
    typed.send(Frame::StdinEnd).await.unwrap();
    assert_eq!(typed.receive().await, Some(Frame::Stdout(b"typed".to_vec())));
    assert_eq!(typed.receive().await, Some(Frame::Exit(0)));
    lab.clean().await;
}

async fn executes_on_a_terminal() {
    let lab = Lab::open().await;
    let wish = lab.task("web", &[]);
    lab.assign(&wish).await;
    lab.until_phase(&wish, Phase::Running).await;
    let exec = Exec { tty: true, stdin: true, ..exec(&["say", "on a terminal"]) };
    let (text, code) = lab.heard(Open::Exec { task: wish.id.clone(), exec }).await;
    assert_eq!((text.as_str(), code), ("on a terminal\r\n", Some(0)));
    lab.clean().await;
}

async fn attached_before_the_start_misses_nothing() {
    let lab = Lab::open().await;
    let mut wish = lab.task("web", &["say", "first words"]);
    wish.goal = Goal::Ready;
    lab.assign(&wish).await;
    lab.until_phase(&wish, Phase::Ready).await;
    let task = wish.id.clone();
    let mut attached = lab.engine().open(Open::Attach { task, stdin: false }).await.unwrap();
    wish.goal = Goal::Running;
    lab.assign(&wish).await;
    assert_eq!(attached.receive().await, Some(Frame::Stdout(b"first words\n".to_vec())));
    assert_eq!(attached.receive().await, Some(Frame::Exit(0)));
    lab.clean().await;
}

async fn a_signal_arrives() {
    let lab = Lab::open().await;
    let wish = lab.task("web", &["stay", "listens\n"]);
    lab.assign(&wish).await;
    lab.until_phase(&wish, Phase::Running).await;
    let options = LogOptions { follow: true, ..LogOptions::default() };
    let logs = Open::Logs { task: wish.id.clone(), options };
    let mut logs = lab.engine().open(logs).await.unwrap();
    assert_eq!(logs.receive().await, Some(Frame::Stdout(b"listens\n".to_vec())));
    let open = Open::Signal { task: wish.id.clone(), signal: "TERM".into() };
    assert_eq!(lab.heard(open).await.1, Some(0));
    let ended = lab.until_phase(&wish, Phase::Exited).await;
    assert_eq!((ended.exit_code, ended.exit_cause), (Some(0), Some(ExitCause::Own)));
    let wish = lab.task("killed", &[]);
    lab.assign(&wish).await;
    lab.until_phase(&wish, Phase::Running).await;
    lab.heard(Open::Signal { task: wish.id.clone(), signal: "KILL".into() }).await;
    let ended = lab.until_phase(&wish, Phase::Exited).await;
    let told = (ended.exit_code, ended.exit_cause);
    assert_eq!(told, (Some(137), Some(ExitCause::Stopped)), "a person's signal is no drift");
    let seen = lab.engine().observe(Depth::Fields).await.unwrap();
    assert!(seen.tasks.iter().all(|task| task.findings.is_empty()), "{seen:#?}");
    lab.clean().await;
}
