//! What is decided and noted is data; words are made of it, and records keep both their forms.

use crate::world::{World, stack};
use keel_engine::Slot;
use keel_plan::standing::KnownBad;
use keel_plan::status::{Note, status};
use keel_plan::text::{self, of_notes};
use keel_plan::verdict::{Action, Hold, PlanEntry, Reason, Subject, Verdict};
use keel_plan::why::{
    Activity, Awaited, Ending, FailureCause, Followed, Holder, KeptBecause, MachineLack, Needs,
    NotRunBecause, PersonsCommand,
};

fn crashed() -> World {
    let good = stack().wants("web", "nginx:1").wants("db", "pg:1").converge();
    good.push("web", "crash", "r2").converge()
}

#[test]
fn a_mark_that_an_older_version_wrote_still_counts() {
    let mut world = crashed();
    let now = (text::lines(&world.plan()), of_notes(&status(&world.inputs(&world.nodes())).notes));
    let hash = world.desired.hash;
    let words = text::of_failure(&world.standing.bad[&hash].cause);
    let mut record = serde_json::to_value(&world.standing.bad[&hash]).unwrap();
    record["reason"] = words.as_str().into();
    let mark: KnownBad = serde_json::from_value(record).unwrap();
    assert_eq!(mark.cause, FailureCause::Other(words));
    assert!(
        keel_plan::text::is_same_failure(&mark.cause, &world.standing.bad[&hash].cause),
        "the same failure"
    );
    world.standing.bad.insert(hash, mark);
    let then = (text::lines(&world.plan()), of_notes(&status(&world.inputs(&world.nodes())).notes));
    assert_eq!(then, now, "nobody is told anything else");
}

#[test]
fn a_record_of_this_version_is_read_as_it_was_written() {
    let world = crashed();
    let text = serde_json::to_string(&world.standing).unwrap();
    assert_eq!(
        serde_json::from_str::<keel_plan::standing::Standing>(&text).unwrap(),
        world.standing
    );
    let notes = status(&world.inputs(&world.nodes())).notes;
    assert!(matches!(&notes[..], [Note::RevisionFailed { .. }, ..]), "{notes:?}");
    let text = serde_json::to_string(&notes).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Note>>(&text).unwrap(), notes);
}

/// `plan --format json`: every string that scripts read is there, with the data beside it.
#[test]
fn the_json_of_a_plan_has_words_and_data() {
    let slot = |service: &str| {
        let stack = keel_engine::StackName::new("shop").unwrap();
        Slot { stack, service: service.into(), slot: "1".into() }
    };
    let crashed =
        FailureCause::Crashed { ending: Some(Ending::Exited { code: 1, message: None }), times: 3 };
    let in_slot = FailureCause::InSlot { slot: slot("db"), cause: Box::new(crashed.clone()) };
    let needs = Needs {
        slot: slot("db"),
        condition: Awaited::Healthy,
        hold: Box::new(Hold::NotFound { subject: Subject::Network("lan".into()) }),
    };
    let holds = [
        Hold::InProgress { activity: Activity::Stopping },
        Hold::Failed { cause: crashed },
        Hold::KnownBad { revision: "r2".into(), cause: in_slot },
        Hold::NotFound { subject: Subject::Volume("data".into()) },
        Hold::Kept { because: KeptBecause::PruneOff },
        Hold::OwnedBy { holder: Holder::Stack("blog".into()) },
        Hold::AwaitingDependency { service: "db".into(), condition: Awaited::Completed },
        Hold::Lacking {
            node: "n1".into(),
            service: "web".into(),
            what: MachineLack::Device { path: "/dev/dri".into() },
            at: None,
        },
        Hold::NotRunYet {
            field: "depends_on.db".into(),
            because: NotRunBecause::Needs(needs),
            at: None,
        },
    ];
    let json = |hold: Hold| {
        let entry = PlanEntry {
            subject: Subject::Slot(slot("web")),
            node: None,
            verdict: Verdict::Hold(hold),
        };
        text::row(&entry).reason.to_string()
    };
    insta::assert_snapshot!(holds.map(json).join("\n"), @r#"
    {"in-progress":{"activity":{"kind":"stopping"},"what":"it is being stopped"}}
    {"failed":{"cause":{"ending":{"code":1,"kind":"exited","message":null},"kind":"crashed","times":3},"what":"exited (1) 3 times"}}
    {"known-bad":{"cause":{"cause":{"ending":{"code":1,"kind":"exited","message":null},"kind":"crashed","times":3},"kind":"in-slot","slot":{"service":"db","slot":"1","stack":"shop"}},"reason":"db.1 exited (1) 3 times","revision":"r2"}}
    {"not-found":{"subject":{"volume":"data"},"what":"volume data"}}
    {"kept":{"because":{"kind":"prune-off"},"why":"it is not in the source, but prune is off"}}
    {"owned-by":{"holder":{"stack":"blog"},"owner":"stack blog"}}
    {"awaiting-dependency":{"condition":"completed","service":"db"}}
    {"lacking":{"at":null,"node":"n1","service":"web","what":{"kind":"device","path":"/dev/dri"},"why":"node n1 has no device /dev/dri, which service web asks for: attach the device, or remove it from `devices`"}}
    {"not-run-yet":{"at":null,"because":{"needs":{"condition":"healthy","hold":{"not-found":{"subject":{"network":"lan"}}},"slot":{"service":"db","slot":"1","stack":"shop"}}},"field":"depends_on.db","why":"needs db.1 healthy: network lan does not exist: `keel network create lan` creates it"}}
    "#);
    let reasons = [
        Reason::Asked { command: PersonsCommand::DownVolumes },
        Reason::Failed { cause: FailureCause::NotTriedAgain },
        Reason::Follows { leader: Followed::Network("shop_default".into()) },
    ];
    let json = |reason: Reason| {
        let verdict = Verdict::Act { action: Action::Stop, reason, wishes: vec![] };
        text::row(&PlanEntry { subject: Subject::Slot(slot("web")), node: None, verdict })
            .reason
            .to_string()
    };
    insta::assert_snapshot!(reasons.map(json).join("\n"), @r#"
    {"asked":{"command":"down --volumes"}}
    {"failed":{"cause":{"kind":"not-tried-again"},"what":"it failed, and is not tried again"}}
    {"follows":{"leader":{"network":"shop_default"},"service":"network shop_default"}}
    "#);
}

/// A version that had nothing but words of a node's failures wrote them where the failures are now.
#[test]
fn a_nodes_words_in_an_older_record_are_read() {
    let words = "port 80/tcp is taken by nginx (pid 7)";
    let old = format!(r#"{{"kind":"unprepared","message":"{words}"}}"#);
    let cause: FailureCause = serde_json::from_str(&old).unwrap();
    assert_eq!(text::of_failure(&cause), words);
    let old = format!(r#"{{"kind":"preparing","message":"{words}"}}"#);
    let activity: Activity = serde_json::from_str(&old).unwrap();
    assert_eq!(activity, Activity::Preparing { message: Some(words.into()) });
}
