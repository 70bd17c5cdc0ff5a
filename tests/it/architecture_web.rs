//! The rooms of the web app: one table of which room may import which, and the rules on where HTTP, pages and
//! SQL belong.

use std::collections::{BTreeMap, BTreeSet};

use crate::architecture::{Source, sources};

/// Each room of `src/web/`, and the rooms that it imports. A room is a folder, or a file beside the
/// folders. `http` has four wings, which share the files beside them. The addresses (`http/mod.rs`), the
/// samples and `web/mod.rs` combine everything, and nothing imports them but `reload`, a part of the app.
const TABLE: [(&str, &[&str]); 43] = [
    ("identity", &[]),
    ("db", &[]),
    ("tokens", &[]),
    ("throttle", &["identity"]),
    ("audit", &["db", "identity", "tokens"]),
    ("mail", &["db", "identity"]),
    ("forms", &["db"]),
    ("second_factor", &["audit", "db", "identity", "tokens"]),
    ("webhooks", &["audit", "db", "forms", "identity", "mail", "tokens"]),
    ("accounts", &["audit", "db", "identity", "second_factor", "tokens", "webhooks"]),
    ("arrivals", &["db", "identity", "webhooks"]),
    ("shares", &["accounts", "audit", "db", "identity"]),
    ("archives", &["db", "shares"]),
    ("nodes", &["audit", "db", "tokens"]),
    ("sessions", &["accounts", "audit", "db", "identity"]),
    ("api_keys", &["accounts", "audit", "db", "identity"]),
    ("device_logins", &["api_keys", "db", "identity"]),
    ("revocations", &["accounts", "db", "identity", "nodes", "shares", "tokens"]),
    ("uploads", &["arrivals", "audit", "db", "identity", "shares", "webhooks"]),
    (
        "membership",
        &["accounts", "audit", "db", "identity", "mail", "revocations", "shares", "tokens", "webhooks"],
    ),
    (
        "links",
        &[
            "archives",
            "arrivals",
            "audit",
            "db",
            "forms",
            "identity",
            "mail",
            "revocations",
            "shares",
            "tokens",
            "webhooks",
        ],
    ),
    ("requests", &["audit", "db", "forms", "identity", "links", "mail", "shares", "tokens"]),
    ("restored", &["audit", "db", "revocations", "tokens"]),
    ("deliveries", &["audit", "db", "identity", "links", "mail", "nodes", "restored", "shares", "webhooks"]),
    ("instance", &["audit", "db", "revocations", "tokens"]),
    (
        "services",
        &[
            "accounts",
            "api_keys",
            "audit",
            "db",
            "device_logins",
            "identity",
            "instance",
            "links",
            "mail",
            "membership",
            "nodes",
            "requests",
            "restored",
            "revocations",
            "second_factor",
            "shares",
            "tokens",
            "webhooks",
        ],
    ),
    ("storage", &["db", "shares"]),
    ("retention", &["db"]),
    ("reload", &["db", "instance", "mail", "mod.rs", "services"]),
    ("time_reset", &["audit", "db", "device_logins", "restored", "second_factor", "services", "webhooks"]),
    (
        "composer",
        &["accounts", "deliveries", "identity", "links", "mail", "membership", "requests", "webhooks"],
    ),
    ("metrics", &["db", "mail", "nodes", "revocations", "tokens", "webhooks"]),
    (
        "http",
        &[
            "accounts",
            "api_keys",
            "archives",
            "arrivals",
            "audit",
            "db",
            "deliveries",
            "forms",
            "identity",
            "links",
            "mail",
            "membership",
            "metrics",
            "nodes",
            "requests",
            "restored",
            "revocations",
            "second_factor",
            "services",
            "sessions",
            "shares",
            "throttle",
            "tokens",
            "uploads",
            "webhooks",
        ],
    ),
    (
        "http/account",
        &[
            "accounts",
            "api_keys",
            "audit",
            "device_logins",
            "http",
            "identity",
            "mail",
            "membership",
            "second_factor",
            "sessions",
            "shares",
            "throttle",
            "webhooks",
        ],
    ),
    (
        "http/api",
        &[
            "accounts",
            "api_keys",
            "audit",
            "db",
            "deliveries",
            "forms",
            "http",
            "identity",
            "links",
            "membership",
            "requests",
            "shares",
            "webhooks",
        ],
    ),
    (
        "http/admin",
        &[
            "accounts",
            "audit",
            "db",
            "deliveries",
            "forms",
            "http",
            "identity",
            "instance",
            "links",
            "mail",
            "membership",
            "nodes",
            "second_factor",
            "sessions",
            "storage",
            "throttle",
            "tokens",
        ],
    ),
    (
        "http/files",
        &[
            "api_keys",
            "archives",
            "arrivals",
            "audit",
            "forms",
            "http",
            "identity",
            "links",
            "revocations",
            "shares",
            "tokens",
            "uploads",
        ],
    ),
    (
        "http/links",
        &[
            "archives",
            "arrivals",
            "audit",
            "db",
            "http",
            "identity",
            "links",
            "mail",
            "membership",
            "revocations",
            "shares",
            "throttle",
            "tokens",
        ],
    ),
    (
        "http/requests",
        &["arrivals", "audit", "forms", "http", "identity", "links", "requests", "shares", "uploads"],
    ),
    (
        "http/mod.rs",
        &["http", "http/account", "http/admin", "http/api", "http/files", "http/links", "http/requests"],
    ),
    ("settings", &["db", "deliveries", "links", "mail", "membership", "retention", "time_reset", "uploads"]),
    (
        "upkeep",
        &[
            "archives",
            "db",
            "deliveries",
            "forms",
            "instance",
            "links",
            "mail",
            "nodes",
            "restored",
            "retention",
            "services",
            "sessions",
            "shares",
            "storage",
            "throttle",
            "uploads",
        ],
    ),
    (
        "mod.rs",
        &[
            "accounts",
            "archives",
            "composer",
            "db",
            "deliveries",
            "forms",
            "http",
            "http/mod.rs",
            "links",
            "mail",
            "membership",
            "metrics",
            "nodes",
            "restored",
            "retention",
            "services",
            "sessions",
            "shares",
            "throttle",
            "upkeep",
            "uploads",
            "webhooks",
        ],
    ),
];

