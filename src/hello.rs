//! `keel hello`: the small web server of the image `keel.local/hello`. It needs nothing but the
//! standard library, so that it is the only file of its image.
//!
//! | arguments | does |
//! |---|---|
//! | none, `web` | answers with its task's name, and the visits that `COUNTER` has counted, where that is set |
//! | `counter` | counts visits in `/data/visits` |
//! | `check` | exit 0 if the server beside it answers: a health check |
//!
//! `PORT` is the port, 80 unless set.

mod counter;
mod http;
mod name;
mod web;

use nix::sys::signal::{SigSet, Signal};
use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const USAGE: &str = "usage: keel hello [web | counter | check]";
const DATA: &str = "/data";
/// A check that takes longer is as good as none.
const PATIENCE: Duration = Duration::from_secs(3);

/// The exit code.
pub fn main(arguments: &[OsString]) -> i32 {
    let done = match arguments.first().map(|mode| mode.to_string_lossy()).as_deref() {
        None | Some("web") => web::Web::new(std::env::var("COUNTER").ok()).map(serve),
        Some("counter") => counter::Counter::open(Path::new(DATA)).map(serve),
        Some("check") => Ok(check()),
        Some(_) => {
            eprintln!("{USAGE}");
            return crate::exit::Exit::Usage.code();
        }
    };
    match done.and_then(|done| done) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("hello: {error}");
            1
        }
    }
}

fn port() -> io::Result<u16> {
    match std::env::var("PORT") {
        Ok(port) => {
            port.parse().map_err(|_| io::Error::other(format!("PORT={port} is not a port")))
        }
        Err(_) => Ok(80),
    }
}

/// Serves until it is told to stop. As process 1 no signal has a default action, so they are
/// waited for.
fn serve(answer: impl http::Answer + 'static) -> io::Result<()> {
    let mut ends = SigSet::empty();
    ends.add(Signal::SIGTERM);
    ends.add(Signal::SIGINT);
    // Before any thread is started: they inherit it, so that only `wait` below takes the signals.
    ends.thread_block()?;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port()?))?;
    println!("listening on port {}", listener.local_addr()?.port());
    let answer = Arc::new(answer);
    std::thread::spawn(move || http::serve(&listener, &answer));
    let signal = ends.wait()?;
    println!("stopping ({signal})");
    Ok(())
}

fn check() -> io::Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port()?));
    let (status, _) = http::get(address, "localhost", "/health", PATIENCE)?;
    if status == 200 { Ok(()) } else { Err(io::Error::other(format!("it answers {status}"))) }
}
