//! Where fetched servers are kept, for all clones on this machine.
//!
//! As root it is not below the home directory: root's home is closed to others, and PostgreSQL, which does not run as
//! root, has to read its own programs from here.

use std::path::PathBuf;

use super::Env;

/// `PENSTOCK_CACHE`; else as root `/var/cache/penstock`; else the user's cache folder; else one in the working folder.
pub(crate) fn folder(env: &Env, root: bool) -> PathBuf {
    let set = |name: &str| env.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(chosen) = set("PENSTOCK_CACHE") {
        return std::path::absolute(&chosen).unwrap_or(chosen);
    }
    if root {
        return PathBuf::from("/var/cache/penstock");
    }
    // The specification of XDG says that a relative path here is to be ignored.
    if let Some(cache) = set("XDG_CACHE_HOME").filter(|path| path.is_absolute()) {
        return cache.join("penstock");
    }
    match set("HOME").filter(|home| home.is_dir()) {
        Some(home) if cfg!(target_os = "macos") => home.join("Library/Caches/penstock"),
        Some(home) => home.join(".cache/penstock"),
        // An account without a home (`nobody`): a place that lives as long as the clone.
        None => std::path::absolute(".penstock/cache").unwrap_or_else(|_| PathBuf::from(".penstock/cache")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Env {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn a_chosen_folder_comes_first() {
        let env = env(&[("PENSTOCK_CACHE", "/srv/cache"), ("XDG_CACHE_HOME", "/x")]);
        assert_eq!(folder(&env, true), PathBuf::from("/srv/cache"));
        assert_eq!(folder(&env, false), PathBuf::from("/srv/cache"));
    }

    #[test]
    fn roots_cache_is_not_in_roots_home() {
        assert_eq!(
            folder(&env(&[("HOME", "/root"), ("XDG_CACHE_HOME", "/root/c")]), true),
            PathBuf::from("/var/cache/penstock")
        );
    }

    #[test]
    fn an_ordinary_user_has_one_in_the_usual_place() {
        assert_eq!(folder(&env(&[("XDG_CACHE_HOME", "/x")]), false), PathBuf::from("/x/penstock"));
        assert!(folder(&env(&[("HOME", "/nonexistent")]), false).ends_with(".penstock/cache"));
    }
}
