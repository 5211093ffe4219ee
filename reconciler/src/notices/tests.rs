//! Stories: what is seen second by second, and what is told of it.

use super::about::{About, Subject, Tried, What, Why};
use super::book::{Addressed, Book, Looked};
use super::deliveries::{Answers, Fares};
use super::drifted::Found;
use super::incident::{Cause, Seen};
use super::outbox::Next;
use super::{Content, Destination, Kind, Notification, Sent, Wants, Way};
use crate::advice::Advice;
use std::collections::BTreeMap;

fn cause(key: &str, patience: u64, passing: bool, revision: &str) -> Cause {
    let about = About {
        source: "home".into(),
        what: What::Failed,
        revision: revision.into(),
        reason: Why::Told(format!("{key} is wrong")),
        ..About::default()
    };
    let key = key.to_owned().try_into().unwrap();
    Cause { key, patience, passing, about }
}

/// A revision that failed.
fn bad(revision: &str) -> Seen {
    Seen { causes: vec![cause(&format!("bad:{revision}"), 0, false, revision)], ..Seen::default() }
}

/// Something that may pass by itself.
fn unwell() -> Seen {
    Seen { causes: vec![cause("unwell", 30_000, true, "")], ..Seen::default() }
}

fn well() -> Seen {
    let now = About {
        source: "home".into(),
        reason: Why::Told("it is healthy".into()),
        ..About::default()
    };
    Seen { well: true, now, ..Seen::default() }
}

/// On the way.
fn between() -> Seen {
    Seen::default()
}

fn receiver() -> Vec<Destination> {
    let kinds = vec![Kind::Failed, Kind::Recovered, Kind::Drift];
    let home = Wants::Commits("home".into());
    vec![
        Destination { key: "people".into(), wants: Wants::Messages(kinds) },
        Destination { key: "forge".into(), wants: home },
    ]
}

/// A notifier whose clock the test sets.
#[derive(Default)]
struct Story {
    book: Book,
    looked: Looked,
    now: u64,
    told: Vec<String>,
}

impl Story {
    fn new() -> Self {
        Self { now: 1_000_000, ..Self::default() }
    }

    fn sees(&mut self, stack: &str, seen: Seen) -> &mut Self {
        self.looked.subjects.insert(Subject::Stack(stack.into()), seen);
        self
    }

    /// Looks each second for so long.
    fn passes(&mut self, seconds: u64) -> &mut Self {
        let destinations = receiver();
        for _ in 0..seconds {
            let to = Addressed { destinations: &destinations, host: "host" };
            self.book.look(&self.looked, &to, self.now);
            while let Next::Notification(letter) = self.book.outbox.next("people", self.now) {
                self.book.outbox.sent(&letter, &Sent::Done, self.now);
                self.told.push(said(&letter));
            }
            self.now += 1_000;
        }
        self
    }

    /// `kill -9`, and a new start from what is on the disk.
    fn restarts(&mut self) -> &mut Self {
        let text = serde_json::to_string(&self.book).unwrap();
        self.book = serde_json::from_str(&text).unwrap();
        self
    }

    fn told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }
}

fn said(letter: &Notification) -> String {
    let Content::Message(message) = &letter.content else { panic!("people get messages") };
    format!("{}: {}: {}", message.kind.word(), message.title, message.reason)
}

const FAILED_R2: &str = "failed: shop: revision r2 failed on host: bad:r2 is wrong";
const RECOVERED: &str = "recovered: shop has recovered on host: it is healthy";

#[test]
fn a_bad_push_and_its_mend_are_two_messages() {
    let mut story = Story::new();
    story.sees("shop", well()).passes(5).sees("shop", between()).passes(5);
    story.sees("shop", bad("r2")).passes(600);
    assert_eq!(story.told(), [FAILED_R2]);
    story.sees("shop", between()).passes(20).sees("shop", well()).passes(600);
    assert_eq!(story.told(), [RECOVERED]);
}

