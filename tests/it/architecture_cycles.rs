//! Modules form no cycles: checks the graph of all files in `src/`, with an arrow from a file to each file that
//! defines an item it names.
//!
//! Every path counts, in `use` and inline, below `crate`, `super`, `self`, a child or an imported name. A path
//! through a re-export leads to the file that defines the item, so a parent that only declares and re-exports
//! its children has no arrows to them, unless it uses what it re-exports. Naming only a module makes no arrow,
//! and tests make none. Method calls and inferred types are not seen.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::architecture::{Source, sources};

/// A token of the code, as far as paths need it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Word(String),
    /// `::`
    Step,
    Sign(char),
}

/// The names of a path.
type Path = Vec<String>;

/// A file of `src/`.
#[derive(Default)]
struct Module {
    /// The names that it imports with `use`, and their paths.
    names: BTreeMap<String, Path>,
    /// The same for those that it re-exports.
    exports: BTreeSet<String>,
    /// The paths in its code, except those of re-exports.
    paths: BTreeSet<Path>,
}

/// Splits code into pieces, without comments and literals.
fn pieces(code: &str) -> Vec<Piece> {
    let chars: Vec<char> = code.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut pieces, mut i) = (Vec::new(), 0);
    while i < chars.len() {
        match at(i) {
            '/' if at(i + 1) == '/' => i += chars[i..].iter().take_while(|c| **c != '\n').count(),
            '"' => i = end_of_text(&chars, i),
            'r' if at(i + 1) == '"' || (at(i + 1) == '#' && matches!(at(i + 2), '"' | '#')) => {
                let hashes = chars[i + 1..].iter().take_while(|c| **c == '#').count();
                let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
                let start = i + hashes + 2;
                i = (start..chars.len()).find(|j| chars[*j..].starts_with(&end)).unwrap() + end.len();
            }
            '\'' if at(i + 1) == '\\' => {
                i += 3;
                i += chars[i..].iter().take_while(|c| **c != '\'').count() + 1;
            }
            '\'' if at(i + 2) == '\'' => i += 3,
            ':' if at(i + 1) == ':' => {
                pieces.push(Piece::Step);
                i += 2;
            }
            c if is_word(c) => {
                let word: String = chars[i..].iter().take_while(|c| is_word(**c)).collect();
                i += word.chars().count();
                pieces.push(Piece::Word(word));
            }
            c if c.is_whitespace() => i += 1,
            c => {
                pieces.push(Piece::Sign(c));
                i += 1;
            }
        }
    }
    pieces
}

