//! What a node's machine lacks holds the service that asks for it, before anything is sent there.

use crate::world::{World, stack};
use keel_engine::{Device, HostDevices, HostFacts, KernelLimit, KernelLimits, NodeName};
use keel_plan::status::status;
use keel_plan::text::of_notes;
use keel_plan::verdict::{Hold, Subject, Verdict};
use keel_plan::why::MachineLack;
use std::sync::Arc;

const STICK: &str = "/dev/ttyUSB0";

/// A machine with a few devices, that can limit memory and CPU time alone.
fn machine(devices: &[&str]) -> Arc<HostFacts> {
    let devices = HostDevices {
        listed: ["/dev".to_owned()].into(),
        unlisted: ["/dev/pts".to_owned()].into(),
        paths: devices.iter().map(|path| (*path).to_owned()).collect(),
    };
    let limits = [KernelLimit::Memory, KernelLimit::Cpu].into();
    Arc::new(HostFacts {
        devices: Some(devices),
        limits: Some(KernelLimits(limits)),
        cgroup_version: Some(2),
        ..HostFacts::default()
    })
}

fn device(path: &str) -> Device {
    Device { source: path.into(), target: path.into(), permissions: "rwm".into() }
}

/// `radio` asks for a stick that is not there, `web` for nothing.
fn radio() -> World {
    let mut world = stack().wants("web", "nginx:1").wants("radio", "radio:1");
    world.node.seen.host = machine(&["/dev/null"]);
    world.edit("radio", |radio| radio.spec.devices = vec![device(STICK)])
}

#[test]
fn a_missing_device_holds_its_service_until_it_is_there() {
    let mut world = radio().converge();
    insta::assert_snapshot!(world.shown(), @r"
    radio.1: hold: node n1 has no device /dev/ttyUSB0, which service radio asks for: attach the device, or remove it from `devices`
    web.1: hold: converged
    ");
    assert_eq!(world.running(), "shop-web-1=nginx:1", "the others are none the worse");
    assert!(world.standing.bad.is_empty(), "no revision is to blame");
    assert!(world.standing.rollout.is_none(), "what can run has settled");
    let notes = of_notes(&status(&world.inputs(&world.nodes())).notes);
    insta::assert_debug_snapshot!(notes, @r#"
    [
        "radio.1: node n1 has no device /dev/ttyUSB0, which service radio asks for: attach the device, or remove it from `devices`",
    ]
    "#);
    world.node.seen.host = machine(&[STICK]);
    let world = world.converge();
    assert_eq!(world.running(), "shop-radio-1=radio:1 shop-web-1=nginx:1");
}

#[test]
fn the_hold_names_node_service_and_device() {
    let world = radio().converge();
    let held =
        world.plan().entries.into_iter().find_map(|entry| match (entry.subject, entry.verdict) {
            (Subject::Slot(slot), Verdict::Hold(hold)) if slot.service == "radio" => Some(hold),
            _ => None,
        });
    let Some(Hold::Lacking { node, service, what, .. }) = held else { panic!("{held:?}") };
    assert_eq!((node, service.as_str()), (NodeName::from("n1"), "radio"));
    assert_eq!(what, MachineLack::Device { path: STICK.into() });
}

#[test]
fn a_revision_that_asks_for_a_missing_device_stops_nothing() {
    let mut world = stack().wants("web", "nginx:1").wants("radio", "radio:1");
    world.node.seen.host = machine(&[]);
    let world = world.converge();
    let mut world = world.push("radio", "radio:2", "r2").push("web", "nginx:2", "r2");
    world = world.edit("radio", |radio| radio.spec.devices = vec![device(STICK)]).converge();
    insta::assert_snapshot!(world.shown(), @r"
    radio.1: hold: node n1 has no device /dev/ttyUSB0, which service radio asks for: attach the device, or remove it from `devices`
    web.1: hold: node n1 has no device /dev/ttyUSB0, which service radio asks for: attach the device, or remove it from `devices`
    ");
    assert_eq!(world.running(), "shop-radio-1=radio:1 shop-web-1=nginx:1");
    assert!(world.standing.bad.is_empty());
}

#[test]
fn a_device_that_goes_under_a_running_task_is_no_reason_to_end_it() {
    let mut world = radio();
    world.node.seen.host = machine(&[STICK]);
    let mut world = world.converge();
    world.node.seen.host = machine(&[]);
    let world = world.converge();
    assert_eq!(world.running(), "shop-radio-1=radio:1 shop-web-1=nginx:1");
    assert!(world.shown().contains("radio.1: hold: converged"), "{}", world.shown());
}

#[test]
fn what_a_node_does_not_report_is_left_to_its_own_check() {
    for path in ["/dev/pts/7", "/srv/device"] {
        let world = radio().edit("radio", |radio| radio.spec.devices = vec![device(path)]);
        assert!(world.converge().running().contains("radio"), "{path}");
    }
    let mut world = radio();
    world.node.seen.host = Arc::default();
    assert!(world.converge().running().contains("radio"), "a node of an older version");
}

#[test]
fn a_limit_that_the_kernel_cannot_keep_holds_its_service() {
    let world = radio().edit("radio", |radio| {
        radio.spec.devices.clear();
        radio.spec.pids_limit = Some(100);
    });
    insta::assert_snapshot!(world.converge().shown(), @r"
    radio.1: hold: the kernel of node n1 cannot limit processes, which service radio asks for: enable the cgroup controller, or remove the limit
    web.1: hold: converged
    ");
    let world = radio().edit("radio", |radio| {
        radio.spec.devices.clear();
        (radio.spec.mem_limit, radio.spec.mem_swappiness) = (Some(64 << 20), Some(10));
    });
    assert!(world.converge().running().contains("radio"), "version 2 ignores swappiness");
}

/// Changed in place it would fail on the node, with the old limit half gone.
#[test]
fn such_a_limit_is_not_set_on_a_running_task_either() {
    let mut world = stack().wants("web", "nginx:1");
    world.node.seen.host = machine(&[]);
    let world = world.converge().edit("web", |web| web.spec.pids_limit = Some(100)).converge();
    insta::assert_snapshot!(world.shown(), @"web.1: hold: the kernel of node n1 cannot limit processes, which service web asks for: enable the cgroup controller, or remove the limit");
    let notes = of_notes(&status(&world.inputs(&world.nodes())).notes);
    assert!(notes[0].starts_with("web.1: the kernel of node n1 cannot limit"), "{notes:?}");
    assert_eq!(world.node.seen.tasks[0].spec.pids_limit, None);
    let world = world.edit("web", |web| {
        (web.spec.pids_limit, web.spec.mem_limit) = (None, Some(64 << 20));
    });
    assert_eq!(world.converge().node.seen.tasks[0].spec.mem_limit, Some(64 << 20));
}
