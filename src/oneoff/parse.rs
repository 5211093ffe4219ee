//! The small languages in the values of docker's flags.

use crate::failure::{Failure, Result};
use keel_engine::{Device, Mount, MountSource, Port, Protocol, RestartPolicy, Ulimit};
use std::net::IpAddr;
use std::path::Path;

/// A value that makes no sense, and what would.
pub fn wrong(flag: &str, value: &str, rule: &str) -> Failure {
    Failure::usage(format!("invalid value `{value}` for `{flag}`")).hint(rule)
}

/// The assignments of an env file.
pub fn env_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// `no`, `always`, `unless-stopped`, `on-failure[:MAX]`.
pub fn restart(word: &str) -> Result<RestartPolicy> {
    let rule = "it is no, always, unless-stopped or on-failure[:MAX]";
    match word.split_once(':').unwrap_or((word, "")) {
        ("no", "") => Ok(RestartPolicy::No),
        ("always", "") => Ok(RestartPolicy::Always),
        ("unless-stopped", "") => Ok(RestartPolicy::UnlessStopped),
        ("on-failure", "") => Ok(RestartPolicy::OnFailure { max: 0 }),
        ("on-failure", max) => {
            let max = max.parse().map_err(|_| wrong("--restart", word, rule))?;
            Ok(RestartPolicy::OnFailure { max })
        }
        _ => Err(wrong("--restart", word, rule)),
    }
}

/// `[SOURCE:]TARGET[:OPTIONS]`; a source with a slash is a path of the host.
pub fn mount(word: &str, folder: &Path) -> Result<Mount> {
    let rule = "it is VOLUME:/PATH, /HOST:/PATH, ./HOST:/PATH or /PATH, and may end in :ro";
    let parts: Vec<_> = word.split(':').collect();
    let (source, target, options) = match parts[..] {
        [target] => (None, target, ""),
        [source, target] => (Some(source), target, ""),
        [source, target, options] => (Some(source), target, options),
        _ => return Err(wrong("-v", word, rule)),
    };
    if !target.starts_with('/') || source == Some("") {
        return Err(wrong("-v", word, rule));
    }
    let mut mount = Mount {
        source: source.map_or(MountSource::Anonymous, |source| mount_source(source, folder)),
        target: target.to_owned(),
        read_only: false,
        shared: false,
        propagation: None,
        digest: None,
    };
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match (option, &mut mount.source) {
            ("ro", _) => mount.read_only = true,
            // SELinux labels mean nothing here, as on any host without it.
            ("rw" | "z" | "Z", _) => {}
            ("nocopy", MountSource::Volume { nocopy, .. }) => *nocopy = true,
            (
                "rprivate" | "private" | "rshared" | "shared" | "rslave" | "slave",
                MountSource::Bind { .. },
            ) => mount.propagation = Some(option.to_owned()),
            _ => return Err(wrong("-v", word, rule)),
        }
    }
    Ok(mount)
}

fn mount_source(source: &str, folder: &Path) -> MountSource {
    if source.starts_with(['/', '.', '~']) || source.contains('/') {
        // `..` is taken back by the kernel, as it is for docker.
        let path = folder.join(source);
        let path: std::path::PathBuf = path.components().collect();
        return MountSource::Bind { path: path.display().to_string(), create: true };
    }
    MountSource::Volume { name: source.to_owned(), nocopy: false, subpath: None }
}

/// `[IP:][HOST:]CONTAINER[/PROTOCOL]`, each port or `FIRST-LAST`.
pub fn ports(word: &str) -> Result<Vec<Port>> {
    let bad = || wrong("-p", word, "it is [IP:][HOST:]CONTAINER[/udp]");
    let (rest, protocol) = match word.split_once('/') {
        None | Some((_, "tcp")) => (word.split('/').next().unwrap_or(word), Protocol::Tcp),
        Some((rest, "udp")) => (rest, Protocol::Udp),
        Some(_) => return Err(bad()),
    };
    let (host, target) = rest.rsplit_once(':').unwrap_or(("", rest));
    let (ip, published) = host.rsplit_once(':').unwrap_or(("", host));
    let ip = ip.trim_start_matches('[').trim_end_matches(']');
    let host_ip = match ip {
        "" => None,
        ip => Some(ip.parse::<IpAddr>().map_err(|_| bad())?),
    };
    if host_ip.is_some_and(|ip| ip.is_ipv6() && !ip.is_unspecified()) {
        return Err(wrong("-p", word, "nothing is published on IPv6 addresses"));
    }
    let targets = range(target).ok_or_else(bad)?;
    let published: Vec<Option<u16>> = match published {
        "" => vec![None; targets.len()],
        text => range(text).ok_or_else(bad)?.into_iter().map(Some).collect(),
    };
    if published.len() != targets.len() {
        return Err(bad());
    }
    let port = |(published, target)| Port { host_ip, published, target, protocol };
    Ok(published.into_iter().zip(targets).map(port).collect())
}

fn range(text: &str) -> Option<Vec<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
    (first > 0 && first <= last).then(|| (first..=last).collect())
}

/// `512m`, `1.5g`, `1024`.
pub fn bytes(flag: &str, word: &str) -> Result<u64> {
    let bad = || wrong(flag, word, "it is a number with b, k, m or g");
    let lower = word.to_lowercase();
    let text = lower.strip_suffix("ib").or(lower.strip_suffix('b')).unwrap_or(&lower);
    let (number, unit) = match text.char_indices().last() {
        Some((at, unit)) if unit.is_ascii_alphabetic() => (&text[..at], Some(unit)),
        _ => (text, None),
    };
    let factor: u32 = match unit {
        None => 1,
        Some('k') => 1 << 10,
        Some('m') => 1 << 20,
        Some('g') => 1 << 30,
        Some(_) => return Err(bad()),
    };
    let number: f64 = number.parse().map_err(|_| bad())?;
    let value = number * f64::from(factor);
    if !value.is_finite() || !(0.0..=9e15).contains(&value) {
        return Err(bad());
    }
    Ok(value as u64)
}

