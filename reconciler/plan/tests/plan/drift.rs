//! What differs from what was applied: rows, healing, what is right again.

use crate::world::{World, stack};
use keel_engine::{
    FieldPath, Finding, FindingSubject, NetworkSpec, StackName, Value, fields::Field,
};
use keel_plan::desired::{DesiredNetwork, DriftPolicy, Origin};
use keel_plan::drift::{Seen, report, report_of_nodes};

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
        subject: FindingSubject::Task { id: None, slot: None },
        path: FieldPath::Row(Field::MemLimit),
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
    let first = report(&world.inputs(&world.nodes()), &Seen::new());
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
    let second = report(&world.inputs(&world.nodes()), &first.seen);
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
    let first = report(&world.inputs(&world.nodes()), &Seen::new());
    world.node.named("shop-web-1").findings.clear();
    world.node.seen.at += 1_000;
    let second = report(&world.inputs(&world.nodes()), &first.seen);
    assert!(second.rows[0].fixed);
    world.node.seen.at += 23 * 60 * 60_000;
    let third = report(&world.inputs(&world.nodes()), &second.seen);
    assert_eq!(third.rows.len(), 1);
    world.node.seen.at += 60 * 60_000;
    let last = report(&world.inputs(&world.nodes()), &third.seen);
    assert!(last.rows.is_empty() && last.seen.is_empty());
}

#[test]
fn what_is_no_known_stacks_is_told_of_the_node() {
    let mut world = limited();
    let of = |stack: Option<&str>| Finding {
        subject: FindingSubject::Network {
            name: "net".into(),
            stack: stack.map(|name| StackName::new(name).unwrap()),
        },
        path: FieldPath::Bridge("kl0".into()),
        applied: Value::Text("up".into()),
        observed: Value::Text("missing".into()),
        cause: None,
        fixed: false,
    };
    let stray = [None, Some("away"), Some("shop")].map(of);
    world.node.seen.findings = stray.to_vec();
    let rows = |known: &[&str], seen: &Seen, world: &World| {
        let known: Vec<_> = known.iter().map(|name| StackName::new(*name).unwrap()).collect();
        let report = report_of_nodes(&world.nodes(), &known, seen, world.node.seen.at);
        let said = |row: &keel_plan::drift::DriftRow| {
            format!("{}/{} {} {}", row.stack, row.task, row.field, row.fixed)
        };
        (report.rows.iter().map(said).collect::<Vec<_>>(), report.seen)
    };
    let (told, seen) = rows(&["shop"], &Seen::new(), &world);
    assert_eq!(told, ["/ net: bridge kl0 false", "away/ net: bridge kl0 false"]);
    assert_eq!(rows(&["shop", "away"], &Seen::new(), &world).0, ["/ net: bridge kl0 false"]);
    let (told, _) = rows(&[], &Seen::new(), &world);
    assert!(told.contains(&"shop/shop-web-1 mem_limit false".to_owned()), "{told:?}");
    world.node.seen.findings.clear();
    let (told, _) = rows(&["shop"], &seen, &world);
    assert_eq!(told, ["/ net: bridge kl0 true", "away/ net: bridge kl0 true"]);
}

#[test]
fn a_network_is_found_by_its_name_and_by_no_part_of_another_ones() {
    let origin =
        |line| Origin { file: "compose.yaml".into(), line, column: 3, len: 1, text: String::new() };
    let mut world = limited();
    let desired = &mut world.desired;
    let network = |line| DesiredNetwork {
        spec: NetworkSpec::default(),
        external: false,
        origin: Some(origin(line)),
    };
    desired.networks.insert("shop_a".into(), network(1));
    desired.networks.insert("shop_a_b".into(), network(2));
    let cases = [("shop_a_b", Some(2)), ("shop_a", Some(1)), ("shop_c", None)];
    for (name, line) in cases {
        world.node.seen.findings = vec![Finding {
            subject: FindingSubject::Network {
                name: name.into(),
                stack: Some(StackName::new("shop").unwrap()),
            },
            path: FieldPath::Bridge("kl1".into()),
            applied: Value::Unset,
            observed: Value::Unset,
            cause: None,
            fixed: false,
        }];
        let rows = report(&world.inputs(&world.nodes()), &Seen::new()).rows;
        let field = format!("{name}: bridge kl1");
        let row = rows.iter().find(|row| row.field.to_string() == field).unwrap();
        assert_eq!(row.at.as_ref().map(|at| at.line), line, "{name}");
    }
}
