//! From docker's flags to what a one-off shall be. Pure: the environment and the folder come in.
#![allow(rustdoc::broken_intra_doc_links, reason = "the brackets are those of `--help`")]

mod parse;

use crate::failure::{Failure, Result};
use clap::Args;
use keel_engine::{
    Attachment, HealthCheck, HealthTest, NetworkMode, PullPolicy, RestartPolicy, TaskSpec, Tmpfs,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// `docker run`'s flags that say what the container shall be.
#[derive(Debug, Clone, Default, Args)]
pub struct Flags {
    /// Set a variable: KEY=VALUE, or KEY to pass on the caller's
    #[arg(short, long, value_name = "KEY[=VALUE]", help_heading = "Process")]
    pub env: Vec<String>,
    /// Read variables from a file
    #[arg(long, value_name = "FILE", help_heading = "Process")]
    pub env_file: Vec<PathBuf>,
    /// Program to run instead of the image's; an empty one clears it
    #[arg(long, value_name = "PROGRAM", help_heading = "Process")]
    pub entrypoint: Option<String>,
    /// Working directory
    #[arg(short, long, value_name = "DIR", help_heading = "Process")]
    pub workdir: Option<String>,
    /// User and group: names or numbers
    #[arg(short, long, value_name = "USER[:GROUP]", help_heading = "Process")]
    pub user: Option<String>,
    /// Add a group
    #[arg(long, value_name = "GROUP", help_heading = "Process")]
    pub group_add: Vec<String>,
    /// Run a small init as process 1
    #[arg(long, help_heading = "Process")]
    pub init: bool,
    /// Restart policy: no, always, unless-stopped, on-failure[:MAX]
    #[arg(long, value_name = "POLICY", help_heading = "Process")]
    pub restart: Option<String>,
    /// Signal that stops the container
    #[arg(long, value_name = "SIGNAL", help_heading = "Process")]
    pub stop_signal: Option<String>,
    /// Seconds between that signal and SIGKILL
    #[arg(long, value_name = "SECONDS", help_heading = "Process")]
    pub stop_timeout: Option<u64>,
    /// Health check: a line for a shell
    #[arg(long, value_name = "COMMAND", help_heading = "Process")]
    pub health_cmd: Option<String>,
    /// Disable the health check, even the image's
    #[arg(long, conflicts_with = "health_cmd", help_heading = "Process")]
    pub no_healthcheck: bool,
    /// A mount: VOLUME:/PATH, /HOST:/PATH, ./HOST:/PATH or /PATH; `:ro` for no writing
    #[arg(short, long, value_name = "MOUNT", help_heading = "Files")]
    pub volume: Vec<String>,
    /// A memory file system: /PATH[:OPTIONS]
    #[arg(long, value_name = "PATH", help_heading = "Files")]
    pub tmpfs: Vec<String>,
    /// No writing to the container's own files
    #[arg(long, help_heading = "Files")]
    pub read_only: bool,
    /// A published port: [IP:][HOST:]CONTAINER[/udp]
    #[arg(short, long, value_name = "PORT", help_heading = "Network")]
    pub publish: Vec<String>,
    /// A network's name, `host`, `none`, or `container:NAME`
    #[arg(long, visible_alias = "net", value_name = "NETWORK", help_heading = "Network")]
    pub network: Vec<String>,
    /// A further name inside of its networks
    #[arg(long, value_name = "NAME", help_heading = "Network")]
    pub network_alias: Vec<String>,
    /// The host's name inside
    #[arg(short = 'h', long, value_name = "NAME", help_heading = "Network")]
    pub hostname: Option<String>,
    /// A name server
    #[arg(long, value_name = "IP", help_heading = "Network")]
    pub dns: Vec<String>,
    /// A line of /etc/hosts: NAME:IP or NAME:host-gateway
    #[arg(long, value_name = "NAME:IP", help_heading = "Network")]
    pub add_host: Vec<String>,
    /// Memory limit: 512m
    #[arg(short, long, value_name = "BYTES", help_heading = "Limits")]
    pub memory: Option<String>,
    /// How readily the kernel swaps: 0 to 100
    #[arg(long, value_name = "NUMBER", help_heading = "Limits", value_parser = clap::value_parser!(u64).range(..=100))]
    pub memory_swappiness: Option<u64>,
    /// CPU limit: 1.5
    #[arg(long, value_name = "NUMBER", help_heading = "Limits")]
    pub cpus: Option<String>,
    /// Process limit
    #[arg(long, value_name = "NUMBER", help_heading = "Limits")]
    pub pids_limit: Option<u64>,
    /// Size of /dev/shm: 64m
    #[arg(long, value_name = "BYTES", help_heading = "Limits")]
    pub shm_size: Option<String>,
    /// A resource limit: nofile=1024[:2048]
    #[arg(long, value_name = "LIMIT", help_heading = "Limits")]
    pub ulimit: Vec<String>,
    /// A kernel parameter: net.core.somaxconn=1024
    #[arg(long, value_name = "KEY=VALUE", value_parser = crate::args::pair, help_heading = "Limits")]
    pub sysctl: Vec<(String, String)>,
    /// A capability more
    #[arg(long, value_name = "CAP", help_heading = "Rights")]
    pub cap_add: Vec<String>,
    /// A capability less
    #[arg(long, value_name = "CAP", help_heading = "Rights")]
    pub cap_drop: Vec<String>,
    /// Grant all capabilities
    #[arg(long, help_heading = "Rights")]
    pub privileged: bool,
    /// A device: /dev/HOST[:/dev/CONTAINER[:rwm]]
    #[arg(long, value_name = "DEVICE", help_heading = "Rights")]
    pub device: Vec<String>,
    /// no-new-privileges, seccomp=unconfined, …
    #[arg(long, value_name = "OPTION", help_heading = "Rights")]
    pub security_opt: Vec<String>,
    /// Set a label
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = crate::args::pair)]
    pub label: Vec<(String, String)>,
    /// When to pull the image: missing, always, never
    #[arg(long, value_name = "POLICY")]
    pub pull: Option<String>,
}

