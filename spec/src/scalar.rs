//! Text to values: sizes, durations, CPUs, file modes. Pure; the caller knows the place.

use std::time::Duration;

use std::fmt;

/// CPU time in billionths of one CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NanoCpus(pub u64);

/// As Compose writes it: `0.5`, `2`.
impl fmt::Display for NanoCpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        if part == 0 {
            return write!(f, "{whole}");
        }
        write!(f, "{whole}.{}", format!("{part:09}").trim_end_matches('0'))
    }
}

/// A size: `512`, `1.5g`, `64 KiB`. All units are powers of 1024.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..split], text[split..].trim_start().to_ascii_lowercase());
    let shift = match unit.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        "p" | "pb" | "pib" => 50,
        _ => return None,
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(1 << shift);
    }
    let size = decimal(number)? * f64::from(2).powi(shift);
    (size < u64::MAX as f64).then_some(size as u64)
}

/// A duration as Go writes it, with days and weeks: `1m30s`, `1.5h`, `2d`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number = decimal(&rest[..digits])?;
        rest = &rest[digits..];
        let length = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let seconds = number * unit_seconds(&rest[..length])?;
        total = total.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
        rest = &rest[length..];
    }
    Some(total)
}

fn unit_seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-9,
        "us" | "µs" | "μs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        "w" => 604_800.0,
        _ => return None,
    })
}

/// CPUs: `0.5`, `2`.
pub(crate) fn cpus(text: &str) -> Option<NanoCpus> {
    let nanos = decimal(text.trim())? * 1e9;
    (nanos < u64::MAX as f64).then(|| NanoCpus(nanos.round() as u64))
}

/// Digits with at most one point, no sign, no exponent.
fn decimal(text: &str) -> Option<f64> {
    let digits = text.bytes().any(|b| b.is_ascii_digit());
    let clean = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    (digits && clean).then(|| text.parse().ok()).flatten()
}

/// A file mode. In quotes, or with a leading zero, it is octal; else the number that it says.
pub(crate) fn mode(text: &str, plain: bool) -> Option<u32> {
    let octal =
        text.strip_prefix("0o").or_else(|| text.strip_prefix('0').filter(|rest| !rest.is_empty()));
    let value = match octal {
        Some(digits) => u32::from_str_radix(digits, 8).ok()?,
        None if plain => text.parse().ok()?,
        None => u32::from_str_radix(text, 8).ok()?,
    };
    (value <= 0o7777).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let cases = [
            ("512", Some(512)),
            ("1kb", Some(1024)),
            ("64 KiB", Some(65536)),
            ("1.5g", Some(1_610_612_736)),
            ("10M", Some(10 << 20)),
            ("0", Some(0)),
            ("-1", None),
            ("m", None),
            ("1x", None),
            ("1.2.3k", None),
            ("99999999999999999999", None),
            ("99999999p", None),
        ];
        for (text, size) in cases {
            assert_eq!(bytes(text), size, "{text}");
        }
    }

    #[test]
    fn durations() {
        let cases = [
            ("1m30s", Some(90_000)),
            ("1.5h", Some(5_400_000)),
            ("250ms", Some(250)),
            ("1d", Some(86_400_000)),
            ("0", Some(0)),
            ("0s", Some(0)),
            ("30", None),
            ("", None),
            ("s", None),
            ("-1s", None),
            ("1x", None),
            ("99999999999999999999w", None),
        ];
        for (text, millis) in cases {
            assert_eq!(duration(text), millis.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn cpu_counts() {
        let cases =
            [("0.5", Some(500_000_000)), ("2", Some(2_000_000_000)), ("x", None), ("-1", None)];
        for (text, nanos) in cases {
            assert_eq!(cpus(text), nanos.map(NanoCpus), "{text}");
        }
        assert_eq!(NanoCpus(1_250_000_000).to_string(), "1.25");
    }

    #[test]
    fn modes() {
        let cases = [
            ("0440", true, Some(0o440)),
            ("0440", false, Some(0o440)),
            ("440", false, Some(0o440)),
            ("440", true, Some(440)),
            ("0o440", true, Some(0o440)),
            ("0", true, Some(0)),
            ("999", false, None),
            ("99999", true, None),
        ];
        for (text, plain, bits) in cases {
            assert_eq!(mode(text, plain), bits, "{text} plain: {plain}");
        }
    }
}
