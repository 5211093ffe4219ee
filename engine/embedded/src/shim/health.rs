//! What a task's check says, by docker's rules, but that it is asked earlier: right after the start,
//! and again after pauses that double, until its first success or its first regular turn. What fails
//! before that turn does not count. Pure: time comes in.

use crate::root::record::HealthPlan;
use keel_engine::Health;
use std::time::{Duration, Instant};

/// How long after the start it is asked first.
const EARLIEST: Duration = Duration::from_millis(100);

/// The check of one run.
#[derive(Debug, Clone)]
pub struct Monitor {
    plan: HealthPlan,
    /// When the process started.
    started: Instant,
    /// When the next check begins.
    next: Instant,
    /// What is known.
    health: Health,
    /// Failures in a row.
    failing: u32,
    /// How often it was asked before its first regular turn.
    early: u32,
}

impl Monitor {
    /// A process started.
    #[must_use]
    pub fn new(plan: HealthPlan, started: Instant) -> Self {
        let health = Health::Starting;
        let mut monitor = Self { plan, started, next: started, health, failing: 0, early: 0 };
        monitor.next = monitor.after(started, started);
        monitor
    }

    /// A process that was started before this monitor was made, with what was known of it.
    #[must_use]
    pub fn resumed(plan: HealthPlan, started: Instant, health: Health, failing: u32) -> Self {
        let health = if health == Health::None { Health::Starting } else { health };
        let mut monitor = Self { health, failing, ..Self::new(plan, started) };
        let now = Instant::now();
        monitor.next = monitor.after(now, now);
        monitor
    }

    /// Another plan. What was known stays known unless another command is run.
    pub fn change(&mut self, plan: HealthPlan, now: Instant) {
        if plan == self.plan {
            return;
        }
        if plan.command != self.plan.command {
            (self.health, self.failing) = (Health::Starting, 0);
        }
        self.plan = plan;
        self.next = self.after(now, now);
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &HealthPlan {
        &self.plan
    }

    /// When the next check begins.
    #[must_use]
    pub fn next(&self) -> Instant {
        self.next
    }

    /// What is known, and failures in a row.
    #[must_use]
    pub fn verdict(&self) -> (Health, u32) {
        (self.health, self.failing)
    }

    /// A check that began at `began` ended now.
    pub fn heard(&mut self, well: bool, began: Instant, now: Instant) {
        if well {
            (self.health, self.failing) = (Health::Healthy, 0);
        } else if !(self.health == Health::Starting && began < self.patience().max(self.first())) {
            self.failing = self.failing.saturating_add(1);
            if self.failing >= self.plan.retries.max(1) {
                self.health = Health::Unhealthy;
            }
        }
        self.early = self.early.saturating_add(1);
        self.next = self.after(began, now);
    }

    /// Its first regular turn.
    fn first(&self) -> Instant {
        self.started + self.pause(self.started)
    }

    /// When it is asked after a turn that began then and is over now.
    fn after(&self, began: Instant, now: Instant) -> Instant {
        if self.health != Health::Starting || began >= self.first() {
            return now + self.pause(now);
        }
        let early = now + EARLIEST * 2_u32.saturating_pow(self.early.min(16));
        early.min(self.first()).max(now)
    }

    /// Failures that began before do not count, until the first success.
    fn patience(&self) -> Instant {
        self.started + Duration::from_millis(self.plan.start_period)
    }

    fn pause(&self, now: Instant) -> Duration {
        let starting = self.health == Health::Starting && now < self.patience();
        let millis = if starting { self.plan.start_interval } else { self.plan.interval };
        Duration::from_millis(millis.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> HealthPlan {
        HealthPlan {
            command: vec!["true".into()],
            interval: 10_000,
            timeout: 1_000,
            retries: 3,
            start_period: 0,
            start_interval: 1_000,
        }
    }

    /// Checks one after another, each a tenth of a second long: `+` is well, `-` is not.
    fn story(plan: HealthPlan, checks: &str) -> String {
        let start = Instant::now();
        let mut monitor = Monitor::new(plan, start);
        let mut told = String::new();
        for check in checks.chars() {
            let began = monitor.next();
            monitor.heard(check == '+', began, began + Duration::from_millis(100));
            let (health, failing) = monitor.verdict();
            told += &format!("{:.1}s {health:?} {failing}; ", (began - start).as_secs_f32());
        }
        told
    }

    #[test]
    fn checks_tell_dockers_story() {
        assert_eq!(
            story(plan(), "+---+"),
            "0.1s Healthy 0; 10.2s Healthy 1; 20.3s Healthy 2; 30.4s Unhealthy 3; 40.5s Healthy 0; "
        );
        let patient = HealthPlan { start_period: 4_000, ..plan() };
        assert_eq!(
            story(patient.clone(), "--------"),
            "0.1s Starting 0; 0.4s Starting 0; 0.9s Starting 0; 1.0s Starting 0; 2.1s Starting 0; \
             3.2s Starting 0; 4.3s Starting 1; 14.4s Starting 2; "
        );
        assert_eq!(
            story(patient, "+-"),
            "0.1s Healthy 0; 10.2s Healthy 1; ",
            "the first success ends the start period"
        );
    }

    /// Nobody waits thirty seconds for what is up after one; what takes longer than a check's first
    /// turn fails no sooner than with docker.
    #[test]
    fn it_is_asked_early_and_what_fails_then_does_not_count() {
        let slow = HealthPlan { interval: 30_000, retries: 1, ..plan() };
        assert_eq!(
            story(slow.clone(), "---+"),
            "0.1s Starting 0; 0.4s Starting 0; 0.9s Starting 0; 1.8s Healthy 0; "
        );
        assert_eq!(
            story(slow, "---------").rsplit("; ").nth(1),
            Some("30.0s Unhealthy 1"),
            "its first regular turn counts"
        );
    }

    #[test]
    fn only_another_command_makes_a_verdict_void() {
        let now = Instant::now();
        let mut monitor = Monitor::new(plan(), now);
        monitor.heard(true, now, now);
        monitor.change(HealthPlan { interval: 1, ..plan() }, now);
        assert_eq!(monitor.verdict(), (Health::Healthy, 0));
        monitor.change(HealthPlan { command: vec!["false".into()], ..plan() }, now);
        assert_eq!(monitor.verdict(), (Health::Starting, 0));
    }
}
