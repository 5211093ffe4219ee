//! Which silent nodes are given up: pure, from ages alone.
//!
//! # Invariants
//! - Wall clocks have no say: ages are measured on the controller, by a clock that goes on while it sleeps.
//! - Whoever hears nobody suspects itself: where all nodes fall silent together, none is given up.
//! - Silence during which the controller could not have heard anything (before it started, while it slept, while it
//!   was cut off) counts for nothing.
//! - A node that is given up stays so until it is heard.

use keel_engine::NodeName;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How a node is, as far as the controller hears of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Liveness {
    /// It is heard.
    #[default]
    Ready,
    /// It is silent: nothing is concluded from that.
    Unknown,
    /// It is given up: what can run elsewhere does.
    Down,
}

/// Silence after which a node is down, where nothing speaks against it.
pub const DOWN_AFTER: Duration = Duration::from_secs(15);

/// Where most nodes fall silent together, it takes so many times as long; and where there is only one.
const MOST: u32 = 4;
const SOLE: u32 = 2;

/// The two clocks differ by less than this where nobody slept.
const ASLEEP: Duration = Duration::from_secs(1);

/// A moment, since the machine was booted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moment {
    /// With the time that it slept (CLOCK_BOOTTIME).
    pub boot: Duration,
    /// Without (CLOCK_MONOTONIC).
    pub awake: Duration,
}

impl Moment {
    fn asleep(self) -> Duration {
        self.boot.saturating_sub(self.awake)
    }
}

/// What is known of one node besides the controller's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sighting {
    /// For how long it has not been heard; `None` while it is.
    pub unheard: Option<Duration>,
    /// A person said that it does not run any more.
    pub is_dead: bool,
}

/// What is remembered from one look to the next.
pub(super) struct Lookout {
    down_after: Duration,
    /// Since when nodes are silent.
    since: BTreeMap<NodeName, Duration>,
    down: BTreeSet<NodeName>,
    /// Silence before this counts for nothing.
    from: Duration,
    slept: Duration,
}

/// What a look came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Roundup {
    pub nodes: BTreeMap<NodeName, Liveness>,
    /// All nodes fell silent together: it may be the controller that is cut off.
    pub is_isolated: bool,
}

impl Lookout {
    /// Of a controller that starts now.
    pub fn new(now: Moment, down_after: Duration) -> Self {
        let (since, down) = Default::default();
        Self { down_after, since, down, from: now.boot, slept: now.asleep() }
    }

    /// Looks at every node besides the controller's own.
    pub fn look(&mut self, now: Moment, seen: &BTreeMap<NodeName, Sighting>) -> Roundup {
        if now.asleep() > self.slept + ASLEEP {
            (self.slept, self.from) = (now.asleep(), now.boot);
        }
        self.note(now, seen);
        let alive = || seen.iter().filter(|(_, sighting)| !sighting.is_dead).map(|(name, _)| name);
        let cohorts: BTreeMap<_, _> = alive()
            .filter_map(|name| Some((name, self.cohort(*self.since.get(name)?, alive()))))
            .collect();
        let waits = |name: &NodeName| !self.down.contains(name);
        let is_isolated = cohorts.iter().any(|(name, cohort)| waits(name) && cohort.is_all());
        if is_isolated {
            self.from = now.boot;
        }
        for (name, cohort) in cohorts {
            let silent = self.since[name].max(self.from);
            if now.boot.saturating_sub(silent) >= cohort.patience(self.down_after) {
                self.down.insert(name.clone());
            }
        }
        let nodes =
            seen.iter().map(|(name, sighting)| (name.clone(), self.liveness(name, sighting)));
        Roundup { nodes: nodes.collect(), is_isolated }
    }

