//! `images`, `pull`, `rmi`.

use super::converge::lines;
use super::resolve::reachable;
use crate::ask::{Outcome, Progress, Refusal};
use crate::clock::rfc3339;
use crate::controller::{Controller, Lines};
use crate::fleet::next_by;
use crate::progress::Scene;
use crate::rows::{ImageRow, PullAsk, RemoveAsk};
use keel_engine::{
    Assignment, Depth, NodeName, Nodes, Observation, ObservedImage, Presence, PullPolicy, Wish,
};
use keel_names::reference::Written;
use keel_plan::retention::Images;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Between two looks at a pull without an event.
const PATIENCE: Duration = Duration::from_millis(500);

impl Controller {
    /// Every image of every node, by reference.
    pub async fn images(&self) -> Result<Vec<ImageRow>, Refusal> {
        let seen = self.fleet().observe(Depth::State).await?;
        let of = |seen| listed(seen).into_iter().map(move |image| row(image, seen));
        Ok(seen.seen().flat_map(|(_, seen)| of(seen)).collect())
    }

    /// Brings images anew; ends when all are there or failed.
    pub fn pull(&self, ask: PullAsk) -> Lines<Progress> {
        let controller = self.clone();
        lines(move |lines| async move { controller.pulled(ask.references, &lines).await })
    }

    async fn pulled(
        &self,
        references: Vec<String>,
        lines: &mpsc::Sender<Progress>,
    ) -> Result<(Outcome, Vec<String>), Refusal> {
        // First: else it might go before it is known whose it is.
        let own = |images: &mut Images| images.own.extend(references.iter().cloned());
        self.records().change_images(own).await?;
        let mut events = self.events();
        let before = self.fleet().observe(Depth::State).await?;
        let over: BTreeMap<&String, u64> =
            references.iter().map(|name| (name, pulls(&before, name) + 1)).collect();
        let wish = |reference: &String| Assignment::Image {
            reference: reference.clone(),
            policy: PullPolicy::Always,
            wanted: Presence::Present,
        };
        let wishes: Vec<_> =
            references.iter().map(|name| before.wish_at_home(wish(name))).collect();
        self.fleet().assign(&wishes).await?;
        let mut scene = Scene::default();
        loop {
            let seen = self.fleet().observe(Depth::State).await?;
            let now = Scene::of_images(&seen, &references);
            let done = over.iter().all(|(name, count)| pulls(&seen, name) >= *count);
            for step in now.since(&scene) {
                lines.send(step).await.map_err(|_| Refusal::invalid("the client is gone"))?;
            }
            scene = now;
            if done {
                return Ok(ending(&seen, &references));
            }
            next_by(&mut events, Instant::now() + PATIENCE).await;
        }
    }

    /// Removes images, by reference, id or digest; gives what is gone. Refused for one in use.
    pub async fn remove_images(&self, ask: RemoveAsk) -> Result<Vec<String>, Refusal> {
        let seen = self.fleet().observe(Depth::State).await?;
        let mut meant = Vec::new();
        for name in &ask.names {
            let found = find(&seen, name);
            if found.is_empty() && !ask.force {
                return Err(Refusal::not_found(format!("no such image: {name}"))
                    .hint("`keel images` lists them"));
            }
            meant.extend(found.into_iter().map(|(_, image)| image.reference.clone()));
        }
        meant.extend(left_without_a_tag(&seen, &meant));
        meant.sort();
        meant.dedup();
        if let Some(user) = seen.all_tasks().find(|task| meant.contains(&task.spec.image)) {
            let (image, name) = (&user.spec.image, &user.spec.container_name);
            return Err(Refusal::conflict(format!("image {image} is in use by container {name}"))
                .hint(format!("remove the container first: `keel rm {name}`")));
        }
        let there = seen.all_images().filter(|(_, image)| meant.contains(&image.reference));
        let mut wishes = Vec::new();
        for (node, image) in there {
            reachable(&seen, node, &format!("image {}", image.reference))?;
            let what = Assignment::Image {
                reference: image.reference.clone(),
                policy: PullPolicy::Never,
                wanted: Presence::Absent,
            };
            wishes.push(Wish { node: node.clone(), what });
        }
        self.fleet().assign(&wishes).await?;
        let deadline = Instant::now() + Duration::from_secs(60);
        let gone = |seen: &Nodes| {
            let there = seen.all_images().any(|(_, image)| meant.contains(&image.reference));
            (!there).then_some(())
        };
        match self.fleet().until(Some(deadline), gone).await? {
            Some(()) => {
                let forget = |images: &mut Images| images.own.retain(|own| !meant.contains(own));
                self.records().change_images(forget).await?;
                Ok(meant)
            }
            None => Err(Refusal::conflict("the images are still there after a minute")),
        }
    }
}

/// One for each tag, as docker lists them: another way to write the same is no other image, and
/// one that was fetched by digest is listed where no tag of its repository means it.
fn listed(seen: &Observation) -> Vec<&ObservedImage> {
    let mut tags = BTreeSet::new();
    let there = || seen.all_images().filter(|image| image.digest.is_some());
    let tagged = there().filter(|image| !is_pinned(image));
    let mut listed: Vec<_> =
        tagged.filter(|image| tags.insert(Written::of(&image.reference).full())).collect();
    let known: BTreeSet<_> =
        listed.iter().map(|i| (Written::of(&i.reference).full().0, &i.digest)).collect();
    let mut alone = BTreeSet::new();
    listed.extend(there().filter(|image| {
        let content = (Written::of(&image.reference).full().0, &image.digest);
        is_pinned(image) && !known.contains(&content) && alone.insert(content)
    }));
    listed.sort_by_key(|image| &image.reference);
    listed
}

