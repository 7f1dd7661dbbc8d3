//! `docs/servers.md` is held true: it lists every test here and nothing else, and what it says rests on a test is what
//! the test itself says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tests::binary::root;

/// By test, the files that rest on it.
type Tests = BTreeMap<String, BTreeSet<String>>;

/// Words in backquotes that are files of the workspace.
fn files(text: &str) -> BTreeSet<String> {
    let words = text.split('`').skip(1).step_by(2);
    words.filter(|word| word.contains('/') && word.contains('.')).map(str::to_owned).collect()
}

/// Every test in `text`, with the files that its comment names.
fn tests_in(text: &str, attribute: &str) -> Tests {
    let mut tests = Tests::new();
    let mut comment = String::new();
    let mut is_test = false;
    for line in text.lines() {
        if let Some(words) = line.strip_prefix("///") {
            comment.push_str(words);
        } else if line.starts_with(attribute) {
            is_test = true;
        } else if !line.starts_with("#[") {
            let name = line.split_once("fn ").and_then(|(_, rest)| rest.split_once('('));
            if let (true, Some((name, _))) = (is_test, name) {
                tests.insert(name.to_owned(), files(&comment));
            }
            is_test = false;
            comment.clear();
        }
    }
    tests
}

fn source() -> Tests {
    let mut tests = Tests::new();
    for entry in std::fs::read_dir(root().join("tests/servers")).unwrap() {
        let path = entry.unwrap().path();
        if !path.ends_with("documented.rs") {
            tests.extend(tests_in(&std::fs::read_to_string(path).unwrap(), "#[tokio::test]"));
        }
    }
    tests
}

fn documented() -> Tests {
    let text = std::fs::read_to_string(root().join("docs/servers.md")).unwrap();
    let mut tests = Tests::new();
    for row in text.lines().filter(|line| line.starts_with("| ") && line.contains('`')) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [_, _, rests, name] = cells[..] else { panic!("four columns: {row}") };
        let before = tests.insert(name.trim_matches('`').to_owned(), files(rests));
        assert!(before.is_none(), "twice: {name}");
    }
    tests
}

#[test]
fn the_page_lists_every_test_with_the_files_that_rest_on_it() {
    let (source, documented) = (source(), documented());
    assert!(source.len() > 50, "{} tests", source.len());
    for (name, files) in &source {
        let found = documented.get(name).unwrap_or_else(|| panic!("docs/servers.md does not list {name}"));
        assert_eq!(found, files, "{name}");
    }
    let gone: Vec<&String> = documented.keys().filter(|name| !source.contains_key(*name)).collect();
    assert!(gone.is_empty(), "docs/servers.md lists {gone:?}, which are no tests");
}

#[test]
fn what_rests_on_the_servers_is_there() {
    for (name, files) in source() {
        assert!(!files.is_empty(), "{name} does not say what rests on it");
        for file in files {
            assert!(Path::new(root()).join(&file).is_file(), "{name} names {file}, which is not there");
        }
    }
}
