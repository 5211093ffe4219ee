//! Which file of a crate takes what from which other, and where that goes round in a circle.
//!
//! A parent's `mod` is no import, and what it only hands on is looked through: who takes `crate::Layout` takes it
//! from the file that defines it. Tests take what they like.

use super::modules::{Files, Import, Module, Path, modules};
use std::collections::{BTreeMap, BTreeSet};

/// The names that a file takes from another.
pub type Arrows = BTreeMap<(String, String), BTreeSet<String>>;

/// All arrows of a crate.
pub fn arrows(files: &Files, root: &str) -> Arrows {
    let modules = modules(files, root);
    let mut found = Arrows::new();
    for (path, module) in &modules {
        for taken in taken(&modules, path, module) {
            let Some((file, name)) = home(&modules, path, &taken, 0) else { continue };
            if file != module.file {
                found.entry((module.file.clone(), file)).or_default().insert(name);
            }
        }
    }
    found
}

/// Groups of files that lead to one another, and what leads.
pub fn circles(arrows: &Arrows) -> Vec<BTreeSet<String>> {
    let ahead: BTreeMap<_, _> =
        arrows.keys().map(|(from, _)| (from.clone(), reached(arrows, from))).collect();
    let leads = |from: &str, to: &str| ahead.get(from).is_some_and(|reached| reached.contains(to));
    let mut found: Vec<BTreeSet<String>> = vec![];
    for file in ahead.keys().filter(|file| leads(file, file)) {
        if !found.iter().any(|circle| circle.contains(file)) {
            let back = ahead[file].iter().filter(|other| leads(other, file));
            found.push(back.cloned().collect());
        }
    }
    found
}

/// A circle in words: its arrows, with the names that tie it.
pub fn told(circle: &BTreeSet<String>, arrows: &Arrows) -> String {
    let inside = arrows.iter().filter(|((a, b), _)| circle.contains(a) && circle.contains(b));
    let lines = inside.map(|((from, to), names)| {
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        format!("  {from} -> {to}: {}\n", names.join(", "))
    });
    format!("a circle of {} files:\n{}", circle.len(), lines.collect::<String>())
}

fn reached(arrows: &Arrows, from: &str) -> BTreeSet<String> {
    let (mut found, mut open) = (BTreeSet::new(), vec![from.to_owned()]);
    while let Some(file) = open.pop() {
        for (_, to) in arrows.keys().filter(|(from, _)| *from == file) {
            if found.insert(to.clone()) {
                open.push(to.clone());
            }
        }
    }
    found
}

/// The paths that a module takes something by.
fn taken(modules: &BTreeMap<Path, Module>, path: &Path, module: &Module) -> Vec<Path> {
    let first = |named: &&Path, name: &str| named[0] == name;
    let mut taken: Vec<Path> =
        module.named.iter().filter(|named| named.len() > 1).cloned().collect();
    for import in &module.imports {
        let used = |least: usize| {
            module.named.iter().any(|named| first(&named, &import.name) && named.len() >= least)
        };
        // A module's name is only a way to what is in it, and what is handed on is for others.
        let is_way = is_module(modules, path, import) && import.name != "*" && used(2);
        let is_handed_on = import.is_public && leads_down(modules, path, import) && !used(1);
        if !is_way && !is_handed_on {
            taken.push(import.path.clone());
        }
    }
    taken
}

fn is_module(modules: &BTreeMap<Path, Module>, from: &Path, import: &Import) -> bool {
    module_at(modules, from, &import.path, 0).is_some_and(|(_, rest)| rest.is_empty())
}

/// Whether an import is of something below the module itself.
fn leads_down(modules: &BTreeMap<Path, Module>, from: &Path, import: &Import) -> bool {
    let found = module_at(modules, from, &import.path, 0);
    found.is_some_and(|(module, _)| module.starts_with(from))
}

/// The file that defines what a path leads to, and the name there. None for what is of no module of the crate.
fn home(
    modules: &BTreeMap<Path, Module>,
    from: &Path,
    path: &[String],
    depth: usize,
) -> Option<(String, String)> {
    let (module, rest) = module_at(modules, from, path, depth)?;
    let name = rest.first().or(module.last()).cloned().unwrap_or_default();
    Some((modules[&module].file.clone(), name))
}

/// The module that a path leads into, and what is left of the path there.
fn module_at(
    modules: &BTreeMap<Path, Module>,
    from: &Path,
    path: &[String],
    depth: usize,
) -> Option<(Path, Vec<String>)> {
    let mut here = from.clone();
    let mut rest = path;
    // Names that hand each other on for ever do not compile; what is read may be in the middle of a change.
    if depth > 20 {
        return None;
    }
    let is_anchored = match rest.first()?.as_str() {
        "crate" => {
            here.clear();
            rest = &rest[1..];
            true
        }
        "self" => {
            rest = &rest[1..];
            true
        }
        "super" => true,
        _ => false,
    };
    while rest.first().is_some_and(|step| step == "super") {
        here.pop()?;
        rest = &rest[1..];
    }
    let mut known = is_anchored;
    while let Some(step) = rest.first() {
        let module = modules.get(&here)?;
        if module.children.contains(step) {
            here.push(step.clone());
            rest = &rest[1..];
        } else if let Some(import) = module.imports.iter().find(|i| i.name == *step) {
            let onward: Vec<_> = import.path.iter().chain(&rest[1..]).cloned().collect();
            return module_at(modules, &here, &onward, depth + 1);
        } else if let Some(found) = handed_on(modules, &here, module, step, depth) {
            return Some((found, rest.to_vec()));
        } else if known || module.defined.contains(step) {
            return Some((here, rest.to_vec()));
        } else {
            return None;
        }
        known = true;
    }
    Some((here, vec![]))
}

