//! What may go for want of room, and above all what may not.

use crate::world::{World, stack};
use keel_engine::{
    Digest, Disk, FileMount, Mount, MountSource, Observation, ObservedImage, digest_of,
};
use keel_names::reference::Written;
use keel_plan::desired::Desired;
use keel_plan::retention::{DAY, Decision, Facts, Images, Reach, Revision, decide, is_full};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

const NOW: u64 = 10 * DAY;

fn image(reference: &str, content: &str) -> ObservedImage {
    ObservedImage {
        reference: reference.into(),
        digest: Some(digest_of(&content)),
        ..ObservedImage::default()
    }
}

/// A node with one stack, and images by name.
struct Case {
    world: World,
    good: Vec<(Desired, BTreeMap<String, Digest>)>,
    images: Images,
    reach: Reach,
}

fn case() -> Case {
    let world = stack().wants("web", "app:5").converge();
    Case { world, good: vec![], images: Images::default(), reach: Reach::Old }
}

impl Case {
    fn has(mut self, reference: &str, content: &str) -> Self {
        self.world.node.seen.images.push(image(reference, content).into());
        self
    }

    fn needed_before(mut self, reference: &str, ago: u64) -> Self {
        self.images.needed.insert(reference.into(), NOW - ago);
        self
    }

    fn own(mut self, reference: &str) -> Self {
        self.images.own.insert(reference.into());
        self
    }

    fn good(mut self, reference: &str, content: Option<&str>) -> Self {
        let desired = stack().wants("web", reference).desired;
        let meant = content.map(|content| (reference.to_owned(), digest_of(&content)));
        self.good.push((desired, meant.into_iter().collect()));
        self
    }

    fn pulling(mut self, reference: &str) -> Self {
        let images = &mut self.world.node.seen.images;
        let image = images.iter_mut().find(|image| image.reference == reference);
        Arc::make_mut(image.unwrap()).pulling = Some((1, 2));
        self
    }

    fn reach(self, reach: Reach) -> Self {
        Self { reach, ..self }
    }

    fn decide(&self) -> Decision {
        let none = BTreeMap::new();
        let present = Revision { desired: &self.world.desired, images: &none };
        let good = self.good.iter().map(|(desired, images)| Revision { desired, images });
        decide(&Facts {
            revisions: [present].into_iter().chain(good).collect(),
            observation: &self.world.node.seen,
            images: &self.images,
            now: NOW,
            reach: self.reach,
        })
    }