    fn note(&mut self, now: Moment, seen: &BTreeMap<NodeName, Sighting>) {
        let silent = |name: &NodeName| seen.get(name).is_some_and(|one| one.unheard.is_some());
        self.since.retain(|name, _| silent(name));
        self.down.retain(silent);
        for (name, sighting) in seen {
            if let Some(unheard) = sighting.unheard {
                let since = now.boot.saturating_sub(unheard);
                self.since.entry(name.clone()).or_insert(since);
            }
        }
    }

    /// Those that fell silent at about the same time, of those that were there then.
    fn cohort<'n>(&self, since: Duration, all: impl Iterator<Item = &'n NodeName>) -> Cohort {
        let mut cohort = Cohort { silent: 0, all: 0 };
        for other in all {
            match self.since.get(other) {
                Some(other) if *other + self.down_after <= since => {}
                Some(other) if *other < since + self.down_after => {
                    cohort.silent += 1;
                    cohort.all += 1;
                }
                Some(_) | None => cohort.all += 1,
            }
        }
        cohort
    }

    fn liveness(&self, name: &NodeName, sighting: &Sighting) -> Liveness {
        match sighting {
            Sighting { unheard: None, .. } => Liveness::Ready,
            Sighting { is_dead: true, .. } => Liveness::Down,
            _ if self.down.contains(name) => Liveness::Down,
            _ => Liveness::Unknown,
        }
    }
}

/// Nodes that fell silent together, and how many there were.
struct Cohort {
    silent: u32,
    all: u32,
}

impl Cohort {
    fn is_all(&self) -> bool {
        self.all > 1 && self.silent == self.all
    }

