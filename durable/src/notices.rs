//! What inotify has to tell, without waiting for more.

use rustix::fs::inotify::{ReadFlags, Reader};
use rustix::io::Errno;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

/// So many changes have room in a buffer however long their names are: where there were fewer, the kernel has given
/// all that it had, and need not be asked for more.
const ONCE: usize = 8192 / (16 + 256) - 1;

/// Something happened in a watched folder.
#[derive(Debug)]
pub struct Notice {
    /// Which folder: the number of its watch. Negative where some notices were lost.
    pub watch: i32,
    /// What happened.
    pub what: ReadFlags,
    /// The file in it; `None` for the folder itself.
    pub name: Option<String>,
}

/// All that an inotify descriptor, which does not block, has to tell now.
pub fn take_notices(fd: impl AsFd) -> io::Result<Vec<Notice>> {
    let mut buffer = [MaybeUninit::uninit(); 8192];
    let mut reader = Reader::new(fd, &mut buffer);
    let mut notices = Vec::new();
    while notices.is_empty() || !reader.is_buffer_empty() || notices.len() >= ONCE {
        match reader.next() {
            Ok(event) => notices.push(Notice {
                watch: event.wd(),
                what: event.events(),
                name: event.file_name().map(|name| name.to_string_lossy().into_owned()),
            }),
            Err(Errno::AGAIN) => return Ok(notices),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(notices)
}
