//! A header's numbers: octal text, or GNU's binary form for large ones. The `tar` crate reads the
//! last eight bytes of a binary one and drops the rest, which other readers do not.

use std::io;

use tar::Header;

/// Sizes from here on do not fit into twelve octal digits.
pub(super) const LARGEST_IN_FIELD: u64 = 1 << 33;

/// Whether all numbers of a header are whole.
pub(super) fn check(header: &Header) -> io::Result<()> {
    let old = header.as_old();
    let fields = [&old.mode[..], &old.uid, &old.gid, &old.size, &old.mtime];
    match fields.iter().enumerate().all(|(at, field)| is_whole(field, at == 4)) {
        true => Ok(()),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a number in a header is negative or has more than 64 bits",
        )),
    }
}

/// Times may be before 1970.
fn is_whole(field: &[u8], may_be_negative: bool) -> bool {
    let Some((first, rest)) = field.split_first() else { return true };
    if first & 0x80 == 0 {
        return true;
    }
    let above = &rest[..rest.len().saturating_sub(8)];
    let positive = *first == 0x80 && above.iter().all(|byte| *byte == 0);
    positive || may_be_negative && *first == 0xff && above.iter().all(|byte| *byte == 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_whole_or_refused() {
        let size = |bytes: [u8; 12]| {
            let mut header = Header::new_gnu();
            header.as_old_mut().size = bytes;
            check(&header).is_ok()
        };
        assert!(size(*b"00000000017\0") && size(*b"           7"));
        assert!(size([0x80, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]));
        assert!(!size([0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7]), "two to the 64th and seven");
        assert!(!size([0x81, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]));
        assert!(!size([0xff; 12]), "minus one");
        let mut header = Header::new_gnu();
        header.as_old_mut().mtime = [0xff; 12];
        assert!(check(&header).is_ok(), "a second before 1970");
    }
}
