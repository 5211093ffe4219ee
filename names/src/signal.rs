//! Signals by name and number, as Linux counts them on x86-64 and ARM.

/// The real-time signals that the C library leaves to programs.
const REAL_TIME: std::ops::RangeInclusive<i32> = 34..=64;

#[rustfmt::skip]
const NAMES: [(&str, i32); 31] = [
    ("HUP", 1), ("INT", 2), ("QUIT", 3), ("ILL", 4), ("TRAP", 5), ("ABRT", 6), ("BUS", 7),
    ("FPE", 8), ("KILL", 9), ("USR1", 10), ("SEGV", 11), ("USR2", 12), ("PIPE", 13), ("ALRM", 14),
    ("TERM", 15), ("STKFLT", 16), ("CHLD", 17), ("CONT", 18), ("STOP", 19), ("TSTP", 20),
    ("TTIN", 21), ("TTOU", 22), ("URG", 23), ("XCPU", 24), ("XFSZ", 25), ("VTALRM", 26),
    ("PROF", 27), ("WINCH", 28), ("IO", 29), ("PWR", 30), ("SYS", 31),
];

/// The number of a signal given as a name (`TERM`, `SIGTERM`, `SIGRTMIN+3`) or as a number.
#[must_use]
pub fn number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=*REAL_TIME.end()).contains(&number).then_some(number);
    }
    let name = plain(text);
    let offset = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<i32>().ok() };
    let real_time = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(more), _) => REAL_TIME.start().checked_add(offset(more)?)?,
        (_, Some(less)) => REAL_TIME.end().checked_add(offset(less)?)?,
        _ => return NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number),
    };
    REAL_TIME.contains(&real_time).then_some(real_time)
}

/// What a signal is called, with its `SIG`; nothing for a real-time one.
#[must_use]
pub fn name(number: i32) -> Option<String> {
    let (name, _) = NAMES.iter().find(|(_, known)| *known == number)?;
    Some(format!("SIG{name}"))
}

/// All names that have one number, without their `SIG`.
pub fn names() -> impl Iterator<Item = &'static str> + Clone {
    NAMES.iter().map(|(name, _)| *name)
}

/// A name in capitals, without its `SIG`.
#[must_use]
pub fn plain(text: &str) -> String {
    let name = text.to_ascii_uppercase();
    name.strip_prefix("SIG").map(str::to_owned).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        let cases = [
            ("TERM", Some(15)),
            ("sigquit", Some(3)),
            ("9", Some(9)),
            ("SIGRTMIN+3", Some(37)),
            ("RTMAX-1", Some(63)),
            ("SIGRTMIN", Some(34)),
            ("NOPE", None),
            ("0", None),
            ("RTMIN+99", None),
            ("RTMIN-1", None),
            ("RTMIN+2147483647", None),
            ("RTMAX-2147483648", None),
            ("65", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(number(text), wanted, "{text}");
        }
        assert_eq!((name(9).as_deref(), name(40)), (Some("SIGKILL"), None));
    }
}
