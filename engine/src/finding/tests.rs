use super::*;

fn stack() -> Option<StackName> {
    Some(StackName::new("shop").unwrap())
}

fn finding(subject: FindingSubject, path: FieldPath) -> Finding {
    Finding {
        subject,
        path,
        applied: Value::Bytes(64 << 20),
        observed: Value::Unset,
        cause: Some(FindingCause::KilledFromOutside { signal: Some(9) }),
        fixed: false,
    }
}

/// As people have always seen them, and as every record has them.
#[test]
fn a_path_prints_as_ever_and_is_read_back() {
    let port = |host_ip: Option<&str>| FieldPath::PublishedPort {
        host_ip: host_ip.map(|ip| ip.parse().unwrap()),
        published: 8080,
        protocol: Protocol::Udp,
    };
    let rule = FieldPath::FirewallRule { rule: "a `b`".into(), chain: "forward".into() };
    let accept = FieldPath::AcceptRules { chain: "FORWARD".into(), table: "filter".into() };
    let cases = [
        (FieldPath::Row(Field::MemLimit), "mem_limit"),
        (FieldPath::Key(Field::Labels, "a.b[0]: c".into()), "labels.a.b[0]: c"),
        (FieldPath::Item(Field::Ports, 2), "ports[2]"),
        (FieldPath::Process, "process"),
        (port(Some("127.0.0.1")), "published port 127.0.0.1:8080/udp"),
        (port(Some("::1")), "published port [::1]:8080/udp"),
        (port(None), "published port 8080/udp"),
        (FieldPath::Bridge("kl1".into()), "bridge kl1"),
        (FieldPath::BridgeAddress("kl1".into()), "address of bridge kl1"),
        (FieldPath::NetworkDriver("macvlan".into()), "driver macvlan"),
        (FieldPath::Kernel("net/ipv4/ip_forward".into()), "/proc/sys/net/ipv4/ip_forward"),
        (FieldPath::FirewallTable, "firewall table"),
        (FieldPath::FirewallChain("forward".into()), "firewall chain forward"),
        (rule, "firewall rule `a `b`` in chain forward"),
        (FieldPath::FirewallSet("same".into()), "firewall set same"),
        (FieldPath::FirewallElements("same".into()), "elements of firewall set same"),
        (accept, "accept rules for our bridges in chain FORWARD of table filter"),
        (FieldPath::NameServer, "process keel net"),
        (FieldPath::Other("ports[00]".into()), "ports[00]"),
        (FieldPath::Other("published port x".into()), "published port x"),
    ];
    for (path, text) in cases {
        assert_eq!(path.to_string(), text);
        assert_eq!(text.parse::<FieldPath>().unwrap(), path);
    }
    for row in FIELDS {
        assert_eq!(row.name.parse::<FieldPath>().unwrap(), FieldPath::Row(row.field));
    }
}

#[test]
fn a_cause_prints_as_ever_and_is_read_back() {
    let killed = |signal| FindingCause::KilledFromOutside { signal };
    let cases = [
        (killed(None), "killed from outside"),
        (killed(Some(9)), "killed by SIGKILL from outside"),
        (killed(Some(63)), "killed by signal 63 from outside"),
        (FindingCause::Other("a meteor".into()), "a meteor"),
    ];
    for (cause, text) in cases {
        let text = if cause == killed(Some(63)) { cause.to_string() } else { text.to_owned() };
        assert_eq!(cause.to_string(), text);
        assert_eq!(FindingCause::from(text), cause);
    }
}

/// Records as the version before this one wrote them.
#[test]
fn a_record_of_an_older_version_is_read() {
    let network = |name: &str| FindingSubject::Network { name: name.into(), stack: stack() };
    let cases = [
        (
            r#"{"level":"task","stack":null,"row":"mem_limit","field":"mem_limit","applied":{"bytes":67108864},
                "observed":"unset","cause":"killed by SIGKILL from outside","fixed":false}"#,
            finding(FindingSubject::Task { id: None, slot: None }, FieldPath::Row(Field::MemLimit)),
        ),
        (
            r#"{"level":"network","stack":"shop","row":null,"field":"shop_default: bridge kl1",
                "applied":{"bytes":67108864},"observed":"unset",
                "cause":"killed by SIGKILL from outside","fixed":false}"#,
            finding(network("shop_default"), FieldPath::Bridge("kl1".into())),
        ),
        (
            r#"{"level":"network","stack":"shop","field":"firewall table",
                "applied":{"bytes":67108864},"observed":"unset",
                "cause":"killed by SIGKILL from outside"}"#,
            finding(FindingSubject::Networks { stack: stack() }, FieldPath::FirewallTable),
        ),
    ];
    for (record, expected) in cases {
        assert_eq!(serde_json::from_str::<Finding>(record).unwrap(), expected);
    }
}

/// `plan --format json` shows findings: every field that scripts read keeps its text.
#[test]
fn a_finding_is_stored_with_its_texts_and_its_data() {
    let id = TaskId::new("a".repeat(64)).unwrap();
    let slot = Slot { stack: stack().unwrap(), service: "web".into(), slot: "1".into() };
    let of_task = FindingSubject::Task { id: Some(id), slot: Some(slot) };
    let all = [
        finding(of_task, FieldPath::Key(Field::Sysctls, "net.core.somaxconn".into())),
        finding(
            FindingSubject::Network { name: "shop_default".into(), stack: stack() },
            FieldPath::Bridge("kl1".into()),
        ),
        finding(FindingSubject::Volume { name: "data".into(), stack: None }, FieldPath::Process),
        finding(FindingSubject::Node, FieldPath::Other("disk".into())),
    ];
    for finding in all {
        let text = serde_json::to_string(&finding).unwrap();
        assert_eq!(serde_json::from_str::<Finding>(&text).unwrap(), finding, "{text}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["field"], finding.field().to_string());
        assert_eq!(value["cause"], "killed by SIGKILL from outside");
    }
}