#[test]
fn a_restart_repeats_nothing() {
    let mut story = Story::new();
    story.sees("shop", bad("r2")).passes(10).restarts().passes(100);
    assert_eq!(story.told(), [FAILED_R2]);
    story.sees("shop", between()).passes(2).restarts().passes(2);
    story.sees("shop", well()).passes(1).restarts().passes(100);
    assert_eq!(story.told(), [RECOVERED]);
    story.sees("shop", unwell()).passes(20).restarts().passes(59);
    assert_eq!(story.told().len(), 0, "what lasts is measured anew, and it was wrong lately");
    story.passes(5);
    assert_eq!(story.told().len(), 1);
}

#[test]
fn a_second_bad_push_is_told_and_the_same_one_again_is_not() {
    let mut story = Story::new();
    story.sees("shop", bad("r2")).passes(10).sees("shop", between()).passes(10);
    story.sees("shop", bad("r3")).passes(100);
    let told = story.told();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].starts_with("failed: shop: revision r3 failed"), "{told:?}");
    story.sees("shop", between()).passes(10).sees("shop", bad("r3")).passes(100);
    assert_eq!(story.told().len(), 0, "somebody tried it again");
    story.sees("shop", well()).passes(10);
    assert_eq!(story.told(), [RECOVERED], "one end for both");
}

#[test]
fn what_passes_by_itself_is_told_to_nobody_and_what_flaps_is_one_incident() {
    let mut story = Story::new();
    for _ in 0..20 {
        story.sees("shop", unwell()).passes(20).sees("shop", well()).passes(20);
    }
    assert_eq!(story.told().len(), 0);
    story.sees("shop", unwell()).passes(60);
    assert_eq!(story.told().len(), 1);
    for _ in 0..20 {
        story.sees("shop", well()).passes(25).sees("shop", unwell()).passes(50);
    }
    assert_eq!(story.told().len(), 0, "it never held out");
    story.sees("shop", well()).passes(40);
    assert_eq!(story.told(), [RECOVERED]);
    let mut incidents = 0;
    for _ in 0..60 {
        story.sees("shop", unwell()).passes(40).sees("shop", well()).passes(40);
        incidents += story.told().len();
    }
    assert!(incidents <= 4, "each that comes back soon is waited for longer: {incidents}");
}

#[test]
fn what_runs_getting_unwell_in_the_middle_is_told_once() {
    let mut story = Story::new();
    story.sees("shop", bad("r2")).passes(10);
    story.told();
    let mut both = bad("r2");
    both.causes.push(cause("unwell", 120_000, true, ""));
    story.sees("shop", both.clone()).passes(300);
    assert_eq!(story.told(), ["failed: shop failed on host: unwell is wrong"]);
    story.sees("shop", bad("r2")).passes(5).sees("shop", both).passes(300);
    assert_eq!(story.told().len(), 0);
}

#[test]
fn fifty_that_fail_at_once_are_one_message_and_one_end() {
    let mut story = Story::new();
    let names: Vec<_> = (0..50).map(|number| format!("s{number:02}")).collect();
    for name in &names {
        story.sees(name, bad("r2")).passes(u64::from(name == "s20"));
    }
    story.passes(600);
    let told = story.told();
    let expected = "failed: 50 stacks of source home failed on host: bad:r2 is wrong";
    assert_eq!(told, [expected]);
    for name in &names[..49] {
        story.sees(name, well()).passes(1);
    }
    assert_eq!(story.told().len(), 0, "one is left");
    story.sees(&names[49], well()).passes(10);
    assert_eq!(
        story.told(),
        ["recovered: 50 stacks of source home have recovered on host: all of them are healthy"]
    );
}

#[test]
fn those_that_fail_one_after_the_other_are_told_in_batches() {
    let mut story = Story::new();
    for number in 0..50 {
        story.sees(&format!("s{number:02}"), bad("r2")).passes(5);
    }
    story.passes(1_200);
    let told = story.told();
    assert!(told.len() <= 7, "{told:#?}");
    assert!(told.last().unwrap().contains("45 stacks of source home"), "{told:#?}");
}

