//! What a person who watches `keel serve` is told: each change once. Pure.

use super::containers::Containers;
use crate::show::usage;
use keel_plain::line;
use keel_plan::pace::FailureAction;
use keel_plan::status::{Health, Note, Sync};
use keel_reconciler::ask::{ContainerRow, OperationRow, SourceRow, StatusRow, WarningRow};
use keel_reconciler::operation::{OperationReason, OperationState};
use keel_reconciler::rows::ClearedRow;
use std::collections::{BTreeMap, BTreeSet};

/// What there is to see.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Stacks that may be otherwise than at the last look.
    pub stacks: Vec<StatusRow>,
    /// Stacks that went since then.
    pub gone: Vec<String>,
    /// What runs of all of these.
    pub containers: Vec<ContainerRow>,
    /// All sources.
    pub sources: Vec<SourceRow>,
    /// What was taken away last for want of room.
    pub cleared: Option<ClearedRow>,
    /// When; milliseconds since the Unix epoch.
    pub now: u64,
}

/// More at once are counted: a source that is served for the first time may have hundreds.
const MOST_WARNINGS: usize = 10;

/// What was told already.
#[derive(Debug, Default)]
pub struct Watch {
    stacks: BTreeMap<String, Told>,
    containers: Containers,
    problems: BTreeSet<String>,
    /// By stack.
    warnings: BTreeMap<String, Vec<WarningRow>>,
    cleared: Option<ClearedRow>,
}

/// The last that was told of a stack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Told {
    /// Until it is well again: the same trouble is told once, however often it is tried.
    trouble: Vec<Trouble>,
    /// From whom it was taken.
    taken: Option<String>,
    /// Of what an overview was shown.
    shown: Option<Shown>,
}

/// What an overview was shown of.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shown {
    revision: String,
    /// Since when nothing was done, and the containers: a revision that touched neither is no news.
    touched: (String, BTreeSet<String>),
}

impl Shown {
    fn of(row: &StatusRow, own: &[&ContainerRow]) -> Self {
        let ids = own.iter().map(|container| container.id.clone()).collect();
        Self { revision: row.revision.clone(), touched: (row.operation.at.clone(), ids) }
    }

    fn is_news(&self, before: Option<&Self>) -> bool {
        before
            .is_none_or(|before| self.revision != before.revision && self.touched != before.touched)
    }
}

impl Watch {
    /// Lines about what is new since the last look.
    pub fn look(&mut self, seen: &Seen) -> Vec<String> {
        let mut lines = self.problems(&seen.sources);
        lines.extend(self.warnings(seen));
        lines.extend(self.cleared(seen.cleared.as_ref()));
        let stacks = seen.stacks.iter().map(|row| row.stack.as_str());
        let stacks = stacks.chain(seen.gone.iter().map(String::as_str)).collect();
        lines.extend(self.containers.look(&stacks, &seen.containers, seen.now));
        let mut of_stacks: BTreeMap<&str, Vec<&ContainerRow>> = BTreeMap::new();
        for container in &seen.containers {
            of_stacks.entry(&container.stack).or_default().push(container);
        }
        for row in &seen.stacks {
            let own = of_stacks.get(row.stack.as_str()).map(Vec::as_slice).unwrap_or_default();
            let told = self.stacks.entry(row.stack.clone()).or_default();
            // Between two crashes it may look well.
            let crashes = self.containers.crash(&row.stack);
            lines.extend(change(row, told, own, crashes));
        }
        let gone = seen.gone.iter().filter(|stack| self.stacks.remove(*stack).is_some());
        lines.extend(gone.map(|stack| format!("{stack}: removed")));
        lines
    }

    /// Stacks that time alone may bring news of.
    pub fn waits_for(&self) -> BTreeSet<String> {
        self.containers.crashing()
    }

    fn problems(&mut self, sources: &[SourceRow]) -> Vec<String> {
        let held = |source: &SourceRow| {
            let text = source.held.as_ref()?;
            Some(format!("warning: source {}: {text}", source.name))
        };
        let now: BTreeSet<String> = sources
            .iter()
            .flat_map(|source| source.problems.iter().cloned().chain(held(source)))
            .collect();
        let fresh = now.difference(&self.problems).cloned().collect();
        self.problems = now;
        fresh
    }

