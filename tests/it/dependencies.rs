//! The dependencies: the crates that `deny.toml` bans and the licenses and sources that it allows, checked
//! with cargo alone.

use std::collections::BTreeSet;
use std::process::Command;

use toml::{Table, Value};

fn deny() -> Table {
    toml::from_str(&std::fs::read_to_string("deny.toml").unwrap()).unwrap()
}

fn strings(value: &Value) -> BTreeSet<String> {
    value.as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// Name and license of each crate that a build or a test compiles on this machine.
fn compiled() -> Vec<(String, String)> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "normal,build,dev"])
        .args(["--prefix", "none", "--no-dedupe", "--format", "{p}|{l}"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines: BTreeSet<String> =
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    let crates: Vec<_> = lines
        .iter()
        .map(|line| {
            let (package, licence) = line.rsplit_once('|').unwrap();
            (package.split(' ').next().unwrap().to_owned(), licence.to_owned())
        })
        .collect();
    assert!(crates.len() > 100, "cargo tree shows only {} crates", crates.len());
    crates
}

#[test]
fn no_banned_crate_is_compiled() {
    let deny = deny();
    let banned: BTreeSet<&str> =
        deny["bans"]["deny"].as_array().unwrap().iter().map(|ban| ban["crate"].as_str().unwrap()).collect();
    assert!(banned.contains("ring"), "deny.toml is not read");
    for (name, _) in compiled() {
        assert!(!banned.contains(name.as_str()), "{name} is banned by deny.toml");
    }
}

#[test]
fn every_license_is_allowed() {
    let allowed = strings(&deny()["licenses"]["allow"]);
    for (name, licence) in compiled() {
        assert!(
            is_allowed(&licence, &allowed),
            "{name} has the license {licence:?}, which deny.toml does not allow"
        );
    }
}

#[test]
fn every_crate_comes_from_an_allowed_registry() {
    let allowed = strings(&deny()["sources"]["allow-registry"]);
    let lock: Table = toml::from_str(&std::fs::read_to_string("Cargo.lock").unwrap()).unwrap();
    let mut checked = 0;
    for package in lock["package"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let Some(source) = package.get("source") else {
            assert_eq!(name, "oncelink", "{name} comes from a folder");
            continue;
        };
        let source = source.as_str().unwrap();
        let registry =
            source.strip_prefix("registry+").unwrap_or_else(|| panic!("{name} comes from {source}"));
        assert!(allowed.contains(registry), "{name} comes from {source}");
        assert!(package.get("checksum").is_some(), "{name} has no checksum");
        checked += 1;
    }
    assert!(checked > 100, "Cargo.lock has only {checked} crates");
}

#[test]
fn license_expressions_are_understood() {
    let allowed = ["MIT", "ISC", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).into();
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0-or-later", false),
        ("", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0/MIT", true),
        ("GPL-3.0 AND MIT", false),
        ("MIT AND (GPL-3.0 OR ISC)", true),
        ("MIT AND (GPL-3.0 OR LGPL-3.0)", false),
        ("Apache-2.0 WITH LLVM-exception OR GPL-2.0", true),
        ("GPL-2.0 WITH Classpath-exception-2.0", false),
        ("MIT OR GPL-3.0 AND LGPL-3.0", true),
        ("(MIT OR GPL-3.0) AND GPL-3.0", false),
    ] {
        assert_eq!(is_allowed(expression, &allowed), expected, "{expression:?}");
    }
}

/// Whether an SPDX expression (annex D; AND binds tighter than OR, the old `/` means OR) is satisfied by the
/// allowed licenses.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let verdict = any(&mut rest, allowed);
    verdict && rest.is_empty()
}

fn any(words: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let mut verdict = all(words, allowed);
    while words.first() == Some(&"OR") {
        *words = &words[1..];
        verdict |= all(words, allowed);
    }
    verdict
}

fn all(words: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let mut verdict = one(words, allowed);
    while words.first() == Some(&"AND") {
        *words = &words[1..];
        verdict &= one(words, allowed);
    }
    verdict
}

fn one(words: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    match **words {
        ["(", ref inner @ ..] => {
            *words = inner;
            let verdict = any(words, allowed);
            assert_eq!(words.first(), Some(&")"), "unbalanced parentheses");
            *words = &words[1..];
            verdict
        }
        [licence, "WITH", exception, ref rest @ ..] => {
            *words = rest;
            allowed.contains(&format!("{licence} WITH {exception}"))
        }
        [licence, ref rest @ ..] => {
            *words = rest;
            allowed.contains(licence)
        }
        [] => false,
    }
}
