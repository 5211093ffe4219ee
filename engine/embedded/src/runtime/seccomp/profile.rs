//! What a container may ask of the kernel unless told otherwise: what docker's default profile
//! allows. Data, and how it depends on capabilities. Pure.

use crate::runtime::oci::{Action, Argument, Operator, Seccomp, Syscall};
use std::collections::BTreeSet;

/// Allowed to everybody.
const ALWAYS: &str = "
    accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg
    sendmmsg sendmsg sendto setsockopt shutdown socketpair
    access chdir chmod chown creat faccessat faccessat2 fchdir fchmod fchmodat fchmodat2 fchown
    fchownat getcwd getdents getdents64 lchown link linkat mkdir mkdirat mknod mknodat open openat
    openat2 readlink readlinkat rename renameat renameat2 rmdir symlink symlinkat truncate ftruncate
    umask unlink unlinkat utime utimensat utimes futimesat name_to_handle_at
    close close_range copy_file_range dup dup2 dup3 fadvise64 fallocate fcntl fdatasync flock fsync
    lseek pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readv sendfile
    splice sync sync_file_range syncfs tee vmsplice write writev ioctl
    fgetxattr flistxattr fremovexattr fsetxattr getxattr lgetxattr listxattr llistxattr lremovexattr
    lsetxattr removexattr setxattr
    fstat fstatfs lstat newfstatat stat statfs statx
    epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait
    epoll_wait_old eventfd eventfd2 poll ppoll pselect6 select signalfd signalfd4
    fanotify_mark inotify_add_watch inotify_init inotify_init1 inotify_rm_watch
    io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit ioprio_get ioprio_set
    brk madvise mincore mlock mlock2 mlockall mmap mprotect mremap msync munlock munlockall munmap
    membarrier memfd_create memfd_secret pkey_alloc pkey_free pkey_mprotect remap_file_pages
    mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv
    msgsnd semctl semget semop semtimedop shmat shmctl shmdt shmget
    execve execveat exit exit_group fork vfork wait4 waitid kill tgkill tkill pidfd_open
    pidfd_send_signal process_mrelease prctl ptrace process_vm_readv process_vm_writev
    capget capset getegid geteuid getgid getgroups getresgid getresuid getuid setfsgid setfsuid setgid
    setgroups setregid setresgid setresuid setreuid setuid
    getpgid getpgrp getpid getppid getpriority getsid gettid setpgid setpriority setsid
    getrlimit getrusage prlimit64 setrlimit sysinfo times uname
    futex futex_waitv futex_wake futex_wait futex_requeue get_robust_list set_robust_list rseq
    get_thread_area set_thread_area set_tid_address
    rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
    rt_sigtimedwait rt_tgsigqueueinfo sigaltstack pause restart_syscall
    adjtimex alarm clock_adjtime clock_getres clock_gettime clock_nanosleep getitimer gettimeofday
    nanosleep setitimer time timer_create timer_delete timer_getoverrun timer_gettime timer_settime
    timerfd_create timerfd_gettime timerfd_settime
    getcpu getrandom sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr
    sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr
    sched_setparam sched_setscheduler sched_yield
    landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp
    arch_prctl modify_ldt cachestat map_shadow_stack mseal";

/// Allowed to whoever has the capability.
const WITH: &[(&str, &str)] = &[
    ("BPF", "bpf"),
    ("DAC_READ_SEARCH", "open_by_handle_at"),
    ("PERFMON", "perf_event_open"),
    ("SYSLOG", "syslog"),
    (
        "SYS_ADMIN",
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount \
         mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname \
         sethostname setns syslog umount2 unshare",
    ),
    ("SYS_BOOT", "reboot"),
    ("SYS_CHROOT", "chroot"),
    ("SYS_MODULE", "delete_module finit_module init_module"),
    ("SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    ("SYS_PACCT", "acct"),
    ("SYS_PTRACE", "kcmp pidfd_getfd process_madvise"),
    ("SYS_RAWIO", "ioperm iopl"),
    ("SYS_TIME", "clock_settime settimeofday"),
    ("SYS_TTY_CONFIG", "vhangup"),
];

/// Flags of clone that make namespaces.
const NAMESPACES: i32 = libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET;
/// Every family of sockets but AF_ALG (38), whose code for old ciphers has given root away through
/// cached pages (CVE-2026-31431), and AF_VSOCK (40), which leads to a virtual machine's host.
const FAMILIES: [(Operator, u64); 3] =
    [(Operator::ScmpCmpLt, 38), (Operator::ScmpCmpEq, 39), (Operator::ScmpCmpGt, 40)];
/// Linux as it is, 32-bit layout, no randomisation, both, and asking which it is.
const PERSONALITIES: [u64; 5] = [0, 8, 0x20000, 0x20008, 0xffff_ffff];

/// The profile for a process with these capabilities (upper case, without `CAP_`).
#[must_use]
pub fn default(capabilities: &BTreeSet<String>) -> Seccomp {
    let mut rules = vec![rule(ALWAYS, None)];
    let granted = WITH.iter().filter(|(capability, _)| capabilities.contains(*capability));
    rules.extend(granted.map(|(_, names)| rule(names, None)));
    rules.extend(FAMILIES.map(|(is, family)| rule("socket", Some(argument(is, family, None)))));
    rules.extend(
        PERSONALITIES
            .map(|value| rule("personality", Some(argument(Operator::ScmpCmpEq, value, None)))),
    );
    if !capabilities.contains("SYS_ADMIN") {
        let (operator, mask) = (Operator::ScmpCmpMaskedEq, NAMESPACES.cast_unsigned());
        rules.push(rule("clone", Some(argument(operator, mask.into(), Some(0)))));
        rules.push(no_clone3());
    }
    Seccomp {
        default_action: Action::ScmpActErrno,
        default_errno_ret: Some(libc::EPERM.cast_unsigned()),
        syscalls: rules,
    }
}

fn rule(names: &str, argument: Option<Argument>) -> Syscall {
    Syscall {
        names: names.split_ascii_whitespace().map(str::to_owned).collect(),
        action: Action::ScmpActAllow,
        errno_ret: None,
        args: argument.into_iter().collect(),
    }
}

/// Its flags lie in memory, where no filter sees them; libc falls back to clone.
fn no_clone3() -> Syscall {
    Syscall {
        action: Action::ScmpActErrno,
        errno_ret: Some(libc::ENOSYS.cast_unsigned()),
        ..rule("clone3", None)
    }
}

fn argument(op: Operator, value: u64, value_two: Option<u64>) -> Argument {
    Argument { index: 0, value, value_two, op }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_open_their_calls() {
        let names = |capabilities: &[&str]| {
            let capabilities = capabilities.iter().map(|name| (*name).to_owned()).collect();
            let rules = default(&capabilities).syscalls;
            let allowed = rules
                .iter()
                .filter(|rule| rule.action == Action::ScmpActAllow && rule.args.is_empty());
            allowed.flat_map(|rule| rule.names.clone()).collect::<BTreeSet<_>>()
        };
        assert!(!names(&[]).contains("mount"));
        assert!(!names(&[]).contains("clone"));
        assert!(names(&["SYS_ADMIN"]).contains("mount"));
        assert!(names(&["SYS_ADMIN"]).contains("clone3"));
        assert!(names(&["SYS_CHROOT"]).contains("chroot"));
        for never in ["kexec_load", "keyctl", "add_key", "userfaultfd", "io_uring_setup", "swapon"]
        {
            assert!(!names(&["SYS_ADMIN"]).contains(never), "{never}");
        }
    }
}
