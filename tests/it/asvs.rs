//! Checks `docs/asvs.md`: everything a row names exists, and what it says about scripts is true.

use std::fs;
use std::path::Path;

/// The names in backquotes in a row that refer to a test, a file or a function.
fn references(row: &str) -> impl Iterator<Item = &str> {
    row.split('`').skip(1).step_by(2).filter(|name| name.ends_with(".rs") || name.contains("::"))
}

fn is_there(name: &str) -> bool {
    let path_of = |module: &str| match module.starts_with("src/") || module.starts_with("tests/") {
        true => module.to_owned(),
        false => format!("tests/it/{}.rs", module.trim_end_matches(".rs")),
    };
    match name.rsplit_once("::") {
        Some((module, function)) => {
            let source = fs::read_to_string(path_of(module)).unwrap_or_default();
            source.contains(&format!("fn {function}("))
        }
        None => Path::new(&path_of(name)).exists(),
    }
}

#[test]
fn every_row_names_a_test_or_a_file_that_exists_or_says_why_there_is_none() {
    let text = fs::read_to_string("docs/asvs.md").unwrap();
    let is_row = |line: &&str| {
        let number = line.strip_prefix("| ").and_then(|rest| rest.split(" |").next()).unwrap_or_default();
        number.split('.').count() == 3 && number.split('.').all(|part| part.parse::<u8>().is_ok())
    };
    let rows: Vec<&str> = text.lines().filter(is_row).collect();
    assert!(rows.len() > 60, "{} rows", rows.len());
    for row in &rows {
        for name in references(row) {
            assert!(is_there(name), "`{name}` does not exist: {row}");
        }
        let answer = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        // "Above" refers to one of the paragraphs before the table.
        let leads_above = answer.strip_prefix("Above, *").and_then(|rest| rest.split('*').next());
        let is_above = leads_above.is_some_and(|title| text.contains(&format!("**{title}")));
        let has_answer = answer.contains('`') || answer.contains("**") || answer == "Same test" || is_above;
        assert!(has_answer || !answer.is_empty(), "no answer: {row}");
    }
    let count = |word: &str| rows.iter().filter(|row| row.contains(word)).count();
    let (part, deviates, none) = (count("**in part**"), count("**deviates**"), count("**not applicable**"));
    let met = rows.len() - part - deviates - none;
    let summary = format!(
        "Of {} rows {met} are met and {part} in part; {deviates} deviate, {none} are not applicable.",
        rows.len()
    );
    assert!(text.contains(&summary), "the counts at the top must match the rows: {summary}");
}

#[test]
fn what_the_text_says_about_scripts_is_true() {
    let mut writes_markup = Vec::new();
    for entry in fs::read_dir("templates/static").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|kind| kind != "js") {
            continue;
        }
        let script = fs::read_to_string(&path).unwrap();
        for word in ["postMessage", "eval(", "document.write", "new Function", "insertAdjacentHTML"] {
            assert!(!script.contains(word), "{word} in {}", path.display());
        }
        assert!(!script.contains("type=password"), "{} touches passwords", path.display());
        if script.contains("innerHTML") || script.contains("outerHTML") {
            writes_markup.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    assert_eq!(writes_markup, ["live.js"], "and only with markup that the app rendered");
}