/// `1.5`, in nanoseconds per second.
pub fn cpus(word: &str) -> Result<u64> {
    match word.parse::<f64>() {
        Ok(number) if number > 0.0 && number < 1e6 => Ok((number * 1e9).round() as u64),
        _ => Err(wrong("--cpus", word, "it is a number of CPUs: 1.5")),
    }
}

/// `nofile=1024[:2048]`.
pub fn ulimit(word: &str) -> Result<(String, Ulimit)> {
    let bad = || wrong("--ulimit", word, "it is NAME=SOFT[:HARD]");
    let (name, limits) = word.split_once('=').ok_or_else(bad)?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let (soft, hard) = (soft.parse().map_err(|_| bad())?, hard.parse().map_err(|_| bad())?);
    Ok((name.to_lowercase(), Ulimit { soft, hard }))
}

/// `/dev/HOST[:/dev/CONTAINER[:rwm]]`.
pub fn device(word: &str) -> Result<Device> {
    let rights = |text: &str| !text.is_empty() && text.chars().all(|c| "rwm".contains(c));
    let parts: Vec<_> = word.split(':').collect();
    let (source, target, permissions) = match parts[..] {
        [source] => (source, source, "rwm"),
        [source, permissions] if rights(permissions) => (source, source, permissions),
        [source, target] => (source, target, "rwm"),
        [source, target, permissions] if rights(permissions) => (source, target, permissions),
        _ => return Err(wrong("--device", word, "it is /dev/HOST[:/dev/CONTAINER[:rwm]]")),
    };
    let [source, target, permissions] = [source, target, permissions].map(str::to_owned);
    Ok(Device { source, target, permissions })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(port: &Port) -> String {
        let ip = port.host_ip.map_or("*".to_owned(), |ip| ip.to_string());
        let published = port.published.map_or("?".to_owned(), |port| port.to_string());
        format!("{ip} {published} {} {:?}", port.target, port.protocol)
    }

    #[test]
    fn ports_are_dockers() {
        let cases = [
            ("80", vec!["* ? 80 Tcp"]),
            ("8080:80", vec!["* 8080 80 Tcp"]),
            ("127.0.0.1:8080:80/udp", vec!["127.0.0.1 8080 80 Udp"]),
            ("127.0.0.1::80", vec!["127.0.0.1 ? 80 Tcp"]),
            ("[::]:8080:80", vec![":: 8080 80 Tcp"]),
            ("7-8:17-18", vec!["* 7 17 Tcp", "* 8 18 Tcp"]),
        ];
        for (word, expected) in cases {
            let found: Vec<_> = ports(word).unwrap().iter().map(short).collect();
            assert_eq!(found, expected, "{word}");
        }
        for word in ["", "x", "0", "8-7", "1:2-3", "80/sctp", "nowhere:1:2", "70000", "[::1]:1:2"] {
            assert!(ports(word).is_err(), "{word}");
        }
    }

    #[test]
    fn mounts_are_dockers() {
        let source = |word: &str| mount(word, Path::new("/here")).unwrap().source;
        let bind = |path: &str| MountSource::Bind { path: path.into(), create: true };
        assert_eq!(source("/data"), MountSource::Anonymous);
        assert_eq!(source("/a:/b"), bind("/a"));
        assert_eq!(source("./a:/b"), bind("/here/a"));
        assert_eq!(source("a/b:/b:ro"), bind("/here/a/b"));
        let volume = |nocopy| MountSource::Volume { name: "a".into(), nocopy, subpath: None };
        assert_eq!(source("a:/b"), volume(false));
        assert_eq!(source("a:/b:nocopy"), volume(true));
        assert!(mount("a:/b:ro", Path::new("/")).unwrap().read_only);
        for word in ["", "a", "a:b", ":/b", "a:/b:x", "/a:/b:nocopy", "a:/b:c:d"] {
            assert!(mount(word, Path::new("/")).is_err(), "{word}");
        }
    }

    #[test]
    fn numbers_are_dockers() {
        let cases = [
            ("1024", 1024),
            ("1k", 1024),
            ("1.5g", 3 << 29),
            ("64MiB", 64 << 20),
            ("5mb", 5 << 20),
        ];
        for (word, expected) in cases {
            assert_eq!(bytes("-m", word).unwrap(), expected, "{word}");
        }
        for word in ["", "m", "-1", "1x", "nan", "1e300"] {
            assert!(bytes("-m", word).is_err(), "{word}");
        }
        assert_eq!(cpus("0.5").unwrap(), 500_000_000);
        assert!(cpus("0").is_err() && cpus("x").is_err());
    }

    #[test]
    fn words_are_dockers() {
        assert_eq!(restart("on-failure:3").unwrap(), RestartPolicy::OnFailure { max: 3 });
        assert!(restart("sometimes").is_err() && restart("always:3").is_err());
        let nofile = ("nofile".to_owned(), Ulimit { soft: 1, hard: 2 });
        assert_eq!(ulimit("nofile=1:2").unwrap(), nofile);
        let device = device("/dev/fuse:r").unwrap();
        assert_eq!((device.target.as_str(), device.permissions.as_str()), ("/dev/fuse", "r"));
        assert_eq!(env_lines("# no\n\n A=1\nB").collect::<Vec<_>>(), ["A=1", "B"]);
    }
}
