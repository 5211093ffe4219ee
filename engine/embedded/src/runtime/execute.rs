//! The last steps of a process before it becomes the container's program: who it is, what it may
//! do, then exec. Runs with the container's root.
//!
//! # Invariants
//! - Nothing that the container names is resolved before the host's descriptors are closed, nor by
//!   path but by exec itself: users and folders are found below the root, without magic links.

use super::failure::{AtStep, Failure};
use super::oci::{Capabilities, Process, Spec};
use super::user::{self, Accounts, Identity, resolve};
use super::within::{Root, is_null};
use super::{capabilities, seccomp};
use crate::sys;
use nix::sys::resource::{Resource, setrlimit};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::thread::{CapabilitySet, CapabilitySets};
use seccompiler::BpfProgram;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
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
    /// The filter lets a process make another like itself.
    pub may_fork: bool,
}

/// When the filter of system calls is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// While there is the capability that this takes: what follows needs its leave.
    Early,
    /// As the last thing before exec, which takes that there are no new privileges.
    Late,
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
            may_fork: profile.is_none_or(seccomp::lets_fork),
        })
    }

    /// For a process that enters: it must still be born once all else is done. Where the filter
    /// forbids that, what is executed inside gets no new privileges.
    #[must_use]
    pub fn filter_of_entering(&self) -> Filter {
        if self.may_fork || self.filter.is_none() { Filter::Early } else { Filter::Late }
    }

    /// Makes this process what is to be executed, but for that. Inside of the container's mount
    /// namespace; of descriptors it keeps its standard ones and `channel`, which exec closes.
    pub fn settle(
        &self,
        channel: Option<BorrowedFd<'_>>,
        filter: Filter,
    ) -> Result<Settled, Failure> {
        let (input, output, error) = (io::stdin(), io::stdout(), io::stderr());
        let stdio = [input.as_fd(), output.as_fd(), error.as_fd()];
        let keep: Vec<_> = stdio.into_iter().chain(channel).collect();
        sys::close_all_but(&keep).step("close descriptors")?;
        self.leave_keys()?;
        let root = Root::open(Path::new("/")).step("open the root")?;
        own_null(&root, &stdio).step("use the container's /dev/null")?;
        let identity = self.identity(&root)?;
        let environment = self.environment(&identity)?;
        own_stdio(identity.uid, &stdio)?;
        enter_folder(&root, &self.process.cwd)?;
        drop(root);
        self.limit()?;
        rustix::process::umask(Mode::from_raw_mode(0o022));
        let tight = self.process.no_new_privileges || filter == Filter::Late;
        if tight {
            rustix::thread::set_no_new_privs(true).step("give up new privileges")?;
        }
        self.give_up_rights(&identity, tight)?;
        Ok(Settled {
            arguments: self.process.args.clone(),
            environment,
            filter: self.filter.clone().filter(|_| tight),
        })
    }

    /// The host's session keyring is nothing for a container. Where none can be made (the user's
    /// share of keys is used up, or this kernel has none), a filter keeps it out of reach as well.
    fn leave_keys(&self) -> Result<(), Failure> {
        match sys::leave_session_keyring() {
            Err(error) if self.filter.is_none() && error.raw_os_error() != Some(libc::ENOSYS) => {
                Err(Failure::at("leave the host's keyring", error))
            }
            _ => Ok(()),
        }
    }

    /// Without `no_new_privs` a filter can only be installed while there is a capability for it,
    /// which then is the last one to go; with it, later is better: fewer calls need to be allowed.
    fn give_up_rights(&self, identity: &Identity, tight: bool) -> Result<(), Failure> {
        let none = Capabilities::default();
        let wanted = self.process.capabilities.as_ref().unwrap_or(&none);
        bound(wanted)?;
        become_user(identity)?;
        let held = held(wanted, identity.uid);
        if let Some(filter) = self.filter.as_ref().filter(|_| !tight) {
            hold(held, wanted, CapabilitySet::SYS_ADMIN)?;
            sys::install_filter(filter).step("install the seccomp filter")?;
        }
        hold(held, wanted, CapabilitySet::empty())?;
        raise(wanted)
    }

    fn identity(&self, root: &Root) -> Result<Identity, Failure> {
        let user = &self.process.user;
        let numbers = format!("{}:{}", user.uid, user.gid);
        let user = user.username.as_ref().unwrap_or(&numbers);
        let named = user::is_named(user, &self.groups);
        let text = |path: &str| match root.text(Path::new(path)) {
            // Who is a number needs no file, and can go in and mend it.
            Err(_) if !named => Ok(String::new()),
            text => text.map(Option::unwrap_or_default).step(format_args!("read {path}")),
        };
        let (passwd, group) = (text("/etc/passwd")?, text("/etc/group")?);
        let accounts = Accounts { passwd: &passwd, group: &group };
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
}

