//! How much a container may use.

use crate::Test;
use crate::lab::Lab;
use keel_embedded::runtime::cgroup::{Cgroup, held};
use keel_engine::{ExitCause, Limit};

pub const TESTS: &[Test] = &[
    ("limits_are_set_read_and_changed", limits_are_set_read_and_changed),
    ("no_limit_is_no_limit", no_limit_is_no_limit),
    ("too_much_memory_is_its_own_cause", too_much_memory_is_its_own_cause),
    ("processes_are_limited", processes_are_limited),
];

fn limits_are_set_read_and_changed(lab: &Lab) {
    let task = lab.shell("sleep 1000").spec(|spec| {
        spec.mem_limit = Some((64 << 20) + 1);
        spec.cpus = Some(500_000_001);
        spec.pids_limit = Some(20);
        spec.mem_swappiness = Some(7);
    });
    let task = task.launch();
    let state = task.running();
    let cgroup = task.cgroup();
    assert_eq!(cgroup.get(Limit::Memory).unwrap(), Some(held(Limit::Memory, (64 << 20) + 1)));
    assert_eq!(cgroup.get(Limit::Cpus).unwrap(), Some(held(Limit::Cpus, 500_000_001)));
    assert_eq!(cgroup.get(Limit::Pids).unwrap(), Some(20));
    assert!(cgroup.processes().unwrap().contains(&state.process.unwrap().pid));
    assert!(cgroup.memory_usage().unwrap() > 0);
    for limit in [Some(128 << 20), Some(32 << 20), None] {
        cgroup.set(Limit::Memory, limit).unwrap();
        assert_eq!(cgroup.get(Limit::Memory).unwrap(), limit);
    }
    for limit in [Some(2_000_000_000), None] {
        cgroup.set(Limit::Cpus, limit).unwrap();
        assert_eq!(cgroup.get(Limit::Cpus).unwrap(), limit);
    }
    cgroup.set(Limit::Pids, None).unwrap();
    assert_eq!(cgroup.get(Limit::Pids).unwrap(), None);
    if matches!(cgroup, Cgroup::V1(_)) {
        assert_eq!(cgroup.get(Limit::Swappiness).unwrap(), Some(7));
        cgroup.set(Limit::Swappiness, None).unwrap();
        let usual = cgroup.usual(Limit::Swappiness).unwrap();
        assert_eq!(cgroup.get(Limit::Swappiness).unwrap(), usual);
        assert_ne!(usual, Some(7));
    } else {
        assert!(cgroup.get(Limit::Swappiness).is_err(), "it is not there to be read");
    }
}

fn no_limit_is_no_limit(lab: &Lab) {
    let task = lab.shell("sleep 1000").launch();
    task.running();
    let cgroup = task.cgroup();
    let limits = (
        cgroup.get(Limit::Memory).unwrap(),
        cgroup.get(Limit::Cpus).unwrap(),
        cgroup.get(Limit::Pids).unwrap(),
    );
    assert_eq!(limits, (None, None, None));
}

fn too_much_memory_is_its_own_cause(lab: &Lab) {
    let greedy = "x=$(yes | head -c 100000000); echo $?";
    let task = lab.shell(&format!("exec sh -c '{greedy}'"));
    let task = task.spec(|spec| spec.mem_limit = Some(16 << 20)).launch();
    let state = task.end();
    assert_eq!((state.exit_code, state.exit_cause), (Some(137), Some(ExitCause::OutOfMemory)));
    assert_eq!(state.killed, None);
}

fn processes_are_limited(lab: &Lab) {
    let script = "exec 2>&1; for n in 1 2 3 4 5 6 7 8; do sleep 100 & done; echo not reached";
    let task = lab.shell(script).spec(|spec| spec.pids_limit = Some(5)).launch();
    task.says("can't fork");
    task.end();
}
