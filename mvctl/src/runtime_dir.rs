//! Where sockets live. Daemon and mvctl must come to the same answer.

use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

/// The control socket's name in the runtime directory.
pub const CONTROL_SOCKET: &str = "control.sock";

/// The runtime directory: what the command line says, else the config, else
/// `$RUNTIME_DIRECTORY`, else `/run/mvswitch` for root, else
/// `$XDG_RUNTIME_DIR/mvswitch`, else a `mvswitch-UID` directory below the
/// system's temporary directory.
#[must_use]
pub fn resolve(flag: Option<&Path>, config: Option<&Path>) -> PathBuf {
    let variable =
        |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    choose(
        flag.or(config),
        variable("RUNTIME_DIRECTORY"),
        variable("XDG_RUNTIME_DIR"),
        geteuid().as_raw(),
    )
}

fn choose(
    said: Option<&Path>,
    runtime: Option<PathBuf>,
    xdg: Option<PathBuf>,
    user: u32,
) -> PathBuf {
    if let Some(said) = said {
        return std::path::absolute(said).unwrap_or_else(|_| said.to_owned());
    }
    match (runtime, user, xdg) {
        (Some(runtime), _, _) => runtime,
        (None, 0, _) => PathBuf::from("/run/mvswitch"),
        (None, _, Some(xdg)) => xdg.join("mvswitch"),
        (None, user, None) => std::env::temp_dir().join(format!("mvswitch-{user}")),
    }
}

/// Makes the directory, for its owner alone, or checks the one that is there.
///
/// # Errors
/// One sentence: it cannot be made, or others could put something into it.
pub fn prepare(directory: &Path) -> Result<(), String> {
    let shown = directory.display();
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|error| {
        format!(
            "cannot make the runtime directory {shown}: {error}; name another with --runtime-dir"
        )
    })?;
    // Not following a link, as a slash at the end would: it could lead anywhere
    // by the time it is used.
    let bare: PathBuf = directory.components().collect();
    let found = std::fs::symlink_metadata(bare).map_err(|error| format!("{shown}: {error}"))?;
    if !found.is_dir() {
        return Err(format!(
            "the runtime directory {shown} is a symbolic link: name the real one with --runtime-dir"
        ));
    }
    if found.uid() != geteuid().as_raw() {
        let owner = found.uid();
        return Err(format!(
            "the runtime directory {shown} belongs to user {owner}: name another with --runtime-dir"
        ));
    }
    if found.mode() & 0o022 != 0 {
        return Err(format!(
            "others may write to the runtime directory {shown}: type chmod go-w {shown}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_order_of_choice() {
        let path = |text: &str| Some(PathBuf::from(text));
        let said = Path::new("/said");
        assert_eq!(choose(Some(said), path("/run/x"), path("/xdg"), 0), said);
        assert_eq!(choose(None, path("/run/x"), path("/xdg"), 1000), Path::new("/run/x"));
        assert_eq!(choose(None, None, path("/xdg"), 0), Path::new("/run/mvswitch"));
        assert_eq!(choose(None, None, path("/xdg"), 1000), Path::new("/xdg/mvswitch"));
        assert!(choose(None, None, None, 1000).ends_with("mvswitch-1000"));
        assert!(choose(Some(Path::new("x")), None, None, 0).is_absolute());
    }

    #[test]
    fn only_a_directory_of_our_own_will_do() {
        let base = tempfile::tempdir().unwrap();
        let directory = base.path().join("a/b");
        prepare(&directory).unwrap();
        assert_eq!(std::fs::metadata(&directory).unwrap().mode() & 0o777, 0o700);
        prepare(&directory).unwrap();
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(prepare(&directory).unwrap_err().contains("chmod go-w"));
        let link = base.path().join("link");
        std::os::unix::fs::symlink(&directory, &link).unwrap();
        assert!(prepare(&link).unwrap_err().contains("symbolic link"));
        assert!(prepare(&link.join("")).unwrap_err().contains("symbolic link"));
        std::fs::write(base.path().join("file"), "").unwrap();
        assert!(prepare(&base.path().join("file")).unwrap_err().contains("cannot make"));
    }
}
