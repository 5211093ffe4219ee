//! Where a stack's files are, and what of them may be read.

use crate::lfs;
use crate::places::{Base, MOST_OF_A_CONTENT, MOST_OF_A_TEXT, Place};
use crate::source::inventory::Submodules;
use keel_engine::Digest;
use keel_engine::tree::{self, Tree};
use keel_plan::lower::{Lack, Sources};
use keel_spec::files::tidy;
use keel_spec::{Files, Kind, Project};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a stack's files are. All paths are absolute.
#[derive(Debug, Clone)]
pub enum StackFiles {
    /// In a folder of this machine, which is its own.
    Folder(FolderFiles),
    /// In an immutable checkout; what it rightly lacks (`.env`, secrets) is below `data`, at the
    /// same place.
    Checkout {
        /// The checkout of the whole repository.
        root: PathBuf,
        /// `data/SOURCE` below the root.
        data: PathBuf,
        /// Evenkeel's own root: containers write into its folders, too.
        state: Option<PathBuf>,
        /// What of the revision is in repositories of its own.
        submodules: Arc<Submodules>,
    },
}

/// Files of this machine.
#[derive(Debug, Clone, Default)]
pub struct FolderFiles {
    served: Option<PathBuf>,
    state: Option<PathBuf>,
    /// The folder of the stack that is read.
    stack: PathBuf,
    /// What a person named.
    named: BTreeSet<PathBuf>,
}

impl FolderFiles {
    /// Of the folder that is served; `None`: a person reads, and may see what they may read.
    /// `state` is Evenkeel's own root.
    #[must_use]
    pub fn new(served: Option<PathBuf>, state: Option<PathBuf>) -> Self {
        Self { served, state, ..Self::default() }
    }
}

impl StackFiles {
    /// The folder whose files are those of the source's stacks.
    pub(crate) fn home(&self) -> &Path {
        match self {
            Self::Folder(files) => files.served.as_deref().unwrap_or(&files.stack),
            Self::Checkout { root, .. } => root,
        }
    }

    /// The same for one stack, read by this project.
    #[must_use]
    pub(crate) fn of(&self, project: &Project) -> Self {
        let Self::Folder(files) = self else { return self.clone() };
        let asked = project.files.iter().chain(&project.env_files);
        let named = asked.map(|path| tidy(&project.dir.join(path))).collect();
        Self::Folder(FolderFiles { stack: project.dir.clone(), named, ..files.clone() })
    }

    /// As they were when the stack in this folder was loaded.
    pub(crate) fn again(&self, dir: &Path) -> Self {
        let Self::Folder(files) = self else { return self.clone() };
        Self::Folder(FolderFiles { stack: dir.to_owned(), ..files.clone() })
    }

    /// Where a path is looked for.
    pub(crate) fn place(&self, path: &Path) -> Place {
        let bases = self.bases(path);
        match self {
            Self::Folder(files) if files.named.contains(path) => Place::Named(path.to_owned()),
            Self::Folder(_) => Place::of(path, &bases),
            Self::Checkout { data, .. } => match Place::of(path, &bases) {
                // The data folder does not stand in for what Git has elsewhere.
                place if self.awaited(path).is_some() => place,
                Place::Beneath(base, below)
                    if base == bases[0]
                        && Place::Beneath(base.clone(), below.clone()).kind() == Kind::Missing =>
                {
                    Place::Beneath(data_base(data), below)
                }
                place => place,
            },
        }
    }

    /// What nothing leads out of, the narrowest first.
    fn bases(&self, path: &Path) -> Vec<Base> {
        let (mut bases, state) = match self {
            Self::Folder(FolderFiles { served, state, stack, .. }) => {
                let served = served.iter();
                let served = served.map(|folder| Base::new(folder, "the folder that is served"));
                (
                    std::iter::once(Base::new(stack, "the stack's folder")).chain(served).collect(),
                    state,
                )
            }
            Self::Checkout { root, data, state, .. } => {
                (vec![Base::new(root, "the repository"), data_base(data)], state)
            }
        };
        bases.extend(state.as_deref().map(|state| own_folder(state, path)));
        bases
    }
}

fn data_base(data: &Path) -> Base {
    Base::new(data, format!("`{}`", data.display()))
}

/// The folder below Evenkeel's root that is one task's, volume's or source's, where the path is in it.
fn own_folder(state: &Path, path: &Path) -> Base {
    let inside = path.strip_prefix(state).unwrap_or(Path::new(""));
    let parts: Vec<_> = inside.components().collect();
    // Two parts name it, and there must be something left to read in it.
    let folder: PathBuf = parts.iter().take(2.min(parts.len().saturating_sub(1))).collect();
    let folder = state.join(folder);
    let called = format!("`{}`", folder.display());
    Base::new(&folder, called)
}

impl Files for StackFiles {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.content(path, MOST_OF_A_TEXT)
    }

    fn kind(&self, path: &Path) -> Kind {
        match self.awaited(path) {
            // Who reads it is told why it cannot be.
            Some(_) => Kind::Other,
            None => self.place(path).kind(),
        }
    }

    fn is_quotable(&self, path: &Path) -> bool {
        match (self, self.place(path)) {
            (Self::Folder(FolderFiles { served: None, .. }), _) | (_, Place::Named(_)) => true,
            (Self::Folder(files), Place::Beneath(base, _)) => {
                base.path == files.stack || Some(&base.path) == files.served.as_ref()
            }
            (Self::Checkout { root, .. }, Place::Beneath(base, _)) => base.path == *root,
            (_, Place::Host(_)) => false,
        }
    }
}

