//! Git over the `ssh` program's pipes, as git itself does it: keys, agents, known hosts and
//! `~/.ssh/config` are ssh's own affair.

use super::complaints::of_complaint;
use super::identity::Identity;
use super::location::Location;
use super::meter::{Allowance, Meter, TOO_LONG, Topic};
use crate::limits;
use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream};
use git2::{Error, ErrorClass, ErrorCode};
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// One connection; the program ends with it.
#[derive(Default)]
pub(crate) struct Ssh {
    running: Arc<Running>,
}

/// The program, for whoever ends it.
#[derive(Default)]
struct Running {
    child: Mutex<Option<Child>>,
    /// Why it was ended before its time.
    late: Mutex<Option<&'static str>>,
}

impl Running {
    fn end(&self) {
        if let Some(mut child) = self.child.lock().expect("nothing panics with it").take() {
            // It may have ended by itself already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Ends the program where the branches are not told in time, nothing is heard for too long, or all
    /// of it takes too long. A login that ends nowhere must not be waited for. What it is sent at each
    /// word: whether the branches have been told.
    fn watched(self: &Arc<Self>, allowance: Allowance) -> Sender<bool> {
        let (heard, silence) = mpsc::channel();
        let running = self.clone();
        std::thread::spawn(move || {
            let (begin, mut told, mut why) = (Instant::now(), false, SILENT);
            let ended = loop {
                let patience = match told {
                    true => limits::GIT_SILENCE,
                    false => limits::GIT_FIRST_WORD.saturating_sub(begin.elapsed()),
                };
                match silence.recv_timeout(patience.min(allowance.left())) {
                    Ok(now) => (told, why) = (now, FELL_SILENT),
                    Err(ended) => break ended,
                }
            };
            if ended == RecvTimeoutError::Disconnected {
                return;
            }
            let why = if allowance.left().is_zero() { TOO_LONG } else { why };
            *running.late.lock().expect("nothing panics with it") = Some(why);
            running.end();
        });
        heard
    }

    fn late(&self) -> Option<&'static str> {
        *self.late.lock().expect("nothing panics with it")
    }
}

impl SmartSubtransport for Ssh {
    fn action(
        &self,
        url: &str,
        service: Service,
    ) -> Result<Box<dyn SmartSubtransportStream>, Error> {
        if !matches!(service, Service::UploadPackLs) {
            return Err(Error::from_str("a connection is opened once, and nothing is ever pushed"));
        }
        let Some(Location::Ssh { destination, port, path }) = Location::parse(url) else {
            return Err(Error::from_str("not an ssh address"));
        };
        self.running.end();
        let mut child =
            command(&destination, port, &path, &Identity::present()).spawn().map_err(|error| {
                let words = format!("the program `ssh` cannot be started: {error}");
                Error::new(ErrorCode::GenericError, ErrorClass::Ssh, words)
            })?;
        let taken = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = taken else {
            return Err(Error::from_str("the program `ssh` has no pipes"));
        };
        *self.running.child.lock().expect("nothing panics with it") = Some(child);
        let allowance = Allowance::present();
        let (running, heard) = (self.running.clone(), self.running.watched(allowance));
        let meter = Meter::new(Topic::ReferencesFirst, allowance);
        Ok(Box::new(Pipes { stdin, stdout, stderr, running, heard, silent: true, meter }))
    }

