//! The shim's life: hears, decides, records.
//!
//! # Invariants
//! - `state` says what is true before anybody is told otherwise: it is stored after each change,
//!   and `Exited` is the last thing that is stored.
//! - Records are read anew at each nudge and before each run; a goal comes before any policy.

use super::attached::Attached;
use super::ending::{self, Circumstances, Ending};
use super::orders::Orders;
use super::output::Log;
use super::restart::{self, Pauses};
use super::run::Run;
use super::setup;
use super::stdin::Input;
use super::streams::{self, CHUNK, Got};
use super::wait::{Ready, wait};
use super::wish::Wish;
use crate::clock;
use crate::root::late;
use crate::root::layout::TaskDir;
use crate::root::record::{Activity, ShimState};
use crate::runtime::patience::Stuck;
use crate::runtime::{terminal, unanswered};
use keel_durable::{Hold, Stored};
use keel_engine::ExitCause;
use keel_engine::frames::Frame;
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// An end this soon after the shim itself was asked to end is the machine going down.
const GOING_DOWN: Duration = Duration::from_secs(90);

/// Until a state is stored that the disk did not take: from the first pause to the longest.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// See [`FIRST_PAUSE`].
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What a pipe holds at the most, unless somebody with the right to raised that.
const MOST_LEFT: usize = 1 << 20;

/// Everything that a shim holds.
pub struct Supervisor {
    pub(super) dir: TaskDir,
    /// The task's cgroup, relative to a hierarchy's mount point.
    pub(super) cgroup: String,
    pub(super) signals: SignalFd,
    pub(super) attached: Attached,
    pub(super) input: Input,
    pub(super) log: Log,
    pub(super) state: ShimState,
    pub(super) orders: Orders,
    pub(super) run: Option<Run>,
    /// When the next run begins.
    pub(super) pause: Option<Instant>,
    pub(super) pauses: Pauses,
    /// Asked to end at this time: the machine is going down, or somebody is careless.
    pub(super) asked: Option<Instant>,
    /// The terminal's size, as a client last gave it.
    pub(super) size: Option<(u16, u16)>,
    pub(super) buffer: Box<[u8; CHUNK]>,
    /// The disk did not take the last state: when it is tried again, and after what pause then.
    pub(super) unstored: Option<(Instant, Duration)>,
    /// Who was given up at making a process.
    pub(super) stuck: Stuck,
    pub(super) done: bool,
}

impl Supervisor {
    /// Supervises until the process has ended for good; then what was recorded is final.
    pub fn serve(&mut self) {
        self.obey();
        while !self.done {
            let timeout = self.next().map(|at| at.saturating_duration_since(Instant::now()));
            let run = self.run.as_ref();
            let ready = wait(self.signals.as_fd(), &self.attached, &self.input, run, timeout);
            for what in ready {
                self.handle(what);
            }
            self.attached.sweep();
            self.advance();
        }
    }

    fn next(&self) -> Option<Instant> {
        let unstored = self.unstored.map(|(at, _)| at);
        [self.pause, unstored, self.run.as_ref().and_then(Run::next)].into_iter().flatten().min()
    }

    fn handle(&mut self, what: Ready) {
        match what {
            Ready::Signal => self.hear_signals(),
            Ready::Door => self.attached.accept(),
            Ready::ClientSent(place) => self.hear_client(place),
            Ready::ClientTakes(place) => self.attached.write(place),
            Ready::Output(place) => {
                self.copy(place);
            }
            Ready::Input => self.input.flush(),
            Ready::Ended => self.adopted_ended(),
            Ready::Probe => {
                if let Some(probe) = self.run.as_mut().and_then(|run| run.probe.as_mut()) {
                    probe.hear();
                }
            }
        }
    }

    fn hear_signals(&mut self) {
        while let Ok(Some(signal)) = self.signals.read_signal() {
            let number = signal.ssi_signo.cast_signed();
            match Signal::try_from(number) {
                Ok(Signal::SIGCHLD) => self.reap(),
                Ok(Signal::SIGUSR1) => self.obey(),
                Ok(Signal::SIGUSR2) => {
                    if let Some(run) = &mut self.run {
                        run.drained(Instant::now());
                    }
                }
                Ok(Signal::SIGTERM) => self.asked_to_end(),
                _ if number == setup::persons() => self.pass_on(signal.ssi_int),
                _ => {}
            }
        }
    }