impl StackFiles {
    fn content(&self, path: &Path, most: u64) -> io::Result<Vec<u8>> {
        if let Some(lack) = self.awaited(path).map(|one| self.lack(&one)) {
            return Err(lack.into());
        }
        let place = self.place(path);
        let content = self.content_at(&place, path, most)?;
        match lfs::is_pointer(&content) {
            true => Err(self.lfs_lack(path).into()),
            false => Ok(content),
        }
    }

    fn content_at(&self, place: &Place, path: &Path, most: u64) -> io::Result<Vec<u8>> {
        place.read(most).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound if place.path() != path => {
                let place = place.path();
                let words = format!("it is neither in the revision nor at `{}`", place.display());
                io::Error::new(io::ErrorKind::NotFound, words)
            }
            _ => error,
        })
    }
}

impl Sources for StackFiles {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.content(path, MOST_OF_A_CONTENT)
    }

    fn digest(&self, path: &Path) -> io::Result<Digest> {
        self.place(path).digest()
    }

    fn kind(&self, path: &Path) -> Kind {
        Files::kind(self, path)
    }

    fn tracked(&self, in_repo: &Path) -> Option<Digest> {
        let Self::Checkout { root, .. } = self else { return None };
        tree::digest_at(&root.join(in_repo)).ok()
    }

    fn linked(&self, in_repo: &Path) -> Option<Digest> {
        let Self::Checkout { root, .. } = self else { return None };
        let path = root.join(in_repo);
        let is_link = path.symlink_metadata().is_ok_and(|meta| meta.is_symlink());
        let end = self.resolved(&path).filter(|_| is_link)?;
        tree::digest_at(&root.join(end)).ok()
    }

    fn lacks(&self, path: &Path) -> Option<Lack> {
        let Self::Checkout { root, .. } = self else {
            return lfs::is_pointer_in(&self.place(path)).then(|| self.lfs_lack(path));
        };
        if let Some(one) = self.wants(path, true).first() {
            return Some(self.lack(one));
        }
        let below = self.resolved(path)?;
        let pointer = lfs::pointer_below(&root.join(below)).ok()??;
        Some(self.lfs_lack(&pointer))
    }

    fn leaves(&self, path: &Path) -> bool {
        let Self::Checkout { root, .. } = self else { return false };
        Place::of(path, &[Base::new(root, "the repository")]).leaves()
    }
}

impl StackFiles {
    /// Submodules that are not here, and that this path is in; `whole`: or that something below it is in.
    pub(crate) fn wants(&self, path: &Path, whole: bool) -> Vec<PathBuf> {
        let Self::Checkout { root, submodules, .. } = self else { return Vec::new() };
        if submodules.absent().next().is_none() {
            return Vec::new();
        }
        let written = path.strip_prefix(root).ok().map(Path::to_owned);
        let mut found = BTreeSet::new();
        for path in written.into_iter().chain(self.resolved(path)) {
            match whole {
                true => found.extend(submodules.around(&path).map(Path::to_owned)),
                false => found.extend(submodules.above(&path).map(Path::to_owned)),
            }
        }
        found.into_iter().collect()
    }

    /// The submodule that a file would be in, and that is not here.
    fn awaited(&self, path: &Path) -> Option<PathBuf> {
        let Self::Checkout { root, .. } = self else { return None };
        let itself = path.strip_prefix(root).ok();
        self.wants(path, false).into_iter().find(|one| Some(one.as_path()) != itself)
    }

    /// The files at these paths, by their digests, as nodes are handed them.
    pub(crate) fn trees(&self, paths: &BTreeMap<Digest, PathBuf>) -> io::Result<Vec<Tree>> {
        let Self::Checkout { root, .. } = self else { return Ok(Vec::new()) };
        let end = |path: &PathBuf| {
            let path = root.join(path);
            let end = self.resolved(&path).map(|end| root.join(end));
            end.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, path.display().to_string()))
        };
        paths.iter().map(|(digest, path)| tree::tree_at(*digest, end(path)?)).collect()
    }

    /// Where in the checkout a path leads, also where its end is not there.
    fn resolved(&self, path: &Path) -> Option<PathBuf> {
        let Self::Checkout { root, .. } = self else { return None };
        let base = root.canonicalize().ok()?;
        let way = |above: &Path| Some((above.canonicalize().ok()?, above.to_owned()));
        let (real, above) = path.ancestors().find_map(way)?;
        let inside = real.strip_prefix(base).ok()?;
        Some(tidy(&inside.join(path.strip_prefix(above).ok()?)))
    }

    fn lack(&self, submodule: &Path) -> Lack {
        let known = match self {
            Self::Checkout { submodules, .. } => submodules.lack(submodule).cloned(),
            Self::Folder(_) => None,
        };
        known.unwrap_or_else(|| {
            let why = format!("the submodule `{}` is not fetched yet", submodule.display());
            Lack { why, hint: None }
        })
    }

    fn lfs_lack(&self, path: &Path) -> Lack {
        match self {
            Self::Checkout { root, .. } => lfs::lack(path.strip_prefix(root).unwrap_or(path)),
            Self::Folder(files) => {
                lfs::lack_in_folder(path.strip_prefix(&files.stack).unwrap_or(path))
            }
        }
    }
}
