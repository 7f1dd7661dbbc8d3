//! What a person sees while things are made: a spinner for each long step on a terminal, plain lines otherwise.
//!
//! Everything goes to standard error, so that what is asked for (a table, an address) can be piped alone. A reader that
//! has gone away (`up | head`) is no reason to stop: failures to write are passed over.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Where lines and progress go. Cloning gives the same console.
#[derive(Debug, Clone)]
pub(crate) struct Console {
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Terminal(MultiProgress),
    Lines,
    #[cfg(test)]
    Silent,
}

/// A step under way; ends with [`Step::done`]. Dropping it takes the spinner away without a word.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    console: &'a Console,
    spinner: Option<ProgressBar>,
    started: Instant,
    said: Mutex<Instant>,
}

impl Console {
    /// A console for this process's standard error.
    pub(crate) fn for_stderr() -> Self {
        let kind = if std::io::stderr().is_terminal() { Kind::Terminal(MultiProgress::new()) } else { Kind::Lines };
        Self { kind }
    }

    #[cfg(test)]
    pub(crate) fn silent() -> Self {
        Self { kind: Kind::Silent }
    }

    /// One line for the reader.
    pub(crate) fn line(&self, text: &str) {
        match &self.kind {
            Kind::Terminal(bars) => bars.suspend(|| write_line(text)),
            Kind::Lines => write_line(text),
            #[cfg(test)]
            Kind::Silent => {}
        }
    }

    /// Begins a step that may take a while.
    pub(crate) fn step(&self, what: String) -> Step<'_> {
        let spinner = if let Kind::Terminal(bars) = &self.kind {
            Some(spinner(bars, what))
        } else {
            self.line(&format!("  {what} ..."));
            None
        };
        Step { console: self, spinner, started: Instant::now(), said: Mutex::new(Instant::now()) }
    }
}

impl Step<'_> {
    /// Says how it ended, and how long it took where that is worth saying.
    pub(crate) fn done(self, what: &str) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
        let took = self.started.elapsed();
        let time =
            if took > Duration::from_secs(1) { format!(" ({:.1} s)", took.as_secs_f32()) } else { String::new() };
        self.console.line(&format!("  {what}{time}"));
    }

    /// For a wait without a spinner: a line every ten seconds, so that a log shows that it is alive.
    pub(crate) fn still(&self, what: &str) {
        let Ok(mut said) = self.said.lock() else { return };
        if said.elapsed() < Duration::from_secs(10) {
            return;
        }
        *said = Instant::now();
        let seconds = self.started.elapsed().as_secs();
        match &self.spinner {
            Some(spinner) => spinner.set_message(format!("{what} ({seconds} s)")),
            None => self.console.line(&format!("  {what} ({seconds} s)")),
        }
    }
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
    }
}

fn spinner(bars: &MultiProgress, what: String) -> ProgressBar {
    let bar = bars.add(ProgressBar::new_spinner());
    let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn write_line(text: &str) {
    writeln!(std::io::stderr(), "{text}").ok();
}
