//! A folder per task: its records, and how a wish is taken.
//!
//! # Invariants
//! - A task exists from the moment its `assignment` is there until it is not; a folder without one
//!   is a leftover.
//! - A start that overtakes an unfinished stop waits in `following`, so that the stop is done
//!   first, whatever dies in between.

use crate::root::late;
use crate::root::record::{self, ShimState, Stage, Work};
use crate::{Layout, TaskDir};
use keel_durable::Hold;
use keel_engine::fields::Cost;
use keel_engine::{
    EngineError, Goal, Mount, MountSource, Result, TaskAssignment, TaskId, cost_of, diff,
};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// All that stands in a task's folder.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    pub(crate) wish: TaskAssignment,
    pub(crate) following: Option<TaskAssignment>,
    pub(crate) work: Work,
    pub(crate) state: Option<ShimState>,
    /// When a person sent its process which signal last, through the engine.
    pub(crate) signalled: Option<(u64, i32)>,
}

/// How long after a signal, in milliseconds, a death by it counts as caused by it.
const SIGNALLED: u64 = 10_000;

impl Records {
    /// Whether the last kill from outside was a person's, through the engine: the shim cannot
    /// tell the two apart.
    pub(crate) fn killed_by_person(&self) -> bool {
        let killed = self.state.as_ref().and_then(|state| state.killed);
        killed.zip(self.signalled).is_some_and(|((at, by), (sent, signal))| {
            by == signal && (sent..sent + SIGNALLED).contains(&at)
        })
    }

    /// Whether its wish asks for a younger process than the one that it was launched with, and no
    /// step has been made towards that.
    pub(crate) fn is_to_begin_anew(&self) -> bool {
        self.wish.goal == Goal::Running
            && self.wish.anew
            && self.work.stage == Stage::Launched
            && self.work.generation < self.wish.generation
    }

    /// The newest wish.
    pub(crate) fn latest(&self) -> &TaskAssignment {
        self.following.as_ref().unwrap_or(&self.wish)
    }
}

/// The ids of all folders, ordered.
pub(crate) fn ids(layout: &Layout) -> Result<Vec<TaskId>> {
    let folder = layout.tasks();
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(&folder, error)),
    };
    let id = |entry: fs::DirEntry| TaskId::new(entry.file_name().to_str()?).ok();
    let mut ids: Vec<_> = entries.flatten().filter_map(id).collect();
    ids.sort();
    Ok(ids)
}

/// A task's records; `None` where there is no such task.
pub(crate) fn load(layout: &Layout, id: &TaskId) -> Result<Option<Records>> {
    let dir = layout.task(id);
    let wish = late::load_wish(&dir).map_err(|error| unreadable(&dir.assignment(), error))?;
    let Some(wish) = wish else { return Ok(None) };
    let following = read::<TaskAssignment>(&dir.following())?
        .filter(|following| following.generation > wish.generation);
    let work = read(&dir.work())?.unwrap_or_default();
    let state = late::load_state(&dir).map_err(|error| unreadable(&dir.state(), error))?;
    let signalled = read(&dir.signalled())?;
    Ok(Some(Records { wish, following, work, state, signalled }))
}

/// Every task's records. A task that goes while this looks is left out.
pub(crate) fn load_all(layout: &Layout) -> Result<Vec<Records>> {
    let all = ids(layout)?.into_iter().filter_map(|id| load(layout, &id).transpose());
    all.collect()
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    record::load(path).map_err(|error| unreadable(path, error))
}

fn unreadable(path: &Path, error: io::Error) -> EngineError {
    EngineError::failed(format!("cannot read {}", path.display()), error)
}

fn unwritable(path: &Path, error: io::Error) -> EngineError {
    EngineError::failed(format!("cannot write {}", path.display()), error)
}

