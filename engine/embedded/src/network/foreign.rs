//! Accept rules where other firewalls look.
//!
//! An accept in our table does not undo a drop in another: Docker and ufw drop what they do not
//! know at the end of the FORWARD chain. So two rules at its beginning let our bridges through;
//! what may pass between them is our own table's say. Docker puts its own jumps before them when
//! it restarts; those return for bridges that are not Docker's.
//!
//! # Invariants
//! - Only rules that carry our comment are added or deleted, never anybody's own.

use super::NetworkFinding;
use super::firewall::{self, bridge_prefix, named};
use super::nft::batch::Batch;
use super::nft::expr::{Expr, Meta, RuleVerdict};
use super::nft::read::{self, ChainSeen};
use super::nft::{Family, Hook, Rule};
use crate::root::layout::Layout;
use keel_engine::FieldPath;
use std::process::{Command, Stdio};
use std::{fs, io};

fn comment(layout: &Layout, side: &str) -> String {
    format!("{} {side}", layout.table())
}

fn rules(layout: &Layout) -> [Rule; 2] {
    [(Meta::InputName, "from"), (Meta::OutputName, "to")].map(|(side, word)| {
        let mut exprs = named(side, &bridge_prefix(layout));
        exprs.extend([Expr::Counter, Expr::To(RuleVerdict::Accept)]);
        Rule::new(comment(layout, word), exprs)
    })
}

/// Whether a chain may drop what it does not know: iptables' FORWARD (a rule at its end may), and
/// any other that drops by policy.
fn needs_us(chain: &ChainSeen) -> bool {
    let forwards = chain.hook.is_some_and(|(hook, _)| hook == Hook::Forward as u32);
    let iptables = chain.family == Family::Ip && chain.table == "filter" && chain.name == "FORWARD";
    forwards && (chain.drops || iptables)
}

/// The chains that lack some of our rules, and which.
fn lacking(layout: &Layout, chains: &[ChainSeen]) -> io::Result<Vec<(ChainSeen, Vec<Rule>)>> {
    let mut lacking = Vec::new();
    for chain in chains.iter().filter(|chain| needs_us(chain)).cloned() {
        let there = read::rules_of(chain.family, &chain.table, &chain.name)?;
        let has = |rule: &Rule| there.iter().any(|seen| seen.comment == rule.comment);
        let missing: Vec<Rule> = rules(layout).into_iter().filter(|rule| !has(rule)).collect();
        if !missing.is_empty() {
            lacking.push((chain, missing));
        }
    }
    Ok(lacking)
}

/// Puts the rules where they are missing, as long as the root has its table. `chains` are those of this host.
pub(crate) fn ensure(layout: &Layout, chains: &[ChainSeen]) -> io::Result<()> {
    if !firewall::exists(layout)? {
        return Ok(());
    }
    for (chain, missing) in lacking(layout, chains)? {
        Batch::new(chain.family, &chain.table).insert(&chain.name, &missing).commit()?;
    }
    legacy(layout, true)?;
    // Whoever removes the table removes these rules after it. If that was between, it is ours.
    if firewall::exists(layout)? { Ok(()) } else { remove(layout) }
}

/// What is missing, for people.
pub(super) fn differences(layout: &Layout) -> io::Result<Vec<NetworkFinding>> {
    let chains = lacking(layout, &read::chains()?)?.into_iter();
    let what =
        chains.map(|(chain, _)| FieldPath::AcceptRules { chain: chain.name, table: chain.table });
    Ok(what.map(|what| firewall::finding(what, "missing")).collect())
}

/// Takes them away again, wherever they are.
pub(crate) fn remove(layout: &Layout) -> io::Result<()> {
    let ours = [comment(layout, "from"), comment(layout, "to")];
    for chain in read::chains()?.iter().filter(|chain| chain.hook.is_some()) {
        let mut batch = Batch::new(chain.family, &chain.table);
        for rule in read::rules(chain.family, &chain.table)? {
            if rule.chain == chain.name && ours.contains(&rule.comment) {
                batch.delete_rule(&rule.chain, rule.handle);
            }
        }
        batch.commit()?;
    }
    legacy(layout, false)
}

/// The same for the older iptables, whose tables nftables does not show: by its own program,
/// where its filter table is in use.
fn legacy(layout: &Layout, wanted: bool) -> io::Result<()> {
    let tables = fs::read_to_string("/proc/thread-self/net/ip_tables_names").unwrap_or_default();
    if !tables.lines().any(|table| table == "filter") {
        return Ok(());
    }
    let Some(program) = legacy_program() else {
        return Ok(());
    };
    let bridges = format!("{}+", bridge_prefix(layout));
    for (option, word) in [("-i", "from"), ("-o", "to")] {
        let text = comment(layout, word);
        let run = |verb: &str| {
            let rule = [option, &bridges, "-m", "comment", "--comment", &text, "-j", "ACCEPT"];
            let mut command = Command::new(program);
            command.args(["-w", "5", verb, "FORWARD"]).args(rule);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()
        };
        if wanted {
            if !run("-C")?.success() {
                run("-I")?;
            }
        } else {
            while run("-D")?.success() {} // two processes may have added it at once
        }
    }
    Ok(())
}

fn legacy_program() -> Option<&'static str> {
    let is_legacy = |program: &&str| {
        let answer = Command::new(program).arg("--version").stdin(Stdio::null()).output();
        answer.is_ok_and(|answer| {
            let text = String::from_utf8_lossy(&answer.stdout).into_owned();
            answer.status.success() && !text.contains("nf_tables")
        })
    };
    ["iptables-legacy", "iptables"].into_iter().find(is_legacy)
}
