//! Telling one process from a later one with the same number.
//!
//! A number alone is not an identity: in a container they repeat at every start. The time at which a process began,
//! as the system counts it, does not; after a reboot the boot's own id differs.

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// When the process with this number began, as an opaque text; `None` where there is none, or only a zombie.
pub(crate) fn birth(pid: i32) -> Option<String> {
    if cfg!(target_os = "linux") { from_proc(pid) } else { from_ps(pid) }
}

/// Sends a signal; that the process is gone already is no error.
pub(crate) fn send(pid: i32, signal: Signal) -> std::io::Result<()> {
    match kill(Pid::from_raw(pid), signal) {
        Err(error) if error != Errno::ESRCH => Err(error.into()),
        _ => Ok(()),
    }
}

fn from_proc(pid: i32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let (state, started) = state_and_start(&stat)?;
    (state != "Z").then(|| format!("{}/{started}", boot.trim()))
}

/// Fields 3 and 22 of `/proc/<pid>/stat`. The second is the program's name in brackets and may hold spaces and brackets.
fn state_and_start(stat: &str) -> Option<(&str, &str)> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace();
    Some((fields.next()?, fields.nth(18)?))
}

fn from_ps(pid: i32) -> Option<String> {
    let output = std::process::Command::new("ps").args(["-o", "lstart=", "-p", &pid.to_string()]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 100 0 0 0 1 2 0 0 20 0 1 0 987654 1000 10";
        assert_eq!(state_and_start(stat), Some(("S", "987654")));
    }

    #[test]
    fn a_process_keeps_its_birth_and_a_dead_one_has_none() {
        let me = i32::try_from(std::process::id()).unwrap();
        assert!(birth(me).is_some());
        assert_eq!(birth(me), birth(me));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        child.wait().unwrap();
        assert_eq!(birth(pid), None);
        send(pid, Signal::SIGTERM).unwrap();
    }
}
