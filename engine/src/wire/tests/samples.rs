//! Each variant of each part of the contract, once.

mod whole;

use super::super::{Answer, Call};
use crate::fields::FIELDS;
use crate::frames::Frame;
use crate::tree::{EntryKind, Tree, TreeEntry};
use crate::{
    AddressPool, Assignment, Content, Depth, Digest, EngineError, Event, Exec, ExitCause, Goal,
    Health, HealthTest, Lease, LentLogin, Level, LogOptions, Login, MountSource, NetworkMode,
    NetworkSpec, Open, Phase, Place, PoolSpec, Presence, Protocol, PullPolicy, RestartPolicy, Slot,
    StackName, Sweep, Swept, TaskAssignment, TaskId, Thing, Trouble, Usage, Value, VolumeSpec,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use whole::{observation, spec};

/// One value, how it travels, and whether another form is read as the same.
pub(super) struct Sample {
    pub(super) name: String,
    pub(super) form: Json,
    pub(super) reads: Reads,
}

type Reads = Box<dyn Fn(&Json) -> Result<(), String>>;

fn sample<T>(name: String, value: T) -> Sample
where
    T: Serialize + DeserializeOwned + PartialEq + Debug + 'static,
{
    let form = serde_json::to_value(&value).unwrap();
    let reads = move |form: &Json| {
        let read: T = serde_json::from_value(form.clone()).map_err(|error| error.to_string())?;
        if read == value { Ok(()) } else { Err(format!("{read:#?} instead of {value:#?}")) }
    };
    Sample { name, form, reads: Box::new(reads) }
}

/// Values of a type, one for each pattern: a variant without one does not compile.
macro_rules! each {
    ($type:ty: $($pattern:pat => $value:expr),+ $(,)?) => {{
        fn known(value: &$type) {
            match value { $($pattern => {}),+ }
        }
        let mut values: Vec<$type> = Vec::new();
        $(
            let value: $type = $value;
            assert!(matches!(value, $pattern), "a value of another variant");
            known(&value);
            values.push(value);
        )+
        values
    }};
}

fn named<T>(values: Vec<T>) -> Vec<Sample>
where
    T: Serialize + DeserializeOwned + PartialEq + Debug + 'static,
{
    let kind = std::any::type_name::<T>().rsplit("::").next().unwrap_or_default().to_owned();
    let name = |value: &T| {
        let shown = format!("{value:?}");
        let variant = shown.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        format!("{kind}::{variant}")
    };
    values.into_iter().map(|value| sample(name(&value), value)).collect()
}

pub(super) fn all() -> Vec<Sample> {
    let mut all = vec![sample("TaskSpec".into(), spec())];
    all.extend(named(calls()));
    all.extend(named(answers()));
    all.extend(named(wishes()));
    all.extend(enums());
    all.extend(FIELDS.iter().map(|row| sample(format!("Field::{:?}", row.field), row.field)));
    all.extend(named(errors()));
    all.extend(troubles());
    all.extend(frames());
    all
}

fn digest() -> Digest {
    Digest::of(b"x")
}

fn stack() -> StackName {
    StackName::new("shop").unwrap()
}

fn slot() -> Slot {
    Slot { stack: stack(), service: "web".into(), slot: "1".into() }
}

fn task() -> TaskId {
    TaskId::from_seed("web")
}

fn lease() -> Lease {
    Lease { holder: "keel serve".into(), epoch: 7, number: 3, term: Some(30_000) }
}

fn log() -> LogOptions {
    LogOptions { follow: true, tail: Some(10), since: Some(1), until: Some(2), timestamps: true }
}

fn exec() -> Exec {
    Exec {
        command: vec!["sh".into()],
        tty: true,
        stdin: true,
        env: vec!["A=b".into()],
        user: Some("1:1".into()),
        working_dir: Some("/".into()),
        privileged: true,
    }
}

pub(super) fn calls() -> Vec<Call> {
    let (lease, sweep) = (Some(lease()), sweep());
    each!(Call:
        Call::Observe(_) => Call::Observe(Depth::State),
        Call::Assign { .. } => Call::Assign { lease: lease.clone(), wishes: wishes() },
        Call::Lease => Call::Lease,
        Call::Renew(_) => Call::Renew(self::lease()),
        Call::Release(_) => Call::Release(self::lease()),
        Call::Sweep { .. } => Call::Sweep { lease, sweep },
        Call::Usage => Call::Usage,
        Call::Lend(_) => Call::Lend(logins()),
        Call::Events => Call::Events,
        Call::Open(_) => Call::Open(Open::Attach { task: task(), stdin: true }),
    )
}

fn logins() -> Vec<LentLogin> {
    let logins = each!(Login:
        Login::Password { .. } => Login::Password { user: "ann".into(), password: "secret".into() },
        Login::IdentityToken(_) => Login::IdentityToken("token".into()),
    );
    let lent = |login| LentLogin { image: "r.io/a:1".into(), login };
    logins.into_iter().map(Some).chain([None]).map(lent).collect()
}

fn answers() -> Vec<Answer> {
    each!(Answer:
        Answer::Observed(_) => Answer::Observed(Box::new(observation())),
        Answer::Leased(_) => Answer::Leased(lease()),
        Answer::Done => Answer::Done,
        Answer::Swept(_) => Answer::Swept(Swept {
            images: vec!["a:1".into()],
            contents: 1,
            trees: 3,
            bytes: 2,
            waits: true,
        }),
        Answer::Usage(_) => Answer::Usage(Usage {
            images: 1,
            tasks: [(task(), 2)].into(),
            volumes: [("shop_data".into(), 3)].into(),
            contents: 4,
        }),
        Answer::Event(_) => Answer::Event(Event::Missed),
        Answer::Opened => Answer::Opened,
        Answer::Refused(_) => Answer::Refused(EngineError::failed("cannot store", "no room")),
    )
}

fn wishes() -> Vec<Assignment> {
    each!(Assignment:
        Assignment::Content(_) => Assignment::Content(Content::of(*b"hello")),
        Assignment::Tree(_) => Assignment::Tree(tree()),
        Assignment::Image { .. } => Assignment::Image {
            reference: "nginx:1".into(),
            policy: PullPolicy::Always,
            wanted: Presence::Present,
        },
        Assignment::Network { .. } => Assignment::Network {
            spec: network(),
            wanted: Presence::Absent,
        },
        Assignment::Volume { .. } => Assignment::Volume {
            spec: volume(),
            wanted: Presence::Present,
        },
        Assignment::Task(_) => Assignment::Task(Box::new(assignment())),
    )
}

fn tree() -> Tree {
    let entry = |path: &str, kind| TreeEntry { path: path.into(), kind };
    let entries = vec![
        entry("", EntryKind::Folder),
        entry("link", EntryKind::Link("page".into())),
        entry("page", EntryKind::File { executable: true, size: 5 }),
    ];
    let files = BTreeMap::from([(PathBuf::from("page"), b"hello".to_vec())]);
    Tree::new(digest(), entries, Arc::new(files)).unwrap()
}

fn assignment() -> TaskAssignment {
    TaskAssignment {
        id: task(),
        place: Place::Slot(slot()),
        generation: 3,
        spec: Arc::new(spec()),
        digest: Some(digest()),
        joins: Some(task()),
        replaces: Some(task()),
        revision: "abc".into(),
        origins: serde_json::json!({"image": "compose.yaml:3:5"}),
        avoids: vec![("shop_default".into(), Ipv4Addr::new(172, 20, 0, 2).into())],
        goal: Goal::Running,
        auto_remove: true,
        remove_volumes: true,
        force: true,
        anew: true,
        grace: Some(100),
    }
}

fn network() -> NetworkSpec {
    NetworkSpec {
        name: "shop_default".into(),
        driver: "bridge".into(),
        internal: true,
        pools: vec![PoolSpec {
            subnet: Some("172.20.0.0/16".parse().unwrap()),
            gateway: Some(Ipv4Addr::new(172, 20, 0, 1).into()),
        }],
        auto_remove: true,
        labels: [("a".into(), "b".into())].into(),
    }
}

fn pools() -> Vec<AddressPool> {
    let gateway = Some(Ipv4Addr::new(172, 20, 0, 1).into());
    vec![AddressPool { subnet: "172.20.0.0/16".parse().unwrap(), gateway }]
}

fn volume() -> VolumeSpec {
    VolumeSpec {
        name: "shop_data".into(),
        driver: "local".into(),
        driver_opts: [("type".into(), "tmpfs".into())].into(),
        labels: [("a".into(), "b".into())].into(),
    }
}

fn sweep() -> Sweep {
    Sweep {
        images: ["a:1".into()].into(),
        needed: ["b:1".into()].into(),
        digests: [digest()].into(),
        contents: [digest()].into(),
        images_before: 1,
        contents_before: 2,
        trees_before: 3,
        dry: true,
    }
}

fn enums() -> Vec<Sample> {
    let slots = each!(Place:
        Place::Slot(_) => Place::Slot(slot()),
        Place::OneOff(_) => Place::OneOff("job".into()),
    );
    let depths = each!(Depth:
        Depth::State => Depth::State,
        Depth::Fields => Depth::Fields,
        Depth::FieldsOf(_) => Depth::FieldsOf(stack()),
    );
    let opens = each!(Open:
        Open::Logs { .. } => Open::Logs { task: task(), options: log() },
        Open::Exec { .. } => Open::Exec { task: task(), exec: exec() },
        Open::Attach { .. } => Open::Attach { task: task(), stdin: true },
        Open::Signal { .. } => Open::Signal { task: task(), signal: "HUP".into() },
    );
    let events = each!(Event:
        Event::Task(_) => Event::Task(task()),
        Event::Image(_) => Event::Image("nginx:1".into()),
        Event::Resource(_) => Event::Resource("shop_default".into()),
        Event::Missed => Event::Missed,
    );
    let goals = each!(Goal:
        Goal::Ready => Goal::Ready,
        Goal::Running => Goal::Running,
        Goal::Stopped => Goal::Stopped,
        Goal::Removed => Goal::Removed,
    );
    let wanted = each!(Presence:
        Presence::Present => Presence::Present,
        Presence::Absent => Presence::Absent,
    );
    [named(slots), named(depths), named(opens), named(events), named(goals), named(wanted)]
        .into_iter()
        .flatten()
        .chain(of_tasks())
        .chain(of_reports())
        .collect()
}

fn of_tasks() -> Vec<Sample> {
    let pulls = each!(PullPolicy:
        PullPolicy::Missing => PullPolicy::Missing,
        PullPolicy::Always => PullPolicy::Always,
        PullPolicy::Never => PullPolicy::Never,
    );
    let modes = each!(NetworkMode:
        NetworkMode::Networks => NetworkMode::Networks,
        NetworkMode::Host => NetworkMode::Host,
        NetworkMode::None => NetworkMode::None,
        NetworkMode::Service(_) => NetworkMode::Service("web".into()),
        NetworkMode::Container(_) => NetworkMode::Container("other".into()),
    );
    let protocols = each!(Protocol:
        Protocol::Tcp => Protocol::Tcp,
        Protocol::Udp => Protocol::Udp,
    );
    let checks = each!(HealthTest:
        HealthTest::Disabled => HealthTest::Disabled,
        HealthTest::Image => HealthTest::Image,
        HealthTest::Command(_) => HealthTest::Command(vec!["true".into()]),
        HealthTest::Shell(_) => HealthTest::Shell("exit 0".into()),
    );
    let restarts = each!(RestartPolicy:
        RestartPolicy::No => RestartPolicy::No,
        RestartPolicy::Always => RestartPolicy::Always,
        RestartPolicy::OnFailure { .. } => RestartPolicy::OnFailure { max: 3 },
        RestartPolicy::UnlessStopped => RestartPolicy::UnlessStopped,
    );
    let parts = [named(pulls), named(modes), named(protocols), named(checks), named(restarts)];
    parts.into_iter().flatten().chain(named(sources())).collect()
}

fn sources() -> Vec<MountSource> {
    each!(MountSource:
        MountSource::Volume { .. } => MountSource::Volume {
            name: "shop_data".into(),
            nocopy: true,
            subpath: Some("a".into()),
        },
        MountSource::Anonymous => MountSource::Anonymous,
        MountSource::Bind { .. } => MountSource::Bind { path: "/srv".into(), create: true },
        MountSource::Revision { .. } => MountSource::Revision {
            path: String::new(),
            digest: digest(),
            tree: Some(digest()),
        },
    )
}

fn of_reports() -> Vec<Sample> {
    let phases = each!(Phase:
        Phase::Pending => Phase::Pending,
        Phase::Preparing => Phase::Preparing,
        Phase::Ready => Phase::Ready,
        Phase::Running => Phase::Running,
        Phase::Backoff => Phase::Backoff,
        Phase::Draining => Phase::Draining,
        Phase::Exited => Phase::Exited,
        Phase::Rejected => Phase::Rejected,
    );
    let causes = each!(ExitCause:
        ExitCause::Own => ExitCause::Own,
        ExitCause::Stopped => ExitCause::Stopped,
        ExitCause::OutOfMemory => ExitCause::OutOfMemory,
        ExitCause::KilledFromOutside => ExitCause::KilledFromOutside,
        ExitCause::Interrupted => ExitCause::Interrupted,
        ExitCause::Unknown => ExitCause::Unknown,
    );
    let health = each!(Health:
        Health::None => Health::None,
        Health::Starting => Health::Starting,
        Health::Healthy => Health::Healthy,
        Health::Unhealthy => Health::Unhealthy,
    );
    let levels = each!(Level:
        Level::Task => Level::Task,
        Level::Network => Level::Network,
        Level::Volume => Level::Volume,
        Level::Node => Level::Node,
    );
    let parts = [named(phases), named(causes), named(health), named(levels), named(values())];
    parts.into_iter().flatten().collect()
}

fn values() -> Vec<Value> {
    each!(Value:
        Value::Unset => Value::Unset,
        Value::Bool(_) => Value::Bool(true),
        Value::Number(_) => Value::Number(-1),
        Value::Bytes(_) => Value::Bytes(1 << 40),
        Value::Cpus(_) => Value::Cpus(1_500_000_000),
        Value::Millis(_) => Value::Millis(1),
        Value::Text(_) => Value::Text("x".into()),
        Value::List(_) => Value::List(vec!["x".into()]),
        Value::Map(_) => Value::Map([("x".into(), "y".into())].into()),
    )
}

fn errors() -> Vec<EngineError> {
    let (what, hint) = ("the volume is in use".to_owned(), Some("remove its task".to_owned()));
    each!(EngineError:
        EngineError::OldGeneration { .. } => EngineError::OldGeneration {
            task: task(),
            has: 5,
            given: 4,
        },
        EngineError::NotFound { .. } => EngineError::NotFound {
            kind: Thing::Task,
            name: "web".into(),
        },
        EngineError::Conflict { .. } => EngineError::Conflict {
            what: what.clone(),
            hint: hint.clone(),
        },
        EngineError::Driven { .. } => EngineError::Driven { by: "`keel serve` (pid 1)".into() },
        EngineError::Unsupported { .. } => EngineError::Unsupported { what, hint },
        EngineError::Failed { .. } => EngineError::failed("cannot store", "no room"),
    )
}

fn troubles() -> Vec<Sample> {
    let things = each!(Thing:
        Thing::Task => Thing::Task,
        Thing::Image => Thing::Image,
        Thing::Network => Thing::Network,
        Thing::Volume => Thing::Volume,
        Thing::Node => Thing::Node,
    );
    let troubles = each!(Trouble:
        Trouble::DiskFull => Trouble::DiskFull,
        Trouble::ReadOnlyDisk => Trouble::ReadOnlyDisk,
        Trouble::Network => Trouble::Network,
        Trouble::Registry => Trouble::Registry,
        Trouble::Exhausted => Trouble::Exhausted,
        Trouble::Other => Trouble::Other,
    );
    named(things).into_iter().chain(named(troubles)).collect()
}

/// Frames have a form of their own; hexadecimal here.
fn frames() -> Vec<Sample> {
    let frames = each!(Frame:
        Frame::Stdin(_) => Frame::Stdin(b"in".to_vec()),
        Frame::StdinEnd => Frame::StdinEnd,
        Frame::Stdout(_) => Frame::Stdout(b"out".to_vec()),
        Frame::Stderr(_) => Frame::Stderr(b"err".to_vec()),
        Frame::Resize { .. } => Frame::Resize { rows: 24, columns: 80 },
        Frame::Exit(_) => Frame::Exit(-1),
        Frame::Error(_) => Frame::Error("no such program".into()),
    );
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let name = |frame: &Frame| {
        let shown = format!("{frame:?}");
        format!("Frame::{}", shown.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default())
    };
    frames.iter().map(|frame| sample(name(frame), hex(frame.encode()))).collect()
}
