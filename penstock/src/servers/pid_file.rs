//! Who still runs on a folder, by the file in which a server notes its number.
//!
//! Such a file outlives a killed server, and its number may belong to a stranger by now (in a container they repeat at
//! every start): it counts only when that process has the folder on its command line.

use std::path::Path;

/// The process that `file` names in its first line, if it is a server on `folder`.
pub(crate) fn server_on(folder: &Path, file: &Path) -> Option<i32> {
    let text = std::fs::read_to_string(file).ok()?;
    let pid: i32 = text.lines().next()?.trim().parse().ok()?;
    command_line(pid)?.contains(&*folder.to_string_lossy()).then_some(pid)
}

fn command_line(pid: i32) -> Option<String> {
    if let Ok(bytes) = std::fs::read(format!("/proc/{pid}/cmdline")) {
        return Some(String::from_utf8_lossy(&bytes).into_owned());
    }
    let output = std::process::Command::new("ps").args(["-o", "command=", "-p", &pid.to_string()]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_known_by_its_folder_and_a_stranger_is_not_taken_for_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        assert_eq!(server_on(folder.path(), &file), None);

        let mut server =
            std::process::Command::new("sh").args(["-c", "sleep 60; :"]).arg(folder.path()).spawn().unwrap();
        std::fs::write(&file, format!("{}\n", server.id())).unwrap();
        // A process that has only just begun has no command line yet.
        let until = std::time::Instant::now() + std::time::Duration::from_secs(5);
        let mut found = None;
        while found.is_none() && std::time::Instant::now() < until {
            found = server_on(folder.path(), &file);
        }
        let stranger = server_on(Path::new("/some/other/folder"), &file);
        server.kill().unwrap();
        server.wait().unwrap();
        assert_eq!((found, stranger), (i32::try_from(server.id()).ok(), None));
    }
}