    fn gone(&self) -> String {
        self.decide().sweep.images.into_iter().collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn only_what_a_stack_needed_and_nothing_needs_goes() {
    let old = || case().has("app:1", "1").needed_before("app:1", DAY);
    let lately = || case().has("app:1", "1").needed_before("app:1", DAY - 1);
    let cases = [
        ("a day after it was needed last", old(), "app:1"),
        ("not before", lately(), ""),
        ("where the disk is full at once", lately().reach(Reach::Full), "app:1"),
        ("or where a person wants room", lately().reach(Reach::Unneeded), "app:1"),
        ("a good revision's stays", old().good("app:1", None), ""),
        ("on a full disk too", old().good("app:1", None).reach(Reach::Full), ""),
        ("however it is written", old().good("docker.io/library/app:1", None), ""),
        ("what is pulled stays", old().pulling("app:1").reach(Reach::Full), ""),
        ("a person's own stays", old().own("app:1").reach(Reach::Full), ""),
        ("until they say so", old().own("app:1").reach(Reach::All), "app:1"),
        ("what no stack needed stays", case().has("tool:1", "t").reach(Reach::Unneeded), ""),
        ("until a person says so", case().has("tool:1", "t").reach(Reach::All), "tool:1"),
        (
            "what a tag meant before",
            case().has("app:5@sha256:aa", "then").needed_before("app:5", DAY),
            "app:5@sha256:aa",
        ),
        (
            "unless it was good so",
            case()
                .has("app:5@sha256:aa", "then")
                .needed_before("app:5", DAY)
                .good("app:5", Some("then")),
            "",
        ),
        ("what a task runs stays", case().needed_before("app:5", DAY).reach(Reach::All), ""),
    ];
    for (name, case, expected) in cases {
        assert_eq!(case.gone(), expected, "{name}");
    }
}

#[test]
fn what_is_needed_is_remembered_and_what_is_gone_is_forgotten() {
    let case = case()
        .has("app:1", "1")
        .needed_before("app:1", DAY)
        .needed_before("app:2", DAY)
        .needed_before("app:3", 1)
        .good("app:4", None);
    let needed = case.decide().images.needed;
    let names: Vec<_> = needed.iter().map(|(name, at)| format!("{name} {}", NOW - at)).collect();
    assert_eq!(names, ["app:3 1", "app:4 0", "app:5 0"]);
}

#[test]
fn a_disk_is_full_at_85_percent() {
    let full = |percent: u64| {
        let disk = Some(Disk { total: 100, free: 100 - percent });
        is_full(&Observation { disk, ..Observation::default() })
    };
    assert_eq!([84, 85, 100].map(full), [false, true, true]);
    assert!(!is_full(&Observation::default()), "nobody knows");
}

const NAMES: [&str; 6] = [
    "a:1",
    "a:2",
    "docker.io/library/a:1",
    "b",
    "r:5000/b:1",
    "c@sha256:\
     cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc",
];

#[derive(Debug, Clone)]
struct Random {
    /// Each: what the services of a revision name, and what that means.
    revisions: Vec<Vec<(usize, Option<u8>)>>,
    tasks: Vec<(usize, u8)>,
    /// Name, whether by digest, content, whether it is being pulled.
    images: Vec<(usize, bool, u8, bool)>,
    needed: Vec<(usize, u64)>,
    own: Vec<usize>,
    reach: Reach,
}

fn random() -> impl Strategy<Value = Random> {
    let name = || 0..NAMES.len();
    let service = (name(), proptest::option::of(0..4_u8));
    let revisions = proptest::collection::vec(proptest::collection::vec(service, 1..3), 0..4);
    let tasks = proptest::collection::vec((name(), 0..4_u8), 0..4);
    let image = (name(), any::<bool>(), 0..4_u8, proptest::bool::weighted(0.1));
    let images = proptest::collection::vec(image, 0..9);
    let needed = proptest::collection::vec((name(), 0..2 * DAY), 0..6);
    let own = proptest::collection::vec(name(), 0..2);
    let reach =
        prop_oneof![Just(Reach::Old), Just(Reach::Full), Just(Reach::Unneeded), Just(Reach::All)];
    (revisions, tasks, images, needed, own, reach).prop_map(
        |(revisions, tasks, images, needed, own, reach)| Random {
            revisions,
            tasks,
            images,
            needed,
            own,
            reach,
        },
    )
}

fn content(number: u8) -> Digest {
    digest_of(&number)
}

/// A stack with a service for each name, a config and a folder of its revision beside it.
fn desired(names: impl Iterator<Item = (usize, u8)>) -> Desired {
    let mut world = stack();
    for (at, (name, number)) in names.enumerate() {
        let service = format!("s{at}");
        world = world.wants(&service, NAMES[name]);
        let spec = &mut world.desired.services.get_mut(&service).unwrap().spec;
        spec.configs.push(FileMount {
            name: "c".into(),
            digest: content(number),
            target: "/c".into(),
            uid: 0,
            gid: 0,
            mode: None,
        });
        let revision = |path, digest, tree| Mount {
            source: MountSource::Revision { path, digest, tree },
            target: "/r".into(),
            read_only: true,
            shared: false,
            propagation: None,
            digest: None,
        };
        let path = format!("/checkouts/{name}/{number}");
        spec.volumes.push(revision(path, content(number), None));
        spec.volumes.push(revision(String::new(), content(number + 100), None));
        spec.volumes.push(revision(String::new(), content(9), Some(content(number + 200))));
    }
    world.desired
}

proptest! {
    #[test]
    fn nothing_that_is_needed_is_ever_chosen(random in random()) {
        let built: Vec<_> = random.revisions.iter().map(|services| {
            let meant = services.iter().filter_map(|(name, meant)| {
                Some((NAMES[*name].to_owned(), content((*meant)?)))
            });
            let names = services.iter().map(|(name, meant)| (*name, meant.unwrap_or(9)));
            (desired(names), meant.collect::<BTreeMap<_, _>>())
        }).collect();
        let mut seen = stack().wants("t", "x").converge().node.seen;
        let like = seen.tasks.pop().unwrap();
        for (name, number) in &random.tasks {
            let mut task = like.clone();
            let made = Arc::make_mut(&mut task);
            made.spec = desired([(*name, *number)].into_iter()).services["s0"].spec.clone().into();
            made.digest = Some(content(*number));
            seen.tasks.push(task);
        }
        seen.images = random.images.iter().map(|(name, by_digest, number, pulled)| {
            let mut image = image(NAMES[*name], "");
            image.digest = Some(content(*number));
            if *by_digest && !image.reference.contains('@') {
                image.reference = format!("{}@{}", image.reference, content(*number));
            }
            image.pulling = pulled.then_some((0, 1));
            Arc::new(image)
        }).collect();
        let mut names = BTreeSet::new();
        seen.images.retain(|image| names.insert(image.reference.clone()));
        let images = Images {
            needed: random.needed.iter().map(|(name, ago)| (NAMES[*name].into(), NOW - ago)).collect(),
            own: random.own.iter().map(|name| NAMES[*name].to_owned()).collect(),
        };
        let revisions = built.iter().map(|(desired, images)| Revision { desired, images }).collect();
        let facts = Facts { revisions, observation: &seen, images: &images, now: NOW, reach: random.reach };
        let decision = decide(&facts);
        check(&facts, &decision)?;
    }
}

fn check(facts: &Facts<'_>, decision: &Decision) -> Result<(), TestCaseError> {
    let Decision { sweep, folders, images } = decision;
    let desired = facts.revisions.iter().flat_map(|r| r.desired.services.values());
    let mut specs: Vec<_> = desired.map(|service| &service.spec).collect();
    specs.extend(facts.observation.tasks.iter().map(|task| &*task.spec));
    for spec in &specs {
        prop_assert!(sweep.needed.contains(&spec.image));
        prop_assert!(sweep.contents.contains(&spec.configs[0].digest));
        let MountSource::Revision { path, .. } = &spec.volumes[0].source else { unreachable!() };
        prop_assert!(folders.contains(&PathBuf::from(path)));
        for mount in &spec.volumes[1..] {
            prop_assert!(sweep.contents.contains(&mount.source.tree().unwrap()));
        }
    }
    let meant = facts.revisions.iter().flat_map(|revision| revision.images.values());
    let ran = facts.observation.tasks.iter().filter_map(|task| task.digest.as_ref());
    let kept: BTreeSet<_> = meant.chain(ran).collect();
    prop_assert!(kept.iter().all(|digest| sweep.digests.contains(*digest)));
    for name in &sweep.images {
        let same = |other: &str| {
            Written::of(other).full() == Written::of(name).full() && !other.contains('@')
        };
        prop_assert!(!specs.iter().any(|spec| spec.image == *name), "{} is named", name);
        let found = facts.observation.images.iter().filter(|image| image.reference == *name);
        prop_assert!(found.clone().all(|image| image.pulling.is_none()), "{} is pulled", name);
        match name.contains('@') {
            true => {
                prop_assert!(!found.into_iter().any(|i| kept.contains(i.digest.as_ref().unwrap())))
            }
            false => prop_assert!(!specs.iter().any(|spec| same(&spec.image)), "{} is named", name),
        }
        if facts.reach != Reach::All {
            let own = &facts.images.own;
            prop_assert!(
                !own.contains(name) && !own.iter().any(|own| same(own)),
                "{} is own",
                name
            );
            let before = facts.images.needed.iter();
            let last = before.filter(|(other, _)| *other == name || same(other)).map(|(_, at)| *at);
            let last = last.max();
            prop_assert!(last.is_some(), "{} was a stack's", name);
            prop_assert!(facts.reach != Reach::Old || NOW - last.unwrap() >= DAY);
        }
    }
    let desired = facts.revisions.iter().flat_map(|r| r.desired.services.values());
    for service in desired {
        prop_assert_eq!(images.needed.get(&service.spec.image), Some(&NOW));
    }
    Ok(())
}
