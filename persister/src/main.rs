//! The persister's process: `persister --config <file>`, and `persister migrate --config <file>`, which brings the
//! tables up to date and ends.

use std::process::ExitCode;

use runtime::config::{Need, Requirements};
use runtime::process;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).peekable();
    if arguments.next_if(|first| first == "migrate").is_none() {
        return process::main(persister::ROLE);
    }
    let requirements = Requirements { postgres: Need::Required, ..Requirements::every(Need::Unused) };
    match process::config_argument(arguments, "persister migrate") {
        Ok(file) => process::once(requirements, file.as_deref(), |config| async move {
            persister::migrate(&config).await?;
            Ok("the tables are up to date".to_owned())
        }),
        Err(code) => code,
    }
}
