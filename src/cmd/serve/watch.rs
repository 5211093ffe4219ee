//! What a person who watches `keel serve` is told: each change once. Pure.

use keel_reconciler::ask::{ContainerRow, SourceRow, StatusRow};
use std::collections::{BTreeMap, BTreeSet};

/// What there is to see.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// All stacks.
    pub stacks: Vec<StatusRow>,
    /// What runs.
    pub containers: Vec<ContainerRow>,
    /// All sources.
    pub sources: Vec<SourceRow>,
}

/// What was told already.
#[derive(Debug, Default)]
pub struct Watch {
    stacks: BTreeMap<String, Told>,
    containers: BTreeMap<String, (String, String)>,
    problems: BTreeSet<String>,
}

/// The last that was told of a stack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Told {
    /// Until it is well again: the same trouble is told once, however often it is tried.
    trouble: BTreeSet<String>,
    /// From whom it was taken.
    taken: Option<String>,
    /// The revision whose overview was shown.
    shown: Option<String>,
}

impl Watch {
    /// Lines about what is new since the last look.
    pub fn look(&mut self, seen: &Seen) -> Vec<String> {
        let mut lines = self.problems(&seen.sources);
        lines.extend(self.containers(&seen.containers));
        for row in &seen.stacks {
            let told = self.stacks.entry(row.stack.clone()).or_default();
            lines.extend(change(row, told, &seen.containers));
        }
        self.stacks.retain(|stack, _| {
            let stays = seen.stacks.iter().any(|row| row.stack == *stack);
            if !stays {
                lines.push(format!("{stack}: removed"));
            }
            stays
        });
        lines
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

    fn containers(&mut self, rows: &[ContainerRow]) -> Vec<String> {
        let of_stacks = rows.iter().filter(|row| !row.stack.is_empty());
        let word = |row: &ContainerRow| (row.id.clone(), (row.name.clone(), state(row)));
        let now: BTreeMap<_, _> = of_stacks.map(word).collect();
        let told = |id: &String| self.containers.get(id).map(|(_, word)| word);
        let fresh = now.iter().filter(|(id, (_, word))| told(id) != Some(word));
        let mut lines: Vec<_> = fresh.map(|(_, (name, word))| format!("{name}: {word}")).collect();
        let gone = self.containers.iter().filter(|(id, _)| !now.contains_key(*id));
        lines.extend(gone.map(|(_, (name, _))| format!("{name}: removed")));
        lines.sort();
        self.containers = now;
        lines
    }
}

/// A container in a word or two.
fn state(row: &ContainerRow) -> String {
    let code = row.exit_code.map(|code| format!(" ({code})")).unwrap_or_default();
    match (row.state.as_str(), row.health.as_str()) {
        ("running", "healthy" | "unhealthy") => row.health.clone(),
        ("running", _) => "started".to_owned(),
        ("exited" | "restarting", _) => format!("{}{code}", row.state),
        ("dead", _) => match &row.message {
            Some(why) => format!("cannot be started: {why}"),
            None => "cannot be started".to_owned(),
        },
        (state, _) => state.to_owned(),
    }
}

fn change(row: &StatusRow, told: &mut Told, containers: &[ContainerRow]) -> Vec<String> {
    let mut lines = taken(row, told);
    let trouble = trouble(row);
    if !trouble.is_empty() {
        // When it is well again, that is worth saying.
        told.shown = None;
        lines.extend(trouble.into_iter().filter(|line| told.trouble.insert(line.clone())));
        return lines;
    }
    let well = row.health == "Healthy" && row.sync == "InSync";
    if well && told.shown.as_ref() != Some(&row.revision) {
        told.trouble.clear();
        told.shown = Some(row.revision.clone());
        lines.extend(overview(row, containers));
    }
    lines
}

fn taken(row: &StatusRow, told: &mut Told) -> Vec<String> {
    let fresh = row.taken_from != told.taken;
    told.taken.clone_from(&row.taken_from);
    let from = row.taken_from.iter().filter(|_| fresh);
    from.map(|from| format!("{}: taken over from {from}", row.stack)).collect()
}

/// What went wrong or is held, if anything.
fn trouble(row: &StatusRow) -> Vec<String> {
    if let Some(suspended) = &row.suspended {
        return vec![format!("{}: suspended {suspended}", row.stack)];
    }
    if !matches!(row.operation.state.as_str(), "failed" | "held") {
        return vec![];
    }
    let mut lines =
        vec![format!("{}: {}: {}", row.stack, row.operation.state, row.operation.reason)];
    let said = |note: &&String| **note != row.operation.reason;
    lines.extend(row.notes.iter().filter(said).map(|note| format!("  {note}")));
    lines
}

/// The stack, its services, and where to find them.
fn overview(row: &StatusRow, containers: &[ContainerRow]) -> Vec<String> {
    let width = row.services.keys().map(|name| name.chars().count()).max().unwrap_or(0);
    let revision = match row.revision.as_str() {
        "" => String::new(),
        revision => format!(" at {}", keel_engine::short(revision)),
    };
    let mut lines = vec![format!("{} is healthy{revision}", row.stack)];
    for (service, (well, wanted)) in &row.services {
        let places = places(&row.stack, service, containers).join(" ");
        let line = format!("  {service:width$}  {well}/{wanted}  {places}");
        lines.push(line.trim_end().to_owned());
    }
    lines
}

fn places(stack: &str, service: &str, containers: &[ContainerRow]) -> Vec<String> {
    let of_service = containers.iter().filter(|row| row.stack == stack && row.service == service);
    let ports: BTreeSet<_> = of_service
        .flat_map(|row| &row.ports)
        .map(|port| (port.published, port.protocol.as_str(), port.host_ip.as_str()))
        .collect();
    ports.into_iter().map(|(port, protocol, ip)| place(port, protocol, ip)).collect()
}

fn place(port: u16, protocol: &str, ip: &str) -> String {
    let host = match ip {
        "" | "0.0.0.0" | "::" | "127.0.0.1" | "::1" => "localhost",
        other => other,
    };
    match (protocol, port) {
        ("tcp", 80) => format!("http://{host}"),
        ("tcp", 443) => format!("https://{host}"),
        ("tcp", port) => format!("http://{host}:{port}"),
        (protocol, port) => format!("{host}:{port}/{protocol}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keel_reconciler::ask::{OperationRow, PortRow};

    fn stack(state: &str, reason: &str, health: &str) -> StatusRow {
        StatusRow {
            stack: "hello".into(),
            source: "default".into(),
            revision: "3f9c2a1".into(),
            sync: "InSync".into(),
            health: health.into(),
            operation: OperationRow {
                state: state.into(),
                reason: reason.into(),
                at: String::new(),
            },
            notes: vec![],
            suspended: None,
            taken_from: None,
            drift: 0,
            services: [("counter".to_owned(), (1, 1)), ("web".to_owned(), (2, 2))].into(),
        }
    }

    fn container() -> ContainerRow {
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
            state: "running".into(),
            status: String::new(),
            health: "healthy".into(),
            pid: None,
            ports: vec![port],
            created: String::new(),
            revision: String::new(),
            command: String::new(),
            exit_code: None,
            message: None,
            addresses: BTreeMap::new(),
        }
    }

    #[test]
    fn each_change_is_told_once() {
        let mut watch = Watch::default();
        let mut told = Vec::new();
        let mut look = |stacks: Vec<StatusRow>, health: &str, problems: Vec<String>| {
            let source = SourceRow { name: "default".into(), problems, ..SourceRow::default() };
            let container = ContainerRow { health: health.into(), ..container() };
            let seen = Seen { stacks, containers: vec![container], sources: vec![source] };
            told.extend(watch.look(&seen));
            told.push("--".to_owned());
        };
        let running = || stack("running", "web.1 start: no task runs here", "Progressing");
        let well = || stack("succeeded", "everything is as desired", "Healthy");
        let bad = || stack("failed", "web.1 exited (1) 3 times", "Degraded");
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
        look(vec![StatusRow { suspended, ..stack("held", "w", "Suspended") }], "healthy", vec![]);
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
