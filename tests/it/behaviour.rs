//! Checks that each row of `docs/behaviour.md` names a test that exists.

use std::fs;

#[test]
fn every_row_of_the_table_names_its_test() {
    let text = fs::read_to_string("docs/behaviour.md").unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| what |"));
    let mut named = 0;
    for row in rows {
        let last = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        if last == "the same" {
            continue;
        }
        for name in last.split(", ").map(|name| name.trim_matches('`')) {
            let (module, test) =
                name.rsplit_once("::").unwrap_or_else(|| panic!("no test is named in {row}"));
            let unit = format!("src/{}.rs", module.replace("::", "/"));
            let path = if module.contains("::") { unit } else { format!("tests/it/{module}.rs") };
            let source = fs::read_to_string(&path)
                .unwrap_or_else(|_| panic!("{path}, named in {row}, does not exist"));
            assert!(source.contains(&format!("fn {test}(")), "{path} has no {test}");
            named += 1;
        }
    }
    assert!(named > 20, "only {named} tests are named");
}
