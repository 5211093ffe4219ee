//! A specification's list of system calls as a program for the kernel.
//!
//! # Invariants
//! - A call that is newer than every call known here fails with ENOSYS, not EPERM, so that
//!   libraries fall back to an older one.
//! - An unknown name that would be allowed is skipped; one that would be denied is an error, since
//!   skipping it would allow it.

mod numbers;
mod profile;

pub use profile::default;

use super::failure::Failure;
use super::oci::{Action, Argument, Operator, Seccomp, Syscall};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, sock_filter,
};
use std::collections::BTreeMap;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// The program; `None` where everything is allowed.
pub fn compile(profile: &Seccomp) -> Result<Option<BpfProgram>, Failure> {
    let default = action(profile.default_action, profile.default_errno_ret)?;
    let numbers = numbers::numbers();
    // The rules that a filter has one action for, and single calls with another.
    let usual = match default {
        SeccompAction::Allow => first_action(profile)?,
        _ => Some(SeccompAction::Allow),
    };
    let Some(usual) = usual else { return Ok(None) };
    let (mut rules, mut exceptions) = (Rules::new(), Vec::new());
    for rule in &profile.syscalls {
        let does = action(rule.action, rule.errno_ret)?;
        for number in known(rule, &does, &numbers)? {
            if does == usual {
                admit(&mut rules, number, rule, &usual)?;
            } else if does != default {
                exceptions.push(exception(number, rule, does.clone())?);
            }
        }
    }
    let newest = numbers.values().copied().max().unwrap_or_default();
    let prologue = prologue(&exceptions, (default != SeccompAction::Allow).then_some(newest));
    let architecture = std::env::consts::ARCH.try_into().map_err(wrong)?;
    let filter = SeccompFilter::new(rules, default, usual, architecture).map_err(wrong)?;
    let program: BpfProgram = filter.try_into().map_err(wrong)?;
    Ok(Some([prologue, program].concat()))
}

fn wrong(cause: impl std::fmt::Display) -> Failure {
    Failure::at("compile the seccomp profile", cause)
}

/// What a profile that allows by default does to the calls that it names.
fn first_action(profile: &Seccomp) -> Result<Option<SeccompAction>, Failure> {
    let rules = profile.syscalls.iter();
    let actions = rules.map(|rule| action(rule.action, rule.errno_ret));
    let actions = actions.collect::<Result<Vec<_>, _>>()?;
    Ok(actions.into_iter().find(|action| *action != SeccompAction::Allow))
}

fn action(action: Action, errno: Option<u32>) -> Result<SeccompAction, Failure> {
    let errno = errno.unwrap_or(libc::EPERM.cast_unsigned());
    Ok(match action {
        Action::ScmpActAllow => SeccompAction::Allow,
        Action::ScmpActErrno => SeccompAction::Errno(errno),
        Action::ScmpActKill | Action::ScmpActKillThread => SeccompAction::KillThread,
        Action::ScmpActKillProcess => SeccompAction::KillProcess,
        Action::ScmpActTrap => SeccompAction::Trap,
        Action::ScmpActTrace => SeccompAction::Trace(errno),
        Action::ScmpActLog => SeccompAction::Log,
        Action::ScmpActNotify => return Err(wrong("SCMP_ACT_NOTIFY has no listener")),
    })
}

fn known(
    rule: &Syscall,
    does: &SeccompAction,
    numbers: &BTreeMap<&str, i64>,
) -> Result<Vec<i64>, Failure> {
    let mut found = Vec::new();
    for name in &rule.names {
        match numbers.get(name.as_str()) {
            Some(number) => found.push(*number),
            None if *does == SeccompAction::Allow => {}
            None => return Err(wrong(format_args!("unknown system call `{name}`"))),
        }
    }
    Ok(found)
}

/// One rule without conditions makes those with conditions moot.
fn admit(
    rules: &mut Rules,
    number: i64,
    rule: &Syscall,
    does: &SeccompAction,
) -> Result<(), Failure> {
    let arguments = &rule.args;
    let known = rules.get(&number);
    if arguments.is_empty() {
        rules.insert(number, Vec::new());
    } else if !known.is_some_and(Vec::is_empty) {
        let grants = matches!(does, SeccompAction::Allow | SeccompAction::Log);
        let conditions = arguments.iter().map(|argument| condition(argument, grants));
        let conditions = conditions.collect::<Result<_, _>>()?;
        let rule = SeccompRule::new(conditions).map_err(wrong)?;
        rules.entry(number).or_default().push(rule);
    }
    Ok(())
}

/// Most calls read 32 bits of a small number, whatever the other 32 are (CVE-2019-7303): "not 40"
/// must not be met by 40 + 2^32 where that grants something, and "40" must be where it denies.
fn condition(argument: &Argument, grants: bool) -> Result<SeccompCondition, Failure> {
    let (value, two) = (argument.value, argument.value_two.unwrap_or_default());
    // Those that more numbers meet when the upper half is looked at, too.
    let (operator, value, open) = match argument.op {
        Operator::ScmpCmpNe => (SeccompCmpOp::Ne, value, true),
        Operator::ScmpCmpLt => (SeccompCmpOp::Lt, value, false),
        Operator::ScmpCmpLe => (SeccompCmpOp::Le, value, false),
        Operator::ScmpCmpEq => (SeccompCmpOp::Eq, value, false),
        Operator::ScmpCmpGe => (SeccompCmpOp::Ge, value, true),
        Operator::ScmpCmpGt => (SeccompCmpOp::Gt, value, true),
        Operator::ScmpCmpMaskedEq => (SeccompCmpOp::MaskedEq(value), two, false),
    };
    let narrow = open == grants && u32::try_from(argument.value.max(two)).is_ok();
    let length = if narrow { SeccompCmpArgLen::Dword } else { SeccompCmpArgLen::Qword };
    let index = u8::try_from(argument.index).map_err(wrong)?;
    SeccompCondition::new(index, length, operator, value).map_err(wrong)
}

