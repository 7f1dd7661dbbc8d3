//! What the pages about threats say is there, and what must be so wherever the code is: no test could run into it.

use std::fs;

use super::{MAY_USE, code, root, sources};

/// Words in backticks that are long enough to be the name of a test.
fn named_tests(text: &str) -> Vec<&str> {
    let words = text.split('`').skip(1).step_by(2);
    let is_name = |word: &&str| {
        word.matches('_').count() >= 3
            && !word.starts_with("penstock_")
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    words.filter(is_name).collect()
}

#[test]
fn every_test_that_a_page_names_is_there() {
    let mut code = String::new();
    for (krate, _) in MAY_USE {
        for path in sources(krate) {
            code.push_str(&fs::read_to_string(path).unwrap());
        }
    }
    for page in ["ARCHITECTURE.md", "docs/security.md"] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        let named = named_tests(&text);
        assert!(named.len() > 30, "{page}: {named:?}");
        let missing: Vec<_> = named.iter().filter(|name| !code.contains(&format!("fn {name}("))).collect();
        assert!(missing.is_empty(), "{page} names {missing:?}");
    }
}

#[test]
fn every_threat_has_its_test_or_says_that_it_has_none() {
    let text = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Threat"));
    for row in rows.filter(|row| !row.starts_with("| ---")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [threat, _, shown_by] = cells.as_slice() else { panic!("{row} has not three cells") };
        assert!(shown_by.contains('`') || shown_by.starts_with("none: "), "{threat}: {shown_by:?}");
    }
}

/// Where what a request shows is compared with what only its sender and we know.
const VERIFIES: [&str; 3] = ["providers/src", "ingest-gateway/src", "runtime/src/http_server"];
/// How such things are called there, as whole words.
const SHOWN_OR_KNOWN: [&str; 8] = ["given", "mac", "made", "secret", "signature", "shown", "token", "password"];

/// Whether a line compares one of them as if it were any value: up to the first difference, which time tells.
fn compares_plainly(line: &str) -> bool {
    let no_word = |letter: char| !letter.is_ascii_alphanumeric() && letter != '_';
    let around = ["==", "!="].iter().filter_map(|sign| line.split_once(sign));
    let mut operands = around.flat_map(|(left, right)| {
        let right = right.trim_start_matches([' ', '*', '&']);
        let word = right.split(no_word).next().unwrap_or_default();
        // What is asked of it, such as its length, is another value.
        let whole = !right[word.len()..].starts_with(['.', '(', ':']);
        [left.trim_end().rsplit(no_word).next().unwrap_or_default(), if whole { word } else { "" }]
    });
    operands.any(|word| SHOWN_OR_KNOWN.contains(&word))
}

#[test]
fn no_credential_is_compared_in_a_time_that_tells_how_much_of_it_is_right() {
    for line in ["if made == given {", "fits(|key| *key != *secret)", "(shown == expected).then_some(1)", "x == token;"]
    {
        assert!(compares_plainly(line), "{line}");
    }
    for line in ["given.len() == length", "kind == \"token\"", "version == wanted"] {
        assert!(!compares_plainly(line), "{line}");
    }
    for folder in VERIFIES {
        let (krate, _) = folder.split_once('/').unwrap();
        for path in sources(krate).iter().filter(|path| path.starts_with(root().join(folder))) {
            let code = code(path);
            let lines = code.lines().map(str::trim).filter(|line| !line.starts_with("//"));
            let found = lines.into_iter().find(|line| compares_plainly(line));
            assert_eq!(found, None, "{}: compare with scheme::mac::equal", path.display());
        }
    }
    let mac = fs::read_to_string(root().join("providers/src/scheme/mac.rs")).unwrap();
    assert!(mac.contains("one.ct_eq(other)"), "equal() takes the same time wherever the difference is");
}

/// Keys of maps are what strangers chose. The standard library's maps are keyed anew in each; those that are not can be
/// filled with names that all lie in one place. `preserve_order` would give `serde_json` such a map to make one of.
#[test]
fn no_map_has_a_hash_that_can_be_foreseen() {
    let banned = ["FxHash", "AHash", "FnvHash", "BuildHasherDefault", "BuildNoHash", "with_hasher("];
    for (krate, _) in MAY_USE.iter().filter(|(krate, _)| *krate != "tests") {
        for path in sources(krate) {
            let code = code(&path);
            let found = banned.iter().find(|word| code.contains(**word));
            assert_eq!(found, None, "{}", path.display());
        }
    }
    let map: serde_json::Map<String, serde_json::Value> = serde_json::from_str(r#"{"b":1,"a":2}"#).unwrap();
    assert!(map.keys().eq(["a", "b"]), "serde_json has an ordered map, in which no choice of keys costs more");
}

/// A request that is answered with "go and ask there" is a way into a private network. So there is one place that asks
/// (its URLs are checked), one that stores files, and the connections to the two servers.
#[test]
fn nothing_that_reads_messages_can_call_anybody() {
    let calls = ["TcpStream::connect", "UdpSocket", "UnixStream", "hyper::client", "hyper_util::client", "reqwest"];
    let roles = ["proto", "providers", "runtime", "ingest-gateway", "normalizer", "dedup-worker", "persister"];
    let mut callers = Vec::new();
    for path in roles.iter().flat_map(|krate| sources(krate)).filter(|path| !path.ends_with("tests.rs")) {
        let code = code(&path);
        if calls.iter().any(|call| code.contains(call)) {
            callers.push(path.strip_prefix(root()).unwrap().display().to_string());
        }
    }
    assert_eq!(callers, ["ingest-gateway/src/egress.rs"]);
}