/// What becomes of a wish that was handed over.
#[derive(Debug, PartialEq)]
pub(crate) enum Taken {
    /// It is the task's wish now.
    Now(Box<TaskAssignment>),
    /// It follows once the stop before it is done.
    Next(Box<TaskAssignment>),
    /// It asks for nothing new.
    Already,
}

/// Judges a wish against what the task has. Pure.
pub(crate) fn take(had: Option<&Records>, given: &TaskAssignment) -> Result<Taken> {
    let Some(had) = had else {
        let gone = given.goal == Goal::Removed;
        return Ok(if gone { Taken::Already } else { Taken::Now(Box::new(given.clone())) });
    };
    let latest = had.latest();
    if given.generation < latest.generation {
        let task = given.id.clone();
        return Err(EngineError::OldGeneration {
            task,
            has: latest.generation,
            given: given.generation,
        });
    }
    if had.wish.goal == Goal::Removed && given.goal != Goal::Removed {
        return Err(conflict(format!("task {} is being removed", given.id)));
    }
    let wanted =
        if given.generation == latest.generation { advanced(latest, given) } else { given.clone() };
    let wanted = with_its_files(latest, with_what_is_due(had, wanted));
    if wanted == *latest {
        return Ok(Taken::Already);
    }
    only_in_place(latest, &wanted)?;
    let stops_first =
        had.wish.goal == Goal::Stopped && wanted.goal < Goal::Stopped && unfinished(had);
    Ok(if stops_first { Taken::Next(Box::new(wanted)) } else { Taken::Now(Box::new(wanted)) })
}

/// A run anew that the last decision asked for, and that has not begun, is owed by the next one too.
fn with_what_is_due(had: &Records, wanted: TaskAssignment) -> TaskAssignment {
    let due = had.is_to_begin_anew() && had.following.is_none() && wanted.goal == Goal::Running;
    let grace = wanted.grace.or(had.wish.grace.filter(|_| due));
    TaskAssignment { anew: wanted.anew || due, grace, ..wanted }
}

/// A container goes on with the files that it has mounted: as long as it means the same, its specification
/// names where those are, so that they are kept.
fn with_its_files(latest: &TaskAssignment, mut wanted: TaskAssignment) -> TaskAssignment {
    let same = |had: &Mount, wants: &Mount| {
        let (MountSource::Revision { digest: had, .. }, MountSource::Revision { digest, .. }) =
            (&had.source, &wants.source)
        else {
            return false;
        };
        had == digest
    };
    let mounts = latest.spec.volumes.iter().zip(&wanted.spec.volumes).enumerate();
    let moved: Vec<_> = mounts
        .filter(|(_, (had, wants))| had.source != wants.source && same(had, wants))
        .map(|(index, (had, _))| (index, had.source.clone()))
        .collect();
    for (index, source) in moved {
        Arc::make_mut(&mut wanted.spec).volumes[index].source = source;
    }
    wanted
}

/// Within a generation only the goal moves, and only forward; what goes with it comes along.
fn advanced(latest: &TaskAssignment, given: &TaskAssignment) -> TaskAssignment {
    if given.goal < latest.goal {
        return latest.clone();
    }
    TaskAssignment {
        goal: given.goal,
        force: latest.force || given.force,
        remove_volumes: latest.remove_volumes || given.remove_volumes,
        anew: latest.anew || given.anew,
        grace: given.grace.or(latest.grace),
        ..latest.clone()
    }
}

fn only_in_place(latest: &TaskAssignment, wanted: &TaskAssignment) -> Result<()> {
    let differences = diff(&latest.spec, &wanted.spec);
    if cost_of(&differences) != Some(Cost::Replace) {
        return Ok(());
    }
    let field = differences.iter().find(|difference| difference.cost == Cost::Replace);
    let name = field.map_or("", |difference| difference.name.as_str());
    Err(conflict(format!("`{name}` of task {} cannot be changed in place", wanted.id)))
}

fn conflict(what: String) -> EngineError {
    EngineError::Conflict { what, hint: None }
}

