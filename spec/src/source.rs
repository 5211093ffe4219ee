//! Reading: bytes to text, and the paths that people are shown.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::code::Code;
use crate::files::{Files, Kind, LARGEST, tidy};
use crate::permission::Permission;
use crate::problem::{Problem, Problems};
use crate::project::Project;
use crate::span::{Span, Texts};

/// Reads files of one project and keeps their texts.
pub(crate) struct Sources<'a> {
    pub(crate) files: &'a dyn Files,
    pub(crate) project: &'a Project,
    pub(crate) problems: Problems,
    pub(crate) texts: RefCell<Texts>,
    /// What was read, or looked for.
    pub(crate) paths: RefCell<BTreeSet<PathBuf>>,
    /// Variables that files use and nobody sets.
    pub(crate) unset: RefCell<BTreeSet<String>>,
    /// Values whose variables cannot be put in.
    pub(crate) unfilled: RefCell<Vec<Span>>,
}

/// A file that was read.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Its name for people.
    pub(crate) file: Arc<str>,
    pub(crate) text: Arc<str>,
}

impl<'a> Sources<'a> {
    pub(crate) fn new(files: &'a dyn Files, project: &'a Project) -> Self {
        let (problems, texts, paths, unset, unfilled) = Default::default();
        Self { files, project, problems, texts, paths, unset, unfilled }
    }

    /// The path of `written` from `base`.
    pub(crate) fn path(base: &Path, written: &str) -> PathBuf {
        tidy(&base.join(written))
    }

    /// What is at a path; of one that may not be read that it is there, so that it is refused.
    pub(crate) fn kind(&self, path: &Path) -> Kind {
        self.paths.borrow_mut().insert(path.to_owned());
        if self.may_read(path) { self.files.kind(path) } else { Kind::Other }
    }

    fn may_read(&self, path: &Path) -> bool {
        self.project.permits.as_ref().is_none_or(|permits| permits.reads(path))
    }

    /// Reads a file that must be there. `asked` is where it is asked for.
    pub(crate) fn read(&self, path: &Path, asked: Option<&Span>) -> Option<Source> {
        let file = self.shown(path);
        self.paths.borrow_mut().insert(path.to_owned());
        if let Some(permits) = self.project.permits.as_ref().filter(|permits| !permits.reads(path))
        {
            let what = format!("the file `{}`", path.display());
            let problem = permits.refusal(&what, Permission::HostPaths);
            self.problems.add(Problem { span: asked.cloned(), ..problem });
            return None;
        }
        let bytes = match self.files.read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let hint = self.beside(path);
                self.unreadable(&file, &error, hint, asked);
                return None;
            }
        };
        let text = self.decoded(&file, bytes).map(Arc::<str>::from);
        if let Some(text) = &text {
            self.texts.borrow_mut().insert(file.clone(), text.clone());
        }
        if !self.files.is_quotable(path) {
            self.texts.borrow_mut().hide(&file);
        }
        Some(Source { file, text: text? })
    }

    /// What to do about a file that is missing, by what is there instead of it.
    fn beside(&self, path: &Path) -> Option<String> {
        let (dir, name) = (path.parent()?, path.file_name()?.to_str()?);
        let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
        let bare = name.trim_start_matches('.');
        let there = |name: &String| self.files.kind(&dir.join(name)) == Kind::File;
        for other in ["example", "sample", "template", "dist"] {
            let mut copies = [
                format!("{name}.{other}"),
                format!("{stem}.{other}.{ending}"),
                format!("{other}.{bare}"),
                format!("{bare}.{other}"),
            ]
            .into_iter();
            if let Some(copy) = copies.find(there) {
                return Some(format!("create it from `{copy}`, which exists"));
            }
        }
        let swapped = match ending {
            "yml" => format!("{stem}.yaml"),
            "yaml" => format!("{stem}.yml"),
            _ => return None,
        };
        there(&swapped).then(|| format!("`{swapped}` exists"))
    }

    fn unreadable(
        &self,
        file: &str,
        error: &io::Error,
        hint: Option<String>,
        asked: Option<&Span>,
    ) {
        let why = match error.kind() {
            // Whoever reads may know more: where else it was looked for.
            io::ErrorKind::NotFound if error.get_ref().is_none() => {
                "there is no such file".to_owned()
            }
            io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
            _ => error.to_string(),
        };
        let code = match error.kind() {
            io::ErrorKind::FileTooLarge => Code::TooLarge,
            _ => Code::Unreadable,
        };
        let mut problem = Problem::new(code, format!("cannot read `{file}`: {why}"));
        problem.span = asked.cloned();
        problem.hint = hint.filter(|_| error.kind() == io::ErrorKind::NotFound);
        self.problems.add(problem);
    }

    /// UTF-8, or the problem at the first byte that is none.
    fn decoded(&self, file: &Arc<str>, bytes: Vec<u8>) -> Option<String> {
        if bytes.len() as u64 > LARGEST {
            let message = format!("`{file}` is larger than {} MiB", LARGEST >> 20);
            self.problems.add(Problem::new(Code::TooLarge, message));
            return None;
        }
        match String::from_utf8(bytes) {
            Ok(text) => Some(plain(text)),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                let length = text[valid..].chars().next().map_or(0, char::len_utf8);
                let span = Lines::new(&text).span(file, valid..valid + length);
                self.texts.borrow_mut().insert(file.clone(), text.into());
                self.problems.add(Problem::new(Code::NotUtf8, "this is not UTF-8 text").at(span));
                None
            }
        }
    }

    /// The path as people are shown it: from the project's folder, under its shown name.
    pub(crate) fn shown(&self, path: &Path) -> Arc<str> {
        let relative = relative(&tidy(&self.project.dir), path).unwrap_or_else(|| path.to_owned());
        let shown = tidy(&Path::new(&self.project.shown).join(relative));
        shown.to_string_lossy().into()
    }
}