/// A process that is what it is to be, but for its program.
#[derive(Debug)]
pub struct Settled {
    arguments: Vec<String>,
    environment: Vec<CString>,
    /// Still to be installed.
    filter: Option<BpfProgram>,
}

impl Settled {
    /// Executes the program; returns only where that failed.
    #[must_use]
    pub fn execute(&self) -> Failure {
        if let Err(failure) = sys::default_signals().step("reset signals") {
            return failure;
        }
        if let Some(filter) = &self.filter
            && let Err(failure) = sys::install_filter(filter).step("install the seccomp filter")
        {
            return failure;
        }
        let name = self.arguments.first().map(String::as_str).unwrap_or_default();
        let arguments = self.arguments.iter().map(|argument| CString::new(argument.as_str()));
        let Ok(arguments) = arguments.collect::<Result<Vec<_>, _>>() else {
            return Failure::exec(name, &io::ErrorKind::InvalidInput.into());
        };
        Failure::exec(name, &search(name, &arguments, &self.environment))
    }
}

/// The working directory, found below the container's root: nothing of /proc that leads to what a
/// process has open is followed.
fn enter_folder(root: &Root, folder: &Path) -> Result<(), Failure> {
    let enter = || -> io::Result<()> {
        let found = root.at(folder, OFlags::PATH | OFlags::DIRECTORY)?;
        rustix::process::fchdir(found)?;
        let here = rustix::process::getcwd(Vec::new())?;
        if here.to_bytes().starts_with(b"/") {
            return Ok(());
        }
        Err(io::Error::other("it is not inside of the container"))
    };
    enter().step(format_args!("enter folder `{}`", folder.display()))
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

/// Where the host's null device is a standard stream, the container's own takes its place: root
/// inside could change the mode of the host's.
fn own_null(root: &Root, stdio: &[BorrowedFd<'_>]) -> io::Result<()> {
    for fd in stdio {
        if !is_null(*fd).unwrap_or(false) {
            continue;
        }
        let own = root.at(Path::new("/dev/null"), OFlags::RDWR | OFlags::NOFOLLOW)?;
        if !is_null(own.as_fd())? {
            return Err(io::Error::other("it is not the null device"));
        }
        match fd.as_raw_fd() {
            0 => nix::unistd::dup2_stdin(&own)?,
            1 => nix::unistd::dup2_stdout(&own)?,
            _ => nix::unistd::dup2_stderr(&own)?,
        }
    }
    Ok(())
}

/// Pipes and terminals belong to the user, so that `/dev/stdout` can be opened again.
fn own_stdio(uid: u32, stdio: &[BorrowedFd<'_>]) -> Result<(), Failure> {
    for fd in stdio {
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

/// Capabilities outlive the change of user, until [`hold`] says which.
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

/// What a process of this user may hold. Exec takes all but the ambient ones from whoever is not
/// root; held until then, they would count as had already, and a program's own capabilities would
/// be granted in spite of `no_new_privs`.
fn held(wanted: &Capabilities, uid: u32) -> CapabilitySet {
    let set = if uid == 0 { &wanted.permitted } else { &wanted.ambient };
    CapabilitySet::from_bits_retain(bits(set))
}

/// Has these capabilities alone, and for now some more.
fn hold(held: CapabilitySet, wanted: &Capabilities, besides: CapabilitySet) -> Result<(), Failure> {
    let inheritable = CapabilitySet::from_bits_retain(bits(&wanted.inheritable));
    let (effective, permitted) = (held | besides, held | besides);
    rustix::thread::set_capabilities(None, CapabilitySets { effective, permitted, inheritable })
        .step("set capabilities")
}

fn raise(wanted: &Capabilities) -> Result<(), Failure> {
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