    /// A person's signal, sent by us: an end by it is not somebody else's doing.
    fn pass_on(&mut self, signal: i32) {
        if let Some(run) = &mut self.run {
            run.pass_on(signal, Instant::now());
        }
    }

    /// A container outlives this: only what has none ends. Whoever needs a shim starts another.
    fn asked_to_end(&mut self) {
        self.asked = Some(Instant::now());
        self.done |= self.run.is_none();
    }

    fn hear_client(&mut self, place: usize) {
        for frame in self.attached.read(place) {
            match frame {
                Frame::Stdin(data) => self.input.give(&data),
                Frame::StdinEnd => self.input.end(),
                Frame::Resize { rows, columns } => {
                    self.size = Some((rows, columns));
                    self.resize();
                }
                // The rest is ours to send.
                _ => {}
            }
        }
    }

    /// What was sent before a run begins counts for it: a terminal's size, early input.
    pub(super) fn hear_everybody(&mut self) {
        self.attached.accept();
        for place in 0..self.attached.sockets().count() {
            self.hear_client(place);
        }
    }

    fn resize(&self) {
        let terminal = self.run.as_ref().and_then(|run| run.terminal.as_ref());
        if let Some((terminal, size)) = terminal.zip(self.size) {
            let _ = terminal::resize(terminal.as_fd(), size);
        }
    }

    /// Copies output once, and says how much; a source that ended is not asked again.
    pub(super) fn copy(&mut self, place: usize) -> Option<usize> {
        let source = self.run.as_mut()?.sources.get_mut(place)?;
        match source.read(&mut self.buffer[..]) {
            Got::Data(length) => {
                let data = &self.buffer[..length];
                source.log(data, &mut self.log);
                let stream = source.lines.stream();
                self.attached.tell(|| stream.frame(data));
                Some(length)
            }
            Got::Nothing => None,
            Got::End => {
                if let Some(run) = &mut self.run {
                    let mut source = run.sources.swap_remove(place);
                    let _ = source.lines.finish(&mut self.log);
                }
                None
            }
        }
    }

    /// Reads the records and does what they ask.
    pub(super) fn obey(&mut self) {
        if self.done {
            return;
        }
        if let Ok(orders) = Orders::read(&self.dir, self.state.run) {
            self.orders = orders;
        }
        // A run that begins tells of the generation, too.
        let begins = self.run.is_none() && matches!(self.orders.wish, Wish::Run | Wish::RunAnew);
        if self.state.generation != self.orders.generation && (!begins || self.pause.is_some()) {
            self.state.generation = self.orders.generation;
            self.store();
        }
        let now = Instant::now();
        match (self.orders.wish, self.run.is_some()) {
            (Wish::Wait, _) => {}
            (Wish::Run, true) => self.update_check(now),
            (Wish::Run, false) if self.pause.is_some() => {}
            (Wish::Run, false) => self.begin(),
            (Wish::RunAnew, true) => self.stop(now, false, true),
            (Wish::RunAnew, false) => self.begin_anew(),
            (Wish::Stop { force }, true) => self.stop(now, force, false),
            (Wish::Stop { .. }, false) => self.finish(),
        }
    }

    fn stop(&mut self, now: Instant, force: bool, then_anew: bool) {
        let Some(run) = &mut self.run else { return };
        run.stop(now, self.orders.served, force, then_anew);
        if self.state.activity != Activity::Draining {
            self.state.activity = Activity::Draining;
            self.store();
        }
    }

    /// Does what is due by time.
    fn advance(&mut self) {
        let now = Instant::now();
        if self.unstored.is_some_and(|(at, _)| at <= now) {
            self.store();
        }
        if let Some(run) = &mut self.run {
            run.advance(now, self.orders.stop_signal, self.orders.grace);
            if run.outlives(now) {
                unanswered::give_up(&self.processes());
            }
        }
        self.advance_check(now);
        if self.run.is_none() && self.pause.is_some_and(|at| at <= now) {
            self.pause = None;
            self.begin_again();
        }
    }

