//! The form in which each part of the contract travels: peers of another version read it.

mod samples;

use super::*;
use crate::{Content, Trouble};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::path::Path;

const HOW: &str = "the form in which controllers and nodes speak to each other has changed. Fields may be \
                   added; anything else needs a new CONTRACT_VERSION. If it is meant: UPDATE_WIRE=1 cargo \
                   test -p keel-engine wire, and read the difference";

/// Writes down what `UPDATE_WIRE` asks for, and gives what stands there.
fn pinned(now: &BTreeMap<String, Json>) -> BTreeMap<String, Json> {
    let name = format!("wire/v{CONTRACT_VERSION}.json");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os("UPDATE_WIRE").is_some() {
        let text = serde_json::to_string_pretty(now).unwrap() + "\n";
        std::fs::write(&file, text).unwrap();
    }
    serde_json::from_str(&std::fs::read_to_string(&file).unwrap_or("{}".into())).unwrap()
}

#[test]
fn every_variant_travels_in_the_form_that_is_written_down() {
    let samples = samples::all();
    let now: BTreeMap<_, _> =
        samples.iter().map(|sample| (sample.name.clone(), sample.form.clone())).collect();
    assert_eq!(now.len(), samples.len(), "a name twice");
    let pinned = pinned(&now);
    for (name, form) in &now {
        assert_eq!(Some(form), pinned.get(name), "{name}: {HOW}");
    }
    assert_eq!(pinned.len(), now.len(), "{HOW}");
}

#[test]
fn what_is_written_down_is_read_as_what_it_was() {
    let samples = samples::all();
    let pinned = pinned(&samples.iter().map(|s| (s.name.clone(), s.form.clone())).collect());
    for sample in samples {
        let form = pinned.get(&sample.name).unwrap_or(&Json::Null);
        (sample.reads)(form).unwrap_or_else(|error| panic!("{}: {error}", sample.name));
    }
}

#[test]
fn a_message_comes_back_and_says_its_version() {
    for call in samples::calls() {
        let bytes = seal(&call).unwrap();
        assert_eq!(open::<Call>(&bytes), Ok(call));
        let json: Json = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(json["version"], json!(CONTRACT_VERSION));
    }
}

#[test]
fn a_later_version_is_refused_whatever_it_says() {
    let bytes = json!({"version": CONTRACT_VERSION + 1, "message": {"dance": 1}}).to_string();
    let refused = open::<Call>(bytes.as_bytes()).unwrap_err();
    let (theirs, ours) = (CONTRACT_VERSION + 1, CONTRACT_VERSION);
    assert_eq!(refused, WireError::Newer { theirs, ours });
    let refused = EngineError::from(refused);
    assert!(matches!(refused, EngineError::Unsupported { .. }), "{refused:?}");
    assert!(refused.hint().is_some());
}

#[test]
fn what_is_unknown_is_refused_or_read_as_the_nearest() {
    let said = |message: Json| json!({"version": 1, "message": message}).to_string();
    let refused = [
        json!({"dance": 1}),
        json!({"assign": {"wishes": [{"dance": 1}]}}),
        json!({"observe": "soul"}),
        json!({"open": {"dance": {"task": "a".repeat(64)}}}),
        json!({"open": {"attach": {"task": "../..", "stdin": true}}}),
    ];
    for message in refused {
        let answer = open::<Call>(said(message.clone()).as_bytes());
        assert!(matches!(answer, Err(WireError::Garbled { .. })), "{message} {answer:?}");
    }
    let bytes = said(json!({"event": {"planet": {"name": "x"}}}));
    assert_eq!(open(bytes.as_bytes()), Ok(Answer::Event(Event::Missed)));
    let bytes = said(json!({"refused": {"kind": "too-late", "message": "too late"}}));
    let Ok(Answer::Refused(error)) = open(bytes.as_bytes()) else { panic!("it is an answer") };
    assert_eq!((error.to_string().as_str(), error.trouble()), ("too late", Some(Trouble::Other)));
    let bytes = said(json!({"swept": {"contents": 2, "planets": 1}}));
    let swept = Swept { contents: 2, ..Swept::default() };
    assert_eq!(open(bytes.as_bytes()), Ok(Answer::Swept(swept)), "a field more is no matter");
}

#[test]
fn a_secret_is_in_the_bytes_for_the_node_and_nowhere_else() {
    let content = Content::of(*b"hunter2");
    let call = Call::Assign { lease: None, wishes: vec![Assignment::Content(content)] };
    let bytes = String::from_utf8(seal(&call).unwrap()).unwrap();
    assert!(bytes.contains("aHVudGVyMg=="), "{bytes}");
    assert!(!format!("{call:?} {call:#?}").contains("hunter2"));
    let cut = open::<Call>(bytes.replace("wishes\":[", "wishes\":[\"hunter2\",").as_bytes());
    let told = EngineError::from(cut.unwrap_err());
    assert!(!format!("{told} {told:?}").contains("hunter2"), "{told:?}");
}
