//! Which devices the processes of a cgroup may use: lines for version 1, a program for version 2.
//! Pure.

/// Devices that are allowed; everything that no rule names is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRule {
    /// `b`, `c`, or `a` for both.
    pub kind: char,
    /// `None` is any.
    pub major: Option<u32>,
    /// `None` is any.
    pub minor: Option<u32>,
    /// Letters of `rwm`.
    pub access: String,
}

/// The rule as `devices.allow` takes it.
pub fn line(rule: &DeviceRule) -> String {
    let number = |number: Option<u32>| number.map_or("*".to_owned(), |number| number.to_string());
    format!("{} {}:{} {}", rule.kind, number(rule.major), number(rule.minor), rule.access)
}

const BLOCK: u32 = 1;
const CHAR: u32 = 2;

/// The rules as a program: it is given kind and access, major, minor (three numbers at the
/// address in register 1) and answers 1 for yes, 0 for no.
pub fn program(rules: &[DeviceRule]) -> Vec<u64> {
    let mut code = vec![
        load(2, 0), // kind and access
        copy(3, 2),
        and(2, 0xffff), // kind
        shift(3, 16),   // access asked for
        load(4, 4),     // major
        load(5, 8),     // minor
    ];
    for rule in rules {
        code.extend(allow(rule));
    }
    code.extend([answer(0), exit()]);
    code
}

/// Goes past the rule at the first thing that does not fit, else answers yes.
fn allow(rule: &DeviceRule) -> Vec<u64> {
    let mut tests = Vec::new();
    match rule.kind {
        'b' => tests.push((2, BLOCK)),
        'c' => tests.push((2, CHAR)),
        _ => {}
    }
    tests.extend(rule.major.map(|major| (4, major)));
    tests.extend(rule.minor.map(|minor| (5, minor)));
    // Access: what is asked beyond the rule must be nothing.
    let beyond = !access(&rule.access) & 0b111;
    let tail = [copy(1, 3), and(1, beyond), unless_equal(1, 0, 2), answer(1), exit()];
    let whole = tests.len() + tail.len();
    let tests = tests.iter().enumerate();
    let tests =
        tests.map(|(at, (register, value))| unless_equal(*register, *value, whole - at - 1));
    tests.chain(tail).collect()
}

fn access(letters: &str) -> u32 {
    let bit = |letter, bit| if letters.contains(letter) { bit } else { 0 };
    bit('m', 1) | bit('r', 2) | bit('w', 4)
}

/// The kernel's eight bytes: code, registers, offset, immediate.
fn instruction(code: u8, to: u8, from: u8, offset: u16, immediate: u32) -> u64 {
    let bytes = [code, from << 4 | to];
    let [a, b] = offset.to_ne_bytes();
    let [c, d, e, f] = immediate.to_ne_bytes();
    u64::from_ne_bytes([bytes[0], bytes[1], a, b, c, d, e, f])
}

fn load(to: u8, offset: u16) -> u64 {
    instruction(0x61, to, 1, offset, 0)
}

fn copy(to: u8, from: u8) -> u64 {
    instruction(0xbc, to, from, 0, 0)
}

fn and(to: u8, bits: u32) -> u64 {
    instruction(0x54, to, 0, 0, bits)
}

fn shift(to: u8, bits: u32) -> u64 {
    instruction(0x74, to, 0, 0, bits)
}

fn unless_equal(register: u8, value: u32, skip: usize) -> u64 {
    instruction(0x56, register, 0, skip as u16, value)
}

fn answer(value: u32) -> u64 {
    instruction(0xb7, 0, 0, 0, value)
}

fn exit() -> u64 {
    instruction(0x95, 0, 0, 0, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel does with the few instructions that are used here.
    fn run(program: &[u64], kind: u32, asked: u32, major: u32, minor: u32) -> u64 {
        let input = [asked << 16 | kind, major, minor];
        let (mut registers, mut at) = ([0_u64; 11], 0);
        loop {
            let [code, pair, a, b, c, d, e, f] = program[at].to_ne_bytes();
            let (to, from) = (usize::from(pair & 15), usize::from(pair >> 4));
            let offset = usize::from(u16::from_ne_bytes([a, b]));
            let value = u64::from(u32::from_ne_bytes([c, d, e, f]));
            at += 1;
            match code {
                0x61 => registers[to] = u64::from(input[offset / 4]),
                0xbc => registers[to] = registers[from],
                0x54 => registers[to] &= value,
                0x74 => registers[to] >>= value,
                0x56 if registers[to] != value => at += offset,
                0x56 => {}
                0xb7 => registers[to] = value,
                0x95 => return registers[0],
                other => panic!("unknown instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn only_what_a_rule_names_is_allowed() {
        let rule = |kind, major, minor, access: &str| DeviceRule {
            kind,
            major,
            minor,
            access: access.to_owned(),
        };
        let rules = [
            rule('c', Some(1), Some(3), "rwm"),
            rule('a', None, None, "m"),
            rule('b', Some(8), None, "r"),
        ];
        assert_eq!(line(&rules[1]), "a *:* m");
        let program = program(&rules);
        let (mknod, read, write) = (1, 2, 4);
        let cases = [
            (CHAR, read | write, 1, 3, 1),
            (CHAR, read, 1, 4, 0),
            (BLOCK, read, 1, 3, 0),
            (BLOCK, mknod, 8, 0, 1),
            (BLOCK, read, 8, 1, 1),
            (BLOCK, read | write, 8, 1, 0),
        ];
        for (kind, asked, major, minor, answer) in cases {
            assert_eq!(run(&program, kind, asked, major, minor), answer, "{kind} {major}:{minor}");
        }
    }
}