fn end_of_text(chars: &[char], start: usize) -> usize {
    let mut i = start + 1;
    while chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

fn word(piece: Option<&Piece>) -> Option<&str> {
    match piece {
        Some(Piece::Word(word)) => Some(word),
        _ => None,
    }
}

fn is(piece: Option<&Piece>, sign: char) -> bool {
    piece == Some(&Piece::Sign(sign))
}

/// Removes each item under `#[cfg(test)]`; returns the names of those that are modules in other files, too.
fn without_tests(pieces: &[Piece]) -> (Vec<Piece>, Vec<String>) {
    let attribute = self::pieces("#[cfg(test)]");
    let (mut kept, mut files, mut i) = (Vec::new(), Vec::new(), 0);
    while i < pieces.len() {
        if !pieces[i..].starts_with(&attribute) {
            kept.push(pieces[i].clone());
            i += 1;
            continue;
        }
        i += attribute.len();
        let start = i;
        let mut depth = 0;
        loop {
            let piece = pieces.get(i);
            i += 1;
            if is(piece, '{') || is(piece, '(') || is(piece, '[') {
                depth += 1;
            } else if is(piece, '}') || is(piece, ')') || is(piece, ']') {
                depth -= 1;
            }
            let is_over = depth == 0 && (is(piece, '}') || is(piece, ';') || is(piece, ','));
            if piece.is_none() || is_over {
                break;
            }
        }
        if let Some(at) = pieces[start..i].iter().position(|piece| word(Some(piece)) == Some("mod"))
            && is(pieces.get(i - 1), ';')
        {
            files.extend(word(pieces.get(start + at + 1)).map(str::to_owned));
        }
    }
    (kept, files)
}

/// Reads the tree of a `use` from `i`: each path, and the name that it gets.
fn tree(pieces: &[Piece], i: &mut usize, before: &[String], found: &mut Vec<(Path, String)>) {
    let mut path = before.to_vec();
    loop {
        match pieces.get(*i) {
            Some(Piece::Word(word)) if word == "as" => {
                let name = word_at(pieces, *i + 1);
                *i += 2;
                found.push((path, name));
                return;
            }
            Some(Piece::Word(word)) => {
                path.push(word.clone());
                *i += 1;
            }
            Some(Piece::Step) => *i += 1,
            Some(Piece::Sign('{')) => {
                *i += 1;
                while !is(pieces.get(*i), '}') {
                    tree(pieces, i, &path, found);
                    if is(pieces.get(*i), ',') {
                        *i += 1;
                    }
                }
                *i += 1;
                return;
            }
            _ => {
                if path.len() > before.len() {
                    if path.last().is_some_and(|last| last == "self") {
                        path.pop();
                    }
                    let name = path.last().cloned().unwrap_or_default();
                    found.push((path, name));
                }
                return;
            }
        }
    }
}

fn word_at(pieces: &[Piece], i: usize) -> String {
    word(pieces.get(i)).unwrap_or_default().to_owned()
}

impl Module {
    fn read(pieces: &[Piece]) -> Module {
        let mut module = Module::default();
        let mut i = 0;
        while i < pieces.len() {
            let before = i.checked_sub(1).and_then(|before| pieces.get(before));
            if word(pieces.get(i)) == Some("use") && !is(pieces.get(i + 1), '<') {
                i += 1;
                let mut found = Vec::new();
                tree(pieces, &mut i, &[], &mut found);
                let is_export = word(before) == Some("pub") || is(before, ')');
                for (path, name) in found {
                    if is_export {
                        module.exports.insert(name.clone());
                    } else {
                        module.paths.insert(path.clone());
                    }
                    module.names.insert(name, path);
                }
            } else if word(pieces.get(i)).is_some() && before != Some(&Piece::Step) && !is(before, '.') {
                let mut path = vec![word_at(pieces, i)];
                while pieces.get(i + 1) == Some(&Piece::Step)
                    && let Some(next) = word(pieces.get(i + 2))
                {
                    path.push(next.to_owned());
                    i += 2;
                }
                module.paths.insert(path);
                i += 1;
            } else {
                i += 1;
            }
        }
        // A single name counts as a path only if it is re-exported: an import already counts by its `use`.
        let Module { exports, paths, .. } = &mut module;
        paths.retain(|path| path.len() > 1 || exports.contains(&path[0]));
        module
    }
}

/// All modules of the crate, by their paths from its root.
struct Graph(BTreeMap<Path, Module>);

impl Graph {
    fn read(sources: &[Source]) -> Graph {
        let mut tests = BTreeSet::new();
        let mut modules = BTreeMap::new();
        for source in sources {
            let within = source.path.strip_prefix("src/").unwrap().strip_suffix(".rs").unwrap();
            let mut path: Path = within.split('/').map(str::to_owned).collect();
            if within == "lib" || path.last().is_some_and(|last| last == "mod") {
                path.pop();
            }
            let (pieces, test_files) = without_tests(&pieces(&source.code));
            tests.extend(test_files.into_iter().map(|name| [path.clone(), vec![name]].concat()));
            // A file named by `#[path]` is a test, too.
            if !within.ends_with("_tests") && within != "main" {
                modules.insert(path, Module::read(&pieces));
            }
        }
        modules.retain(|path, _| !(1..=path.len()).any(|end| tests.contains(&path[..end])));
        Graph(modules)
    }

    /// Returns the module that defines the item at `path`, as seen from `module`; `None` if the path leads out
    /// of the crate, or only to a module.
    fn definition(&self, module: &[String], path: &[String]) -> Option<Path> {
        let (place, is_item) = self.place(module, path, 0)?;
        is_item.then_some(place)
    }

    /// Returns the module that `path` leads to, and whether the path goes on to an item in it.
    fn place(&self, module: &[String], path: &[String], depth: u32) -> Option<(Path, bool)> {
        assert!(depth < 20, "{module:?} imports {path:?} in a circle");
        let (mut at, mut rest) = match path.first()?.as_str() {
            "crate" => (Vec::new(), &path[1..]),
            "self" => (module.to_vec(), &path[1..]),
            "super" => (module[..module.len() - 1].to_vec(), &path[1..]),
            first => {
                let child = [module, &[first.to_owned()]].concat();
                let is_known = self.0.contains_key(&child) || self.0[module].names.contains_key(first);
                if !is_known {
                    return None;
                }
                (module.to_vec(), path)
            }
        };
        while let Some((first, further)) = rest.split_first() {
            let child = [at.as_slice(), std::slice::from_ref(first)].concat();
            if first == "super" {
                at.pop();
            } else if self.0.contains_key(&child) {
                at = child;
            } else if let Some(named) = self.0[&at].names.get(first) {
                // A name that a module imports from another crate is not its item.
                let is_own = matches!(named[0].as_str(), "crate" | "self" | "super")
                    || self.0.contains_key(&[at.as_slice(), &named[..1]].concat())
                    || (named[0] != *first && self.0[&at].names.contains_key(&named[0]));
                if !is_own {
                    return None;
                }
                match self.place(&at, named, depth + 1)? {
                    (place, true) => return Some((place, true)),
                    (place, false) => at = place,
                }
            } else {
                return Some((at, true));
            }
            rest = further;
        }
        Some((at, false))
    }

    fn arrows(&self) -> BTreeMap<&Path, BTreeSet<Path>> {
        let arrows = self.0.iter().map(|(module, read)| {
            let to: BTreeSet<Path> =
                read.paths.iter().filter_map(|path| self.definition(module, path)).collect();
            (module, to.into_iter().filter(|to| to != module).collect())
        });
        arrows.collect()
    }

    /// Returns a shortest cycle through each module that is in one, each cycle once.
    fn cycles(&self) -> BTreeSet<Vec<String>> {
        let arrows = self.arrows();
        let mut cycles = BTreeSet::new();
        for start in arrows.keys() {
            let mut from: BTreeMap<&Path, &Path> = BTreeMap::new();
            let mut next = VecDeque::from([*start]);
            while let Some(module) = next.pop_front() {
                for to in &arrows[module] {
                    if !from.contains_key(to) {
                        from.insert(to, module);
                        next.push_back(to);
                    }
                }
            }
            let Some(mut at) = from.get(start).copied() else { continue };
            let mut cycle = vec![start.join("::")];
            while at != *start {
                cycle.push(at.join("::"));
                at = from[at];
            }
            cycle.reverse();
            let least = (0..cycle.len()).min_by_key(|i| &cycle[*i]).unwrap();
            cycle.rotate_left(least);
            cycles.insert(cycle);
        }
        cycles
    }
}

#[test]
fn modules_form_no_cycle() {
    let cycles = Graph::read(&sources()).cycles();
    let tell = |cycle: &Vec<String>| format!("{} → {}", cycle.join(" → "), cycle[0]);
    let cycles: Vec<String> = cycles.iter().map(tell).collect();
    assert!(cycles.is_empty(), "{} cycles of modules:\n{}", cycles.len(), cycles.join("\n"));
}

fn graph(files: &[(&str, &str)]) -> Graph {
    let source = |(path, code): &(&str, &str)| Source { path: (*path).to_owned(), code: (*code).to_owned() };
    Graph::read(&files.iter().map(source).collect::<Vec<_>>())
}

#[test]
fn a_cycle_is_seen_through_every_form_of_path() {
    let lib = ("src/lib.rs", "pub mod a; pub mod b;");
    let leads_back = [
        "use crate::b::B;",
        "use crate::{b::{self, B as C}};",
        "use super::b; fn f() { b::B::new(\"\\\" super::x\") }",
        "fn f(&self) -> Option<super::b::B> { None }",
        "use crate::b::inner; fn f() { inner::deep() }",
        "use crate::b::Deep;",
    ];
    for code in leads_back {
        let files = [
            lib,
            ("src/a.rs", code),
            ("src/b/mod.rs", "mod inner; pub use inner::Deep; use crate::a::A; pub struct B; use serde::De;"),
            ("src/b/inner.rs", "pub struct Deep; use super::super::a::A; pub fn deep() {}"),
        ];
        assert_eq!(graph(&files).cycles().len(), 1, "{code}");
    }
}

#[test]
fn declaring_and_exporting_a_child_is_not_an_arrow_but_using_it_is() {
    let child = ("src/a/child.rs", "use super::Parent; pub struct Child;");
    let cycles = |parent| graph(&[("src/lib.rs", "mod a;"), ("src/a/mod.rs", parent), child]).cycles().len();
    assert_eq!(cycles("mod child; pub use child::Child; pub struct Parent;"), 0);
    assert_eq!(cycles("mod child; pub(crate) use self::child::Child; pub struct Parent;"), 0);
    assert_eq!(cycles("mod child; use child::Child; pub struct Parent(Child);"), 1);
    assert_eq!(cycles("mod child; pub use child::Child; pub struct Parent(Child);"), 1);
    assert_eq!(cycles("mod child; pub struct Parent(child::Child);"), 1);
    assert_eq!(
        cycles("mod child; pub struct Parent; #[cfg(test)] mod tests { fn f(c: child::Child) {} }"),
        0
    );
}