#[test]
fn a_stack_that_is_gone_is_over() {
    let mut story = Story::new();
    story.sees("shop", bad("r2")).passes(10);
    story.looked.subjects.clear();
    story.passes(10);
    let told = story.told();
    assert_eq!(told[1], "recovered: shop has recovered on host: it is no longer there");
}

#[test]
fn a_source_is_told_of_in_its_own_words() {
    let mut story = Story::new();
    let mut away = cause("away", 180_000, true, "");
    away.about.what = What::Unreadable;
    away.about.reason = Why::Told("cannot fetch https://git.example.org/home: refused".into());
    let seen = Seen { causes: vec![away], ..Seen::default() };
    story.looked.subjects.insert(Subject::Source("home".into()), seen);
    story.passes(170);
    assert_eq!(story.told().len(), 0, "a hiccup");
    story.passes(20);
    let expected = "failed: source home cannot be read on host: cannot fetch https://git.example.org/home: refused";
    assert_eq!(story.told(), [expected]);
    story.looked.subjects.insert(Subject::Source("home".into()), well());
    story.passes(60);
    assert_eq!(story.told(), ["recovered: source home has recovered on host: it is healthy"]);
}

fn found(id: &str, since: u64, fixed: bool, heals: bool) -> Found {
    let words = format!("web-1: {id}");
    Found { id: id.into(), words, since, fixed, heals }
}

impl Story {
    fn finds(&mut self, found: Vec<Found>) -> &mut Self {
        self.looked.drift.insert("shop".into(), ("home".into(), found));
        self
    }
}

#[test]
fn drift_that_is_healed_is_one_message() {
    let mut story = Story::new();
    story.finds(vec![found("old", 1, true, true)]).passes(10);
    assert_eq!(story.told().len(), 0, "that was before anybody looked");
    let at = story.now;
    story.finds(vec![found("mem_limit", at, false, true)]).passes(30);
    story.finds(vec![found("mem_limit", at, true, true)]).passes(100);
    let healed = "drift: shop drifted, and was healed on host: it was changed by hand, and the change was undone";
    assert_eq!(story.told(), [healed]);
    for _ in 0..20 {
        let at = story.now;
        story.finds(vec![found("mem_limit", at, false, true)]).passes(30);
        story.finds(vec![found("mem_limit", at, true, true)]).passes(30);
    }
    assert_eq!(story.told().len(), 0, "whoever does it goes on doing so");
}

#[test]
fn drift_that_is_only_reported_is_told_when_found_and_when_over() {
    let mut story = Story::new();
    let at = story.now;
    let two = || vec![found("a", at, false, false), found("b", at, false, false)];
    story.finds(vec![]).passes(1).finds(two()).passes(3_000).restarts().passes(3_000);
    assert_eq!(story.told().len(), 1);
    let mut three = two();
    three.push(found("c", story.now, false, false));
    story.finds(three).passes(100);
    assert_eq!(story.told().len(), 1, "one more");
    story.finds(vec![found("a", at, true, false)]).passes(10);
    let told = story.told();
    assert!(told.len() == 1 && told[0].contains("matches what was applied again"), "{told:?}");
}

#[test]
fn drift_that_is_not_healed_is_told_as_it_is() {
    let mut story = Story::new();
    let at = story.now;
    story.finds(vec![]).passes(1).finds(vec![found("a", at, false, true)]).passes(80);
    assert_eq!(story.told().len(), 0);
    story.passes(20);
    assert!(story.told()[0].contains("could not be undone yet"));
    story.finds(vec![found("a", at, true, true)]).passes(20);
    assert_eq!(story.told().len(), 1);
}

const R1: &str = "1111111111111111111111111111111111111111";
const R2: &str = "2222222222222222222222222222222222222222";

fn fares(stack: &str, revision: &str, way: Way) -> Fares {
    let words = format!("{way:?}");
    Fares { source: "home".into(), stack: stack.into(), revision: revision.into(), way, words }
}

