//! What people do with a container: attach, type, enter.

use crate::Test;
use crate::lab::{Lab, Task};
use keel_engine::frames::{Frame, decode};
use keel_engine::{Exec, Goal};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

pub const TESTS: &[Test] = &[
    ("who_attaches_first_hears_everything", who_attaches_first_hears_everything),
    ("input_reaches_the_process", input_reaches_the_process),
    ("a_terminal_is_one", a_terminal_is_one),
    ("a_slow_reader_misses_nothing", a_slow_reader_misses_nothing),
    ("a_late_reader_misses_nothing_either", a_late_reader_misses_nothing_either),
    ("entering_gives_codes_and_streams", entering_gives_codes_and_streams),
    ("entering_obeys_the_request", entering_obeys_the_request),
];

struct Client {
    socket: UnixStream,
    read: Vec<u8>,
}

impl Client {
    fn attach(task: &Task<'_>) -> Self {
        let socket = UnixStream::connect(task.dir.attach()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        Self { socket, read: Vec::new() }
    }

    fn send(&mut self, frame: &Frame) {
        self.socket.write_all(&frame.encode()).unwrap();
    }

    fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, length)) = decode(&self.read).unwrap() {
                self.read.drain(..length);
                return Some(frame);
            }
            let mut chunk = [0; 4096];
            match self.socket.read(&mut chunk).unwrap() {
                0 => return None,
                length => self.read.extend_from_slice(&chunk[..length]),
            }
        }
    }

    /// Output until it holds the text.
    fn hear(&mut self, text: &str) -> String {
        let mut heard = String::new();
        while !heard.contains(text) {
            match self.next() {
                Some(Frame::Stdout(data) | Frame::Stderr(data)) => {
                    heard += &String::from_utf8_lossy(&data);
                }
                other => panic!("no `{text}` in `{heard}`, but {other:?}"),
            }
        }
        heard
    }

    /// Output to the end, and the code.
    fn rest(&mut self) -> (String, String, Option<i32>) {
        let (mut out, mut err, mut code) = (String::new(), String::new(), None);
        while let Some(frame) = self.next() {
            match frame {
                Frame::Stdout(data) => out += &String::from_utf8_lossy(&data),
                Frame::Stderr(data) => err += &String::from_utf8_lossy(&data),
                Frame::Exit(number) => code = Some(number),
                other => panic!("{other:?}"),
            }
        }
        (out, err, code)
    }
}

fn ready<'a>(task: Task<'a>) -> Task<'a> {
    let mut task = task;
    task.assignment.goal = Goal::Ready;
    task.launch()
}

fn who_attaches_first_hears_everything(lab: &Lab) {
    let mut task = ready(lab.shell("echo first; echo second >&2; exit 9"));
    let (mut one, mut two) = (Client::attach(&task), Client::attach(&task));
    task.goal(Goal::Running);
    let heard = ("first\n".to_owned(), "second\n".to_owned(), Some(9));
    assert_eq!(one.rest(), heard);
    assert_eq!(two.rest(), heard);
    task.end();
    let mut failing = ready(lab.task(keel_engine::TaskSpec {
        command: Some(vec!["nope".into()]),
        ..keel_engine::TaskSpec::default()
    }));
    let mut client = Client::attach(&failing);
    failing.goal(Goal::Running);
    let message = "exec: \"nope\": executable file not found in $PATH\n".to_owned();
    assert_eq!(client.rest(), (String::new(), message, Some(127)));
}

fn input_reaches_the_process(lab: &Lab) {
    let mut task = ready(lab.shell("read a; echo got $a; cat").spec(|spec| spec.stdin_open = true));
    let mut client = Client::attach(&task);
    client.send(&Frame::Stdin(b"early\n".to_vec()));
    task.goal(Goal::Running);
    client.hear("got early\n");
    let much = vec![b'x'; 300_000];
    client.send(&Frame::Stdin(much.clone()));
    client.send(&Frame::StdinEnd);
    let (out, _, code) = client.rest();
    assert_eq!((out.len(), code), (much.len(), Some(0)));
    task.end();
}

