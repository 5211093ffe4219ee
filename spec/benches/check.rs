//! How long it takes to check 1,000 stacks of five services, on two threads:
//! `cargo bench -p keel-spec --bench check`. Beside it, where it is installed, what docker-compose
//! takes for one such file.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use keel_spec::{Folder, Project, load};

const STACKS: usize = 1000;

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let dirs: Vec<PathBuf> = (0..STACKS).map(|number| stack(folder.path(), number)).collect();
    let time = best(|| check(&dirs));
    println!("{STACKS} stacks of 5 services on two threads: {time:?}");
    let each = time / u32::try_from(STACKS).expect("it is small") * 2;
    if let Some(other) = docker_compose(&dirs[0]) {
        let share = each.as_secs_f64() / other.as_secs_f64();
        println!("one stack: {each:?}; docker-compose config: {other:?}; {share:.5} of it");
    }
}

fn best(work: impl Fn()) -> Duration {
    let timed = |()| {
        let begun = Instant::now();
        work();
        begun.elapsed()
    };
    [(), (), ()].map(timed).into_iter().min().expect("there are three")
}

fn check(dirs: &[PathBuf]) {
    std::thread::scope(|scope| {
        for part in dirs.chunks(dirs.len().div_ceil(2)) {
            scope.spawn(move || {
                for dir in part {
                    let loaded = load(&Project::new(dir), &Folder::default());
                    assert!(loaded.stack.is_some(), "{:?}", loaded.problems);
                }
            });
        }
    });
}

fn stack(folder: &std::path::Path, number: usize) -> PathBuf {
    let dir = folder.join(format!("stack{number}"));
    std::fs::create_dir(&dir).expect("it is made");
    let mut text = String::from("version: \"3.9\"\nservices:\n");
    for service in 0..5 {
        let port = 20_000 + number * 5 + service;
        text += &format!(
            "  s{service}:
    image: registry.example.org/team/app{service}:1.{number}
    restart: unless-stopped
    ports: [\"{port}:80\"]
    environment:
      - LOG_LEVEL=${{LOG_LEVEL:-info}}
      - DATABASE_URL=postgres://app@db/app
      - WORKERS={service}
    volumes:
      - data:/var/lib/app
      - ./conf/{service}.yaml:/etc/app.yaml:ro
    healthcheck:
      test: [CMD, curl, -f, http://localhost/health]
      interval: 30s
      retries: 3
    labels:
      traefik.enable: \"true\"
      traefik.http.routers.s{service}.rule: Host(`s{service}.example.org`)
    networks: [front]
"
        );
    }
    text += "networks: {front: }\nvolumes: {data: }\n";
    std::fs::write(dir.join("compose.yaml"), text).expect("it is written");
    std::fs::write(dir.join(".env"), "LOG_LEVEL=debug\n").expect("it is written");
    dir
}

fn docker_compose(dir: &std::path::Path) -> Option<Duration> {
    let begun = Instant::now();
    let done = Command::new("docker-compose")
        .args(["-f", "compose.yaml", "config", "-q"])
        .current_dir(dir)
        .status();
    done.ok().filter(std::process::ExitStatus::success).map(|_| begun.elapsed())
}
