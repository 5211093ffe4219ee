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
    problems: BTreeSet<String>,
}

/// The last that was told of a stack.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    revision: String,
    state: String,
    reason: String,
    health: String,
}

impl Watch {
    /// Lines about what is new since the last look.
    pub fn look(&mut self, seen: &Seen) -> Vec<String> {
        let mut lines = self.problems(&seen.sources);
        for row in &seen.stacks {
            let told = Told {
                revision: row.revision.clone(),
                state: row.operation.state.clone(),
                reason: row.operation.reason.clone(),
                health: row.health.clone(),
            };
            let before = self.stacks.get(&row.stack);
            lines.extend(change(row, before, &told, &seen.containers));
            self.stacks.insert(row.stack.clone(), told);
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
            let name = &source.name;
            let text = source.held.as_ref()?;
            Some(format!(
                "warning: source {name}: {text}\n\nhint: `keel confirm {name}` lets it through"
            ))
        };
        let now: BTreeSet<String> = sources
            .iter()
            .flat_map(|source| source.problems.iter().cloned().chain(held(source)))
            .collect();
        let fresh = now.difference(&self.problems).cloned().collect();
        self.problems = now;
        fresh
    }
}

fn change(
    row: &StatusRow,
    before: Option<&Told>,
    now: &Told,
    containers: &[ContainerRow],
) -> Vec<String> {
    if before == Some(now) {
        return vec![];
    }
    let stack = &row.stack;
    match (row.operation.state.as_str(), row.health.as_str()) {
        ("failed" | "held", _) => {
            let mut lines = vec![format!("{stack}: {}: {}", now.state, now.reason)];
            lines.extend(row.notes.iter().map(|note| format!("  {note}")));
            lines
        }
        ("succeeded", "Healthy") => overview(row, containers),
        // What was told as healthy is told again only with a reason.
        ("succeeded", health) if before.is_none_or(|before| before.health != health) => {
            let mut lines = vec![format!("{stack}: {}", health.to_lowercase())];
            lines.extend(row.notes.iter().map(|note| format!("  {note}")));
            lines
        }
        ("running", _) if !now.reason.is_empty() => {
            let same = before
                .is_some_and(|before| (&before.state, &before.reason) == (&now.state, &now.reason));
            if same { vec![] } else { vec![format!("{stack}: {}", now.reason)] }
        }
        _ => vec![],
    }
}

/// The stack, its services, and where to find them.
fn overview(row: &StatusRow, containers: &[ContainerRow]) -> Vec<String> {
    let width = row.services.keys().map(|name| name.chars().count()).max().unwrap_or(0);
    let revision = match row.revision.as_str() {
        "" => String::new(),
        revision => format!(" at {}", revision.chars().take(12).collect::<String>()),
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
        let mut look = |stacks: Vec<StatusRow>, problems: Vec<String>| {
            let source = SourceRow { name: "default".into(), problems, ..SourceRow::default() };
            let seen = Seen { stacks, containers: vec![container()], sources: vec![source] };
            told.extend(watch.look(&seen));
            told.push("--".to_owned());
        };
        let running = || stack("running", "web.1 start: no task runs here", "Progressing");
        let well = || stack("succeeded", "everything is as desired", "Healthy");
        let problem = || "error: unknown key `replicaz`\n --> compose.yaml:3:5\n".to_owned();
        look(vec![running()], vec![]);
        look(vec![running()], vec![]);
        look(vec![well()], vec![]);
        look(vec![well()], vec![problem()]);
        look(vec![well()], vec![problem()]);
        look(vec![stack("failed", "web.1 exited (1) 3 times", "Degraded")], vec![]);
        look(vec![], vec![]);
        insta::assert_snapshot!(told.join("\n"), @r"
        hello: web.1 start: no task runs here
        --
        --
        hello is healthy at 3f9c2a1
          counter  1/1
          web      2/2  http://localhost:8080
        --
        error: unknown key `replicaz`
         --> compose.yaml:3:5

        --
        --
        hello: failed: web.1 exited (1) 3 times
        --
        hello: removed
        --
        ");
    }
}