fn a_terminal_is_one(lab: &Lab) {
    let script = "tty; stty size; test -c /dev/console && echo console; echo $TERM; read x; \
                  stty size; echo said $x >&2; head -n 1 < /dev/tty";
    let task = lab.shell(script).spec(|spec| (spec.tty, spec.stdin_open) = (true, true));
    let mut task = ready(task);
    let mut client = Client::attach(&task);
    client.send(&Frame::Resize { rows: 33, columns: 101 });
    task.goal(Goal::Running);
    let heard = client.hear("xterm\r\n");
    assert_eq!(heard, "/dev/pts/0\r\n33 101\r\nconsole\r\nxterm\r\n");
    client.send(&Frame::Resize { rows: 44, columns: 102 });
    client.send(&Frame::Stdin(b"hello\n".to_vec()));
    let heard = client.hear("said hello\r\n");
    assert_eq!(heard, "hello\r\n44 102\r\nsaid hello\r\n");
    client.send(&Frame::Stdin(b"last\n".to_vec()));
    let (out, err, code) = client.rest();
    assert_eq!((out.as_str(), err.as_str(), code), ("last\r\nlast\r\n", "", Some(0)));
    task.end();
    assert!(task.output().contains("said hello"));
}

/// It slows the program down until it reads, and then has it all.
fn a_slow_reader_misses_nothing(lab: &Lab) {
    let mut task = ready(lab.shell("head -c 5000000 /dev/zero | tr '\\0' x | fold -w 999; exit 3"));
    let mut slow = Client::attach(&task);
    task.goal(Goal::Running);
    // What pipe, shim and socket hold, and no more, is ahead of it.
    task.says(&"x".repeat(999));
    let (out, _, code) = slow.rest();
    assert_eq!((out.matches('x').count(), code), (5_000_000, Some(3)));
    assert_eq!(task.end().exit_code, Some(3));
}

/// Nor does one who reads only when all is over hold up what comes next.
fn a_late_reader_misses_nothing_either(lab: &Lab) {
    let mut task = ready(lab.shell("head -c 900000 /dev/zero | tr '\\0' x"));
    let mut late = Client::attach(&task);
    task.goal(Goal::Running);
    assert_eq!(task.end().exit_code, Some(0));
    let (out, _, code) = late.rest();
    assert_eq!((out.len(), code), (900_000, Some(0)));
}

fn entering_gives_codes_and_streams(lab: &Lab) {
    let task = lab.shell("echo ready; sleep 1000").launch();
    task.says("ready");
    let text = str::to_owned;
    assert_eq!(task.sh("echo out; echo err >&2; exit 3"), (3, text("out\n"), text("err\n")));
    assert_eq!(task.sh("cat"), (0, text("typed\n"), text("")));
    assert_eq!(task.sh("kill -9 $$").0, 137);
    let nope = task.enter(&Exec { command: vec![text("nope")], ..Exec::default() });
    let message = "exec: \"nope\": executable file not found in $PATH\n";
    assert_eq!(nope, (127, text(""), text(message)));
    let plain = task.enter(&Exec { command: vec![text("/bin/plain")], ..Exec::default() });
    assert_eq!((plain.0, plain.2.as_str()), (126, "exec: \"/bin/plain\": permission denied\n"));
    let ended = lab.shell("true").launch();
    ended.end();
    assert_eq!(ended.sh("true"), (125, text(""), text("the container is not running\n")));
}

fn entering_obeys_the_request(lab: &Lab) {
    let script = "id -u; id -G; pwd; echo $EXTRA $HOSTNAME; grep -E 'CapEff|Seccomp:' /proc/self/status; \
                  cat /proc/self/cgroup | head -n 1; ls /proc/self/fd | wc -l";
    let mut task = lab.shell("echo ready; sleep 1000").spec(|spec| {
        spec.environment.insert("EXTRA".into(), Some("no".into()));
    });
    task.image.working_dir = Some("/data".into());
    let task = task.launch();
    task.says("ready");
    let own = task.sh(script).1;
    let host = task.assignment.id.short();
    assert!(own.starts_with(&format!("0\n0\n/data\nno {host}\n")), "{own}");
    assert!(own.contains("00000000a80425fb\nSeccomp:\t2\n"), "{own}");
    let exec = Exec {
        command: ["sh", "-c", script].map(str::to_owned).into(),
        env: vec!["EXTRA=yes".into()],
        user: Some("web".into()),
        working_dir: Some("/tmp".into()),
        ..Exec::default()
    };
    let other = task.enter(&exec).1;
    assert!(other.starts_with(&format!("101\n102 200\n/tmp\nyes {host}\n")), "{other}");
    assert!(other.contains("CapEff:\t0000000000000000\nSeccomp:\t2\n"), "{other}");
    let all = task.enter(&Exec { privileged: true, user: None, ..exec }).1;
    assert!(all.contains("Seccomp:\t0\n"), "{all}");
    for output in [own, other, all] {
        assert!(output.ends_with("\n4\n"), "{output}");
    }
}
