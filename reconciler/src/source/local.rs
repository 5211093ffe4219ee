//! Whether a repository on this machine keeps all that it has to itself.
//!
//! Who may write to one (a forge's container, to what it keeps in a folder of the host's) may name other
//! folders in it: another repository's objects (`objects/info/alternates`), or a link to them, or another
//! repository altogether (`gitdir: PATH`). Reading along there as root would hand out what is in them.

use git2::Repository;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// What is in it that leads elsewhere, in words, with what helps.
pub(super) fn leads_elsewhere(url: &str) -> Option<(String, String)> {
    let named = PathBuf::from(url.strip_prefix("file://").unwrap_or(url));
    // What is no repository is told by whoever opens it.
    let (Ok(base), Ok(repo)) = (named.canonicalize(), Repository::open(&named)) else {
        return None;
    };
    for folder in [repo.path(), repo.commondir()] {
        match folder.canonicalize() {
            Ok(real) if real.starts_with(&base) => {}
            _ => {
                let what = format!("it is kept elsewhere, in `{}`", folder.display());
                return Some((what, "name that repository itself".to_owned()));
            }
        }
    }
    let objects = repo.commondir().join("objects");
    let lent = ["info/alternates", "info/http-alternates"].map(|file| objects.join(file));
    if let Some(file) = lent.into_iter().find(|file| file.symlink_metadata().is_ok()) {
        let what = format!("it borrows objects of other repositories (`{}`)", file.display());
        let hint = "give it all that it uses, `git repack -a -d`, and remove that file".to_owned();
        return Some((what, hint));
    }
    let link = match first_link(&objects, 2) {
        Ok(link) => link?,
        Err(error) => return Some((format!("its objects cannot be read: {error}"), String::new())),
    };
    let what = format!("its objects lead elsewhere, by the link `{}`", link.display());
    Some((what, "put the folder or file itself there".to_owned()))
}

/// The first that is found among a folder and what is in it.
fn first_link(path: &Path, depth: usize) -> io::Result<Option<PathBuf>> {
    if path.symlink_metadata()?.is_symlink() {
        return Ok(Some(path.to_owned()));
    }
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            return Ok(Some(entry.path()));
        }
        if kind.is_dir()
            && depth > 1
            && let Some(link) = first_link(&entry.path(), depth - 1)?
        {
            return Ok(Some(link));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn whatever_leads_out_of_a_repository_is_named() {
        let world = tempfile::tempdir().unwrap();
        let at = |path: &str| world.path().join(path);
        let told = |name: &str| {
            let found = leads_elsewhere(&at(name).display().to_string());
            found
                .map(|(what, _)| what.replace(&*world.path().to_string_lossy(), ""))
                .unwrap_or_default()
        };
        Repository::init_bare(at("secret")).unwrap();
        for name in ["whole", "lent", "linked", "objects"] {
            Repository::init_bare(at(name)).unwrap();
        }
        Repository::init(at("work")).unwrap();
        symlink("whole", at("alias")).unwrap();
        fs::write(at("lent/objects/info/alternates"), at("secret/objects").to_str().unwrap())
            .unwrap();
        symlink(at("secret/objects/pack"), at("linked/objects/ab")).unwrap();
        fs::remove_dir_all(at("objects/objects")).unwrap();
        symlink(at("secret/objects"), at("objects/objects")).unwrap();
        fs::create_dir(at("pointed")).unwrap();
        fs::write(at("pointed/.git"), format!("gitdir: {}", at("secret").display())).unwrap();
        for (name, expected) in [
            ("whole", ""),
            ("alias", ""),
            ("work", ""),
            ("none", ""),
            ("lent", "it borrows objects of other repositories (`/lent/objects/info/alternates`)"),
            ("linked", "its objects lead elsewhere, by the link `/linked/objects/ab`"),
            ("objects", "its objects lead elsewhere, by the link `/objects/objects`"),
            ("pointed", "it is kept elsewhere, in `/secret/`"),
        ] {
            assert_eq!(told(name), expected, "{name}");
        }
    }
}
