//! The shape of the code, read from the sources: who may import whom, where the private key may be
//! named, and that a dangerous call stays in its one home.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What both services stand on; it imports neither. Each may import those before it that its line
/// in [`may_import`] names.
const KERNEL: [&str; 15] = [
    "words",
    "clock",
    "secret",
    "id",
    "standing",
    "config",
    "client_address",
    "connection",
    "health",
    "http_client",
    "tasks",
    "files",
    "token",
    "used_tokens",
    "receipt",
];

/// What both services share beside the kernel: looks, words and log lines.
const SHARED: [&str; 3] = ["assets", "human", "telemetry"];

/// Who alone knows a service, and knows both: they are wired and asked here.
const WIRING: [&str; 2] = ["server", "cli"];

/// Each module of `src/`, and the modules that it may import. A new module needs a line here.
fn may_import() -> BTreeMap<&'static str, Vec<&'static str>> {
    let service = [KERNEL.as_slice(), &SHARED].concat();
    let wiring = [service.as_slice(), &["download", "web"]].concat();
    BTreeMap::from([
        ("words", vec![]),
        ("clock", vec![]),
        ("secret", vec![]),
        ("id", vec!["secret"]),
        ("config", vec!["id"]),
        ("client_address", vec!["config"]),
        ("connection", vec!["client_address", "config"]),
        ("health", vec![]),
        ("http_client", vec![]),
        ("tasks", vec!["health"]),
        ("files", vec!["clock", "config", "id", "secret"]),
        ("token", vec!["clock", "files", "id", "secret"]),
        ("standing", vec![]),
        ("used_tokens", vec!["clock", "files", "id", "secret", "standing"]),
        ("receipt", vec!["clock", "id", "standing", "words"]),
        ("assets", vec!["human"]),
        ("human", vec!["clock"]),
        ("telemetry", vec!["config"]),
        ("download", service.clone()),
        ("web", service),
        ("server", wiring.clone()),
        ("cli", [wiring.as_slice(), &["server"]].concat()),
        ("lib", vec![]),
        ("main", vec!["cli"]),
    ])
}

/// Words of code that belong to the private key, and where they may stand.
const KEY_WORDS: [(&str, &[&str]); 3] = [
    ("Signer", &["src/web/", "src/cli/"]),
    ("PrivateKey", &["src/web/", "src/cli/"]),
    // A shared secret verifies with what it signs with; it is no private key.
    ("EncodingKey", &["src/web/", "src/cli/", "src/token/shared_secret.rs"]),
];

/// The one home of each call that `clippy.toml` forbids elsewhere.
const DANGEROUS_HOMES: [(&str, &str); 3] = [
    ("src/clock.rs", "SystemTime::now()"),
    ("src/secret.rs", "getrandom::fill("),
    ("src/config/load.rs", "std::env::vars_os()"),
];

/// A source file: its path from the repository's root, and its code without comments.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) code: String,
}

impl Source {
    /// `files` for both `src/files.rs` and `src/files/…`.
    fn module(&self) -> &str {
        let within = self.path.strip_prefix("src/").unwrap();
        within.split_once('/').map_or_else(|| within.strip_suffix(".rs").unwrap(), |(folder, _)| folder)
    }

    /// The modules of this crate that the file names in any path.
    fn imports(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        // `main.rs` is a crate of its own, to which this one has a name.
        let root = if self.module() == "main" { "oncelink::" } else { "crate::" };
        for (at, _) in self.code.match_indices(root) {
            let rest = &self.code[at + root.len()..];
            match rest.strip_prefix('{') {
                Some(group) => names.extend(first_names(group)),
                None => names.extend(identifier(rest)),
            }
        }
        names
    }

    /// Whether `word` stands in the code as a word of its own.
    pub(crate) fn names(&self, word: &str) -> bool {
        self.code.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|found| found == word)
    }
}