/// The text without a byte order mark, all its line ends alike: a line is the same to YAML, to
/// spans and to whoever prints them.
fn plain(text: String) -> String {
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text }
}

/// Byte offsets of a text to lines and columns.
pub(crate) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let after = text.match_indices('\n').map(|(index, _)| index + 1);
        Self { text, starts: std::iter::once(0).chain(after).collect() }
    }

    /// The span of these bytes, as far as they are on their first line.
    pub(crate) fn span(&self, file: &Arc<str>, range: Range<usize>) -> Span {
        let line = self.starts.partition_point(|start| *start <= range.start);
        let before = &self.text[self.starts[line - 1]..range.start];
        let within = self.text[range].lines().next().unwrap_or_default();
        let short = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (column, len) = (before.chars().count() + 1, within.chars().count());
        Span::new(file.clone(), short(line), short(column), short(len))
    }
}

/// How to get from the folder `from` to `to`, when both begin alike.
fn relative(from: &Path, to: &Path) -> Option<PathBuf> {
    if from.is_absolute() != to.is_absolute()
        || from.components().any(|part| part == Component::ParentDir)
    {
        return None;
    }
    let (mut rest, mut wanted) = (from.components().peekable(), to.components().peekable());
    while rest.peek().is_some() && rest.peek() == wanted.peek() {
        rest.next();
        wanted.next();
    }
    let up = rest.map(|_| Component::ParentDir);
    Some(up.chain(wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths() {
        let cases = [
            ("/srv/blog", "/srv/blog/compose.yaml", Some("compose.yaml")),
            ("/srv/blog", "/srv/base.yaml", Some("../base.yaml")),
            ("stacks/blog", "stacks/blog/a/b.yaml", Some("a/b.yaml")),
            ("", "compose.yaml", Some("compose.yaml")),
            ("/srv", "compose.yaml", None),
        ];
        for (from, to, wanted) in cases {
            assert_eq!(
                relative(from.as_ref(), to.as_ref()),
                wanted.map(PathBuf::from),
                "{from} {to}"
            );
        }
    }
}