#[test]
fn each_commit_is_told_of_its_way_and_none_is_left_on_it() {
    let mut answers = Answers::default();
    let mut told = |fares: &[Fares]| {
        let news = answers.look(fares);
        let line = |(source, state): &(String, super::CommitState)| {
            let digit = &state.revision[..1];
            format!("{source} {digit} {} {}", state.context, state.description)
        };
        news.iter().map(line).collect::<Vec<_>>()
    };
    use Way::{Failure, Pending, Success};
    assert_eq!(told(&[fares("shop", R1, Pending)]), ["home 1 keel/home/shop Pending"]);
    assert_eq!(told(&[fares("shop", R1, Pending)]).len(), 0);
    assert_eq!(
        told(&[fares("shop", R2, Pending)]),
        ["home 1 keel/home/shop superseded by 222222222222", "home 2 keel/home/shop Pending"]
    );
    assert_eq!(told(&[fares("shop", R2, Success)]), ["home 2 keel/home/shop Success"]);
    assert_eq!(told(&[fares("shop", R1, Failure)]), ["home 1 keel/home/shop Failure"]);
    assert_eq!(told(&[fares("shop", "a-folder", Failure)]).len(), 0);
    told(&[fares("other", R2, Pending)]);
    assert_eq!(told(&[]), ["home 2 keel/home/other its stack is gone"]);
}

#[test]
fn messages_and_commits_go_to_whom_they_concern() {
    let mut story = Story::new();
    story.looked.fares = vec![fares("shop", R1, Way::Success)];
    story.sees("shop", bad("r2")).passes(5);
    assert_eq!(story.told().len(), 1);
    let Next::Notification(letter) = story.book.outbox.next("forge", story.now) else {
        panic!("one")
    };
    assert!(matches!(letter.content, Content::Commit(_)));
    story.looked.subjects = BTreeMap::new();
}

#[test]
fn a_message_reads_as_its_receiver_needs_it() {
    let mut story = Story::new();
    let mut seen = bad("3f9c2a1b5d7e9f0011223344556677889900aabb");
    seen.causes[0].about = About {
        author: "Ann <ann@example.org>".into(),
        subject: "Faster start".into(),
        reason: Why::Told("web.1 exited (1) 3 times".into()),
        tried: Some(Tried::RollingBack { revision: "1b5d7e9f3f9c".into() }),
        since: 940_000,
        commands: vec![Advice::ShowHistory { number: 7 }, Advice::Retry { stack: "shop".into() }],
        ..seen.causes[0].about.clone()
    };
    let mut texts = vec![];
    let mut say = |story: &mut Story| {
        let destinations = receiver();
        for _ in 0..3 {
            let to = Addressed { destinations: &destinations, host: "host" };
            story.book.look(&story.looked, &to, story.now);
            story.now += 1_000;
        }
        let Next::Notification(letter) = story.book.outbox.next("people", story.now) else {
            return;
        };
        story.book.outbox.sent(&letter, &Sent::Done, story.now);
        let Content::Message(message) = letter.content else { panic!("a message") };
        texts.push(message.text);
    };
    story.sees("shop", seen);
    say(&mut story);
    story.now += 300_000;
    story.sees("shop", well());
    say(&mut story);
    let at = story.now - 5_000;
    story.finds(vec![]);
    say(&mut story);
    story.finds(vec![found("environment.TZ", at, false, false)]);
    say(&mut story);
    insta::assert_snapshot!(texts.join("\n--\n"), @r"
    shop: revision 3f9c2a1b5d7e failed on host
    web.1 exited (1) 3 times
    commit 3f9c2a1b5d7e by Ann <ann@example.org>: Faster start
    rolling back to revision 1b5d7e9f3f9c, which is not healthy yet
    since 1970-01-01T00:15:40Z
    `keel history show 7`
    `keel sync shop --retry`
    --
    shop has recovered on host
    it is healthy
    it had lasted 6 minutes, since 1970-01-01T00:15:40Z
    --
    shop drifted on host
    it was changed by hand; its policy is to report that
      web-1: environment.TZ
    since 1970-01-01T00:21:41Z
    `keel drift shop`
    ");
}
