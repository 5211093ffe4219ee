//! What signals are called. Pure.

#[rustfmt::skip]
const NAMES: [&str; 31] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "KILL", "PIPE", "PROF",
    "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG",
    "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
];

/// Whether it is a signal: `TERM`, `SIGTERM`, `SIGRTMIN+3` or a number.
pub(crate) fn is_signal(text: &str) -> bool {
    if let Ok(number) = text.parse::<u8>() {
        return (1..=64).contains(&number);
    }
    let name = plain(text);
    let real_time = ["RTMIN", "RTMAX"].iter().find_map(|base| name.strip_prefix(base));
    match real_time {
        Some(rest) => rest.is_empty() || rest.parse::<i8>().is_ok(),
        None => NAMES.contains(&name.as_str()),
    }
}

/// The one that is most like it.
pub(crate) fn nearest(text: &str) -> Option<String> {
    crate::nearest::of(&plain(text), NAMES).map(|name| format!("did you mean `SIG{name}`?"))
}

fn plain(text: &str) -> String {
    let name = text.to_ascii_uppercase();
    name.strip_prefix("SIG").map(str::to_owned).unwrap_or(name)
}
