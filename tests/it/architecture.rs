//! The structure of the code, read from the sources: which module may import which, where the private key
//! may be named, and that each dangerous call is made in only one place.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The two services, which never import each other.
const SERVICES: [&str; 2] = ["download", "web"];

/// The only modules that import the services: they wire and use both.
const WIRING: [&str; 2] = ["server", "cli"];

/// Each module of `src/`, and the modules that it imports, all of them above it: the kernel, the services that
/// are built on it, and their wiring. A new module needs a line here.
const TABLE: [(&str, &[&str]); 35] = [
    ("words", &[]),
    ("bearer", &[]),
    ("clock", &[]),
    ("secret", &[]),
    ("standing", &[]),
    ("health", &[]),
    ("turn", &[]),
    ("reloadable", &[]),
    ("http_client", &[]),
    ("postgres", &[]),
    ("id", &["secret"]),
    ("access", &["id"]),
    ("cookie_name", &["secret"]),
    ("client", &["cookie_name", "secret"]),
    ("human", &["clock"]),
    ("config", &["human", "id"]),
    ("moment", &["clock", "human"]),
    ("client_address", &["config", "reloadable"]),
    ("connection", &["client_address", "config"]),
    ("tasks", &["health"]),
    ("files", &["clock", "config", "id", "reloadable", "secret"]),
    ("archive", &["files", "id", "secret"]),
    ("token", &["clock", "id", "secret", "turn"]),
    ("used_tokens", &["clock", "files", "health", "id", "postgres", "secret", "standing", "tasks", "turn"]),
    ("receipt", &["clock", "id", "standing", "words"]),
    ("viewable", &[]),
    ("assets", &[]),
    ("brand", &["assets", "config"]),
    ("telemetry", &["config"]),
    (
        "download",
        &[
            "access",
            "archive",
            "assets",
            "bearer",
            "brand",
            "client_address",
            "clock",
            "config",
            "files",
            "health",
            "http_client",
            "human",
            "id",
            "receipt",
            "secret",
            "standing",
            "tasks",
            "telemetry",
            "token",
            "used_tokens",
            "viewable",
        ],
    ),
    (
        "web",
        &[
            "access",
            "archive",
            "assets",
            "bearer",
            "brand",
            "client_address",
            "clock",
            "config",
            "connection",
            "cookie_name",
            "files",
            "health",
            "http_client",
            "human",
            "id",
            "moment",
            "postgres",
            "receipt",
            "reloadable",
            "secret",
            "standing",
            "tasks",
            "telemetry",
            "token",
            "used_tokens",
            "viewable",
            "words",
        ],
    ),
    (
        "server",
        &[
            "access",
            "archive",
            "brand",
            "client_address",
            "clock",
            "config",
            "connection",
            "download",
            "files",
            "health",
            "id",
            "secret",
            "standing",
            "tasks",
            "telemetry",
            "token",
            "used_tokens",
            "web",
        ],
    ),
    (
        "cli",
        &[
            "brand",
            "client",
            "clock",
            "config",
            "download",
            "files",
            "http_client",
            "human",
            "id",
            "secret",
            "server",
            "standing",
            "telemetry",
            "token",
            "used_tokens",
            "web",
        ],
    ),
    ("lib", &[]),
    ("main", &["cli"]),
];

/// Identifiers that belong to the private key, and where they may be used.
const KEY_WORDS: [(&str, &[&str]); 3] = [
    ("Signer", &["src/web/", "src/cli/"]),
    ("PrivateKey", &["src/web/", "src/cli/"]),
    // A shared secret verifies with the key that it signs with, so it is not a private key.
    ("EncodingKey", &["src/web/", "src/cli/", "src/token/shared_secret.rs"]),
];

/// Types that can change a share, and where they may be named: the download service only reads.
const WRITE_WORDS: [(&str, &[&str]); 2] = [
    (
        "WritableShares",
        &["src/web/mod.rs", "src/web/shares/", "src/web/uploads/", "src/web/storage.rs", "src/cli/shares.rs"],
    ),
    (
        "ShareFolders",
        &["src/cli/shares.rs", "src/files/", "src/server/", "src/web/mod.rs", "src/web/shares/disk/"],
    ),
];

