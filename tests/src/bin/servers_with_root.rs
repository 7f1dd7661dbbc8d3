//! Runs the experiments on the servers that need root (`tests::servers::with_root`): all, or those that are named. One
//! line for each; the exit code is 1 where one was not as expected, and a tool that is missing is not as expected.

use std::process::ExitCode;

use tests::servers::with_root::ALL;

#[tokio::main]
async fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let unknown = wanted.iter().find(|name| !ALL.iter().any(|(known, _)| known == name));
    if let Some(name) = unknown {
        let known: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
        eprintln!("there is no experiment {name}, only {}", known.join(" "));
        return ExitCode::from(64);
    }
    let mut failed = false;
    for (name, experiment) in ALL.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|one| one == name)) {
        match experiment().await {
            Ok(seen) => println!("{name}: as expected: {seen}"),
            Err(error) => {
                failed = true;
                println!("{name}: NOT as expected: {error}");
            }
        }
    }
    ExitCode::from(u8::from(failed))
}
