//! The normalizer's process. The wiring is in the library; this file only starts it.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::process::main(normalizer::ROLE)
}
