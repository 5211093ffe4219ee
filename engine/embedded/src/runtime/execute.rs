//! The last steps of a process before it becomes the container's program: who it is, what it may
//! do, then exec. Runs inside of the container's namespaces, with the container's root.

use super::failure::{Failure, Step};
use super::oci::{Capabilities, Process, Spec};
use super::user::{Accounts, Identity, resolve};
use super::within::Root;
use super::{capabilities, seccomp};
use crate::sys;
use nix::sys::resource::{Resource, setrlimit};
use rustix::fs::{FileType, Mode};
use rustix::thread::{CapabilitySet, CapabilitySets};
use seccompiler::BpfProgram;
use std::ffi::CString;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

/// What is executed, prepared outside of the container.
#[derive(Debug, Clone, Default)]
pub struct Program {
    /// As OCI has it.
    pub process: Process,
    /// Further groups, by name or number.
    pub groups: Vec<String>,
    /// The filter of system calls.
    pub filter: Option<BpfProgram>,
}

impl Program {
    /// From a specification.
    pub fn prepare(spec: &Spec) -> Result<Self, Failure> {
        let profile = spec.linux.seccomp.as_ref();
        let groups = spec.annotations.get(super::bundle::GROUPS);
        let groups = groups.map(String::as_str).unwrap_or_default().split(',');
        Ok(Self {
            process: spec.process.clone(),
            groups: groups.filter(|group| !group.is_empty()).map(str::to_owned).collect(),
            filter: profile.map(seccomp::compile).transpose()?.flatten(),
        })
    }

    /// Executes it; returns only where that failed.
    #[must_use]
    pub fn execute(&self) -> Failure {
        match self.settle() {
            Ok(environment) => self.exec(&environment),
            Err(failure) => failure,
        }
    }

    /// All that comes before exec. Without `no_new_privs` a filter can only be installed while
    /// there are capabilities; with it, later is better: fewer calls need to be allowed.
    fn settle(&self) -> Result<Vec<CString>, Failure> {
        let identity = self.identity()?;
        let environment = self.environment(&identity)?;
        own_stdio(identity.uid)?;
        self.limit()?;
        let folder = &self.process.cwd;
        std::env::set_current_dir(folder)
            .step(format_args!("enter folder `{}`", folder.display()))?;
        let tight = self.process.no_new_privileges;
        if tight {
            rustix::thread::set_no_new_privs(true).step("give up new privileges")?;
        }
        sys::close_on_exec_from(3).step("close descriptors")?;
        sys::default_signals().step("reset signals")?;
        rustix::process::umask(Mode::from_raw_mode(0o022));
        let none = Capabilities::default();
        let capabilities = self.process.capabilities.as_ref().unwrap_or(&none);
        bound(capabilities)?;
        if !tight {
            self.filter()?;
        }
        become_user(&identity)?;
        keep(capabilities)?;
        if tight {
            self.filter()?;
        }
        Ok(environment)
    }

    fn identity(&self) -> Result<Identity, Failure> {
        let root = Root::open(Path::new("/")).step("open the root")?;
        let text = |path: &str| root.text(Path::new(path)).map(Option::unwrap_or_default);
        let passwd = text("/etc/passwd").step("read /etc/passwd")?;
        let group = text("/etc/group").step("read /etc/group")?;
        let accounts = Accounts { passwd: &passwd, group: &group };
        let user = &self.process.user;
        let numbers = format!("{}:{}", user.uid, user.gid);
        let user = user.username.as_ref().unwrap_or(&numbers);
        resolve(user, &self.groups, accounts)
            .map_err(|unknown| Failure { code: 126, message: unknown.to_string() })
    }

    fn environment(&self, identity: &Identity) -> Result<Vec<CString>, Failure> {
        let mut lines = self.process.env.clone();
        if !lines.iter().any(|line| line.starts_with("HOME=")) {
            lines.push(format!("HOME={}", identity.home.as_deref().unwrap_or("/")));
        }
        lines.into_iter().map(|line| CString::new(line).step("set the environment")).collect()
    }

    fn limit(&self) -> Result<(), Failure> {
        for limit in &self.process.rlimits {
            let kind = resource(&limit.kind)
                .ok_or_else(|| Failure::at("set limits", format!("unknown {}", limit.kind)))?;
            let done = setrlimit(kind, limit.soft, limit.hard);
            done.step(format_args!("set limit {kind:?} to {}", limit.hard))?;
        }
        Ok(())
    }

    fn filter(&self) -> Result<(), Failure> {
        match &self.filter {
            Some(filter) => sys::install_filter(filter).step("install the seccomp filter"),
            None => Ok(()),
        }
    }

    fn exec(&self, environment: &[CString]) -> Failure {
        let arguments = self.process.args.clone();
        let name = arguments.first().cloned().unwrap_or_default();
        let arguments: Result<Vec<_>, _> = arguments.into_iter().map(CString::new).collect();
        let Ok(arguments) = arguments else {
            return Failure::exec(&name, &io::ErrorKind::InvalidInput.into());
        };
        Failure::exec(&name, &search(&name, &arguments, environment))
    }
}

