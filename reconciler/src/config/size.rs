//! Amounts of bytes as people write them.

/// What [`parse_size`] takes, for schemas.
pub(crate) const PATTERN: &str = "^[0-9]+(B|KiB|MiB|GiB)$";

/// `500MiB`, `2GiB`.
#[must_use]
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let bytes = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit() {
        let cases = [
            ("500MiB", Some(500 << 20)),
            ("2GiB", Some(2 << 30)),
            ("7B", Some(7)),
            ("1KiB", Some(1024)),
            ("500", None),
            ("MiB", None),
            ("5MB", None),
            ("99999999999999GiB", None),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_size(text), bytes, "{text}");
        }
    }
}
