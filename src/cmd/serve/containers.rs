//! What a person who watches is told of containers: each change once, and a crash loop calmly.
//!
//! # Invariants
//! - A container that crashes again and again is told of when that begins, then each time that its
//!   restarts have doubled, and once when it has held out longer than it used to.

use keel_reconciler::ask::{ContainerRow, ContainerState};
use std::collections::{BTreeMap, BTreeSet};

/// Whoever runs for less has not come back.
const HOLDS_OUT: u64 = 10_000;
/// Whoever runs for so long has, however long it ran before.
const LONG: u64 = 600_000;
/// The first count that is told.
const FIRST: u32 = 4;

/// What was told already.
#[derive(Debug, Default)]
pub struct Containers {
    known: BTreeMap<String, Told>,
}

/// The last that was told of a container.
#[derive(Debug)]
struct Told {
    name: String,
    stack: String,
    word: String,
    /// It crashes, and was not seen to hold out since.
    crashing: Option<Crashing>,
}

/// A crash loop.
#[derive(Debug)]
struct Crashing {
    /// Crashes in all; the node counts them anew when a person restarts it.
    crashes: u32,
    /// What the node had counted at the last look.
    counted: u32,
    /// At so many it is told of again.
    next: u32,
    /// Since when it runs, as far as was seen.
    since: Option<u64>,
    /// The longest that it ran before it crashed.
    longest: u64,
}

impl Containers {
    /// Lines about what is new since the last look at these stacks, of which these are all containers.
    pub fn look(
        &mut self,
        stacks: &BTreeSet<&str>,
        rows: &[ContainerRow],
        now: u64,
    ) -> Vec<String> {
        let mut lines = Vec::new();
        let of_stacks: Vec<_> = rows.iter().filter(|row| !row.stack.is_empty()).collect();
        for row in &of_stacks {
            let line = match self.known.get_mut(&row.id) {
                Some(told) => told.look(row, now),
                None => {
                    let told = Told::first(row);
                    let word = told.word.clone();
                    self.known.insert(row.id.clone(), told);
                    Some(word)
                }
            };
            lines.extend(line.map(|line| format!("{}: {line}", row.name)));
        }
        let there: BTreeSet<_> = of_stacks.iter().map(|row| &row.id).collect();
        self.known.retain(|id, told| {
            let stays = !stacks.contains(told.stack.as_str()) || there.contains(id);
            if !stays {
                lines.push(format!("{}: removed", told.name));
            }
            stays
        });
        lines.sort();
        lines
    }

    /// Stacks with one that crashes again and again: time alone brings news of them.
    pub fn crashing(&self) -> BTreeSet<String> {
        let crashing = self.known.values().filter(|told| told.crashing.is_some());
        crashing.map(|told| told.stack.clone()).collect()
    }

    /// Whether one of the stack's crashes again and again.
    pub fn crash(&self, stack: &str) -> bool {
        self.known.values().any(|told| told.crashing.is_some() && told.stack == stack)
    }
}

impl Told {
    fn first(row: &ContainerRow) -> Self {
        let crashing = (row.state == ContainerState::Restarting).then(|| Crashing::begin(row));
        Self { name: row.name.clone(), stack: row.stack.clone(), word: word(row), crashing }
    }

    fn look(&mut self, row: &ContainerRow, now: u64) -> Option<String> {
        self.name.clone_from(&row.name);
        let word = word(row);
        let Some(crashing) = &mut self.crashing else {
            self.crashing = (row.state == ContainerState::Restarting).then(|| Crashing::begin(row));
            return self.tell(word);
        };
        crashing.count(row, now);
        match row.state {
            ContainerState::Running if crashing.is_over(row, now) => {
                let crashes = crashing.crashes;
                self.crashing = None;
                self.word.clone_from(&word);
                let now = if word == "started" { "runs" } else { &word };
                Some(format!("{now} again, after {} restarts", crashes.max(1)))
            }
            ContainerState::Running if row.health == "unhealthy" => self.tell(word),
            ContainerState::Running => None,
            ContainerState::Restarting => {
                let crashes = crashing.told()?;
                self.word.clone_from(&word);
                Some(format!("{word}, restarted {crashes} times"))
            }
            // Whatever else it is, it does not crash any more.
            _ => {
                self.crashing = None;
                self.tell(word)
            }
        }
    }

    fn tell(&mut self, word: String) -> Option<String> {
        (self.word != word).then(|| {
            self.word.clone_from(&word);
            word
        })
    }
}

impl Crashing {
    fn begin(row: &ContainerRow) -> Self {
        let counted = row.restarts;
        Self { crashes: counted, counted, next: FIRST, since: None, longest: 0 }
    }

    fn count(&mut self, row: &ContainerRow, now: u64) {
        let more = row.restarts.checked_sub(self.counted).unwrap_or(row.restarts);
        (self.crashes, self.counted) = (self.crashes.saturating_add(more), row.restarts);
        // One that ran and crashed between two looks has not held out.
        let ran = self.since.filter(|_| more > 0 || row.state != ContainerState::Running);
        if let Some(since) = ran {
            self.longest = self.longest.max(now.saturating_sub(since));
            self.since = None;
        }
        if row.state == ContainerState::Running {
            self.since.get_or_insert(now);
        }
    }