fn identifier(text: &str) -> Option<String> {
    let name: String = text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

/// The first name of each item in `a::B, c::{D, E}, f}`.
fn first_names(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            ',' if depth == 0 => {
                names.extend(identifier(&group[start..at]));
                start = at + 1;
            }
            '}' if depth == 0 => {
                names.extend(identifier(&group[start..at]));
                break;
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    names
}

pub(crate) fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    collect(Path::new("src"), &mut paths);
    assert!(paths.len() > 15, "only {} sources found", paths.len());
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        Source { path: path.to_str().unwrap().to_owned(), code: code.join("\n") }
    };
    paths.into_iter().map(read).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

#[test]
fn a_module_imports_only_what_the_table_allows() {
    let table = may_import();
    let mut met = BTreeSet::new();
    for source in sources() {
        let module = source.module();
        let allowed = table.get(module).unwrap_or_else(|| panic!("the table has no line for `{module}`"));
        for import in source.imports() {
            // Names that are no modules, such as a macro's or `Grant`'s in its own module, are left to
            // the compiler: there is nothing at the crate's root but modules.
            let is_module = table.contains_key(import.as_str());
            assert!(is_module, "{} imports `{import}`, which the table does not know", source.path);
            assert!(
                import == module || allowed.contains(&import.as_str()),
                "{} imports `{import}`; the table does not allow that to `{module}`",
                source.path
            );
        }
        met.insert(module.to_owned());
    }
    for module in table.keys() {
        assert!(met.contains(*module), "the table has a line for `{module}`, which is not there");
    }
}

#[test]
fn the_table_keeps_the_services_apart() {
    let table = may_import();
    for kernel in KERNEL {
        assert!(table[kernel].iter().all(|import| KERNEL.contains(import)), "`{kernel}` is the kernel's");
    }
    for (module, imports) in &table {
        let knows_a_service = imports.iter().any(|import| ["web", "download"].contains(import));
        assert_eq!(
            knows_a_service && *module != "main",
            WIRING.contains(module) && *module != "main",
            "`{module}`"
        );
    }
}

#[test]
fn imports_form_no_ring() {
    let table = may_import();
    let mut settled: BTreeSet<&str> = BTreeSet::new();
    while settled.len() < table.len() {
        let next = table
            .iter()
            .find(|(module, imports)| {
                !settled.contains(*module) && imports.iter().all(|import| settled.contains(import))
            })
            .map(|(module, _)| *module);
        settled.insert(next.expect("a ring of imports in the table"));
    }
}

#[test]
fn only_the_web_app_and_the_command_line_name_the_private_key() {
    let sources = sources();
    for (word, homes) in KEY_WORDS {
        let named: Vec<&str> =
            sources.iter().filter(|source| source.names(word)).map(|source| source.path.as_str()).collect();
        assert!(!named.is_empty(), "nothing names `{word}`: the table is out of date");
        for path in named {
            assert!(homes.iter().any(|home| path.starts_with(home)), "{path} names `{word}`");
        }
    }
}

#[test]
fn a_dangerous_call_stays_in_its_one_home() {
    for source in sources() {
        let home = DANGEROUS_HOMES.iter().find(|(path, _)| *path == source.path);
        let exemptions = source.code.matches("clippy::disallowed_methods").count();
        assert_eq!(exemptions, usize::from(home.is_some()), "{}", source.path);
        if let Some((path, call)) = home {
            assert!(source.code.contains(call), "{path} no longer makes its call");
            assert!(source.code.contains("#[expect(clippy::disallowed_methods, reason ="), "{path}");
        }
    }
    let listed = fs::read_to_string("clippy.toml").unwrap();
    for method in ["SystemTime::now", "getrandom::fill", "std::env::vars_os"] {
        assert!(listed.contains(method), "clippy.toml no longer lists {method}");
    }
}

#[test]
fn unsafe_code_is_one_call() {
    let manifest = fs::read_to_string("Cargo.toml").unwrap();
    assert!(manifest.contains("unsafe_code = \"deny\""));
    for source in sources() {
        let is_home = source.path == "src/server/arrival.rs";
        for word in ["unsafe {", "expect(unsafe_code"] {
            assert_eq!(
                source.code.matches(word).count(),
                usize::from(is_home),
                "{} in {}",
                word,
                source.path
            );
        }
        assert!(!source.code.contains("allow(unsafe_code"), "{}", source.path);
    }
}

#[test]
fn the_reader_of_imports_sees_every_form() {
    let code = "use crate::{id::{Jti, FilePath}, clock};\nlet x = crate::files::Shares::open();".to_owned();
    let source = Source { path: "src/a/b.rs".to_owned(), code };
    assert_eq!(source.module(), "a");
    assert_eq!(source.imports(), ["clock", "files", "id"].map(str::to_owned).into());
    assert!(source.names("Jti") && !source.names("Jt"));
}
