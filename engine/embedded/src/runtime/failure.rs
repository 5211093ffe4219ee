//! Why a container did not start, in words and as docker's exit code.

use keel_engine::FailureKind;
use std::fmt::Display;
use std::io;

/// The container could not be made.
pub const CANNOT_START: i32 = 125;
/// The program is there, but cannot be executed.
pub const NOT_EXECUTABLE: i32 = 126;
/// There is no such program.
pub const NOT_FOUND: i32 = 127;

/// Characters of a message that are shown, and of a program's name in it: both may be a stranger's.
const LONGEST: usize = 2 << 10;
const NAME: usize = 256;

/// A start that failed. It is shown as one line, without what a terminal would obey.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", keel_plain::line_within(message, LONGEST))]
pub struct Failure {
    /// 125 to 127.
    pub code: i32,
    /// The step and its cause, or docker's words about the program.
    pub message: String,
}

impl Failure {
    /// A step that could not be done.
    pub fn at(step: impl Display, cause: impl Display) -> Self {
        Self { code: CANNOT_START, message: format!("cannot {step}: {cause}") }
    }

    /// The program could not be executed; docker's words.
    #[must_use]
    pub fn exec(program: &str, cause: &io::Error) -> Self {
        let program = &*keel_plain::line_within(program, NAME);
        let absent = matches!(cause.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR));
        let message = match cause.raw_os_error() {
            _ if absent && !program.contains('/') => {
                format!("exec: \"{program}\": executable file not found in $PATH")
            }
            _ if absent => format!("exec: \"{program}\": no such file or directory"),
            Some(libc::EACCES) => format!("exec: \"{program}\": permission denied"),
            Some(libc::EISDIR) => format!("exec: \"{program}\": is a directory"),
            Some(libc::ENOEXEC) => format!("exec: \"{program}\": exec format error"),
            _ => format!("exec: \"{program}\": {cause}"),
        };
        Self { code: if absent { NOT_FOUND } else { NOT_EXECUTABLE }, message }
    }
}

impl From<&Failure> for keel_engine::Failure {
    fn from(failure: &Failure) -> Self {
        let kind = match failure.code {
            NOT_FOUND => FailureKind::NoProgram,
            NOT_EXECUTABLE => FailureKind::NotExecutable,
            _ => FailureKind::Other,
        };
        Self { kind, text: failure.to_string() }
    }
}

/// Names the step that an error belongs to.
pub trait AtStep<T> {
    /// `cannot STEP: CAUSE`.
    fn step(self, step: impl Display) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> AtStep<T> for Result<T, E> {
    fn step(self, step: impl Display) -> Result<T, Failure> {
        self.map_err(|error| Failure::at(step, error.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_speak_as_docker_does() {
        let cases = [
            ("nope", libc::ENOENT, 127, "exec: \"nope\": executable file not found in $PATH"),
            ("/nope", libc::ENOENT, 127, "exec: \"/nope\": no such file or directory"),
            ("/etc/passwd", libc::EACCES, 126, "exec: \"/etc/passwd\": permission denied"),
            ("/etc", libc::EISDIR, 126, "exec: \"/etc\": is a directory"),
            ("/\x1b[2J\n", libc::ENOENT, 127, r#"exec: "/\u{1b}[2J\n": no such file or directory"#),
        ];
        for (program, errno, code, message) in cases {
            let failure = Failure::exec(program, &io::Error::from_raw_os_error(errno));
            assert_eq!((failure.code, failure.to_string().as_str()), (code, message));
        }
    }
}