    fn cleared(&mut self, cleared: Option<&ClearedRow>) -> Option<String> {
        let fresh = cleared.filter(|cleared| self.cleared.as_ref() != Some(*cleared))?;
        let again = self.cleared.as_ref().is_some_and(|last| last.trouble == fresh.trouble);
        self.cleared = Some(fresh.clone());
        match &fresh.trouble {
            Some(trouble) if !again => Some(format!("warning: {trouble}")),
            Some(_) => None,
            None => Some(format!("room: removed {}", usage::cleared(fresh))),
        }
    }

    /// A line for each that is new: `keel status STACK` has the rest.
    fn warnings(&mut self, seen: &Seen) -> Vec<String> {
        let same = |row: &&StatusRow| self.warnings.get(&row.stack) != Some(&row.warnings);
        let changed: Vec<_> = seen.stacks.iter().filter(same).collect();
        let now: BTreeSet<_> = changed.iter().flat_map(|row| &row.warnings).collect();
        let known: BTreeSet<_> = match now.is_empty() {
            true => BTreeSet::new(),
            false => self.warnings.values().flatten().collect(),
        };
        let fresh: Vec<_> = now.difference(&known).map(|row| warning(row)).collect();
        let changed = changed.into_iter().map(|row| (row.stack.clone(), row.warnings.clone()));
        let changed: Vec<_> = changed.collect();
        self.warnings.extend(changed);
        seen.gone.iter().for_each(|stack| drop(self.warnings.remove(stack)));
        let beyond = fresh.len().saturating_sub(MOST_WARNINGS);
        let more =
            (beyond > 0).then(|| format!("{beyond} more warnings: `keel status` counts them"));
        fresh.into_iter().take(MOST_WARNINGS).chain(more).collect()
    }
}

fn warning(row: &WarningRow) -> String {
    let at = if row.at.is_empty() { String::new() } else { format!("{}: ", row.at) };
    format!("warning: {}{} [{}]", line(&at), line(&row.message), row.code)
}

fn change(row: &StatusRow, told: &mut Told, own: &[&ContainerRow], crashes: bool) -> Vec<String> {
    let mut lines = taken(row, told);
    let trouble = trouble(row);
    if !trouble.is_empty() {
        // When it is well again, that is worth saying.
        told.shown = None;
        for (trouble, line) in trouble {
            if !told.trouble.contains(&trouble) {
                told.trouble.push(trouble);
                lines.push(line);
            }
        }
        return lines;
    }
    let well = !crashes && row.health == Health::Healthy && row.sync == Sync::InSync;
    if well {
        let shown = Shown::of(row, own);
        if shown.is_news(told.shown.as_ref()) {
            told.trouble.clear();
            lines.extend(overview(row, own));
        }
        // What was done meanwhile belongs to the revision that is shown already.
        told.shown = Some(shown);
    }
    lines
}

/// What makes two troubles the same, however often they came: `exited (1) 7 times` is no news after 3,
/// and nor is `crashed 7 times`, which is said while it runs again.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Trouble {
    Suspended(String),
    Operation(OperationState, OperationReason),
    Note(Note),
    /// An older daemon gives words only.
    Words(String),
}

impl Trouble {
    fn of_note(words: &str, note: Option<&Note>) -> Self {
        match note {
            Some(Note::Failed { slot, cause }) => {
                Self::Note(Note::Failed { slot: slot.clone(), cause: cause.without_ending() })
            }
            Some(Note::RevisionFailed { revision, cause, stays, action }) => {
                let (revision, cause) = (revision.clone(), cause.without_ending());
                let (stays, action) = (*stays, *action);
                Self::Note(Note::RevisionFailed { revision, cause, stays, action })
            }
            // For how long is no news.
            Some(Note::NodeSilent { node, slots, .. }) => {
                let (node, slots) = (node.clone(), slots.clone());
                Self::Note(Note::NodeSilent { node, slots, seconds: 0 })
            }
            Some(note) => Self::Note(note.clone()),
            None => Self::Words(words.to_owned()),
        }
    }
}

