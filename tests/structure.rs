//! The shape of the workspace, held by a test: who may use whom, and that four stages look like one.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

#[path = "structure/supply_chain.rs"]
mod supply_chain;
#[path = "structure/threats.rs"]
mod threats;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "structure/containers.rs"]
mod containers;

/// Every arrow there is. Another one is a decision: it needs a page in `docs/decisions`, not only a line here.
const MAY_USE: &[(&str, &[&str])] = &[
    ("proto", &[]),
    ("runtime", &[]),
    ("providers", &["proto"]),
    ("ingest-gateway", &["proto", "runtime", "providers"]),
    ("normalizer", &["proto", "runtime", "providers"]),
    ("dedup-worker", &["proto", "runtime"]),
    ("persister", &["proto", "runtime"]),
    ("penstock", &["proto", "runtime", "providers", "ingest-gateway", "normalizer", "dedup-worker", "persister"]),
    ("tests", &["proto", "runtime"]),
    ("model", &[]),
];

const STAGES: [&str; 4] = ["ingest-gateway", "normalizer", "dedup-worker", "persister"];
/// What holds no I/O, no clock and nothing that waits.
const PURE_CRATES: [&str; 2] = ["proto", "providers"];
/// By stage, the files that decide.
const DECIDES: [(&str, &str); 9] = [
    ("ingest-gateway", "admit.rs"),
    ("normalizer", "decide.rs"),
    ("dedup-worker", "decide.rs"),
    ("persister", "row.rs"),
    ("persister", "audit/course.rs"),
    ("persister", "audit/endings.rs"),
    ("persister", "audit/judge.rs"),
    ("persister", "retention/kept.rs"),
    ("persister", "retention/walk.rs"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn manifest(path: &Path) -> toml::Table {
    fs::read_to_string(path.join("Cargo.toml")).unwrap().parse().unwrap()
}

/// Every `.rs` file of a crate, generated ones left out.
fn sources(krate: &str) -> Vec<PathBuf> {
    let (mut folders, mut files) = (vec![root().join(krate)], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    assert!(!files.is_empty(), "{krate} has no source");
    files
}

/// A file without its tests: those may do anything.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.split("#[cfg(test)]").next().unwrap_or_default().to_owned()
}

#[test]
fn every_member_has_its_arrows_written_here() {
    let workspace = manifest(root());
    let members = workspace["workspace"]["members"].as_array().unwrap();
    let members: BTreeSet<&str> = members.iter().filter_map(toml::Value::as_str).collect();
    let known: BTreeSet<&str> = MAY_USE.iter().map(|(krate, _)| *krate).collect();
    assert_eq!(members, known);
}

#[test]
fn arrows_point_one_way() {
    for (krate, allowed) in MAY_USE {
        let manifest = manifest(&root().join(krate));
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(used) = manifest.get(section).and_then(toml::Value::as_table) else { continue };
            for name in used.keys().filter(|name| MAY_USE.iter().any(|(member, _)| member == name)) {
                assert!(allowed.contains(&name.as_str()), "{krate} may not use {name} ({section})");
            }
        }
    }
}

#[test]
fn every_file_begins_by_saying_what_it_is_for() {
    for (krate, _) in MAY_USE {
        for path in sources(krate) {
            let text = fs::read_to_string(&path).unwrap();
            let first = text.lines().next().unwrap_or_default();
            let says = first.strip_prefix("//! ").is_some_and(|words| words.len() > 10);
            assert!(says, "{} begins with {first:?}", path.display());
        }
    }
}

#[test]
fn what_is_pure_waits_for_nothing_and_asks_nobody() {
    let banned =
        ["async ", ".await", "std::fs", "std::net", "tokio", "SystemTime", "Instant::now", "Utc::now", "std::env"];
    for krate in PURE_CRATES {
        for path in sources(krate).iter().filter(|path| path.starts_with(root().join(krate).join("src"))) {
            let code = code(path);
            let lines = code.lines().map(str::trim).filter(|line| !line.starts_with("//"));
            for line in lines {
                let found = banned.iter().find(|word| line.contains(**word));
                assert!(found.is_none(), "{}: {found:?} in {line:?}", path.display());
            }
        }
    }
}

#[test]
fn what_is_thrown_away_is_decided_by_the_brokers_clock() {
    // A tick says when to look, never what is old.
    let banned = ["SystemTime", "Instant", "Utc::", "Local::", "clock::", "elapsed"];
    for file in [
        "runtime/src/trim.rs",
        "runtime/src/trimmer.rs",
        "runtime/src/stream_info.rs",
        "persister/src/housekeeping.rs",
        "persister/src/retention/files.rs",
        "persister/src/retention/kept.rs",
        "persister/src/retention/present.rs",
        "persister/src/retention/walk.rs",
    ] {
        let code = code(&root().join(file));
        for line in code.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
            let found = banned.iter().find(|word| line.contains(**word));
            assert!(found.is_none(), "{file}: {found:?} in {line:?}");
        }
    }
}

#[test]
fn having_read_one_stage_is_having_read_all() {
    for stage in STAGES {
        for name in ["lib.rs", "main.rs", "metrics.rs"] {
            assert!(root().join(stage).join("src").join(name).is_file(), "{stage} has a {name}");
        }
        let main = fs::read_to_string(root().join(stage).join("src/main.rs")).unwrap();
        assert!(main.lines().count() <= 40, "the main of {stage} is thin");
    }
    for (stage, name) in DECIDES {
        let path = root().join(stage).join("src").join(name);
        let code = code(&path);
        let lines = code.lines().map(str::trim).filter(|line| !line.starts_with("//"));
        for line in lines {
            assert!(!line.contains("async ") && !line.contains(".await"), "{}: {line:?}", path.display());
        }
    }
}

