//! What this program does as the image's program: `hello WORD…`.

use std::io::{Read, Write};

/// Does as told; without a word it runs until it is told to stop.
pub fn play(words: &[&str]) -> i32 {
    match words {
        [] => until_told(),
        ["say", texts @ ..] => texts.iter().for_each(|text| println!("{text}")),
        ["say-and-stay", text] => {
            println!("{text}");
            until_told();
        }
        ["exit", code] => return code.parse().unwrap(),
        ["echo"] => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).unwrap();
            print!("{text}");
        }
        ["cat", path] => match std::fs::read(path) {
            Ok(bytes) => std::io::stdout().write_all(&bytes).unwrap(),
            Err(error) => {
                eprintln!("{path}: {error}");
                return 1;
            }
        },
        ["write", path, text] => std::fs::write(path, text).unwrap(),
        ["find", name] => {
            use std::net::ToSocketAddrs;
            match (*name, 80).to_socket_addrs() {
                Ok(mut found) => println!("{}", found.next().unwrap().ip()),
                Err(error) => {
                    eprintln!("{name}: {error}");
                    return 1;
                }
            }
        }
        ["serve"] => {
            let listener = std::net::TcpListener::bind("0.0.0.0:80").unwrap();
            for stream in listener.incoming() {
                let name = std::fs::read_to_string("/etc/hostname").unwrap();
                stream.unwrap().write_all(name.as_bytes()).unwrap();
            }
        }
        other => {
            eprintln!("no such play: {other:?}");
            return 64;
        }
    }
    0
}

/// Process 1 takes only the signals that it asks for.
fn until_told() {
    use nix::sys::signal::{SigSet, Signal};
    let mut told = SigSet::empty();
    told.add(Signal::SIGTERM);
    told.thread_block().unwrap();
    told.wait().unwrap();
}
