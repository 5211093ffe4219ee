//! Memory that a process and its copies share.
#![expect(unsafe_code, reason = "wraps kernel calls; see the header of `sys`")]

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use std::io;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// Bytes of text that fit.
const TEXT: usize = 2048;

/// What is shared. Whoever shares it may be under a stranger's hand: any bit pattern is a value.
#[repr(C)]
struct Page {
    number: AtomicU32,
    length: AtomicU32,
    code: AtomicU32,
    text: [AtomicU8; TEXT],
}

/// A number and a text, to be left by a copy of this process that has no descriptor to send them
/// over. Nothing that is read of it can be trusted.
#[derive(Debug)]
pub struct Board(NonNull<Page>);

impl Board {
    /// An empty one, which copies made from now on share.
    pub fn new() -> io::Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no other memory.
        let page =
            unsafe { mmap_anonymous(null_mut(), size_of::<Page>(), access, MapFlags::SHARED) }?;
        NonNull::new(page.cast()).map(Self).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    fn page(&self) -> &Page {
        // SAFETY: the mapping is as large as a page's type, aligned to the kernel's pages, zeroed,
        // which is a valid value, and lives until `self` is dropped; only atomics are in it, so
        // that others may write at the same time.
        unsafe { self.0.as_ref() }
    }

    /// Leaves a number other than 0.
    pub fn leave_number(&self, number: u32) {
        self.page().number.store(number, Ordering::Release);
    }

    /// The number, if one was left.
    #[must_use]
    pub fn number(&self) -> Option<u32> {
        Some(self.page().number.load(Ordering::Acquire)).filter(|number| *number != 0)
    }

    /// Leaves a code and a text, which is cut where it is too long.
    pub fn leave_text(&self, code: u32, text: &str) {
        let page = self.page();
        let text = &text.as_bytes()[..text.len().min(TEXT)];
        for (place, byte) in page.text.iter().zip(text) {
            place.store(*byte, Ordering::Relaxed);
        }
        page.code.store(code, Ordering::Relaxed);
        let length = u32::try_from(text.len()).unwrap_or_default();
        page.length.store(length, Ordering::Release);
    }

    /// The code and the text, if one was left.
    #[must_use]
    pub fn text(&self) -> Option<(u32, String)> {
        let page = self.page();
        let length = usize::try_from(page.length.load(Ordering::Acquire)).unwrap_or(TEXT);
        let bytes: Vec<u8> =
            page.text.iter().take(length).map(|byte| byte.load(Ordering::Relaxed)).collect();
        let code = page.code.load(Ordering::Relaxed);
        (!bytes.is_empty()).then(|| (code, String::from_utf8_lossy(&bytes).into_owned()))
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, of this size, and nothing borrows from it any more.
        let _ = unsafe { munmap(self.0.as_ptr().cast(), size_of::<Page>()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_read() {
        let board = Board::new().unwrap();
        assert_eq!((board.number(), board.text()), (None, None));
        board.leave_number(7);
        board.leave_text(126, &"x".repeat(3000));
        assert_eq!(board.number(), Some(7));
        assert_eq!(board.text(), Some((126, "x".repeat(TEXT))));
    }
}
