//! What this program does as the image's program: `hello WORD…`.

use std::io::{Read, Write};

/// Does as told; without a word it runs until it is told to stop.
pub fn play(words: &[&str]) -> i32 {
    match words {
        [] => until_told(""),
        ["say", texts @ ..] => texts.iter().for_each(|text| println!("{text}")),
        ["stay", text] => until_told(text),
        ["exit", code] => return code.parse().unwrap(),
        ["echo"] => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).unwrap();
            print!("{text}");
        }
        ["copy"] => {
            std::io::copy(&mut std::io::stdin(), &mut std::io::stdout()).unwrap();
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
        ["fetch", address] => {
            let mut stream = reach(address);
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            print!("{text}");
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

/// Until it answers: the other program may not listen yet.
fn reach(address: &str) -> std::net::TcpStream {
    let reached = || std::net::TcpStream::connect(address).ok();
    keel_testing::waiting::until(&format!("somebody answers at {address}"), reached, String::new)
}

/// Process 1 takes only the signals that it asks for, so it speaks once it has asked.
fn until_told(text: &str) {
    use nix::sys::signal::{SigSet, Signal};
    let mut told = SigSet::empty();
    told.add(Signal::SIGTERM);
    told.thread_block().unwrap();
    print!("{text}");
    std::io::stdout().flush().unwrap();
    told.wait().unwrap();
}