/// The module that defines a name which comes with a `*`.
fn handed_on(
    modules: &BTreeMap<Path, Module>,
    here: &Path,
    module: &Module,
    name: &str,
    depth: usize,
) -> Option<Path> {
    if module.defined.contains(name) {
        return None;
    }
    let all = module.imports.iter().filter(|import| import.name == "*");
    let mut found = all.filter_map(|import| module_at(modules, here, &import.path, depth + 1));
    let found = found.find(|(path, rest)| rest.is_empty() && modules[path].defined.contains(name));
    found.map(|(path, _)| path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(files: &[(&str, &str)]) -> Files {
        files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    }

    fn shown(list: &[(&str, &str)]) -> Vec<String> {
        let arrows = arrows(&files(list), "lib.rs");
        let shown = arrows.iter().map(|((from, to), names)| {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            format!("{from} -> {to}: {}", names.join(" "))
        });
        shown.collect()
    }

    #[test]
    fn imports_and_paths_are_arrows_and_mod_is_none() {
        let lib = ("lib.rs", "mod a; mod b; pub struct Top;");
        for (a, wanted) in [
            ("use crate::b::X;", "a.rs -> b.rs: X"),
            ("use super::b::X;", "a.rs -> b.rs: X"),
            ("use crate::{b::{self, X}};", "a.rs -> b.rs: X b"),
            ("use crate::b; fn f() { b::go() }", "a.rs -> b.rs: go"),
            ("use crate::b as c; fn f() { c::go() }", "a.rs -> b.rs: go"),
            ("fn f() { crate::b::go::<u8>() }", "a.rs -> b.rs: go"),
            ("fn f(x: &super::b::X) {}", "a.rs -> b.rs: X"),
            ("use super::Top;", "a.rs -> lib.rs: Top"),
            ("use crate::b::*;", "a.rs -> b.rs: b"),
            ("mod inside { use super::super::b::X; }", "a.rs -> b.rs: X"),
        ] {
            let b = ("b.rs", "pub struct X; pub fn go() {}");
            assert_eq!(shown(&[lib, ("a.rs", a), b]), [wanted], "{a}");
        }
    }

    #[test]
    fn tests_comments_and_other_crates_are_no_arrows() {
        for a in [
            "// use crate::b::X;\n",
            "#[cfg(test)] mod tests { use crate::b::X; }",
            "use std::b::X; fn f(b: B) { b.go(); other::b::go() }",
            "pub(in crate::b) fn f() {}",
            "const TEXT: &str = \"crate::b::X\";",
        ] {
            let none: [String; 0] = [];
            assert_eq!(
                shown(&[("lib.rs", "mod a; mod b;"), ("a.rs", a), ("b.rs", "")]),
                none,
                "{a}"
            );
        }
    }

    #[test]
    fn what_is_handed_on_is_taken_from_where_it_is_defined() {
        let a = ("a/mod.rs", "mod deep; pub use deep::X; pub struct Own;");
        let deep = ("a/deep.rs", "pub struct X; use super::Own;");
        let wanted = ["a/deep.rs -> a/mod.rs: Own", "b.rs -> a/deep.rs: X"];
        for b in ["use crate::a::X;", "use crate::X;", "fn f() -> crate::a::X {}"] {
            let lib = ("lib.rs", "mod a; mod b; pub use a::X;");
            assert_eq!(shown(&[lib, a, deep, ("b.rs", b)]), wanted, "{b}");
        }
        let all = ("a/mod.rs", "mod deep; pub use deep::*; pub struct Own;");
        let lib = ("lib.rs", "mod a; mod b;");
        assert_eq!(shown(&[lib, all, deep, ("b.rs", "use crate::a::X;")]), wanted);
    }

    #[test]
    fn what_a_parent_hands_on_and_uses_itself_is_an_arrow() {
        let lib = ("lib.rs", "mod a;");
        let deep = ("a/deep.rs", "pub struct X(super::Own);");
        let a = ("a.rs", "mod deep; pub use deep::X; pub struct Own; fn f(x: X) {}");
        let files = files(&[lib, a, deep]);
        let arrows = arrows(&files, "lib.rs");
        let circles = circles(&arrows);
        let told: Vec<_> = circles.iter().map(|circle| told(circle, &arrows)).collect();
        let wanted = "a circle of 2 files:\n  a.rs -> a/deep.rs: X\n  a/deep.rs -> a.rs: Own\n";
        assert_eq!(told, [wanted]);
    }

    #[test]
    fn a_circle_is_found_over_any_number_of_files_and_a_ladder_is_none() {
        let lib = ("lib.rs", "mod a; mod b; mod c; mod d;");
        let a = ("a.rs", "use crate::b::X;");
        let (b, d) = (("b.rs", "fn f() { crate::c::go() }"), ("d.rs", "use crate::a::Y;"));
        let of = |c| circles(&arrows(&files(&[lib, a, b, ("c.rs", c), d]), "lib.rs"));
        assert_eq!(of(""), []);
        let circle = ["a.rs", "b.rs", "c.rs"].map(str::to_owned).into();
        assert_eq!(of("use crate::a::Y;"), [circle]);
    }
}
