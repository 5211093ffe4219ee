//! A task's health check: its own, the image's, and docker's defaults, joined. Pure.

use crate::root::record::HealthPlan;
use keel_engine::{HealthCheck, HealthTest};
use keel_images::Healthcheck;

const NANOS_PER_MILLI: u64 = 1_000_000;
/// The longest that anybody waits for health, in milliseconds: a day.
const LONGEST: u64 = 24 * 60 * 60 * 1000;

/// The check that the shim runs; `None` where there is none.
pub(crate) fn plan(
    task: Option<&HealthCheck>,
    image: Option<&Healthcheck>,
    shell: &[String],
) -> Option<HealthPlan> {
    let test = task.map_or(&HealthTest::Image, |check| &check.test);
    let command = match test {
        HealthTest::Disabled => return None,
        HealthTest::Command(command) => command.clone(),
        HealthTest::Shell(line) => in_shell(&[], line),
        HealthTest::Image => image_command(image?, shell)?,
    };
    let millis = |nanos: u64| (nanos > 0).then_some((nanos / NANOS_PER_MILLI).max(1));
    let times = |own: fn(&HealthCheck) -> Option<u64>, theirs: fn(&Healthcheck) -> u64, default| {
        let theirs = image.and_then(|image| millis(theirs(image)));
        task.and_then(own).or(theirs).unwrap_or(default)
    };
    let image_retries = image.map(|image| image.retries).filter(|retries| *retries > 0);
    Some(HealthPlan {
        command,
        interval: times(|t| t.interval, |i| i.interval, 30_000),
        timeout: times(|t| t.timeout, |i| i.timeout, 30_000),
        retries: task.and_then(|task| task.retries).or(image_retries).unwrap_or(3),
        start_period: times(|t| t.start_period, |i| i.start_period, 0),
        start_interval: times(|t| t.start_interval, |i| i.start_interval, 5_000),
    })
}

/// How long a task with this check may take to get healthy, in milliseconds.
pub(crate) fn limit(plan: &HealthPlan) -> u64 {
    // An image's author chooses all of them, also so that nobody would live to see the end.
    let once = plan.interval.saturating_add(plan.timeout);
    let all = plan.start_period.saturating_add(u64::from(plan.retries).saturating_mul(once));
    all.min(LONGEST)
}

fn image_command(image: &Healthcheck, shell: &[String]) -> Option<Vec<String>> {
    let (kind, rest) = image.test.split_first()?;
    match kind.as_str() {
        "CMD" => Some(rest.to_vec()),
        "CMD-SHELL" => Some(in_shell(shell, rest.first()?)),
        _ => None,
    }
}

fn in_shell(shell: &[String], line: &str) -> Vec<String> {
    let default = ["/bin/sh".to_owned(), "-c".to_owned()];
    let shell = if shell.is_empty() { &default } else { shell };
    shell.iter().cloned().chain([line.to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(test: HealthTest) -> HealthCheck {
        HealthCheck {
            test,
            interval: None,
            timeout: Some(1_000),
            retries: None,
            start_period: None,
            start_interval: None,
        }
    }

    #[test]
    fn the_tasks_own_goes_before_the_images_and_that_before_the_default() {
        let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let image = Healthcheck {
            test: words(&["CMD-SHELL", "curl localhost"]),
            interval: 7_000_000_000,
            timeout: 9_000_000_000,
            ..Healthcheck::default()
        };
        assert_eq!(plan(None, None, &[]), None);
        assert_eq!(plan(Some(&check(HealthTest::Disabled)), Some(&image), &[]), None);
        let theirs = plan(Some(&check(HealthTest::Image)), Some(&image), &[]).unwrap();
        assert_eq!(theirs.command, words(&["/bin/sh", "-c", "curl localhost"]));
        assert_eq!((theirs.interval, theirs.timeout, theirs.retries), (7_000, 1_000, 3));
        assert_eq!(limit(&theirs), 24_000);
        let (most, least) = (u64::MAX, 1);
        let mad = Healthcheck { interval: most, start_period: most, retries: u32::MAX, ..image };
        let mad = Healthcheck { timeout: least, start_interval: least, ..mad };
        let theirs = plan(None, Some(&mad), &[]).unwrap();
        assert_eq!((theirs.timeout, theirs.start_interval), (1, 1), "never without a pause");
        assert_eq!(limit(&theirs), LONGEST);
        let own = check(HealthTest::Command(words(&["true"])));
        assert_eq!(plan(Some(&own), None, &[]).unwrap().command, words(&["true"]));
    }
}