    /// A check that agrees says so at once; else it has to hold out for longer than it used to.
    fn is_over(&self, row: &ContainerRow, now: u64) -> bool {
        let needed = self.longest.saturating_mul(2).clamp(HOLDS_OUT, LONG);
        let held_out = self.since.is_some_and(|since| now.saturating_sub(since) >= needed);
        held_out && row.health != "unhealthy" && row.health != "starting"
    }

    /// The number, where it is worth a line.
    fn told(&mut self) -> Option<u32> {
        let crashes = self.crashes;
        let due = crashes >= self.next;
        while self.next <= crashes {
            self.next = self.next.saturating_mul(2).max(self.next + 1);
        }
        due.then_some(crashes)
    }
}

/// A container in a word or two.
fn word(row: &ContainerRow) -> String {
    let code = row.exit_code.map(|code| format!(" ({code})")).unwrap_or_default();
    use ContainerState::{Dead, Exited, Pending, Preparing, Restarting, Running};
    match (row.state, row.health.as_str()) {
        (Running, "healthy" | "unhealthy") => row.health.clone(),
        (Running, _) => "started".to_owned(),
        (Exited | Restarting, _) => format!("{}{code}", row.state.word()),
        (Dead, _) => match &row.message {
            Some(why) => format!("cannot be started: {why}"),
            None => "cannot be started".to_owned(),
        },
        (Pending | Preparing, _) if row.message.is_some() => {
            format!("waits: {}", row.message.as_deref().unwrap_or_default())
        }
        (state, _) => state.word().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::serve::watch::samples::container;

    /// One that crashes after so many seconds, as often as is said; then it holds out.
    fn story(check: &str, seconds: u64, crashes: u32) -> Vec<String> {
        let (mut containers, mut told, mut now) = (Containers::default(), vec![], 0);
        let mut look = |state: ContainerState, health: &str, restarts: u32, wait: u64| {
            now += wait * 1_000;
            let row = ContainerRow {
                state,
                health: health.into(),
                exit_code: (state == ContainerState::Restarting).then_some(1),
                restarts,
                ..container()
            };
            let lines = containers.look(&["hello"].into(), &[row], now);
            told.extend(lines.into_iter().map(|line| format!("{} s: {line}", now / 1_000)));
        };
        look(ContainerState::Running, check, 0, 0);
        for crash in 0..crashes {
            look(ContainerState::Restarting, "none", crash, seconds);
            look(ContainerState::Running, "starting", crash + 1, 1);
            look(ContainerState::Running, check, crash + 1, 0);
        }
        for _ in 0..200 {
            look(ContainerState::Running, check, crashes, 1);
        }
        told
    }

    #[test]
    fn a_crash_loop_is_told_calmly() {
        let quick = story("none", 2, 40).join("\n");
        insta::assert_snapshot!(quick, @r"
        0 s: hello-web-1: started
        2 s: hello-web-1: restarting (1)
        14 s: hello-web-1: restarting (1), restarted 4 times
        26 s: hello-web-1: restarting (1), restarted 8 times
        50 s: hello-web-1: restarting (1), restarted 16 times
        98 s: hello-web-1: restarting (1), restarted 32 times
        130 s: hello-web-1: runs again, after 40 restarts
        ");
        let slow = story("none", 30, 3).join("\n");
        insta::assert_snapshot!(slow, @r"
        0 s: hello-web-1: started
        30 s: hello-web-1: restarting (1)
        153 s: hello-web-1: runs again, after 3 restarts
        ");
        let checked = story("healthy", 5, 2).join("\n");
        insta::assert_snapshot!(checked, @r"
        0 s: hello-web-1: healthy
        5 s: hello-web-1: restarting (1)
        22 s: hello-web-1: healthy again, after 2 restarts
        ");
        assert_eq!(story("none", 0, 0).len(), 1);
    }

    #[test]
    fn one_that_gives_up_says_so() {
        let mut containers = Containers::default();
        let row = |state, code| ContainerRow {
            state,
            health: "none".into(),
            exit_code: Some(code),
            ..container()
        };
        let look = |containers: &mut Containers, row| {
            containers.look(&["hello"].into(), &[row], 0).join("")
        };
        assert_eq!(
            look(&mut containers, row(ContainerState::Restarting, 1)),
            "hello-web-1: restarting (1)"
        );
        assert!(containers.crash("hello") && !containers.crash("other"));
        assert_eq!(
            look(&mut containers, row(ContainerState::Exited, 1)),
            "hello-web-1: exited (1)"
        );
        assert!(!containers.crash("hello"));
        assert_eq!(containers.look(&["other"].into(), &[], 0), [""; 0]);
        assert_eq!(containers.look(&["hello"].into(), &[], 0), ["hello-web-1: removed"]);
    }
}
