use super::*;
use crate::operation::{Operation, OperationState};
use keel_engine::{FailureKind, PortError, PortHolder, Protocol, StackName};
use keel_plan::why::{Activity, Ending};

fn slot(service: &str) -> Slot {
    Slot { stack: StackName::new("shop").unwrap(), service: service.into(), slot: "1".into() }
}

fn crashed(times: u32) -> FailureCause {
    FailureCause::Crashed { ending: Some(Ending::Exited { code: 1, message: None }), times }
}

fn in_slot(service: &str, times: u32) -> FailureCause {
    FailureCause::InSlot { slot: slot(service), cause: Box::new(crashed(times)) }
}

fn holds(service: &str, hold: Hold) -> OperationReason {
    OperationReason::Holds { subject: Subject::Slot(slot(service)), hold }
}

/// As version 0.1 wrote it.
#[test]
fn a_record_of_an_older_version_is_read_and_told_as_it_was() {
    let record = r#"{
      "revision": "r2",
      "state": "failed",
      "reason": "web.1 exited (1) 3 times",
      "at": 5
    }"#;
    let operation: Operation = serde_json::from_str(record).unwrap();
    assert_eq!(operation.state, OperationState::Failed);
    assert_eq!(operation.reason.to_string(), "web.1 exited (1) 3 times");
    let now = OperationReason::Failed { cause: in_slot("web", 4) };
    assert!(operation.reason.is_alike(&now), "the same trouble, which keeps its time");
    assert!(!operation.reason.is_alike(&OperationReason::Failed { cause: in_slot("db", 4) }));
}

#[test]
fn what_is_written_now_is_read_as_it_was_written() {
    let all = [
        OperationReason::AsDesired,
        OperationReason::Failed { cause: in_slot("web", 3) },
        OperationReason::Broken { error: "the disk is full".into() },
        holds("web", Hold::InProgress { activity: Activity::Stopping }),
        holds("web", Hold::Stopped),
        OperationReason::Acts {
            subject: Subject::Network("shop_default".into()),
            action: Action::Create,
            reason: Reason::Missing,
        },
        OperationReason::default(),
    ];
    for reason in all {
        let text = serde_json::to_string(&reason).unwrap();
        assert_eq!(serde_json::from_str::<OperationReason>(&text).unwrap(), reason, "{text}");
    }
}

#[test]
fn the_same_trouble_is_known_by_its_data() {
    let failed = |times| OperationReason::Failed { cause: in_slot("web", times) };
    let still = |times| holds("web", Hold::Failed { cause: crashed(times) });
    let port = |pid: u32| {
        let holder = PortHolder::Program { name: "python3".into(), pid };
        let (protocol, host_ip) = (Protocol::Tcp, "0.0.0.0".parse().unwrap());
        let taken = PortError::Taken { published: 80, protocol, host_ip, holder };
        let message = Some(FailureKind::Port(taken).into());
        holds("web", Hold::InProgress { activity: Activity::Preparing { message } })
    };
    let known = |service: &str| {
        let hold = Hold::KnownBad { revision: "r2".into(), cause: in_slot("web", 3) };
        holds(service, hold)
    };
    assert!(failed(3).is_alike(&still(17)), "it failed, and is still so");
    assert!(port(45).is_alike(&port(4509)), "another process of the same program");
    assert!(!failed(3).is_alike(&known("db")));
    assert!(known("db").tells_of(&failed(3)), "it only says why it is left as it is");
    assert!(!known("db").tells_of(&OperationReason::Failed { cause: in_slot("db", 3) }));
    assert!(!still(4).tells_of(&failed(3)), "it crashed once more");
}

/// Every line names what it is about, once.
#[test]
fn a_hold_is_told_with_what_it_is_about() {
    let network = |name: &str| Subject::Network(name.into());
    let known = |service: &str| {
        let hold = Hold::KnownBad { revision: "r2".into(), cause: in_slot("web", 3) };
        holds(service, hold).to_string()
    };
    assert_eq!(known("web"), "revision r2 is known bad: web.1 exited (1) 3 times");
    assert_eq!(known("db"), "db.1: revision r2 is known bad: web.1 exited (1) 3 times");
    let other = holds(
        "web",
        Hold::Failed {
            cause: FailureCause::Sibling {
                slot: Slot { slot: "10".into(), ..slot("web") },
                late: false,
            },
        },
    );
    assert_eq!(other.to_string(), "web.1 web.10 failed, so the others stay as they are");
    let acts = |service: &str| {
        let subject = Subject::Slot(slot(service));
        let reason = Reason::Failed { cause: in_slot("web", 3) };
        OperationReason::Acts { subject, action: Action::Remove, reason }.to_string()
    };
    assert_eq!(acts("web"), "remove: failed: web.1 exited (1) 3 times");
    assert_eq!(acts("db"), "db.1: remove: failed: web.1 exited (1) 3 times");
    let image = Hold::AwaitingImage { image: "app:1".into(), failure: None };
    let of_image =
        OperationReason::Holds { subject: Subject::Image("app:1".into()), hold: image.clone() };
    assert_eq!(of_image.to_string(), "waits for image app:1");
    assert_eq!(holds("web", image).to_string(), "web.1: waits for image app:1");
    let missing = Hold::NotFound { subject: network("lan") };
    let told = OperationReason::Holds { subject: network("lan"), hold: missing };
    assert_eq!(
        told.to_string(),
        "network lan does not exist: `keel network create lan` creates it"
    );
}