/// Where the command was given.
pub struct Caller<'a> {
    /// Relative paths start here.
    pub folder: &'a Path,
    /// For variables without a value.
    pub environment: &'a BTreeMap<String, String>,
    /// Contents of the env files, in order.
    pub env_files: Vec<String>,
}

/// What the flags, the image and the command make.
pub fn spec(
    flags: &Flags,
    image: &str,
    command: &[String],
    caller: &Caller<'_>,
) -> Result<TaskSpec> {
    let mut spec = TaskSpec {
        image: image.to_owned(),
        command: (!command.is_empty()).then(|| command.to_vec()),
        entrypoint: flags.entrypoint.as_ref().map(|word| match word.as_str() {
            "" => vec![],
            word => vec![word.to_owned()],
        }),
        ..TaskSpec::default()
    };
    process(&mut spec, flags, caller)?;
    files(&mut spec, flags, caller)?;
    network(&mut spec, flags)?;
    limits(&mut spec, flags)?;
    rights(&mut spec, flags)?;
    Ok(spec)
}

/// What a service's specification makes with the flags and the command, as with `docker compose run`:
/// it publishes nothing, answers to no name, and is not started again, unless a flag says so.
pub fn over(
    service: &TaskSpec,
    flags: &Flags,
    command: &[String],
    caller: &Caller<'_>,
) -> Result<TaskSpec> {
    let given = spec(flags, &service.image, command, caller)?;
    let mut all = service.clone();
    (all.ports, all.restart) = (given.ports, given.restart);
    for attachment in &mut all.networks {
        (attachment.aliases, attachment.addresses) = (vec![], vec![]);
    }
    if given.network_mode != NetworkMode::Networks || !given.networks.is_empty() {
        (all.network_mode, all.networks) = (given.network_mode, given.networks);
    }
    if given.entrypoint.is_some() {
        // A program without its arguments, as docker has it.
        (all.entrypoint, all.command) = (given.entrypoint, None);
    }
    all.command = given.command.or(all.command);
    all.environment.extend(given.environment);
    all.labels.extend(given.labels);
    all.sysctls.extend(given.sysctls);
    all.ulimits.extend(given.ulimits);
    all.cap_add.extend(given.cap_add);
    all.cap_drop.extend(given.cap_drop);
    all.volumes.retain(|mount| given.volumes.iter().all(|other| other.target != mount.target));
    all.volumes.extend(given.volumes);
    all.tmpfs.extend(given.tmpfs);
    all.devices.extend(given.devices);
    all.security_opt.extend(given.security_opt);
    all.group_add.extend(given.group_add);
    all.dns.extend(given.dns);
    all.extra_hosts.extend(given.extra_hosts);
    all.working_dir = given.working_dir.or(all.working_dir);
    all.user = given.user.or(all.user);
    all.hostname = given.hostname.or(all.hostname);
    all.stop_signal = given.stop_signal.or(all.stop_signal);
    all.stop_grace_period = given.stop_grace_period.or(all.stop_grace_period);
    all.healthcheck = given.healthcheck.or(all.healthcheck);
    all.shm_size = given.shm_size.or(all.shm_size);
    all.mem_limit = given.mem_limit.or(all.mem_limit);
    all.mem_swappiness = given.mem_swappiness.or(all.mem_swappiness);
    all.cpus = given.cpus.or(all.cpus);
    all.pids_limit = given.pids_limit.or(all.pids_limit);
    all.init |= given.init;
    all.read_only |= given.read_only;
    all.privileged |= given.privileged;
    if flags.pull.is_some() {
        all.pull_policy = given.pull_policy;
    }
    Ok(all)
}

