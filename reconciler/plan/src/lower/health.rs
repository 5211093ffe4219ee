//! The health check.

use super::process::millis;
use keel_engine::{HealthCheck, HealthTest};
use keel_spec::service::{Health, Test};

pub(super) fn lower(health: &Health) -> HealthCheck {
    HealthCheck {
        test: match &health.test {
            Test::Inherit => HealthTest::Image,
            Test::Disabled => HealthTest::Disabled,
            Test::Exec(words) => HealthTest::Command(words.clone()),
            Test::Shell(line) => HealthTest::Shell(line.clone()),
        },
        interval: health.interval.map(millis),
        timeout: health.timeout.map(millis),
        retries: health.retries,
        start_period: health.start_period.map(millis),
        start_interval: health.start_interval.map(millis),
    }
}

/// How long the check itself allows, with docker's defaults for what is not written.
pub(super) fn limit(health: &Health) -> u64 {
    let round = health.interval.map_or(30_000, millis) + health.timeout.map_or(30_000, millis);
    health.start_period.map_or(0, millis) + u64::from(health.retries.unwrap_or(3)) * round
}
