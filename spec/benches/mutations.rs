//! Throws changed Compose files at the loader: `cargo bench -p keel-spec --bench mutations`, with
//! another count as its argument. No input may make it panic, take long, or use more than 64 MiB.
//! The inputs are those of the case tables, changed by a generator with a fixed seed, so a failure
//! comes again; it is printed with the number of its input.

#[path = "../tests/fragments/mod.rs"]
mod fragments;
#[path = "../tests/tables/mod.rs"]
mod tables;

use std::path::Path;
use std::time::{Duration, Instant};

use fragments::FRAGMENTS;
use keel_spec::{Memory, Project, problem, render};

/// How many inputs are tried.
const COUNT: u64 = 200_000;
/// How much memory a load may use beside what it is given.
const MOST_MEMORY: u64 = 64 << 20;
/// How long a load may take, in a debug build on a busy machine.
const LONGEST: Duration = Duration::from_secs(5);

fn main() {
    let count = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(COUNT);
    let seeds: Vec<Vec<u8>> = seeds();
    let (mut loaded, mut most, mut longest) = (0u64, 0, Duration::ZERO);
    for number in 0..count {
        let input = mutated(&seeds, number);
        let begun = Instant::now();
        let mut loads = false;
        let memory = allocation_counter::measure(|| loads = try_it(&input)).bytes_max;
        let time = begun.elapsed();
        loaded += u64::from(loads);
        (most, longest) = (most.max(memory), longest.max(time));
        if memory > MOST_MEMORY || time > LONGEST {
            eprintln!("{}", String::from_utf8_lossy(&input));
            panic!("input {number} took {memory} bytes and {time:?}");
        }
    }
    println!("{count} inputs, {loaded} of them load; at most {} KiB and {longest:?}", most >> 10);
}

/// Loads, renders, and prints all problems; whether it loads.
fn try_it(input: &[u8]) -> bool {
    let files = Memory::default().with("/blog/compose.yaml", input.to_vec());
    let rendered = render(&Project::new("/blog"), &files);
    for found in &rendered.loaded.problems {
        std::hint::black_box(problem::render(found, &rendered.loaded.texts));
    }
    std::hint::black_box(rendered.document.map(|document| document.yaml())).is_some()
}

fn seeds() -> Vec<Vec<u8>> {
    let cases = tables::all();
    let files = cases.into_iter().flat_map(|case| case.contents);
    let yaml = files.filter(|(name, _)| Path::new(name).extension().is_some_and(|e| e == "yaml"));
    let mut seeds: Vec<Vec<u8>> = yaml.map(|(_, text)| text.into_bytes()).collect();
    seeds.extend(hostile());
    seeds
}

/// What somebody would send who means ill.
fn hostile() -> Vec<Vec<u8>> {
    let mut bomb = String::from("x-0: &a0 [a, b]\n");
    for level in 1..30 {
        let below = format!("*a{}", level - 1);
        bomb += &format!("x-{level}: &a{level} [{below}, {below}, {below}]\n");
    }
    let many = |line: &str| format!("services:\n  a:\n    image: x\n{}", line.repeat(2000));
    vec![
        bomb.into_bytes(),
        "[".repeat(10_000).into_bytes(),
        "{a: ".repeat(10_000).into_bytes(),
        "- ".repeat(10_000).into_bytes(),
        many("    x-a: b\n").into_bytes(),
        format!("services: {{a: {{image: x, command: \"{}\"}}}}", "a ".repeat(100_000))
            .into_bytes(),
        format!("services: {{a: {{image: \"{}\"}}}}", "${A:-".repeat(5_000)).into_bytes(),
        b"services: {a: {image: x, ports: [\"1-30000:1-30000\", \"1-30000:1-30000/udp\"]}}"
            .to_vec(),
        b"\xef\xbb\xbfservices:\r\n  a:\r\n    image: x\r\n".to_vec(),
        b"services:\n  a: {image: \"\xff\xfe\"}\n".to_vec(),
        b"services:\n  a: {image: x\0y}\n".to_vec(),
    ]
}

/// Numbers that look like chance and are the same each time.
struct Chance(u64);

impl Chance {
    fn next(&mut self, below: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mixed = (self.0 >> 33) ^ (self.0 >> 17);
        usize::try_from(mixed).unwrap_or_default() % below.max(1)
    }
}

/// Puts something in the place of the line at `at`.
fn line(input: &mut Vec<u8>, at: usize, change: impl Fn(&[u8]) -> Vec<u8>) {
    let start = input[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |found| found + 1);
    let rest = input[at..].iter().position(|byte| *byte == b'\n');
    let end = rest.map_or(input.len(), |found| at + found + 1);
    let changed = change(&input[start..end]);
    input.splice(start..end, changed);
}

fn mutated(seeds: &[Vec<u8>], number: u64) -> Vec<u8> {
    let mut chance = Chance(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut input = seeds[chance.next(seeds.len())].clone();
    for _ in 0..1 + chance.next(3) {
        let at = chance.next(input.len() + 1);
        let end = (at + 1 + chance.next(30)).min(input.len());
        match chance.next(9) {
            0 => drop(input.drain(at..end.max(at))),
            1 => drop(input.splice(at..at, FRAGMENTS[chance.next(FRAGMENTS.len())].bytes())),
            2 => {
                let part = input[at..end.max(at)].to_vec();
                input.splice(at..at, part.repeat(1 + chance.next(20)));
            }
            3 if at < input.len() => input[at] = chance.next(256) as u8,
            // Whole lines: what remains is mostly YAML, and wrong further inside.
            4 | 5 => line(&mut input, at, |_| Vec::new()),
            6 => line(&mut input, at, |line| line.repeat(2)),
            7 => {
                let other = &seeds[chance.next(seeds.len())];
                let lines: Vec<&[u8]> = other.split_inclusive(|byte| *byte == b'\n').collect();
                let other = lines.get(chance.next(lines.len())).copied().unwrap_or_default();
                line(&mut input, at, |line| [line, other].concat());
            }
            _ => {
                let other = &seeds[chance.next(seeds.len())];
                let from = chance.next(other.len() + 1);
                let to = (from + chance.next(80)).min(other.len());
                input.splice(at..at, other[from..to].iter().copied());
            }
        }
    }
    input
}