/// Executes the first program of that name in PATH. As execvp, but that of the container's PATH.
fn search(name: &str, arguments: &[CString], environment: &[CString]) -> io::Error {
    let mut worst = io::Error::from_raw_os_error(libc::ENOENT);
    for path in candidates(name, environment) {
        let Ok(text) = CString::new(path.clone()) else { continue };
        let Err(errno) = nix::unistd::execve(&text, arguments, environment);
        match errno {
            nix::Error::ENOENT | nix::Error::ENOTDIR => {}
            nix::Error::EACCES if Path::new(&path).is_dir() => {
                worst = io::Error::from_raw_os_error(libc::EISDIR);
            }
            nix::Error::EACCES => worst = errno.into(),
            other => return other.into(),
        }
    }
    worst
}

fn candidates(name: &str, environment: &[CString]) -> Vec<String> {
    if name.contains('/') || name.is_empty() {
        return vec![name.to_owned()];
    }
    let lines = environment.iter().filter_map(|line| line.to_str().ok());
    let path = lines.filter_map(|line| line.strip_prefix("PATH=")).next_back().unwrap_or("/bin");
    let folders = path.split(':').map(|folder| if folder.is_empty() { "." } else { folder });
    folders.map(|folder| format!("{folder}/{name}")).collect()
}

/// Pipes and terminals belong to the user, so that `/dev/stdout` can be opened again.
fn own_stdio(uid: u32) -> Result<(), Failure> {
    let (input, output, error) = (io::stdin(), io::stdout(), io::stderr());
    for fd in [input.as_fd(), output.as_fd(), error.as_fd()] {
        let Ok(stat) = rustix::fs::fstat(fd) else { continue };
        let terminal = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
            && (136..144).contains(&rustix::fs::major(stat.st_rdev));
        let pipe = FileType::from_raw_mode(stat.st_mode) == FileType::Fifo;
        if (terminal || pipe) && stat.st_uid != uid {
            let owner = rustix::fs::Uid::from_raw(uid);
            rustix::fs::fchown(fd, Some(owner), None).step("own standard input and output")?;
        }
    }
    Ok(())
}

fn bits(set: &[String]) -> u64 {
    capabilities::bits(set.iter().map(String::as_str))
}

fn bound(wanted: &Capabilities) -> Result<(), Failure> {
    let keep = bits(&wanted.bounding);
    for number in 0..64_u32 {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match rustix::thread::capability_is_in_bounding_set(capability) {
            // Past the last one that this kernel knows.
            Err(_) => break,
            Ok(true) if keep & 1 << number == 0 => {
                rustix::thread::remove_capability_from_bounding_set(capability)
                    .step("drop capabilities")?;
            }
            Ok(_) => {}
        }
    }
    Ok(())
}

/// Capabilities outlive the change of user, until [`keep`] says which.
fn become_user(identity: &Identity) -> Result<(), Failure> {
    use rustix::process::{Gid, Uid};
    use rustix::thread::{
        set_keep_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
    };
    let groups: Vec<_> = identity.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    set_thread_groups(&groups).step("set groups")?;
    let gid = Gid::from_raw(identity.gid);
    set_thread_res_gid(gid, gid, gid).step("set the group")?;
    set_keep_capabilities(true).step("keep capabilities")?;
    let uid = Uid::from_raw(identity.uid);
    set_thread_res_uid(uid, uid, uid).step("set the user")?;
    set_keep_capabilities(false).step("keep capabilities")
}

fn keep(wanted: &Capabilities) -> Result<(), Failure> {
    let set = |set: &[String]| CapabilitySet::from_bits_retain(bits(set));
    let sets = CapabilitySets {
        effective: set(&wanted.effective),
        permitted: set(&wanted.permitted),
        inheritable: set(&wanted.inheritable),
    };
    rustix::thread::set_capabilities(None, sets).step("set capabilities")?;
    rustix::thread::clear_ambient_capability_set().step("clear ambient capabilities")?;
    for number in 0..64_u32 {
        if bits(&wanted.ambient) & 1 << number != 0 {
            let capability = CapabilitySet::from_bits_retain(1 << number);
            rustix::thread::configure_capability_in_ambient_set(capability, true)
                .step("set ambient capabilities")?;
        }
    }
    Ok(())
}

fn resource(name: &str) -> Option<Resource> {
    Some(match name {
        "RLIMIT_AS" => Resource::RLIMIT_AS,
        "RLIMIT_CORE" => Resource::RLIMIT_CORE,
        "RLIMIT_CPU" => Resource::RLIMIT_CPU,
        "RLIMIT_DATA" => Resource::RLIMIT_DATA,
        "RLIMIT_FSIZE" => Resource::RLIMIT_FSIZE,
        "RLIMIT_LOCKS" => Resource::RLIMIT_LOCKS,
        "RLIMIT_MEMLOCK" => Resource::RLIMIT_MEMLOCK,
        "RLIMIT_MSGQUEUE" => Resource::RLIMIT_MSGQUEUE,
        "RLIMIT_NICE" => Resource::RLIMIT_NICE,
        "RLIMIT_NOFILE" => Resource::RLIMIT_NOFILE,
        "RLIMIT_NPROC" => Resource::RLIMIT_NPROC,
        "RLIMIT_RSS" => Resource::RLIMIT_RSS,
        "RLIMIT_RTPRIO" => Resource::RLIMIT_RTPRIO,
        "RLIMIT_RTTIME" => Resource::RLIMIT_RTTIME,
        "RLIMIT_SIGPENDING" => Resource::RLIMIT_SIGPENDING,
        "RLIMIT_STACK" => Resource::RLIMIT_STACK,
        _ => return None,
    })
}