/// The wings of `http`.
const WINGS: [&str; 6] = ["account", "admin", "api", "files", "links", "requests"];

/// The name of a room, as in the table.
struct Room(String);

impl Room {
    /// The room of a module or of an item in it, by its path below `web`.
    fn of(path: &[String]) -> Room {
        let name = |at: usize| path.get(at).map_or("", String::as_str);
        Room(match (name(0), name(1)) {
            ("", _) => "mod.rs".to_owned(),
            ("http", "" | "routes" | "samples") => "http/mod.rs".to_owned(),
            ("http", wing) if WINGS.contains(&wing) => format!("http/{wing}"),
            (room, _) if room.starts_with(|first: char| first.is_lowercase()) => room.to_owned(),
            _ => "mod.rs".to_owned(),
        })
    }
}

/// The path of a file's module below `web`; `None` for a file elsewhere.
fn module_of(source: &Source) -> Option<Vec<String>> {
    let path = source.path.strip_prefix("src/web/")?.strip_suffix(".rs")?;
    let mut names: Vec<String> = path.split('/').map(str::to_owned).collect();
    names.pop_if(|last| last == "mod");
    Some(names)
}

/// The code without its tests.
fn shipped(source: &Source) -> &str {
    source.code.split("#[cfg(test)]\nmod tests").next().unwrap()
}

/// All paths in the code that lead into `web`, as lists of names below it.
fn paths_within(source: &Source, module: &[String]) -> Vec<Vec<String>> {
    let code = shipped(source);
    let mut found = Vec::new();
    for (start, root) in [("crate::web", Some(Vec::new())), ("super", None), ("self", None)] {
        for (at, _) in code.match_indices(start) {
            let (before, mut rest) = (&code[..at], &code[at + start.len()..]);
            if before.ends_with(|c: char| c.is_alphanumeric() || "_:".contains(c)) {
                continue;
            }
            let mut base = match (&root, start) {
                (Some(root), _) => root.clone(),
                (None, "self") => module.to_vec(),
                (None, _) => module[..module.len().saturating_sub(1)].to_vec(),
            };
            while let Some(further) = rest.strip_prefix("::super") {
                base.pop();
                rest = further;
            }
            // `self` as a receiver and `pub(super)` are not paths.
            let Some(rest) = rest.strip_prefix("::") else { continue };
            for tail in tails(rest) {
                found.push([base.clone(), tail].concat());
            }
        }
    }
    found
}