    fn patience(&self, down_after: Duration) -> Duration {
        match (self.silent, self.all) {
            _ if self.is_all() => Duration::MAX,
            (_, 1) => down_after * SOLE,
            (silent, all) if silent * 2 > all => down_after * MOST,
            _ => down_after,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A controller with nodes, in virtual seconds.
    struct World {
        watch: Lookout,
        now: Moment,
        seen: BTreeMap<NodeName, Sighting>,
    }

    fn pool(nodes: &[&str]) -> World {
        let now = Moment { boot: seconds(1000), awake: seconds(1000) };
        let seen = nodes.iter().map(|name| (NodeName::from(*name), Sighting::default())).collect();
        World { watch: Lookout::new(now, DOWN_AFTER), now, seen }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    impl World {
        fn silence(&mut self, nodes: &str) {
            for name in nodes.split(' ') {
                let sighting = self.seen.get_mut(&NodeName::from(name)).unwrap();
                sighting.unheard = Some(Duration::ZERO);
            }
        }

        fn hear(&mut self, nodes: &str) {
            for name in nodes.split(' ') {
                self.seen.get_mut(&NodeName::from(name)).unwrap().unheard = None;
            }
        }

        /// Seconds in which it looks once each.
        fn pass(&mut self, count: u64) -> String {
            let mut shown = self.shown();
            for _ in 0..count {
                self.now.boot += seconds(1);
                self.now.awake += seconds(1);
                for sighting in self.seen.values_mut() {
                    sighting.unheard = sighting.unheard.map(|unheard| unheard + seconds(1));
                }
                shown = self.shown();
            }
            shown
        }

        fn shown(&mut self) -> String {
            let Roundup { nodes, is_isolated } = self.watch.look(self.now, &self.seen);
            let one = |(name, liveness): (NodeName, Liveness)| match liveness {
                Liveness::Ready => None,
                Liveness::Unknown => Some(format!("{name}?")),
                Liveness::Down => Some(format!("{name}-")),
            };
            let mut words: Vec<_> = nodes.into_iter().filter_map(one).collect();
            words.extend(is_isolated.then(|| "isolated".to_owned()));
            words.join(" ")
        }
    }

    #[test]
    fn one_of_several_is_down_after_its_time_and_back_when_it_is_heard() {
        let mut world = pool(&["a", "b", "c"]);
        assert_eq!(world.pass(100), "");
        world.silence("b");
        assert_eq!(world.pass(14), "b?");
        assert_eq!(world.pass(1), "b-");
        assert_eq!(world.pass(3600), "b-");
        world.hear("b");
        assert_eq!(world.pass(1), "");
    }

    #[test]
    fn silence_that_others_know_of_counts_from_when_it_was_heard_last() {
        let mut world = pool(&["a", "b", "c"]);
        world.pass(100);
        world.seen.insert("b".into(), Sighting { unheard: Some(seconds(6)), is_dead: false });
        assert_eq!(world.pass(8), "b?");
        assert_eq!(world.pass(1), "b-");
    }

    #[test]
    fn where_all_fall_silent_nobody_is_down_however_long_that_takes() {
        let mut world = pool(&["a", "b", "c"]);
        world.pass(100);
        world.silence("a b");
        world.pass(10);
        world.silence("c");
        assert_eq!(world.pass(100_000), "a? b? c? isolated");
        // The first that is heard proves that the controller is not cut off: the others get their time from then on.
        world.hear("c");
        assert_eq!(world.pass(59), "a? b?");
        assert_eq!(world.pass(1), "a- b-");
    }

    #[test]
    fn where_most_fall_silent_it_takes_four_times_as_long() {
        let mut world = pool(&["a", "b", "c", "d"]);
        world.pass(100);
        world.silence("a b c");
        assert_eq!(world.pass(59), "a? b? c?");
        assert_eq!(world.pass(1), "a- b- c-");
        let mut world = pool(&["a", "b", "c", "d"]);
        world.pass(100);
        world.silence("a b");
        assert_eq!(world.pass(15), "a- b-", "half of them are not most");
    }

    #[test]
    fn the_only_one_gets_twice_the_time() {
        let mut world = pool(&["a"]);
        world.pass(100);
        world.silence("a");
        assert_eq!(world.pass(29), "a?");
        assert_eq!(world.pass(1), "a-");
    }

    #[test]
    fn those_that_fell_silent_long_before_say_nothing_of_the_controller() {
        let mut world = pool(&["a", "b", "c"]);
        world.pass(100);
        world.silence("a");
        world.pass(60);
        world.silence("b");
        assert_eq!(world.pass(15), "a- b-");
        world.silence("c");
        assert_eq!(world.pass(29), "a- b- c?", "the only one that was left");
        assert_eq!(world.pass(1), "a- b- c-");
    }

    #[test]
    fn one_that_is_down_stays_so_though_others_follow() {
        let mut world = pool(&["a", "b", "c"]);
        world.pass(100);
        world.silence("a");
        assert_eq!(world.pass(15), "a-");
        world.silence("b c");
        assert_eq!(world.pass(10), "a- b? c? isolated");
    }

    #[test]
    fn a_controller_that_starts_gives_each_its_full_time() {
        let mut world = pool(&["a", "b", "c"]);
        for name in ["a", "b"] {
            let sighting = Sighting { unheard: Some(seconds(900)), is_dead: false };
            world.seen.insert(name.into(), sighting);
        }
        assert_eq!(world.pass(59), "a? b?");
        assert_eq!(world.pass(1), "a- b-");
    }

    #[test]
    fn after_an_hour_of_sleep_nobody_is_down_for_one_period() {
        let mut world = pool(&["a", "b", "c"]);
        world.pass(100);
        world.silence("a");
        world.pass(5);
        world.now.boot += seconds(3600);
        assert_eq!(world.pass(14), "a?");
        assert_eq!(world.pass(2), "a-");
    }

    #[test]
    fn a_persons_word_needs_no_time_and_says_nothing_of_a_node_that_is_heard() {
        let mut world = pool(&["a", "b"]);
        world.pass(100);
        world.silence("a");
        world.pass(3);
        world.seen.get_mut(&NodeName::from("a")).unwrap().is_dead = true;
        assert_eq!(world.pass(1), "a-");
        world.hear("a");
        assert_eq!(world.pass(1), "");
    }
}
