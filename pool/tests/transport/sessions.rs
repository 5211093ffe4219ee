//! Sessions with a far task: who does not read stops who writes, each direction ends for itself, and a broken
//! connection is no end like any other.

use crate::lab::{Lab, Node, Wire, connected};
use keel_engine::frames::Frame;
use keel_engine::{
    Assignment, Depth, Duplex, Engine, Goal, Observation, Open, Place, TaskAssignment, TaskId,
    TaskSpec,
};
use keel_pool::transport::{Far, Limits};
use keel_testing::talk::{Inside, Talk, talk};
use keel_testing::waiting::{in_time, until_holds};
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// All that may be on its way: the window of a stream, what waits to be sent, and a frame on either side.
const ON_ITS_WAY: usize = (256 << 10) + (64 << 10) + (32 << 10);

/// Nearly as much as a window: what comes in pieces need not fill it.
const NEARLY_ALL: usize = 240 << 10;

fn attach() -> Open {
    Open::Attach { task: TaskId::from_seed("x"), stdin: true }
}

fn numbered(number: usize) -> Frame {
    Frame::Stdout(number.to_string().into_bytes())
}

struct Opened {
    _lab: Lab,
    _agent: Node,
    far: Arc<Far>,
    talk: Arc<Talk>,
    inside: Inside,
    session: Box<dyn Duplex>,
}

async fn open() -> Opened {
    let lab = Lab::start(Limits::default()).await;
    let (talk, inside) = talk();
    let (agent, far) = lab.connect("n1", talk.clone()).await;
    let session = far.open(attach()).await.unwrap();
    Opened { _lab: lab, _agent: agent, far, talk, inside, session }
}

/// Enough calls there and back that whatever could still be on its way has arrived.
async fn settled(far: &Far) -> Observation {
    for _ in 0..20 {
        far.observe(Depth::State).await.unwrap();
    }
    far.observe(Depth::State).await.unwrap()
}

#[tokio::test]
async fn whoever_does_not_read_stops_whoever_writes_and_nobody_else() {
    let size = 16 << 10;
    let Opened { far, talk, inside, mut session, _lab, _agent } = open().await;
    let many = 4 * ON_ITS_WAY / size;
    let frame = Frame::Stdout(vec![b'x'; size]);
    let saying = tokio::spawn({
        let frame = frame.clone();
        async move {
            for _ in 0..many {
                inside.says.send(frame.clone()).await.unwrap();
            }
            inside
        }
    });
    let asked = || talk.asked.load(Ordering::SeqCst) * (size + keel_engine::frames::HEADER);
    until_holds("as much comes as may", || async { asked() >= NEARLY_ALL }).await;
    settled(&far).await;
    assert!(asked() <= ON_ITS_WAY, "{} bytes were taken from the engine, and none read", asked());
    assert!(!saying.is_finished(), "the program waits");
    for _ in 0..many {
        assert_eq!(in_time("the next frame comes", session.receive()).await.as_ref(), Some(&frame));
    }
}

#[tokio::test]
async fn input_waits_for_who_takes_it() {
    let Opened { far, mut inside, session, _lab, _agent, .. } = open().await;
    let (_hears, mut says) = session.split();
    let (size, many) = (16 << 10, 100);
    let sent = Arc::new(AtomicUsize::new(0));
    let sending = tokio::spawn({
        let sent = sent.clone();
        async move {
            for number in 0..many {
                says.send(Frame::Stdin(vec![number; size])).await.unwrap();
                sent.fetch_add(size, Ordering::SeqCst);
            }
        }
    });
    let sent = || sent.load(Ordering::SeqCst);
    until_holds("as much goes as may", || async { sent() >= NEARLY_ALL }).await;
    settled(&far).await;
    // Two are in the engine's own queue, or wait to get there.
    assert!(sent() <= ON_ITS_WAY + 2 * size, "{} bytes were sent, and none taken", sent());
    for number in 0..many {
        let frame = in_time("the next frame comes", inside.hears.recv()).await;
        assert_eq!(frame, Some(Frame::Stdin(vec![number; size])));
    }
    in_time("all is sent", sending).await.unwrap();
}

#[tokio::test]
async fn the_end_of_input_reaches_the_program_and_its_output_goes_on() {
    let Opened { mut inside, session, _lab, _agent, .. } = open().await;
    let (mut hears, mut says) = session.split();
    says.send(Frame::Stdin(b"all there is".to_vec())).await.unwrap();
    drop(says);
    let first = in_time("the input comes", inside.hears.recv()).await;
    assert_eq!(first, Some(Frame::Stdin(b"all there is".to_vec())));
    assert_eq!(in_time("the input's end comes", inside.hears.recv()).await, None);
    inside.says.send(numbered(1)).await.unwrap();
    inside.says.send(Frame::Exit(7)).await.unwrap();
    drop(inside);
    assert_eq!(in_time("output goes on", hears.receive()).await, Some(numbered(1)));
    assert_eq!(in_time("the exit comes", hears.receive()).await, Some(Frame::Exit(7)));
    assert_eq!(in_time("the end comes", hears.receive()).await, None);
}

#[tokio::test]
async fn a_session_that_nobody_has_any_more_ends_at_the_engine() {
    let Opened { mut inside, session, _lab, _agent, .. } = open().await;
    drop(session);
    in_time("the engine hears of it", inside.says.closed()).await;
    assert_eq!(in_time("and nothing more comes", inside.hears.recv()).await, None);
}

fn task() -> Assignment {
    let spec = TaskSpec { image: "app".into(), ..TaskSpec::default() };
    Assignment::Task(Box::new(TaskAssignment {
        id: TaskId::from_seed("x"),
        place: Place::OneOff("x".into()),
        generation: 1,
        spec: Arc::new(spec),
        digest: None,
        joins: None,
        replaces: None,
        revision: String::new(),
        origins: keel_engine::Opaque::Null,
        avoids: Vec::new(),
        goal: Goal::Running,
        auto_remove: false,
        remove_volumes: false,
        force: false,
        anew: false,
        grace: None,
    }))
}

#[tokio::test]
async fn a_cut_connection_ends_a_session_with_an_error_and_touches_no_task() {
    let lab = Lab::start(Limits::default()).await;
    let wire = Wire::to(lab.address).await;
    let (talk, mut inside) = talk();
    let _agent = lab.agent("n1", talk.clone(), wire.address);
    let far = lab.far("n1");
    connected(&far).await;
    far.assign(&[task()]).await.unwrap();
    let before = far.observe(Depth::State).await.unwrap().tasks;
    assert!(before[0].pid.is_some());
    let (mut hears, mut says) = far.open(attach()).await.unwrap().split();
    inside.says.send(numbered(1)).await.unwrap();
    assert_eq!(in_time("output comes", hears.receive()).await, Some(numbered(1)));
    wire.cut();
    let Some(Frame::Error(error)) = in_time("the session ends", hears.receive()).await else {
        panic!("a session that breaks says so")
    };
    assert!(error.starts_with("the session with node n1 was interrupted: "), "{error}");
    assert_eq!(hears.receive().await, None);
    let refused = says.send(Frame::Stdin(b"x".to_vec())).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::BrokenPipe);
    in_time("the engine hears of it", inside.says.closed()).await;
    assert_eq!(in_time("in both directions", inside.hears.recv()).await, None);
    connected(&far).await;
    let after = far.observe(Depth::State).await.unwrap().tasks;
    assert_eq!(after, before, "the same tasks with the same processes");
}