/// Whether a run may still be going on, by the records alone.
fn unfinished(had: &Records) -> bool {
    use crate::root::record::Activity;
    had.state.as_ref().is_some_and(|state| state.activity != Activity::Exited)
}

/// Stores what was taken. The folder is made with the first wish.
pub(crate) fn store(layout: &Layout, taken: &Taken, now: u64) -> Result<()> {
    let (Taken::Now(wish) | Taken::Next(wish)) = taken else { return Ok(()) };
    let dir = layout.task(&wish.id);
    if !dir.assignment().exists() {
        keel_durable::make_folder(&dir.0, 0o755).map_err(|error| unwritable(&dir.0, error))?;
        // The folder is synced with the wish.
        note_work(&dir, &Work { created: now, ..Work::default() })?;
    }
    match taken {
        Taken::Next(_) => write(&dir.following(), wish.as_ref()),
        _ => store_wish(&dir, wish),
    }
}

/// On a disk that takes nothing any more, what runs there can still be ended; what is to go stays then, and
/// whoever asked is told.
fn store_wish(dir: &TaskDir, wish: &TaskAssignment) -> Result<()> {
    let Err(error) = record::store(&dir.assignment(), wish) else {
        late::forget_wish(dir);
        return Ok(());
    };
    let ends = wish.goal >= Goal::Stopped;
    if ends && late::keep_stop(dir, wish).is_ok() && wish.goal == Goal::Stopped {
        return Ok(());
    }
    Err(unwritable(&dir.assignment(), error))
}

/// Makes the wish that follows the task's wish.
pub(crate) fn follow(layout: &Layout, following: &TaskAssignment) -> Result<()> {
    let dir = layout.task(&following.id);
    fs::rename(dir.following(), dir.assignment())
        .map_err(|error| unwritable(&dir.assignment(), error))
}

pub(crate) fn store_work(dir: &TaskDir, work: &Work) -> Result<()> {
    write(&dir.work(), work)
}

/// For what is decided anew should the machine lose its power now.
pub(crate) fn note_work(dir: &TaskDir, work: &Work) -> Result<()> {
    let path = dir.work();
    record::note(&path, work).map_err(|error| unwritable(&path, error))
}

/// Only while no shim lives: the file is its.
pub(crate) fn store_state(dir: &TaskDir, state: &ShimState) -> Result<()> {
    let stored = late::store_state(dir, state, Hold::Power);
    stored.map(drop).map_err(|error| unwritable(&dir.state(), error))
}

fn write<T: serde::Serialize>(path: &Path, record: &T) -> Result<()> {
    record::store(path, record).map_err(|error| unwritable(path, error))
}

/// Deletes the folder; the wish goes last, so that a removal cut short is gone on with.
pub(crate) fn remove(layout: &Layout, id: &TaskId) -> Result<()> {
    let dir = layout.task(id);
    let failed = |error| EngineError::failed(format!("cannot remove {}", dir.0.display()), error);
    let assignment = dir.assignment();
    for entry in fs::read_dir(&dir.0).map_err(failed)?.flatten() {
        if entry.path() != assignment {
            keel_beneath::remove(&entry.path()).map_err(failed)?;
        }
    }
    remove_whole(&dir.0).map_err(failed)?;
    late::forget(&dir);
    Ok(())
}

/// How often somebody may put something into a folder while it is being removed.
const TRIES: u32 = 20;

/// Removes a folder into which `keel net` or an ending client may still put a mark.
fn remove_whole(folder: &Path) -> io::Result<()> {
    let mut tries = 0..TRIES;
    loop {
        match keel_beneath::remove(folder) {
            Err(error)
                if error.kind() == io::ErrorKind::DirectoryNotEmpty && tries.next().is_some() => {}
            removed => return removed,
        }
    }
}

/// Dull wishes for tables.
#[cfg(test)]
pub(crate) mod sample {
    use super::*;
    use keel_engine::{Place, Slot, StackName, TaskSpec};
    use std::sync::Arc;