    fn close(&self) -> Result<(), Error> {
        self.running.end();
        Ok(())
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        self.running.end();
    }
}

/// Never asks a person anything, and notices a server that went away. What a login of a person hands to
/// the other side (an agent, a display, ports) is not for a server of repositories.
const OPTIONS: [&str; 7] = [
    "BatchMode=yes",
    "ConnectTimeout=10",
    "ServerAliveInterval=15",
    "ForwardAgent=no",
    "ForwardX11=no",
    "ClearAllForwardings=yes",
    "PermitLocalCommand=no",
];

/// What of our own variables `ssh` gets: where to find itself and the agent, and how to speak. Tokens of
/// registries and forges may be among the others, and its configuration can send them along.
const VARIABLES: [&str; 7] = ["PATH", "HOME", "USER", "LOGNAME", "SSH_AUTH_SOCK", "LANG", "LC_ALL"];

fn command(destination: &str, port: Option<u16>, path: &str, identity: &Identity) -> Command {
    let mut command = Command::new("ssh");
    command.env_clear();
    command.envs(VARIABLES.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    for option in OPTIONS {
        command.args(["-o", option]);
    }
    for option in options(identity) {
        command.args(["-o".into(), option]);
    }
    if let Some(port) = port {
        command.args(["-p", &port.to_string()]);
    }
    command.args(["--", destination, &format!("git-upload-pack {}", quoted(path))]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What is configured counts alone: no other key is shown, no other host key believed.
fn options(identity: &Identity) -> Vec<OsString> {
    let Identity::Key { key, known_hosts } = identity else { return vec![] };
    let with = |option: &str, path: &Path| {
        // Inside of quotes, ssh takes all but the quote itself as it is.
        let mut text = OsString::from(format!("{option}=\""));
        text.push(path);
        text.push("\"");
        text
    };
    let mut options = vec!["StrictHostKeyChecking=yes".into()];
    if let Some(key) = key {
        options.extend(["IdentitiesOnly=yes".into(), "IdentityAgent=none".into()]);
        options.push(with("IdentityFile", key));
    }
    if let Some(hosts) = known_hosts {
        options.push("GlobalKnownHostsFile=/dev/null".into());
        options.push(with("UserKnownHostsFile", hosts));
    }
    options
}

/// For the shell on the other side; `~` and `~user` stay outside of the quotes.
fn quoted(path: &str) -> String {
    let (home, rest) = match path.strip_prefix('~') {
        Some(_) => path.split_at(path.find('/').unwrap_or(path.len())),
        None => ("", path),
    };
    let sound = home.bytes().all(|b| b.is_ascii_alphanumeric() || b"~._-".contains(&b));
    let (home, rest) = if sound { (home, rest) } else { ("", path) };
    format!("{home}'{}'", rest.replace('\'', r"'\''"))
}

const SILENT: &str = "the server does not answer in time";
const FELL_SILENT: &str = "the server fell silent in the middle of its answer";

struct Pipes {
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: ChildStderr,
    running: Arc<Running>,
    /// Told at each word.
    heard: Sender<bool>,
    /// Until the first word.
    silent: bool,
    meter: Meter,
}

impl Read for Pipes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stdout.read(buffer)?;
        if count > 0 {
            self.silent = false;
            self.meter.take(&buffer[..count], Instant::now()).map_err(io::Error::other)?;
            // Whoever watches is gone only where it gave up.
            let _ = self.heard.send(self.meter.has_told());
            return Ok(count);
        }
        if let Some(why) = self.running.late() {
            return Err(io::Error::other(why));
        }
        if !self.silent {
            return Ok(0);
        }
        // It ended without a word of Git: what it complained of is the reason.
        let mut complaint = Vec::new();
        let _ = self.stderr.by_ref().take(limits::GIT_COMPLAINT).read_to_end(&mut complaint);
        Err(io::Error::other(of_complaint(&String::from_utf8_lossy(&complaint))))
    }
}

impl Write for Pipes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stdin.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stdin.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_for_the_other_shell() {
        let cases = [
            ("/srv/a.git", "'/srv/a.git'"),
            ("a b.git", "'a b.git'"),
            ("it's", r"'it'\''s'"),
            ("~/a.git", "~'/a.git'"),
            ("~me/a.git", "~me'/a.git'"),
            ("~$(x)/a", "'~$(x)/a'"),
        ];
        for (path, expected) in cases {
            assert_eq!(quoted(path), expected);
        }
    }
}