fn process(spec: &mut TaskSpec, flags: &Flags, caller: &Caller<'_>) -> Result<()> {
    let lines = caller.env_files.iter().flat_map(|text| parse::env_lines(text));
    for word in lines.chain(flags.env.iter().map(String::as_str)) {
        match word.split_once('=') {
            Some((key, value)) => {
                spec.environment.insert(key.to_owned(), Some(value.to_owned()));
            }
            // As docker: a variable that the caller lacks is left out.
            None => {
                if let Some(value) = caller.environment.get(word) {
                    spec.environment.insert(word.to_owned(), Some(value.clone()));
                }
            }
        }
    }
    spec.working_dir = flags.workdir.clone();
    spec.user = flags.user.clone();
    spec.group_add = flags.group_add.clone();
    spec.init = flags.init;
    spec.restart = flags.restart.as_deref().map_or(Ok(RestartPolicy::No), parse::restart)?;
    spec.stop_signal = flags.stop_signal.clone();
    spec.stop_grace_period = flags.stop_timeout.map(|seconds| seconds.saturating_mul(1000));
    spec.healthcheck = health(flags);
    spec.labels = flags.label.iter().cloned().collect();
    spec.pull_policy = match flags.pull.as_deref() {
        None | Some("missing") => PullPolicy::Missing,
        Some("always") => PullPolicy::Always,
        Some("never") => PullPolicy::Never,
        Some(other) => {
            return Err(parse::wrong("--pull", other, "it is missing, always or never"));
        }
    };
    Ok(())
}

fn health(flags: &Flags) -> Option<HealthCheck> {
    let test = match (&flags.health_cmd, flags.no_healthcheck) {
        (Some(line), _) => HealthTest::Shell(line.clone()),
        (None, true) => HealthTest::Disabled,
        (None, false) => return None,
    };
    Some(HealthCheck {
        test,
        interval: None,
        timeout: None,
        retries: None,
        start_period: None,
        start_interval: None,
    })
}

fn files(spec: &mut TaskSpec, flags: &Flags, caller: &Caller<'_>) -> Result<()> {
    spec.read_only = flags.read_only;
    for word in &flags.volume {
        spec.volumes.push(parse::mount(word, caller.folder)?);
    }
    for word in &flags.tmpfs {
        let (target, options) = word.split_once(':').unwrap_or((word, ""));
        let options = options.split(',').filter(|option| !option.is_empty());
        let options = options.map(str::to_owned).collect();
        spec.tmpfs.push(Tmpfs { target: target.to_owned(), options, ..Tmpfs::default() });
    }
    Ok(())
}

fn network(spec: &mut TaskSpec, flags: &Flags) -> Result<()> {
    for name in &flags.network {
        match (name.as_str(), name.strip_prefix("container:")) {
            (_, Some(container)) => spec.network_mode = NetworkMode::Container(container.into()),
            ("host", _) => spec.network_mode = NetworkMode::Host,
            ("none", _) => spec.network_mode = NetworkMode::None,
            (name, None) => spec.networks.push(Attachment {
                network: name.to_owned(),
                aliases: flags.network_alias.clone(),
                addresses: vec![],
            }),
        }
    }
    if spec.network_mode != NetworkMode::Networks && flags.network.len() > 1 {
        return Err(Failure::usage("host, none and container:NAME allow no further --network"));
    }
    for word in &flags.publish {
        spec.ports.extend(parse::ports(word)?);
    }
    spec.hostname = flags.hostname.clone();
    spec.dns = flags.dns.clone();
    for word in &flags.add_host {
        let pair = word.split_once([':', '=']);
        let (name, address) = pair.ok_or_else(|| {
            parse::wrong("--add-host", word, "it is NAME:IP or NAME:host-gateway")
        })?;
        spec.extra_hosts.push((name.to_owned(), address.to_owned()));
    }
    Ok(())
}