    pub(crate) fn wish(generation: u64, goal: Goal) -> TaskAssignment {
        TaskAssignment {
            id: TaskId::from_seed("web"),
            place: Place::OneOff("web".into()),
            generation,
            spec: Arc::new(TaskSpec { image: "nginx".into(), ..TaskSpec::default() }),
            digest: None,
            joins: None,
            replaces: None,
            revision: String::new(),
            origins: serde_json::Value::Null,
            avoids: Vec::new(),
            goal,
            auto_remove: false,
            remove_volumes: false,
            force: false,
            anew: false,
            grace: None,
        }
    }

    pub(crate) fn records(wish: TaskAssignment, work: Work, state: Option<ShimState>) -> Records {
        Records { wish, following: None, work, state, signalled: None }
    }

    pub(crate) fn observed(wish: &TaskAssignment) -> keel_engine::ObservedTask {
        let stored = serde_json::json!({
            "id": wish.id, "place": wish.place, "generation": wish.generation, "goal": wish.goal,
            "spec": *wish.spec, "digest": null, "phase": "running", "created": 0,
        });
        serde_json::from_value(stored).unwrap()
    }

    pub(crate) fn slot() -> Place {
        let stack = StackName::new("shop").unwrap();
        Place::Slot(Slot { stack, service: "web".into(), slot: "1".into() })
    }
}

#[cfg(test)]
mod tests {
    use super::sample::wish;
    use super::*;
    use crate::root::record::Activity;
    use keel_engine::TaskSpec;
    use std::sync::Arc;

    fn had(wish: TaskAssignment, activity: Activity) -> Records {
        let state = Some(ShimState { activity, ..ShimState::default() });
        sample::records(wish, Work::default(), state)
    }

    #[test]
    fn a_wish_is_judged_by_what_the_task_has() {
        use Activity::{Exited, Running};
        let cases = [
            ("the same again", (1, Goal::Running, Running), (1, Goal::Running), "already"),
            ("older", (2, Goal::Running, Running), (1, Goal::Stopped), "refused"),
            ("forward", (1, Goal::Ready, Running), (1, Goal::Running), "now 1 Running"),
            ("back", (1, Goal::Stopped, Running), (1, Goal::Running), "already"),
            ("healing", (1, Goal::Running, Running), (2, Goal::Running), "now 2 Running"),
            ("overtakes a stop", (1, Goal::Stopped, Running), (2, Goal::Running), "next 2 Running"),
            ("after a stop", (1, Goal::Stopped, Exited), (2, Goal::Running), "now 2 Running"),
            ("removed meanwhile", (1, Goal::Stopped, Running), (2, Goal::Removed), "now 2 Removed"),
            ("back from removal", (1, Goal::Removed, Running), (2, Goal::Running), "refused"),
        ];
        for (name, (generation, goal, activity), (given, wanted), expected) in cases {
            let had = had(wish(generation, goal), activity);
            let shown = match take(Some(&had), &wish(given, wanted)) {
                Ok(Taken::Now(wish)) => format!("now {} {:?}", wish.generation, wish.goal),
                Ok(Taken::Next(wish)) => format!("next {} {:?}", wish.generation, wish.goal),
                Ok(Taken::Already) => "already".to_owned(),
                Err(_) => "refused".to_owned(),
            };
            assert_eq!(shown, expected, "{name}");
        }
        assert_eq!(take(None, &wish(1, Goal::Removed)).unwrap(), Taken::Already);
    }

