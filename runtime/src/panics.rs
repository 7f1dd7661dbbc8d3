//! A panic is one line of the log, with its place and without what its message may quote.
//!
//! What a reader would get wrong: a message of Rust's own can hold what somebody sent. "byte index 3 is not a char
//! boundary" goes on with the text itself. So a message is shown only where it stands in the code as it is; one that was
//! put together is not, and the place has to do. The standard hook, which prints everything, is replaced.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;

use tokio::task::JoinError;
use tracing::error;
use tracing::field::display;

/// What stands for a message that was put together.
const NOT_SHOWN: &str = "(not shown: it may quote what somebody sent)";

/// From here on panics are logged, as long as `log.level` lets errors through.
pub fn log() {
    std::panic::set_hook(Box::new(tell));
}

/// How a task ended that gave no result. A `JoinError` says itself what the panic said.
pub fn ending(error: &JoinError) -> &'static str {
    if error.is_panic() { "it panicked" } else { "it was aborted" }
}

fn tell(info: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    // Of functions and lines only, and where RUST_BACKTRACE asks for it.
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| display(&backtrace));
    error!(
        thread = thread.name(),
        place = info.location().map(display),
        said = said(info.payload()),
        backtrace,
        "panicked; please report this"
    );
}

/// Only a text that is part of the program is `&'static str` here.
fn said(payload: &dyn Any) -> &'static str {
    payload.downcast_ref::<&'static str>().copied().unwrap_or(NOT_SHOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said_by(panic: impl FnOnce() + Send + 'static) -> &'static str {
        said(&*std::thread::spawn(panic).join().unwrap_err())
    }

    #[test]
    fn a_message_that_stands_in_the_code_is_said_and_one_that_was_put_together_is_not() {
        let text = std::hint::black_box("fünf".to_owned());
        assert_eq!(said_by(|| panic!("this stands here")), "this stands here");
        let none = std::hint::black_box(None::<()>);
        assert_eq!(said_by(move || none.unwrap()), "called `Option::unwrap()` on a `None` value");
        for panic in [
            Box::new({
                let text = text.clone();
                move || drop(text[..2].to_owned())
            }) as Box<dyn FnOnce() + Send>,
            Box::new({
                let text = text.clone();
                move || panic!("{text}")
            }),
            Box::new(move || assert!(text.parse::<u8>().map_err(|_| text).unwrap() > 0)),
        ] {
            assert_eq!(said_by(panic), NOT_SHOWN);
        }
    }

    #[tokio::test]
    async fn a_task_that_panicked_does_not_say_what_the_panic_said() {
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async { panic!("{}", std::hint::black_box("canary")) });
        let error = tasks.join_next().await.unwrap().unwrap_err();
        assert!(error.to_string().contains("canary"), "this is why: {error}");
        assert_eq!(ending(&error), "it panicked");
        let running = tasks.spawn(std::future::pending());
        running.abort();
        assert_eq!(ending(&tasks.join_next().await.unwrap().unwrap_err()), "it was aborted");
    }
}
