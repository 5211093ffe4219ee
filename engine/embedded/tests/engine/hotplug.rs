//! What the engine reports about its machine, and changes of it.

use crate::Test;
use crate::lab::Lab;
use futures_util::StreamExt;
use keel_engine::{Depth, Engine, Event, HostFacts, KernelLimit, KernelLimits};
use keel_testing::waiting::in_time;
use std::process::Command;
use std::sync::Arc;

pub const TESTS: &[Test] = &[
    ("the_machine_is_reported", || Box::pin(the_machine_is_reported())),
    ("a_device_that_comes_or_goes_is_told", || Box::pin(a_device_that_comes_or_goes_is_told())),
    ("an_address_that_comes_or_goes_is_seen", || Box::pin(an_address_that_comes_or_goes_is_seen())),
];

async fn host(lab: &Lab) -> Arc<HostFacts> {
    lab.engine().observe(Depth::State).await.unwrap().host
}

fn run(line: &str) -> String {
    let mut words = line.split(' ');
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn the_machine_is_reported() {
    let lab = Lab::open().await;
    let host = host(&lab).await;
    assert_eq!(host.hostname, run("uname -n"));
    assert_eq!(host.architecture, run("dpkg --print-architecture"));
    assert_eq!(host.nano_cpus.to_string(), run("getconf _NPROCESSORS_ONLN") + "000000000");
    assert!(host.memory > 64 << 20, "{host:?}");
    assert!(host.addresses.iter().all(|address| !address.is_loopback()), "{host:?}");
    assert_eq!(host.has_device("/dev/null"), Some(true), "{host:?}");
    let Some(KernelLimits(limits)) = &host.limits else { panic!("{host:?}") };
    for limit in [KernelLimit::Memory, KernelLimit::Cpu, KernelLimit::Pids] {
        assert!(limits.contains(&limit), "{host:?}");
    }
    lab.clean().await;
}

/// A character device of this machine, removed when dropped.
struct Device(String);

impl Device {
    fn make() -> Self {
        let path = format!("/dev/keel-test-{}", std::process::id());
        run(&format!("mknod {path} c 1 3"));
        Self(path)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn a_device_that_comes_or_goes_is_told() {
    let lab = Lab::open().await;
    let before = lab.engine().observe(Depth::State).await.unwrap();
    let mut events = lab.engine().events();
    let device = Device::make();
    let path = device.0.clone();
    let told = async { while events.next().await != Some(Event::Missed) {} };
    in_time("whoever listens is told of a device", told).await;
    let after = lab.engine().observe(Depth::State).await.unwrap();
    assert_eq!(before.host.has_device(&path), Some(false));
    assert_eq!(after.host.has_device(&path), Some(true));
    assert!(after.version > before.version, "whoever has the look before sees something new");
    drop(device);
    assert_eq!(host(&lab).await.has_device(&path), Some(false));
    lab.clean().await;
}

async fn an_address_that_comes_or_goes_is_seen() {
    let lab = Lab::open().await;
    let address = "203.0.113.77".parse().unwrap();
    run("ip address add 203.0.113.77/32 dev lo");
    let came = host(&lab).await;
    run("ip address delete 203.0.113.77/32 dev lo");
    let gone = host(&lab).await;
    assert!(came.addresses.contains(&address), "{came:?}");
    assert!(!gone.addresses.contains(&address), "{gone:?}");
    lab.network("lab_net").await;
    lab.until("the network is made", Depth::State, |seen| {
        seen.networks.iter().any(|network| network.link.is_some())
    })
    .await;
    assert_eq!(host(&lab).await.addresses, gone.addresses, "a bridge for containers is no way in");
    lab.clean().await;
}