fn taken(row: &StatusRow, told: &mut Told) -> Vec<String> {
    let fresh = row.taken_from != told.taken;
    told.taken.clone_from(&row.taken_from);
    let from = row.taken_from.iter().filter(|_| fresh);
    from.map(|from| format!("{}: taken over from {from}", row.stack)).collect()
}

/// What went wrong or is held, if anything, each with its line.
fn trouble(row: &StatusRow) -> Vec<(Trouble, String)> {
    if let Some(suspended) = &row.suspended {
        let line = format!("{}: suspended {suspended}", row.stack);
        return vec![(Trouble::Suspended(suspended.clone()), line)];
    }
    let OperationRow { state, reason, why, .. } = &row.operation;
    let bad =
        |state: &OperationState| matches!(state, OperationState::Failed | OperationState::Held);
    let Some(state) = state.filter(bad) else { return vec![] };
    let first = Trouble::Operation(state, why.without_ending());
    let mut lines = vec![(first, format!("{}: {state}: {reason}", row.stack))];
    // That it stays, or goes on, is said nowhere else.
    let stays = |note: &Note| {
        let Note::RevisionFailed { stays, action, .. } = note else { return false };
        *stays || *action == Some(FailureAction::Continue)
    };
    let said = |note: &Note| !stays(note) && why.is_told_by(note);
    let notes = row.notes_with_data().filter(|(_, note)| !note.is_some_and(said));
    lines.extend(notes.map(|(words, note)| (Trouble::of_note(words, note), format!("  {words}"))));
    lines
}

/// The stack, its services, and where to find them.
fn overview(row: &StatusRow, own: &[&ContainerRow]) -> Vec<String> {
    let width = row.services.keys().map(|name| name.chars().count()).max().unwrap_or(0);
    let revision = match row.revision.as_str() {
        "" => String::new(),
        revision => format!(" at {}", keel_engine::short(revision)),
    };
    let mut lines = vec![format!("{} is healthy{revision}", row.stack)];
    for (service, (well, wanted)) in &row.services {
        let places = places(service, own).join(" ");
        let line = format!("  {service:width$}  {well}/{wanted}  {places}");
        lines.push(line.trim_end().to_owned());
    }
    lines
}

fn places(service: &str, own: &[&ContainerRow]) -> Vec<String> {
    let of_service = own.iter().filter(|row| row.service == service);
    let ports: BTreeSet<_> = of_service
        .flat_map(|row| &row.ports)
        .map(|port| (port.published, port.target, port.protocol.as_str(), port.host_ip.as_str()))
        .collect();
    ports
        .into_iter()
        .map(|(port, target, protocol, ip)| place(port, target, protocol, ip))
        .collect()
}

/// Ports in containers where programs answer browsers, beside those from 8000 to 8112. Of others nobody
/// knows what they speak, so that nothing is said of it.
const BROWSED: &[u16] = &[
    80, 81, 2283, 2342, 3000, 3001, 4200, 5000, 5173, 5601, 5984, 6767, 7474, 7878, 8123, 8181,
    8200, 8384, 8686, 8787, 8888, 8989, 9000, 9001, 9090, 9091, 9093, 9200, 9696, 15672, 19999,
    32400,
];

fn scheme(target: u16) -> Option<&'static str> {
    match target {
        443 | 8443 | 9443 => Some("https"),
        8000..=8112 => Some("http"),
        other => BROWSED.contains(&other).then_some("http"),
    }
}

fn place(port: u16, target: u16, protocol: &str, ip: &str) -> String {
    let host = match ip {
        "" | "0.0.0.0" | "::" | "127.0.0.1" | "::1" => "localhost",
        other => other,
    };
    match (protocol, scheme(target), port) {
        ("tcp", Some("http"), 80) => format!("http://{host}"),
        ("tcp", Some("https"), 443) => format!("https://{host}"),
        ("tcp", Some(scheme), port) => format!("{scheme}://{host}:{port}"),
        ("tcp", None, port) => format!("{host}:{port}"),
        (protocol, _, port) => format!("{host}:{port}/{protocol}"),
    }
}