/// Cargo reads the manifest of every member, also of those that it does not build.
#[test]
fn the_image_is_built_from_every_member() {
    let seen = fs::read_to_string(root().join("deploy/Dockerfile.dockerignore")).unwrap();
    for (krate, _) in MAY_USE {
        assert!(seen.lines().any(|line| line == format!("!{krate}")), "{krate} is not in the image's build");
    }
}

#[test]
fn every_place_where_a_process_can_be_killed_is_one_where_it_is() {
    const NAMED: &str = "kill_point::reached(\"";
    let mut places = BTreeSet::new();
    for (krate, _) in MAY_USE.iter().filter(|(krate, _)| *krate != "tests") {
        for path in sources(krate) {
            let code = code(&path);
            let named = code.split(NAMED).skip(1).filter_map(|rest| rest.split('"').next());
            places.extend(named.map(str::to_owned));
        }
    }
    assert!(!places.is_empty());
    let proof = fs::read_to_string(root().join("tests/faults/kill_points.rs")).unwrap();
    let missing: Vec<_> = places.iter().filter(|place| !proof.contains(&format!("\"{place}\""))).collect();
    assert!(missing.is_empty(), "no kill at {missing:?}: add them to tests/faults/kill_points.rs");
}

#[test]
fn no_release_can_be_made_to_die() {
    for (krate, _) in MAY_USE {
        let manifest = manifest(&root().join(krate));
        let default = manifest.get("features").and_then(|features| features.get("default"));
        assert_eq!(default, None, "{krate} has features that nobody asked for");
    }
}

#[test]
fn the_tests_have_few_binaries() {
    let manifest = manifest(&root().join("tests"));
    assert_eq!(manifest["package"]["autotests"].as_bool(), Some(false));
    let names: BTreeSet<_> =
        manifest["test"].as_array().unwrap().iter().filter_map(|test| test["name"].as_str()).collect();
    assert_eq!(names, BTreeSet::from(["faults", "servers", "structure", "system"]));
}

/// Names of fields that hold a credential, where they are text: `PublicUrl`, `Secret` and their like hide it themselves.
const CREDENTIALS: [&str; 11] = [
    "env",
    "hash_key",
    "nats_url",
    "overrides",
    "password",
    "passwords",
    "postgres_url",
    "public_url",
    "secret",
    "secrets",
    "token",
];
/// Types that show what they hold.
const SHOWN: [&str; 8] =
    ["String", "Option<String>", "Env", "Vec<u8>", "Vec<String>", "&str", "&'a str", "Option<&'a str>"];

/// Of a file, the structs with a derived `Debug` that shows a credential.
fn shown_credentials(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for piece in code.split("#[derive(").skip(1) {
        let Some((derived, rest)) = piece.split_once(")]") else { continue };
        let body = rest.split_once('{').and_then(|(head, rest)| Some((head, rest.split_once("\n}")?.0)));
        let Some((head, body)) = body.filter(|(head, _)| head.contains("struct ") && !head.contains(';')) else {
            continue;
        };
        let fields = body.lines().filter_map(|line| line.trim().trim_end_matches(',').split_once(": "));
        let fields = fields.map(|(name, kind)| (name.rsplit(' ').next().unwrap_or_default(), kind));
        if derived.split(", ").any(|name| name == "Debug") {
            let shown = fields.filter(|(name, kind)| CREDENTIALS.contains(name) && SHOWN.contains(kind));
            found.extend(shown.map(|(name, _)| format!("{}: {name}", head.trim())));
        }
    }
    found
}

#[test]
fn what_holds_a_credential_has_no_debug_that_shows_it() {
    let probe = "#[derive(Clone, Debug)]\npub struct A {\n    /// It.\n    pub password: String,\n}\n";
    assert_eq!(shown_credentials(probe), ["pub struct A: password"]);
    for krate in MAY_USE.iter().map(|(krate, _)| krate).filter(|krate| **krate != "tests") {
        for path in sources(krate) {
            let found = shown_credentials(&code(&path));
            assert!(found.is_empty(), "{}: {found:?} (write Debug by hand, or do without)", path.display());
        }
    }
}

/// What is served is a rendering, so that no production code reads YAML.
#[test]
fn what_is_served_as_openapi_json_is_what_docs_openapi_yaml_says() {
    let yaml = fs::read_to_string(root().join("docs/openapi.yaml")).unwrap();
    let written = json(&yaml_rust2::YamlLoader::load_from_str(&yaml).unwrap()[0]);
    let rendering = root().join("runtime/src/openapi.json");
    if std::env::var_os("PENSTOCK_RENDER").is_some() {
        fs::write(&rendering, format!("{written:#}\n")).unwrap();
    }
    let served: serde_json::Value = serde_json::from_str(&fs::read_to_string(&rendering).unwrap()).unwrap();
    assert!(served == written, "they differ; to render it: PENSTOCK_RENDER=1 cargo test --test structure openapi");
}

fn json(yaml: &yaml_rust2::Yaml) -> serde_json::Value {
    use yaml_rust2::Yaml;
    match yaml {
        Yaml::Hash(entries) => {
            entries.iter().map(|(key, value)| (key.as_str().unwrap().to_owned(), json(value))).collect()
        }
        Yaml::Array(values) => values.iter().map(json).collect(),
        Yaml::String(text) => text.as_str().into(),
        Yaml::Integer(number) => (*number).into(),
        Yaml::Boolean(flag) => (*flag).into(),
        other => panic!("docs/openapi.yaml holds {other:?}"),
    }
}