fn limits(spec: &mut TaskSpec, flags: &Flags) -> Result<()> {
    spec.mem_limit =
        flags.memory.as_deref().map(|word| parse::bytes("--memory", word)).transpose()?;
    spec.mem_swappiness = flags.memory_swappiness;
    spec.shm_size =
        flags.shm_size.as_deref().map(|word| parse::bytes("--shm-size", word)).transpose()?;
    spec.cpus = flags.cpus.as_deref().map(parse::cpus).transpose()?;
    spec.pids_limit = flags.pids_limit;
    spec.sysctls = flags.sysctl.iter().cloned().collect();
    for word in &flags.ulimit {
        let (name, limit) = parse::ulimit(word)?;
        spec.ulimits.insert(name, limit);
    }
    Ok(())
}

fn rights(spec: &mut TaskSpec, flags: &Flags) -> Result<()> {
    let capability = |word: &String| {
        let word = word.to_uppercase();
        word.strip_prefix("CAP_").unwrap_or(&word).to_owned()
    };
    spec.cap_add = flags.cap_add.iter().map(capability).collect();
    spec.cap_drop = flags.cap_drop.iter().map(capability).collect();
    spec.privileged = flags.privileged;
    spec.security_opt = flags.security_opt.clone();
    for word in &flags.device {
        spec.devices.push(parse::device(word)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    #[command(disable_help_flag = true)]
    struct Line {
        #[command(flatten)]
        flags: Flags,
    }

    fn made(line: &str, command: &[&str]) -> Result<TaskSpec> {
        let words = std::iter::once("run").chain(line.split_whitespace());
        let flags = Line::try_parse_from(words).unwrap().flags;
        let environment = [("LANG".to_owned(), "C".to_owned())].into();
        let env_files = vec!["# defaults\nA=file\nB=file\n".to_owned()];
        let caller = Caller { folder: Path::new("/here"), environment: &environment, env_files };
        let command: Vec<_> = command.iter().map(|word| (*word).to_owned()).collect();
        spec(&flags, "img", &command, &caller)
    }

    #[test]
    fn variables_come_from_files_then_flags_then_the_caller() {
        let spec = made("-e A=flag -e LANG -e ABSENT", &[]).unwrap();
        let value = |key: &str| spec.environment.get(key).cloned().flatten();
        let found = ["A", "B", "LANG", "ABSENT"].map(value);
        assert_eq!(found, [Some("flag".into()), Some("file".into()), Some("C".into()), None]);
        assert_eq!(spec.command, None, "the image's own");
    }

    #[test]
    fn an_empty_entrypoint_clears_the_images() {
        let entrypoint = |line: &str| made(line, &["x"]).unwrap().entrypoint;
        assert_eq!(entrypoint(""), None);
        assert_eq!(entrypoint("--entrypoint=sh"), Some(vec!["sh".to_owned()]));
        assert_eq!(entrypoint("--entrypoint="), Some(vec![]));
    }

    #[test]
    fn networks_are_dockers() {
        let mode = |line: &str| made(line, &[]).map(|spec| spec.network_mode);
        assert_eq!(mode("--network host").unwrap(), NetworkMode::Host);
        assert_eq!(mode("--net none").unwrap(), NetworkMode::None);
        let joined = NetworkMode::Container("db".into());
        assert_eq!(mode("--network container:db").unwrap(), joined);
        assert!(mode("--network host --network lan").is_err());
        let spec =
            made("--network lan --network-alias app --add-host a:host-gateway", &[]).unwrap();
        assert_eq!(spec.networks[0].aliases, ["app"]);
        assert_eq!(spec.extra_hosts, [("a".to_owned(), "host-gateway".to_owned())]);
    }

    #[test]
    fn limits_and_rights_come_in_the_contracts_units() {
        let spec = made("-m 64m --cpus 0.5 --stop-timeout 3 --cap-add cap_net_admin", &[]).unwrap();
        assert_eq!((spec.mem_limit, spec.cpus), (Some(64 << 20), Some(500_000_000)));
        assert_eq!(spec.grace_ms(), 3_000);
        assert!(spec.cap_add.contains("NET_ADMIN"));
    }
}
