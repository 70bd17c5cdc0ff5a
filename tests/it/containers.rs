//! What an image is built from: everything the build reads passes `.dockerignore`, and nothing else.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// The top-level entries that `.dockerignore` lets through.
fn allowed() -> Vec<String> {
    let text = fs::read_to_string(".dockerignore").unwrap();
    let mut lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    assert_eq!(lines.next(), Some("*"), "everything else is excluded");
    lines.map(|line| line.strip_prefix('!').unwrap_or_else(|| panic!("{line}")).to_owned()).collect()
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Resolves `..` without looking at the disk.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => assert!(normal.pop(), "{}", path.display()),
            part => normal.push(part),
        }
    }
    normal
}

/// The files that the sources in `folder` include, relative to the top level.
fn included(folder: &str) -> Vec<PathBuf> {
    let (mut sources, mut found) = (Vec::new(), Vec::new());
    rust_files(Path::new(folder), &mut sources);
    for source in sources {
        let text = fs::read_to_string(&source).unwrap();
        for (_, rest) in ["include_str!(", "include_bytes!(", "include!("]
            .iter()
            .flat_map(|name| text.match_indices(name).map(|(at, name)| (name, &text[at + name.len()..])))
        {
            // Some are inside a macro of ours, whose argument is a variable.
            if let Some(path) = rest.strip_prefix('"').and_then(|rest| rest.split('"').next()) {
                found.push(normal(&source.parent().unwrap().join(path)));
            }
        }
    }
    found
}

#[test]
fn everything_that_a_build_reads_goes_to_the_builder() {
    let allowed = allowed();
    let passes = |path: &Path| {
        let top = path.components().next().unwrap().as_os_str().to_str().unwrap().to_owned();
        allowed.contains(&top)
    };
    let included = [included("src"), included("benches")].concat();
    assert!(included.len() > 20, "{included:?}");
    for path in &included {
        assert!(path.exists(), "{}", path.display());
        assert!(passes(path), "{} is compiled in, but .dockerignore excludes it", path.display());
    }
    for name in ["Cargo.toml", "Cargo.lock", "src", "templates"] {
        assert!(passes(Path::new(name)), "{name}");
    }
    for name in &allowed {
        assert!(Path::new(name).exists(), "{name} isn't there");
    }
    for name in ["target", "data", "storage", ".git", "oncelink.toml"] {
        assert!(!passes(Path::new(name)), "{name} doesn't belong in an image");
    }
}

#[test]
fn the_image_and_both_containers_are_asked_by_the_program_itself() {
    let image = fs::read_to_string("Dockerfile").unwrap();
    assert!(
        image.contains("HEALTHCHECK") && image.contains("[\"/usr/local/bin/oncelink\", \"healthcheck\"]")
    );
    let compose = fs::read_to_string("docker-compose.yml").unwrap();
    for service in ["web", "download"] {
        let test = format!("test: [\"CMD\", \"/usr/local/bin/oncelink\", \"healthcheck\", \"{service}\"]");
        assert_eq!(compose.matches(&test).count(), 1, "{service}");
    }
}