    /// A run ended, or could not begin.
    pub(super) fn ended(&mut self, ending: Ending, cause: Option<ExitCause>) {
        let run = self.run.take();
        let lasted = run.as_ref().map_or(Duration::ZERO, |run| run.began.elapsed());
        let anew = run.and_then(|run| run.stopping).is_some_and(|stopping| stopping.then_anew);
        self.input.disconnect();
        self.attached.dismiss(ending.code().unwrap_or(-1));
        let now = clock::now();
        self.state.process = None;
        self.state.finished = Some(now);
        (self.state.exit_code, self.state.exit_cause) = (ending.code(), cause);
        if let (Some(ExitCause::KilledFromOutside), Ending::Signal(signal)) = (cause, ending) {
            self.state.killed = Some((now, signal));
        }
        if let Ok(orders) = Orders::read(&self.dir, self.state.run) {
            self.orders = orders;
        }
        match self.orders.wish {
            Wish::Stop { .. } => self.finish(),
            Wish::RunAnew => self.begin_anew(),
            _ if anew => self.begin_anew(),
            _ if cause == Some(ExitCause::Interrupted) => self.finish(),
            _ if restart::again(self.orders.restart, ending.code(), self.state.restarts) => {
                self.back_off(lasted);
            }
            _ => self.finish(),
        }
    }

    fn back_off(&mut self, lasted: Duration) {
        let pause = self.pauses.after(lasted);
        self.pause = Some(Instant::now() + pause);
        self.state.activity = Activity::Backoff;
        self.state.next = Some(clock::now() + u64::try_from(pause.as_millis()).unwrap_or(0));
        self.store();
    }

    /// The pause is over; the goal may have changed meanwhile.
    fn begin_again(&mut self) {
        if let Ok(orders) = Orders::read(&self.dir, self.state.run) {
            self.orders = orders;
        }
        if self.orders.wish == Wish::Run {
            self.state.restarts += 1;
            self.begin();
        } else {
            self.obey();
        }
    }

    fn begin_anew(&mut self) {
        self.pause = None;
        self.pauses = Pauses::default();
        self.state.restarts = 0;
        self.begin();
    }

    /// What else is known of a run's end.
    fn circumstances(&self, run: &Run, ending: Ending) -> Circumstances {
        let kills = self.cgroup().and_then(|cgroup| cgroup.oom_kills()).unwrap_or(run.oom_kills);
        let ours = run.passed_on.is_some_and(|signal| ending == Ending::Signal(signal));
        Circumstances {
            stopped: run.was_signalled() || ours,
            out_of_memory: kills > run.oom_kills,
            going_down: self.asked.is_some_and(|at| at.elapsed() < GOING_DOWN),
        }
    }

    /// What was written before the end. Whoever still has the stream (it was handed out of the
    /// container, say) may write for ever: its words are nobody's.
    fn copy_rest(&mut self, place: usize) {
        let mut left = MOST_LEFT;
        while left > 0
            && let Some(length) = self.copy(place)
        {
            left = left.saturating_sub(length);
        }
    }

    /// The run's process ended: reads what is left of its output, and says why.
    pub(super) fn run_ended(&mut self, ending: Ending) {
        for place in (0..self.run.as_ref().map_or(0, |run| run.sources.len())).rev() {
            self.copy_rest(place);
        }
        let Some(run) = &mut self.run else { return };
        for source in &mut run.sources {
            let _ = source.lines.finish(&mut self.log);
        }
        if let Some(probe) = run.probe.take() {
            probe.kill();
        }
        let run = self.run.as_ref().expect("it was there just now");
        let cause = ending::cause(ending, self.circumstances(run, ending));
        self.ended(ending, Some(cause));
    }

    /// Nothing will run again.
    fn finish(&mut self) {
        if let Ok(cgroup) = self.cgroup() {
            let _ = cgroup.remove();
        }
        streams::remove(&self.dir);
        self.pause = None;
        self.state.next = None;
        self.state.activity = Activity::Exited;
        self.done = true;
    }

    pub(super) fn cgroup(&self) -> io::Result<crate::runtime::cgroup::Cgroup> {
        crate::runtime::cgroup::Cgroup::at(&self.cgroup)
    }

    fn processes(&self) -> Vec<u32> {
        self.cgroup().and_then(|cgroup| cgroup.processes()).unwrap_or_default()
    }

    /// A disk that takes nothing must not end a container: what could not be stored is in memory, and is
    /// stored as soon as it can be. No disk tells when.
    pub(super) fn store(&mut self) {
        let before = self.unstored.take().map(|(_, pause)| pause);
        let stored = late::store_state(&self.dir, &self.state, Hold::Either);
        if !matches!(stored, Ok(Stored::OnDisk)) {
            let pause = before.map_or(FIRST_PAUSE, |pause| (pause * 2).min(LONGEST_PAUSE));
            self.unstored = Some((Instant::now() + pause, pause));
        }
    }
}
