//! What differs from what was applied: rows, healing, what is right again.

use crate::world::{World, stack};
use keel_engine::{Finding, Level, Value, fields::Field};
use keel_plan::desired::{DriftPolicy, Origin};
use keel_plan::drift::{Seen, report};

fn limited() -> World {
    let world = stack().wants("web", "nginx:1").edit("web", |service| {
        service.spec.mem_limit = Some(64 << 20);
        let text = "    mem_limit: 64m".to_owned();
        let file = "compose.yaml".to_owned();
        let origin = Origin { file, line: 9, column: 16, len: 3, text };
        service.origins.insert("mem_limit".into(), origin);
    });
    let mut world = world.converge();
    world.node.named("shop-web-1").findings = vec![Finding {
        level: Level::Task,
        stack: None,
        row: Some(Field::MemLimit),
        field: "mem_limit".into(),
        applied: Value::Bytes(64 << 20),
        observed: Value::Bytes(32 << 20),
        cause: None,
        fixed: false,
    }];
    world
}

#[test]
fn a_finding_says_where_it_was_desired_and_since_when() {
    let mut world = limited();
    let first = report(&world.inputs(), &Seen::new());
    insta::assert_snapshot!(serde_json::to_string_pretty(&first.rows).unwrap(), @r#"
    [
      {
        "id": "650999e2ade9",
        "stack": "shop",
        "service": "web",
        "task": "shop-web-1",
        "node": "n1",
        "level": "task",
        "field": "mem_limit",
        "desired": {
          "bytes": 67108864
        },
        "at": {
          "file": "compose.yaml",
          "line": 9,
          "column": 16,
          "len": 3,
          "text": "    mem_limit: 64m"
        },
        "applied": {
          "bytes": 67108864
        },
        "observed": {
          "bytes": 33554432
        },
        "first_seen": 1014000,
        "cause": null,
        "policy": "heal",
        "fixed": false
      }
    ]
    "#);
    world.node.seen.at += 5_000;
    let second = report(&world.inputs(), &first.seen);
    assert_eq!(second.rows, first.rows, "known since then");
}

#[test]
fn drift_is_healed_with_what_was_applied_unless_the_policy_says_report() {
    let world = limited();
    insta::assert_snapshot!(world.shown(), @"web.1: heal: mem_limit was 64MiB, is 32MiB");
    let report = limited().edit("web", |service| service.drift = Some(DriftPolicy::Report));
    insta::assert_snapshot!(report.shown(), @"web.1: hold: drifted, and the policy is to report only");
}

#[test]
fn what_is_right_again_is_shown_for_a_day() {
    let mut world = limited();
    let first = report(&world.inputs(), &Seen::new());
    world.node.named("shop-web-1").findings.clear();
    world.node.seen.at += 1_000;
    let second = report(&world.inputs(), &first.seen);
    assert!(second.rows[0].fixed);
    world.node.seen.at += 23 * 60 * 60_000;
    let third = report(&world.inputs(), &second.seen);
    assert_eq!(third.rows.len(), 1);
    world.node.seen.at += 60 * 60_000;
    let last = report(&world.inputs(), &third.seen);
    assert!(last.rows.is_empty() && last.seen.is_empty());
}
