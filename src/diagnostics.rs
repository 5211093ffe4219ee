//! Diagnostics, for whoever wants to know what the controller does and when: off unless `KEEL_LOG` asks
//! for them, on standard error, apart from what is printed for people.
//!
//! # Invariants
//! - Only Evenkeel's own crates say anything: what libraries would tell may hold addresses with passwords.
//! - An event is one line, whatever text from outside it quotes.

use crate::env;
use crate::failure::{Failure, Result};
use std::io::{self, Write};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::prelude::*;

/// The beginning of the names of all crates of ours.
const OURS: &str = "keel";

/// Starts them, where they are asked for.
pub fn start() -> Result<()> {
    let Some(wanted) = env::get(env::LOG) else { return Ok(()) };
    let level: LevelFilter = wanted.parse().map_err(|_| {
        Failure::usage(format!("{} is `{wanted}`, which is not a level", env::LOG))
            .hint("use error, warn, info, debug or trace")
    })?;
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_span_events(FmtSpan::CLOSE)
        .with_writer(|| Lines);
    let only_ours = Targets::new().with_target(OURS, level);
    tracing_subscriber::registry().with(lines.with_filter(only_ours)).init();
    Ok(())
}

/// Standard error, a line at a time.
struct Lines;

impl Write for Lines {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        writeln!(io::stderr(), "{}", keel_plain::line(text.trim_end()))?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
