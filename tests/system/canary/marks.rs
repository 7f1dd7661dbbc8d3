//! Marked strings, and how they are found again in whatever a process says or stores.
//!
//! What a reader would get wrong: a leak is seldom the plain text. So each mark is also looked for as base64 in its three
//! alignments, as hex, and as the list of numbers that `{:?}` makes of bytes.

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// In everything that a person wrote or is called. Letters only: no encoding of text changes it.
pub(crate) const PERSON: &str = "CANARYPERSON";
/// In every secret, ours and those that a stranger guesses.
pub(crate) const SECRET: &str = "CANARYSECRET";
/// The end of the telephone number that everybody has.
pub(crate) const PHONE: &str = "5550171234";
/// What all addresses of clients begin with, as proxies tell of them.
pub(crate) const NETWORK: &str = "203.0.113.";
/// The same of IPv6.
pub(crate) const NETWORK_6: &str = "2001:db8:77:";
/// The address of a client that comes without a proxy.
pub(crate) const PEER: &str = "127.77.13.5";

/// What is looked for.
pub(crate) struct Marks {
    /// In lower case, to be found whatever the case.
    plain: Vec<String>,
    encoded: Vec<String>,
}

impl Marks {
    /// Of people: what they wrote, what they are called, and where they are reached.
    pub(crate) fn of_people() -> Self {
        Self::new(&[PERSON, PHONE, NETWORK, NETWORK_6, PEER].map(str::to_owned))
    }

    /// Of secrets: the marked ones, and those that `penstock up` has drawn or that are files.
    pub(crate) fn of_secrets(data: &Path) -> Self {
        let drawn: Value = serde_json::from_slice(&std::fs::read(data.join("secrets.json")).unwrap()).unwrap();
        let mut secrets = vec![SECRET.to_owned()];
        texts(&drawn, &mut secrets);
        assert!(secrets.len() > 6, "five users of NATS, PostgreSQL, and a key");
        for key in super::configuration::KEYS {
            let pem = std::fs::read_to_string(crate::providers::repository(key)).unwrap();
            // The first line says what it is, the second begins like that of every such key.
            secrets.extend(pem.lines().nth(2).map(str::to_owned));
        }
        Self::new(&secrets)
    }

    fn new(marks: &[String]) -> Self {
        let encoded = marks.iter().flat_map(|mark| encodings(mark)).collect();
        Self { plain: marks.iter().map(|mark| mark.to_lowercase()).collect(), encoded }
    }

    /// The lines that hold one.
    pub(crate) fn lines<'t>(&self, text: &'t str) -> Vec<&'t str> {
        text.lines().filter(|line| self.is_in(line)).collect()
    }

    fn is_in(&self, line: &str) -> bool {
        let lower = line.to_lowercase();
        self.plain.iter().any(|mark| lower.contains(mark)) || self.encoded.iter().any(|mark| line.contains(mark))
    }

    /// The files under `folder` that hold one, whatever else they are.
    pub(crate) fn files(&self, folder: &Path) -> Vec<String> {
        assert!(folder.is_dir(), "{}", folder.display());
        let mut command = Command::new("grep");
        command.args(["-r", "-a", "-i", "-l", "-F"]).env("LC_ALL", "C");
        for mark in self.plain.iter().chain(&self.encoded) {
            command.arg("-e").arg(mark);
        }
        let output = command.arg(folder).output().expect("grep");
        // A server may take a file away while it is looked for; what could be read was read.
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    }
}

fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Object(fields) => fields.values().for_each(|field| texts(field, found)),
        _ => {}
    }
}

fn encodings(mark: &str) -> Vec<String> {
    let bytes = mark.as_bytes();
    let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
    let mut encodings = vec![hex::encode(bytes), numbers.join(", ")];
    for before in 0..3 {
        // A digit of base64 that also says something of what stands before or after is left out.
        let text = STANDARD.encode([&vec![0; before], bytes].concat());
        let digits = (before + bytes.len()) * 8 / 6;
        encodings.push(text[(before * 8).div_ceil(6)..digits].to_owned());
    }
    encodings
}

#[test]
fn a_mark_is_found_however_it_is_written() {
    let marks = Marks::new(&[PERSON.to_owned()]);
    let said = format!("Hello {PERSON}!");
    let folder = tempfile::tempdir().unwrap();
    for text in [
        said.clone(),
        said.to_lowercase(),
        STANDARD.encode(&said),
        STANDARD.encode(format!("x{said}")),
        STANDARD.encode(format!("xy{said}")),
        hex::encode(&said),
        format!("{:?}", said.as_bytes()),
    ] {
        assert_eq!(marks.lines(&format!("before\n{text}\nafter")), [text.as_str()]);
        std::fs::write(folder.path().join("file"), [b"\0\xff\n", text.as_bytes()].concat()).unwrap();
        assert_eq!(marks.files(folder.path()).len(), 1, "{text}");
    }
    assert!(marks.lines("CANARY PERSON").is_empty());
}
