//! What runs, as whom, in what surroundings.

use keel_engine::{PullPolicy, TaskSpec};
use keel_spec::{Service, service};
use std::time::Duration;

/// Docker's grace period: what unset means.
const GRACE: u64 = 10_000;

pub(super) fn lower(service: &Service, spec: &mut TaskSpec) {
    let process = &service.process;
    spec.image = service.image.clone().unwrap_or_default();
    spec.pull_policy = match service.pull_policy {
        service::PullPolicy::Missing => PullPolicy::Missing,
        service::PullPolicy::Always => PullPolicy::Always,
        service::PullPolicy::Never => PullPolicy::Never,
    };
    spec.command.clone_from(&process.command);
    spec.entrypoint.clone_from(&process.entrypoint);
    spec.environment.clone_from(&process.environment);
    spec.working_dir.clone_from(&process.working_dir);
    spec.user.clone_from(&process.user);
    spec.group_add.clone_from(&process.group_add);
    spec.group_add.sort();
    spec.hostname = hostname(process);
    spec.tty = process.tty;
    spec.stdin_open = process.stdin_open;
    spec.init = process.init.unwrap_or(false);
    spec.stop_signal.clone_from(&process.stop_signal);
    spec.stop_grace_period = process.stop_grace_period.map(millis).filter(|ms| *ms != GRACE);
    spec.dns = service.networking.dns.iter().map(ToString::to_string).collect();
    spec.extra_hosts = service.networking.extra_hosts.iter().map(host).collect();
}

fn hostname(process: &service::Process) -> Option<String> {
    match (&process.hostname, &process.domainname) {
        (Some(host), Some(domain)) => Some(format!("{host}.{domain}")),
        (host, _) => host.clone(),
    }
}

fn host(line: &service::ExtraHost) -> (String, String) {
    let address = match line.address {
        service::Address::Ip(ip) => ip.to_string(),
        service::Address::HostGateway => "host-gateway".to_owned(),
    };
    (line.host.clone(), address)
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