#[cfg(test)]
pub mod samples {
    use super::*;
    use keel_reconciler::ask::PortRow;

    /// A stack in a state.
    pub fn stack(state: OperationState, why: OperationReason, health: Health) -> StatusRow {
        StatusRow {
            stack: "hello".into(),
            source: "default".into(),
            revision: "3f9c2a1".into(),
            sync: Sync::InSync,
            health,
            operation: OperationRow {
                state: Some(state),
                reason: why.to_string(),
                why,
                at: String::new(),
            },
            notes: vec![],
            noted: vec![],
            suspended: None,
            taken_from: None,
            drift: 0,
            warnings: vec![],
            services: [("counter".to_owned(), (1, 1)), ("web".to_owned(), (2, 2))].into(),
            trouble: None,
        }
    }

    /// A container that is well.
    pub fn container() -> ContainerRow {
        let port = PortRow {
            host_ip: "0.0.0.0".into(),
            published: 8080,
            target: 80,
            protocol: "tcp".into(),
        };
        ContainerRow {
            id: String::new(),
            name: "hello-web-1".into(),
            stack: "hello".into(),
            service: "web".into(),
            slot: "1".into(),
            node: String::new(),
            image: String::new(),
            state: keel_reconciler::ask::ContainerState::Running,
            status: String::new(),
            health: "healthy".into(),
            pid: None,
            ports: vec![port],
            created: String::new(),
            revision: String::new(),
            command: String::new(),
            restarts: 0,
            exit_code: None,
            message: None,
            addresses: BTreeMap::new(),
            scaled: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::samples::{container, stack};
    use super::*;
    use OperationReason::AsDesired;
    use OperationState::{Failed, Held, Running, Succeeded};
    use keel_engine::{Slot, StackName};
    use keel_plan::why::{Ending, FailureCause};

    fn crashed(service: &str, code: Option<i32>, times: u32) -> OperationReason {
        let stack = StackName::new("hello").unwrap();
        let slot = Slot { stack, service: service.into(), slot: "1".into() };
        let ending = code.map(|code| Ending::Exited { code, message: None });
        let cause = Box::new(FailureCause::Crashed { ending, times });
        OperationReason::Failed { cause: FailureCause::InSlot { slot, cause } }
    }

    #[test]
    fn only_what_answers_browsers_is_shown_as_a_url() {
        let cases = [
            (80, 80, "tcp", "http://localhost"),
            (8080, 80, "tcp", "http://localhost:8080"),
            (443, 443, "tcp", "https://localhost"),
            (53, 53, "tcp", "localhost:53"),
            (53, 53, "udp", "localhost:53/udp"),
            (80, 5432, "tcp", "localhost:80"),
            (2222, 22, "tcp", "localhost:2222"),
        ];
        for (published, target, protocol, expected) in cases {
            assert_eq!(place(published, target, protocol, "0.0.0.0"), expected);
        }
    }

    #[test]
    fn a_warning_is_told_once_and_many_are_counted() {
        let warning = |line: usize| WarningRow {
            at: format!("compose.yaml:{line}:5"),
            message: "the tag `latest` moves".into(),
            code: "W0301".into(),
            text: String::new(),
        };
        let mut watch = Watch::default();
        let mut look = |warnings: Vec<WarningRow>| {
            let stacks =
                vec![StatusRow { warnings, ..stack(Running, AsDesired, Health::Progressing) }];
            watch.look(&Seen { stacks, ..Seen::default() }).join("\n")
        };
        let one = "warning: compose.yaml:3:5: the tag `latest` moves [W0301]";
        assert_eq!(look(vec![warning(3)]), one);
        assert_eq!(look(vec![warning(3)]), "");
        assert_eq!(look(vec![]), "");
        assert_eq!(look(vec![warning(3)]), one, "it is back");
        let many = look((3..20).map(warning).collect());
        assert_eq!(many.lines().count(), MOST_WARNINGS + 1, "{many}");
        assert!(many.ends_with("6 more warnings: `keel status` counts them"), "{many}");
    }

    #[test]
    fn a_count_that_grows_is_no_news() {
        let mut watch = Watch::default();
        let mut look = |why: OperationReason| {
            let stacks = vec![stack(Failed, why, Health::Degraded)];
            watch.look(&Seen { stacks, ..Seen::default() })
        };
        let mut exited = |count| look(crashed("web", Some(1), count)).len();
        assert_eq!((exited(3), exited(4), exited(5)), (1, 0, 0));
        assert_eq!(look(crashed("web", None, 6)).len(), 0, "it runs again at the moment");
        assert_eq!(look(crashed("db", Some(1), 3)).len(), 1);
        let port =
            |by: &str| OperationReason::Broken { error: format!("port 80 is taken by {by}") };
        assert_eq!((look(port("nginx")).len(), look(port("caddy")).len()), (1, 1));
    }

    #[test]
    fn a_revision_that_touched_nothing_of_a_stack_is_no_news() {
        let mut watch = Watch::default();
        let mut look = |revision: &str, at: &str| {
            let mut row = StatusRow {
                revision: revision.into(),
                ..stack(Succeeded, AsDesired, Health::Healthy)
            };
            row.operation.at = at.into();
            watch.look(&Seen { stacks: vec![row], ..Seen::default() })
        };
        let head = |lines: Vec<String>| lines.first().cloned();
        assert_eq!(head(look("aaa", "1")).as_deref(), Some("hello is healthy at aaa"));
        assert_eq!(head(look("bbb", "1")), None, "the commit was about others");
        assert_eq!(head(look("bbb", "2")), None, "drift was healed");
        assert_eq!(head(look("ccc", "3")).as_deref(), Some("hello is healthy at ccc"));
    }

    #[test]
    fn each_change_is_told_once() {
        let mut watch = Watch::default();
        let mut told = Vec::new();
        let mut look = |stacks: Vec<StatusRow>, health: &str, problems: Vec<String>| {
            let source = SourceRow { name: "default".into(), problems, ..SourceRow::default() };
            let container = ContainerRow { health: health.into(), ..container() };
            let (containers, sources) = (vec![container], vec![source]);
            let gone = if stacks.is_empty() { vec!["hello".into()] } else { vec![] };
            let seen = Seen { stacks, gone, containers, sources, ..Seen::default() };
            told.extend(watch.look(&seen));
            told.push("--".to_owned());
        };
        let running = || stack(Running, AsDesired, Health::Progressing);
        let well = || stack(Succeeded, AsDesired, Health::Healthy);
        let bad = || stack(Failed, crashed("web", Some(1), 3), Health::Degraded);
        let problem = || "error: unknown key `replicaz`\n --> compose.yaml:3:5\n".to_owned();
        look(vec![running()], "starting", vec![]);
        look(vec![running()], "starting", vec![]);
        look(vec![well()], "healthy", vec![]);
        look(vec![well()], "healthy", vec![problem()]);
        look(vec![well()], "healthy", vec![problem()]);
        look(vec![bad()], "unhealthy", vec![]);
        look(vec![running()], "unhealthy", vec![]);
        look(vec![bad()], "unhealthy", vec![]);
        look(vec![well()], "healthy", vec![]);
        let suspended = Some("by ann@shop".to_owned());
        let held = stack(Held, AsDesired, Health::Suspended);
        look(vec![StatusRow { suspended, ..held }], "healthy", vec![]);
        look(vec![], "healthy", vec![]);
        insta::assert_snapshot!(told.join("\n"), @r"
        hello-web-1: started
        --
        --
        hello-web-1: healthy
        hello is healthy at 3f9c2a1
          counter  1/1
          web      2/2  http://localhost:8080
        --
        error: unknown key `replicaz`
         --> compose.yaml:3:5

        --
        --
        hello-web-1: unhealthy
        hello: failed: web.1 exited (1) 3 times
        --
        --
        --
        hello-web-1: healthy
        hello is healthy at 3f9c2a1
          counter  1/1
          web      2/2  http://localhost:8080
        --
        hello: suspended by ann@shop
        --
        hello: removed
        --
        ");
    }
}
