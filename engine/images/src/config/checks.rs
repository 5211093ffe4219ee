//! What a configuration may say. It is its image's author who wrote it, and nobody's friend: what
//! makes no sense is refused when the image is pulled, with the field's name. Pure.

use super::shape::{Healthcheck, ImageConfig};

/// More are no image's; each costs a volume for each container.
const MOST_VOLUMES: usize = 256;
const MOST_VARIABLES: usize = 4096;
/// The kernel's own limit.
const LONGEST_PATH: usize = 4095;
/// A health check's shortest time, as Docker has it.
const SHORTEST: u64 = 1_000_000;

/// What is wrong with a configuration, if something is.
pub(super) fn check(config: &ImageConfig) -> Result<(), String> {
    words("Entrypoint", &config.entrypoint)?;
    words("Cmd", &config.cmd)?;
    words("Shell", &config.shell)?;
    words("Env", &config.env)?;
    line("User", &config.user)?;
    line("StopSignal", &config.stop_signal)?;
    environment(&config.env)?;
    folder(&config.working_dir)?;
    volumes(config)?;
    config.healthcheck.as_ref().map_or(Ok(()), healthcheck)
}

/// A path as Docker cleans it: no doubled slashes, no dots, none at the end.
pub(super) fn clean(path: &str) -> String {
    let parts = path.split('/').filter(|part| !matches!(*part, "" | "."));
    let joined = parts.collect::<Vec<_>>().join("/");
    if path.starts_with('/') { format!("/{joined}") } else { joined }
}

/// The kernel ends words at NUL: what comes behind it would be seen by some and not by others.
fn words(field: &str, words: &[String]) -> Result<(), String> {
    match words.iter().any(|word| word.contains('\0')) {
        true => Err(format!("{field} has a NUL character")),
        false => Ok(()),
    }
}

fn line(field: &str, text: &str) -> Result<(), String> {
    match text.chars().any(char::is_control) {
        true => Err(format!("{field} has a control character")),
        false => Ok(()),
    }
}

fn environment(entries: &[String]) -> Result<(), String> {
    if entries.len() > MOST_VARIABLES {
        return Err(format!("Env has more than {MOST_VARIABLES} entries"));
    }
    for entry in entries {
        let name = entry.split('=').next().unwrap_or_default();
        if name.is_empty() {
            return Err(format!("Env has the entry {entry:?}, which names no variable"));
        }
        line("Env", name)?;
    }
    Ok(())
}

fn path(field: &str, path: &str) -> Result<(), String> {
    line(field, path)?;
    if path.len() > LONGEST_PATH {
        return Err(format!("{field} has a path of more than {LONGEST_PATH} bytes"));
    }
    match path.split('/').any(|part| part == "..") {
        true => Err(format!("{field} has the path `{path}`, which holds `..`")),
        false => Ok(()),
    }
}

fn folder(working_dir: &str) -> Result<(), String> {
    path("WorkingDir", working_dir)
}