    /// Else its checkout would go under it as soon as nothing names that any more.
    #[test]
    fn what_an_earlier_version_assigned_stays_where_its_files_are() {
        let digest = keel_engine::Digest::of(b"page");
        let revision = |path: &str, digest| Mount {
            source: MountSource::Revision { path: path.into(), digest, tree: None },
            target: "/page".into(),
            read_only: true,
            shared: false,
            propagation: None,
            digest: None,
        };
        let with = |mount: &Mount, generation, mem_limit| {
            let mut wish = wish(generation, Goal::Running);
            let spec = Arc::make_mut(&mut wish.spec);
            (spec.volumes, spec.mem_limit) = (vec![mount.clone()], mem_limit);
            wish
        };
        let before = revision("/checkouts/1/page", digest);
        let had = had(with(&before, 1, None), Activity::Running);
        let now = revision("", digest);
        let taken = take(Some(&had), &with(&now, 2, Some(1 << 20))).unwrap();
        let Taken::Now(taken) = taken else { panic!("{taken:?}") };
        assert_eq!((&taken.spec.volumes[0], taken.spec.mem_limit), (&before, Some(1 << 20)));
        let other = revision("", keel_engine::Digest::of(b"another page"));
        take(Some(&had), &with(&other, 2, None)).expect_err("other files are another container");
    }

    #[test]
    fn only_some_fields_change_in_place() {
        let had = had(wish(1, Goal::Running), Activity::Running);
        let with = |change: fn(&mut TaskSpec)| {
            let mut wish = wish(2, Goal::Running);
            change(Arc::make_mut(&mut wish.spec));
            take(Some(&had), &wish)
        };
        assert!(matches!(with(|spec| spec.mem_limit = Some(1 << 26)), Ok(Taken::Now(_))));
        let refused = with(|spec| spec.image = "caddy".into()).unwrap_err();
        assert!(refused.to_string().starts_with("`image` of task"), "{refused}");
    }

    #[test]
    fn a_run_anew_that_has_not_begun_is_owed_by_the_next_wish() {
        let anew = TaskAssignment { anew: true, grace: Some(7), ..wish(2, Goal::Running) };
        let mut had = had(anew, Activity::Running);
        (had.work.stage, had.work.generation) = (Stage::Launched, 1);
        let next = |had: &Records, goal| match take(Some(had), &wish(3, goal)).unwrap() {
            Taken::Now(wish) => (wish.anew, wish.grace),
            other => panic!("{other:?}"),
        };
        assert_eq!(next(&had, Goal::Running), (true, Some(7)), "healed or updated meanwhile");
        assert_eq!(next(&had, Goal::Stopped), (false, None), "a stop is the last word");
        had.work.generation = 2;
        assert_eq!(next(&had, Goal::Running), (false, None), "it is on its way");
    }

    #[test]
    fn a_start_that_overtakes_a_stop_survives_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        let (stop, start) = (wish(1, Goal::Stopped), wish(2, Goal::Running));
        store(&layout, &Taken::Now(Box::new(stop.clone())), 7).unwrap();
        store(&layout, &Taken::Next(Box::new(start.clone())), 8).unwrap();
        let records = load(&layout, &stop.id).unwrap().unwrap();
        assert_eq!((&records.wish, records.latest()), (&stop, &start));
        assert_eq!(records.work.created, 7);
        follow(&layout, &start).unwrap();
        let records = load(&layout, &stop.id).unwrap().unwrap();
        assert_eq!((&records.wish, records.following), (&start, None));
        remove(&layout, &stop.id).unwrap();
        assert_eq!(ids(&layout).unwrap(), []);
    }

    /// `keel net` writes its marks whenever a task drains, also while the task's folder is being removed.
    #[test]
    fn a_mark_that_comes_late_keeps_no_folder() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path());
        for round in 0..30 {
            let id = TaskId::from_seed(&round.to_string());
            let dir = layout.task(&id);
            fs::create_dir_all(&dir.0).unwrap();
            fs::write(dir.assignment(), "{}").unwrap();
            let mark = dir.0.join("drained");
            let marking = std::thread::spawn(move || while fs::write(&mark, "").is_ok() {});
            remove(&layout, &id).unwrap();
            marking.join().unwrap();
            assert!(!dir.0.exists());
        }
    }
}
