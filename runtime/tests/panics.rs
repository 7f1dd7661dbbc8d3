//! The hook for panics, in a program of its own: it is one for the whole process.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[test]
fn a_panic_is_one_line_with_its_place_and_without_the_text_that_it_quotes() {
    let log = Log::default();
    tracing_subscriber::fmt().json().with_writer(log.clone()).init();
    runtime::panics::log();
    let sent = std::hint::black_box("CANARYPERSON wrote fünf".to_owned());
    let panicked = std::thread::Builder::new().name("reader".into()).spawn(move || sent[..21].len()).unwrap().join();
    // What fails from here on is the test's.
    drop(std::panic::take_hook());
    assert!(panicked.is_err(), "the middle of a letter");

    let written = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(written.lines().count(), 1, "{written}");
    for expected in ["ERROR", "reader", "panics.rs:", "not shown"] {
        assert!(written.contains(expected), "{expected}: {written}");
    }
    assert!(!written.contains("CANARYPERSON"), "{written}");
}