/// Splits `a::b`, or each path in `{a::B, c::{D, E}}`, into names.
fn tails(text: &str) -> Vec<Vec<String>> {
    let text = text.trim_start();
    let Some(group) = text.strip_prefix('{') else {
        let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let further = rest.strip_prefix("::").map_or_else(Vec::new, tails);
        if name.is_empty() {
            return vec![Vec::new()];
        }
        if further.is_empty() {
            return vec![vec![name.to_owned()]];
        }
        return further.into_iter().map(|tail| [vec![name.to_owned()], tail].concat()).collect();
    };
    let (mut depth, mut start, mut all) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                all.extend(tails(&group[start..at]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                all.extend(tails(&group[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    all
}

/// Each import of one room by another, and a file that contains it.
fn arrows() -> BTreeMap<(String, String), String> {
    let mut arrows = BTreeMap::new();
    for source in sources() {
        let Some(module) = module_of(&source) else { continue };
        let Room(from) = Room::of(&module);
        for path in paths_within(&source, &module) {
            let Room(to) = Room::of(&path);
            if to != from {
                arrows.entry((from.clone(), to)).or_insert_with(|| source.path.clone());
            }
        }
    }
    arrows
}

#[test]
fn a_room_imports_what_the_table_says_and_nothing_else() {
    let table: BTreeMap<&str, BTreeSet<&str>> =
        TABLE.iter().map(|(room, imports)| (*room, imports.iter().copied().collect())).collect();
    assert_eq!(table.len(), TABLE.len(), "a room is listed twice");
    let arrows = arrows();
    for ((from, to), path) in &arrows {
        let row = table.get(from.as_str()).unwrap_or_else(|| panic!("{path}: `{from}` has no row"));
        assert!(table.contains_key(to.as_str()), "{path}: `{to}` has no row");
        assert!(
            row.contains(to.as_str()),
            "{path} imports `{to}`; the table does not allow that for `{from}`"
        );
    }
    for (from, row) in &table {
        for to in row {
            let arrow = ((*from).to_owned(), (*to).to_owned());
            assert!(
                arrows.contains_key(&arrow),
                "`{from}` no longer imports `{to}`: take it out of the table"
            );
        }
    }
}

#[test]
fn every_folder_has_a_row() {
    let rooms: BTreeSet<&str> = TABLE.iter().map(|(room, _)| *room).collect();
    for source in sources() {
        let Some(module) = module_of(&source) else { continue };
        let Room(room) = Room::of(&module);
        assert!(rooms.contains(room.as_str()), "{}: `{room}` has no row", source.path);
    }
}

#[test]
fn rooms_form_no_cycle() {
    let mut settled: BTreeSet<&str> = BTreeSet::new();
    while settled.len() < TABLE.len() {
        let next = TABLE.iter().find(|(room, imports)| {
            !settled.contains(room) && imports.iter().all(|import| settled.contains(import))
        });
        settled.insert(next.expect("a cycle of rooms in the table").0);
    }
}

#[test]
fn the_wings_of_http_do_not_know_each_other() {
    for (room, imports) in TABLE {
        if room.starts_with("http/") && room != "http/mod.rs" {
            assert!(imports.iter().all(|import| !import.starts_with("http/")), "`{room}`");
        }
    }
}

#[test]
fn http_and_pages_live_under_http_and_sql_lives_elsewhere() {
    for source in sources() {
        let Some(module) = module_of(&source) else { continue };
        let is_http = module.first().is_none_or(|room| room == "http");
        let source = Source { code: shipped(&source).to_owned(), ..source };
        for word in ["actix_web", "HttpRequest", "HttpResponse", "StatusCode"] {
            assert!(is_http || !source.names(word), "{} names `{word}`", source.path);
        }
        let is_mail = module.first().is_some_and(|room| room == "mail");
        assert!(is_http || is_mail || !source.names("askama"), "{} has a template", source.path);
        assert!(!is_http || !source.names("sqlx"), "{} uses SQL", source.path);
    }
}

#[test]
fn transactions_begin_and_end_in_one_place() {
    for source in sources().into_iter().filter(|source| module_of(source).is_some()) {
        let code = shipped(&source);
        for call in [".begin_with(", "pool.begin()", "writer().begin()", "transaction.commit()"] {
            let is_home = source.path == "src/web/db/transactions.rs";
            assert!(
                is_home || !code.contains(call),
                "{} calls `{call}` and may be cut off in it",
                source.path
            );
        }
    }
}

/// Where the settings as a whole are known; rooms get plain values, or structs of their own.
const WIRING: [&str; 5] = ["mod.rs", "reload.rs", "services.rs", "settings.rs", "http/state.rs"];

#[test]
fn settings_reach_only_the_wiring() {
    for source in sources().into_iter().filter(|source| module_of(source).is_some()) {
        let is_wiring = WIRING.iter().any(|file| source.path == format!("src/web/{file}"));
        assert!(is_wiring || !source.names("Settings"), "{} names `Settings`", source.path);
    }
}

#[test]
fn paths_are_seen_in_every_form() {
    let code = "use crate::web::{db::{Database, columns::to_column}, audit};\nuse super::super::mail::Kind;\n\
                use self::inner::Thing;\nfn f(&self) { super::helper(self.x, crate::web::App::new) }";
    let source = Source { path: "src/web/http/files/edit.rs".to_owned(), code: code.to_owned() };
    let module = module_of(&source).unwrap();
    let seen: BTreeSet<String> = paths_within(&source, &module).iter().map(|path| path.join("::")).collect();
    let wanted = [
        "db::Database",
        "db::columns::to_column",
        "audit",
        "http::mail::Kind",
        "http::files::edit::inner::Thing",
        "http::files::helper",
        "App::new",
    ];
    assert_eq!(seen, wanted.map(str::to_owned).into());
    let rooms: BTreeSet<String> =
        paths_within(&source, &module).iter().map(|path| Room::of(path).0).collect();
    assert_eq!(rooms, ["audit", "db", "http", "http/files", "mod.rs"].map(str::to_owned).into());
}