/// What was fetched by digest goes with the last tag that means the same.
fn left_without_a_tag(seen: &Nodes, meant: &[String]) -> Vec<String> {
    let content =
        |image: &ObservedImage| (Written::of(&image.reference).full().0.to_owned(), image.digest);
    let (going, staying): (Vec<_>, Vec<_>) = seen
        .all_images()
        .map(|(_, image)| image)
        .partition(|image| meant.contains(&image.reference));
    let goes = |image: &&&ObservedImage| {
        let same = |other: &&&ObservedImage| content(other) == content(image);
        let tag_stays = staying.iter().any(|other| !is_pinned(other) && same(&other));
        is_pinned(image) && image.digest.is_some() && going.iter().any(|i| same(&i)) && !tag_stays
    };
    staying.iter().filter(goes).map(|image| image.reference.clone()).collect()
}

fn is_pinned(image: &ObservedImage) -> bool {
    image.reference.contains('@')
}

/// Where a person pulls: on the controller's own node.
fn pulls(seen: &Nodes, reference: &str) -> u64 {
    let found = seen.known(&seen.home).and_then(|seen| seen.image(reference));
    found.map_or(0, |image| image.pulls)
}

fn ending(seen: &Nodes, references: &[String]) -> (Outcome, Vec<String>) {
    let failure = |reference: &String| {
        let image = seen.known(&seen.home)?.image(reference)?;
        let why = image.failure.as_ref()?;
        Some(format!("cannot pull {reference}: {why}"))
    };
    let notes: Vec<_> = references.iter().filter_map(failure).collect();
    (if notes.is_empty() { Outcome::Done } else { Outcome::Failed }, notes)
}

/// By reference as written, with `latest` understood, or by the beginning of its id or digest.
pub(crate) fn find<'a>(seen: &'a Nodes, name: &str) -> Vec<(&'a NodeName, &'a ObservedImage)> {
    let same = |reference: &str| {
        let latest = |bare: &str, full: &str| {
            Written::of(bare).tag.is_none() && full == format!("{bare}:latest")
        };
        reference == name || latest(name, reference) || latest(reference, name)
    };
    let named = seen.all_images().filter(|(_, image)| same(&image.reference));
    let by_name: Vec<_> = named.collect();
    let digits = name.strip_prefix("sha256:").unwrap_or(name);
    let is_id = digits.len() >= 4 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !by_name.is_empty() || !is_id {
        return by_name;
    }
    let begins = |(_, image): &(&NodeName, &ObservedImage)| {
        let ids = [image.id.as_ref(), image.digest.as_ref()];
        ids.into_iter().flatten().any(|id| id.hex().starts_with(digits))
    };
    seen.all_images().filter(begins).collect()
}

fn row(image: &ObservedImage, seen: &Observation) -> ImageRow {
    let Written { name, tag, digest } = Written::of(&image.reference);
    let users = seen.all_tasks().filter(|task| task.spec.image == image.reference).count();
    ImageRow {
        reference: image.reference.clone(),
        repository: name.to_owned(),
        tag: if digest.is_some() { "<none>" } else { tag.unwrap_or("latest") }.to_owned(),
        digest: image.digest.map(|digest| digest.to_string()),
        id: image.id.map(|id| id.to_string()).unwrap_or_default(),
        size: image.size,
        created: image.created.map(rfc3339),
        node: seen.node.to_string(),
        containers: u32::try_from(users).unwrap_or(u32::MAX),
        failure: image.failure.as_ref().map(ToString::to_string),
        failure_kind: image.failure.as_ref().map(|failure| failure.kind.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(images: &[(&str, &str)]) -> Observation {
        let image = |(reference, content): &(&str, &str)| ObservedImage {
            reference: (*reference).to_owned(),
            digest: Some(keel_engine::Digest::of(content.as_bytes())),
            failure: None,
            pulls: 0,
            ..ObservedImage::default()
        };
        Observation {
            images: images.iter().map(image).map(Into::into).collect(),
            ..Observation::default()
        }
    }

    #[test]
    fn an_image_is_listed_once_for_each_tag() {
        let cases = [
            ("pinned by a pass", &[("app:1", "a"), ("app:1@sha256:aa", "a")][..], "app:1"),
            ("the tag moved", &[("app:1", "b"), ("app@sha256:aa", "a")], "app:1 app@sha256:aa"),
            ("two tags", &[("app:1", "a"), ("app:2", "a")], "app:1 app:2"),
            ("two ways to write it", &[("app", "a"), ("docker.io/library/app:latest", "a")], "app"),
            ("a registry's own", &[("app:1", "a"), ("r:5000/app:1", "a")], "app:1 r:5000/app:1"),
            (
                "by digest twice",
                &[("app:1@sha256:aa", "a"), ("app@sha256:aa", "a")],
                "app:1@sha256:aa",
            ),
        ];
        for (name, images, expected) in cases {
            let seen = node(images);
            let found: Vec<_> = listed(&seen).iter().map(|i| i.reference.as_str()).collect();
            assert_eq!(found.join(" "), expected, "{name}");
        }
    }

    #[test]
    fn what_was_fetched_by_digest_goes_with_its_last_tag() {
        let seen = Nodes::from(node(&[
            ("app:1", "a"),
            ("app:2", "a"),
            ("app:1@sha256:aa", "a"),
            ("b@sha256:aa", "a"),
        ]));
        let left = |meant: &[&str]| {
            let meant: Vec<_> = meant.iter().map(|name| (*name).to_owned()).collect();
            left_without_a_tag(&seen, &meant)
        };
        assert_eq!(left(&["app:1"]), [""; 0]);
        assert_eq!(left(&["app:1", "app:2"]), ["app:1@sha256:aa"]);
    }
}