/// Calls and flags that change files; `src/files/` uses none of them.
const CHANGES: [&str; 24] = [
    "mkdirat",
    "renameat",
    "renameat_with",
    "linkat",
    "symlinkat",
    "unlinkat",
    "pwrite",
    "pwritev",
    "write_all",
    "ftruncate",
    "fallocate",
    "fchmod",
    "fchown",
    "futimens",
    "fsetxattr",
    "RDWR",
    "WRONLY",
    "CREATE",
    "TRUNC",
    "TMPFILE",
    "create_dir",
    "remove_file",
    "remove_dir",
    "OpenOptions",
];

/// The only file for each call that `clippy.toml` forbids elsewhere.
const DANGEROUS_HOMES: [(&str, &str); 4] = [
    ("src/clock.rs", "SystemTime::now()"),
    ("src/secret.rs", "getrandom::fill("),
    ("src/config/load.rs", "std::env::vars_os()"),
    ("src/client/environment.rs", "std::env::var_os("),
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

    /// The modules of this crate that appear in any path in the file.
    fn imports(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        // `main.rs` is a separate crate, which uses this one by its name.
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

    /// Whether `word` occurs in the code as a whole identifier.
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
fn a_module_imports_what_the_table_says_and_nothing_else() {
    let table: BTreeMap<&str, &[&str]> = TABLE.into_iter().collect();
    assert_eq!(table.len(), TABLE.len(), "a module is listed twice");
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources() {
        let module = source.module();
        let allowed = table.get(module).unwrap_or_else(|| panic!("the table has no line for `{module}`"));
        let imports = found.entry(module.to_owned()).or_default();
        for import in source.imports() {
            // The crate's root contains only modules, so any other name is an error.
            let is_module = table.contains_key(import.as_str());
            assert!(is_module, "{} imports `{import}`, which the table does not know", source.path);
            assert!(
                import == module || allowed.contains(&import.as_str()),
                "{} imports `{import}`; the table does not allow that for `{module}`",
                source.path
            );
            imports.insert(import);
        }
    }
    for (module, imports) in TABLE {
        let found = found.get(module).unwrap_or_else(|| panic!("the module `{module}` does not exist"));
        for import in imports {
            assert!(
                found.contains(*import),
                "`{module}` no longer imports `{import}`: take it out of the table"
            );
        }
    }
}

#[test]
fn each_module_imports_only_those_above_it() {
    for (at, (module, imports)) in TABLE.into_iter().enumerate() {
        for import in imports {
            assert!(TABLE[..at].iter().any(|(above, _)| above == import), "`{module}` imports `{import}`");
        }
    }
}

#[test]
fn the_table_keeps_the_services_apart() {
    for (module, imports) in TABLE {
        let knows_a_service = imports.iter().any(|import| SERVICES.contains(import));
        assert_eq!(knows_a_service, WIRING.contains(&module), "`{module}`");
    }
}

#[test]
fn only_the_web_app_and_the_command_line_name_the_private_key() {
    only_homes_name(&KEY_WORDS);
}

#[test]
fn services_get_plain_values_and_not_all_settings() {
    // The web app's rooms are still to follow.
    let homes: &[&str] = &["src/config/", "src/server/", "src/cli/", "src/web/"];
    only_homes_name(&[("Settings", homes)]);
}

#[test]
fn only_the_web_app_can_change_a_share() {
    only_homes_name(&WRITE_WORDS);
    for source in sources().iter().filter(|source| source.module() == "files") {
        for word in CHANGES {
            assert!(!source.names(word), "{} names `{word}`", source.path);
        }
    }
}

fn only_homes_name(words: &[(&str, &[&str])]) {
    let sources = sources();
    for (word, homes) in words {
        let named: Vec<&str> =
            sources.iter().filter(|source| source.names(word)).map(|source| source.path.as_str()).collect();
        assert!(!named.is_empty(), "`{word}` is not used: the table is out of date");
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
        let is_home = source.path == "src/server/ack_watch.rs";
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
