//! What the container may do to the host and the kernel.

use std::collections::BTreeMap;

use crate::code::Code;
use crate::decode::Field;
use crate::host_path::HostPath;
use crate::item::{Item, Node};
use crate::nearest;
use crate::problem::Problem;
use keel_names::capability;

/// Privileges of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Security {
    /// `privileged`.
    pub privileged: bool,
    /// `read_only`: the root file system may not be written.
    pub read_only: bool,
    /// `cap_add`: upper case, without `CAP_`; `ALL` is all.
    pub cap_add: Vec<String>,
    /// `cap_drop`, in the same form.
    pub cap_drop: Vec<String>,
    /// `no-new-privileges`.
    pub no_new_privileges: bool,
    /// `seccomp`; absent: the engine's default.
    pub seccomp: Option<Seccomp>,
    /// `apparmor`: a profile, or `unconfined`.
    pub apparmor: Option<String>,
    /// `systempaths=unconfined`: nothing of `/proc` and `/sys` is masked.
    pub unmasked: bool,
    /// `label`: SELinux options, as written.
    pub selinux: Vec<String>,
    /// `sysctls`.
    pub sysctls: BTreeMap<String, String>,
    /// `devices`.
    pub devices: Vec<Device>,
}

/// A seccomp choice other than the default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seccomp {
    /// No filter.
    Unconfined,
    /// A profile in a file. Its service is held.
    Profile(HostPath),
}

/// A device of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its path on the host.
    pub source: String,
    /// Its path in the container.
    pub target: String,
    /// Some of `r`, `w`, `m`.
    pub permissions: String,
}

impl Security {
    /// Reads the topic's keys.
    pub(crate) fn decode(service: &Field<'_>) -> Self {
        let flag = |key| service.get(key).and_then(|field| field.boolean()).unwrap_or_default();
        let mut security = Self {
            privileged: flag("privileged"),
            read_only: flag("read_only"),
            cap_add: capabilities(service, "cap_add"),
            cap_drop: capabilities(service, "cap_drop"),
            sysctls: service.get("sysctls").map(|field| field.pairs()).unwrap_or_default(),
            devices: devices(service),
            ..Self::default()
        };
        for option in service.get("security_opt").map(|field| field.list()).unwrap_or_default() {
            security.option(&option);
        }
        security
    }

    /// Reads one item of `security_opt`: `key=value`, or `key:value`.
    fn option(&mut self, field: &Field<'_>) {
        let Some(text) = field.text() else { return };
        let split = text.find(['=', ':']).unwrap_or(text.len());
        let (key, value) = (&text[..split], text[split..].get(1..).unwrap_or_default());
        match (key, value) {
            ("no-new-privileges", "" | "true") => self.no_new_privileges = true,
            ("no-new-privileges", "false") => self.no_new_privileges = false,
            ("seccomp", "unconfined") => self.seccomp = Some(Seccomp::Unconfined),
            ("seccomp", written) => {
                let base = field.item.base.to_path_buf();
                let path = HostPath { written: written.to_owned(), base };
                self.seccomp = Some(Seccomp::Profile(path));
                field.hold("seccomp profiles from files are not read");
            }
            ("apparmor", "unconfined") => self.apparmor = Some("unconfined".to_owned()),
            ("apparmor", profile) => {
                self.apparmor = Some(profile.to_owned());
                field.hold("AppArmor profiles are not loaded");
            }
            ("systempaths", "unconfined") => self.unmasked = true,
            ("label", value) => self.selinux.push(value.to_owned()),
            _ => field.hold("this option is not known here"),
        }
    }
}

fn capabilities(service: &Field<'_>, key: &str) -> Vec<String> {
    let Some(field) = service.get(key) else { return Vec::new() };
    field.mark();
    let plain = |name: String| {
        let name = name.to_ascii_uppercase();
        name.strip_prefix("CAP_").map(str::to_owned).unwrap_or(name)
    };
    if let Node::List(items) = &field.item.node {
        let unknown = items.iter().filter(|item| {
            let name = item.text().map(|name| plain(name.to_owned()));
            name.is_some_and(|name| name != "ALL" && !capability::ALL.contains(&name.as_str()))
        });
        unknown.for_each(|item| no_capability(&field, item));
    }
    field.texts().into_iter().map(plain).collect()
}

fn no_capability(field: &Field<'_>, item: &Item) {
    let name = item.text().unwrap_or_default();
    let message = format!("{}: there is no capability `{name}`", field.name());
    let problem = Problem::new(Code::BadValue, message).at(item.span.clone());
    let near = nearest::hint(&name.to_ascii_uppercase(), capability::ALL);
    field.scope.add(Problem { hint: near, ..problem });
}

fn devices(service: &Field<'_>) -> Vec<Device> {
    let Some(field) = service.get("devices") else { return Vec::new() };
    field.list().iter().filter_map(device).collect()
}

fn device(field: &Field<'_>) -> Option<Device> {
    field.scope.origin(field.path.clone(), field.place());
    let device = match field.item.text() {
        Some(text) => short_device(text).or_else(|| field.bad("`HOST[:CONTAINER[:rwm]]`"))?,
        None => {
            let Some(source) = field.get("source") else {
                return field.lacks("source", "`HOST[:CONTAINER[:rwm]]`, or a mapping");
            };
            let text = |key| field.get(key).and_then(|field| field.text());
            let source = source.text()?;
            let target = text("target").unwrap_or_else(|| source.clone());
            let permissions = text("permissions").unwrap_or_else(|| "rwm".to_owned());
            Device { source, target, permissions }
        }
    };
    if !device.source.starts_with('/') && device.source.contains('=') {
        field.hold("devices by CDI name are not handed out");
    }
    Some(device)
}

pub(crate) fn short_device(text: &str) -> Option<Device> {
    let allowed = |word: &str| !word.is_empty() && word.chars().all(|c| "rwm".contains(c));
    let device = |source: &str, target: &str, permissions: &str| {
        let [source, target, permissions] = [source, target, permissions].map(str::to_owned);
        Some(Device { source, target, permissions })
    };
    match text.split(':').collect::<Vec<_>>()[..] {
        [source] if !source.is_empty() => device(source, source, "rwm"),
        [source, rights] if !rights.starts_with('/') && allowed(rights) => {
            device(source, source, rights)
        }
        [source, target] if !target.is_empty() => device(source, target, "rwm"),
        [source, target, rights] if allowed(rights) => device(source, target, rights),
        _ => None,
    }
}