fn volumes(config: &ImageConfig) -> Result<(), String> {
    if config.volumes.len() > MOST_VOLUMES {
        return Err(format!("Volumes has more than {MOST_VOLUMES} paths"));
    }
    for volume in &config.volumes {
        path("Volumes", volume)?;
        let clean = clean(volume);
        // An empty folder in their place would take away what keeps the container apart.
        let kernel = ["/proc", "/sys", "/dev"].iter().any(|own| {
            clean.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        if kernel && clean != "/dev/shm" {
            return Err(format!("Volumes has the path `{volume}`, which is the kernel's"));
        }
        if !clean.starts_with('/') || clean == "/" {
            return Err(format!(
                "Volumes has the path `{volume}`, which is not a folder below `/`"
            ));
        }
    }
    Ok(())
}

fn healthcheck(check: &Healthcheck) -> Result<(), String> {
    words("Healthcheck.Test", &check.test)?;
    let times = [
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    ];
    match times.iter().find(|(_, time)| (1..SHORTEST).contains(time)) {
        Some((field, time)) => Err(format!("Healthcheck.{field} is {time}ns; at least 1ms")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn problem(config: Value) -> Option<String> {
        check(&serde_json::from_value(config).unwrap()).err()
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_its_field() {
        let many = |count: usize, name: &str| -> Vec<String> {
            (0..count).map(|n| format!("{name}{n}")).collect()
        };
        let volumes = |paths: &[String]| {
            let paths = paths.iter().map(|path| (path.clone(), json!({})));
            json!({ "Volumes": paths.collect::<serde_json::Map<_, _>>() })
        };
        let volume = |path: &str| volumes(&[path.to_owned()]);
        let refused = [
            (json!({"Env": ["=x"]}), "Env has the entry \"=x\", which names no variable"),
            (json!({"Env": [""]}), "Env has the entry \"\", which names no variable"),
            (json!({"Env": ["A=b\0c"]}), "Env has a NUL character"),
            (json!({"Env": ["A\nB=c"]}), "Env has a control character"),
            (json!({"Env": many(5000, "A")}), "Env has more than 4096 entries"),
            (json!({"User": "root\n"}), "User has a control character"),
            (json!({"User": "a\0:b"}), "User has a control character"),
            (json!({"StopSignal": "TERM\x1b[2J"}), "StopSignal has a control character"),
            (json!({"Entrypoint": ["/bin/sh\0x"]}), "Entrypoint has a NUL character"),
            (json!({"Cmd": ["a", "\0"]}), "Cmd has a NUL character"),
            (json!({"Shell": ["\0"]}), "Shell has a NUL character"),
            (
                json!({"WorkingDir": "/a/../../b"}),
                "WorkingDir has the path `/a/../../b`, which holds `..`",
            ),
            (json!({"WorkingDir": "/a\nb"}), "WorkingDir has a control character"),
            (
                json!({"WorkingDir": "a".repeat(5000)}),
                "WorkingDir has a path of more than 4095 bytes",
            ),
            (volume("/"), "Volumes has the path `/`, which is not a folder below `/`"),
            (volume("//./"), "Volumes has the path `//./`, which is not a folder below `/`"),
            (volume(""), "Volumes has the path ``, which is not a folder below `/`"),
            (volume("data"), "Volumes has the path `data`, which is not a folder below `/`"),
            (volume("/data/.."), "Volumes has the path `/data/..`, which holds `..`"),
            (volume("/proc"), "Volumes has the path `/proc`, which is the kernel's"),
            (
                volume("//proc/1/root"),
                "Volumes has the path `//proc/1/root`, which is the kernel's",
            ),
            (volume("/dev/"), "Volumes has the path `/dev/`, which is the kernel's"),
            (
                volume("/sys/fs/cgroup"),
                "Volumes has the path `/sys/fs/cgroup`, which is the kernel's",
            ),
            (volumes(&many(10_000, "/v")), "Volumes has more than 256 paths"),
            (json!({"Healthcheck": {"Interval": 1}}), "Healthcheck.Interval is 1ns; at least 1ms"),
            (
                json!({"Healthcheck": {"Test": ["CMD", "\0"]}}),
                "Healthcheck.Test has a NUL character",
            ),
        ];
        for (config, expected) in refused {
            assert_eq!(problem(config).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_images_really_have_is_taken() {
        let taken = [
            json!({}),
            json!({"Env": ["PATH=", "NOVALUE", "HOME=/proc/1/root", "TEXT=two\nlines"]}),
            json!({"User": "1000:root", "WorkingDir": "srv/app//x", "StopSignal": "SIGRTMIN+3"}),
            json!({"Volumes": {"/data": {}, "/data/sub/": {}, "/process": {}, "/dev/shm": {}}}),
            json!({"Healthcheck": {"Test": ["NONE"], "Interval": 0, "Timeout": 1_000_000}}),
            json!({"Entrypoint": [], "Cmd": [""], "ExposedPorts": {"8000-9000/tcp": {}, "x": {}}}),
        ];
        for config in taken {
            assert_eq!(problem(config.clone()), None, "{config}");
        }
    }

    #[test]
    fn paths_are_cleaned_as_docker_cleans_them() {
        for (path, expected) in [("/a//b/./c/", "/a/b/c"), ("/", "/"), ("a/", "a"), ("", "")] {
            assert_eq!(clean(path), expected);
        }
    }
}