/// Whether a process under the profile can make another like itself, as [`crate::sys::clone_sibling`]
/// does.
#[must_use]
pub fn lets_fork(profile: &Seccomp) -> bool {
    let flags = u64::from((libc::CLONE_PARENT | libc::SIGCHLD).cast_unsigned());
    let meets = |argument: &Argument| {
        let value = if argument.index == 0 { flags } else { 0 };
        match argument.op {
            Operator::ScmpCmpNe => value != argument.value,
            Operator::ScmpCmpLt => value < argument.value,
            Operator::ScmpCmpLe => value <= argument.value,
            Operator::ScmpCmpEq => value == argument.value,
            Operator::ScmpCmpGe => value >= argument.value,
            Operator::ScmpCmpGt => value > argument.value,
            Operator::ScmpCmpMaskedEq => {
                value & argument.value == argument.value_two.unwrap_or_default()
            }
        }
    };
    let mut rules = profile.syscalls.iter().filter(|rule| {
        rule.names.iter().any(|name| name == "clone") && rule.args.iter().all(meets)
    });
    let action = rules.next().map_or(profile.default_action, |rule| rule.action);
    matches!(action, Action::ScmpActAllow | Action::ScmpActLog)
}

fn exception(
    number: i64,
    rule: &Syscall,
    does: SeccompAction,
) -> Result<(u32, SeccompAction), Failure> {
    if !rule.args.is_empty() {
        let names = rule.names.join(", ");
        return Err(wrong(format_args!(
            "a second action with conditions is not supported: {names}"
        )));
    }
    Ok((u32::try_from(number).map_err(wrong)?, does))
}

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const ABOVE: u16 = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
const AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
/// Where `struct seccomp_data` has the call's number and the architecture.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

/// Answers before the filter proper: other numbers of the same calls, exceptions, and calls from
/// the future. A call of another
/// architecture goes on to the filter, which refuses it.
fn prologue(exceptions: &[(u32, SeccompAction)], newest: Option<i64>) -> BpfProgram {
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    let enosys = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    let mut body = vec![step(LOAD, 0, 0, NUMBER)];
    if let Some(foreign) = FOREIGN {
        body.extend([step(AT_LEAST, 0, 1, foreign), step(RETURN, 0, 0, enosys.clone().into())]);
    }
    for (number, does) in exceptions {
        body.push(step(EQUAL, 0, 1, *number));
        body.push(step(RETURN, 0, 0, does.clone().into()));
    }
    if let Some(newest) = newest.and_then(|newest| u32::try_from(newest).ok()) {
        body.push(step(ABOVE, 0, 1, newest));
        body.push(step(RETURN, 0, 0, enosys.into()));
    }
    match u8::try_from(body.len()) {
        Ok(length) => {
            let guard = [step(LOAD, 0, 0, ARCHITECTURE), step(EQUAL, 0, length, NATIVE)];
            [&guard[..], &body].concat()
        }
        // More exceptions than a jump can pass: without the guard another architecture's calls
        // meet them too, and are refused by the filter in any other case.
        Err(_) => body,
    }
}

/// From here on are the same calls by other numbers (x32), which a list of numbers misses.
const FOREIGN: Option<u32> = if cfg!(target_arch = "x86_64") { Some(0x4000_0000) } else { None };

#[cfg(target_arch = "x86_64")]
const NATIVE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const NATIVE: u32 = 0xc000_00b7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_profile_compiles() {
        let program = compile(&default(&std::collections::BTreeSet::new())).unwrap().unwrap();
        assert!((300..4096).contains(&program.len()), "{}", program.len());
    }

    /// A name without a number would be denied, although the profile allows it. Other architectures
    /// lack the oldest calls.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn every_call_of_the_profile_has_its_number() {
        let (numbers, profile) = (numbers::numbers(), default(&std::collections::BTreeSet::new()));
        let names = profile.syscalls.iter().flat_map(|rule| &rule.names);
        let unknown: Vec<_> = names.filter(|name| !numbers.contains_key(name.as_str())).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    #[test]
    fn a_denied_call_that_is_unknown_is_an_error() {
        let profile = |text: &str| serde_json::from_str::<Seccomp>(text).unwrap();
        let allows = profile(
            r#"{"defaultAction":"SCMP_ACT_ERRNO",
            "syscalls":[{"names":["read","no_such"],"action":"SCMP_ACT_ALLOW"}]}"#,
        );
        assert!(compile(&allows).unwrap().is_some());
        let denies = profile(
            r#"{"defaultAction":"SCMP_ACT_ALLOW",
            "syscalls":[{"names":["no_such"],"action":"SCMP_ACT_ERRNO"}]}"#,
        );
        let failure = compile(&denies).unwrap_err();
        assert_eq!(
            failure.message,
            "cannot compile the seccomp profile: unknown system call `no_such`"
        );
        assert!(compile(&profile(r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#)).unwrap().is_none());
    }
}
