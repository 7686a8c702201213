//! Config files that mvctl reads and writes itself, with its caller's rights.

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Bytes of a text in one request, as JSON writes them: a line of the protocol
/// has 64 KiB, and a quote or a line's end takes two of them.
const PART: usize = 48 << 10;

/// The text of `file`, or of standard input if it is `-`; and what messages call it.
///
/// # Errors
/// It cannot be read, or is no text.
pub(crate) fn read(file: &str) -> Result<(String, String), Failure> {
    let (read, called) = if file == "-" {
        let mut text = String::new();
        (std::io::stdin().read_to_string(&mut text).map(|_| text), "standard input")
    } else {
        (std::fs::read_to_string(file), file)
    };
    match read {
        Ok(text) => Ok((text, called.to_owned())),
        Err(error) => Err(Failure::Local(format!("cannot read {called}: {error}"))),
    }
}

/// `text` in parts that each fit into a request; at least one.
pub(crate) fn parts(text: &str) -> Vec<&str> {
    let (mut parts, mut rest) = (Vec::new(), text);
    loop {
        let mut bytes = 0;
        let cut = rest.char_indices().find_map(|(at, letter)| {
            bytes += escaped(letter);
            (bytes > PART).then_some(at)
        });
        match cut.and_then(|at| rest.split_at_checked(at)) {
            Some((part, more)) => {
                parts.push(part);
                rest = more;
            }
            None => {
                parts.push(rest);
                return parts;
            }
        }
    }
}

/// Bytes that JSON needs for `letter`.
fn escaped(letter: char) -> usize {
    match letter {
        '"' | '\\' | '\n' | '\r' | '\t' => 2,
        letter if letter.is_control() => 6,
        letter => letter.len_utf8(),
    }
}

/// Puts `text` into `file`: the whole of it or, on failure, nothing.
///
/// # Errors
/// Its directory cannot be written to.
pub(crate) fn write(file: &str, text: &str) -> Result<(), Failure> {
    replace(Path::new(file), text)
        .map_err(|error| Failure::Local(format!("cannot write {file}: {error}")))
}

/// Gives a file this text, in one step: nobody ever finds half of it. Mode, owner
/// and group stay as far as the caller may set them.
///
/// # Errors
/// As the system's; the file is as it was.
pub fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    // What a symbolic link leads to is replaced, not the link.
    let file = match std::fs::canonicalize(file) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => file.to_owned(),
        Err(error) => return Err(error),
    };
    let found = std::fs::metadata(&file).ok();
    if let Some(found) = found.as_ref().filter(|found| !found.is_file()) {
        // Such as /dev/stdout: nothing could take its place.
        if found.is_dir() {
            return Err(ErrorKind::IsADirectory.into());
        }
        return OpenOptions::new().write(true).open(&file)?.write_all(text.as_bytes());
    }
    // Until it has the rights of the one whose place it takes, nobody reads it.
    let (beside, mut new) = beside(&file, if found.is_some() { 0o600 } else { 0o666 })?;
    let mut fill = || {
        new.write_all(text.as_bytes())?;
        if let Some(found) = &found {
            keep_owner(&new, found)?;
            new.set_permissions(Permissions::from_mode(found.permissions().mode() & 0o7777))?;
        }
        new.sync_all()?;
        std::fs::rename(&beside, &file)
    };
    fill().inspect_err(|_| _ = std::fs::remove_file(&beside))
}

/// Gives a new file the owner and group of the one whose place it takes. Who may
/// not do that is not root, and what it can replace it can also read.
fn keep_owner(new: &File, old: &Metadata) -> std::io::Result<()> {
    let now = new.metadata()?;
    if (now.uid(), now.gid()) == (old.uid(), old.gid()) {
        return Ok(());
    }
    match fchown(new, Some(old.uid()), Some(old.gid())) {
        Err(error) if error.kind() != ErrorKind::PermissionDenied => Err(error),
        _ => Ok(()),
    }
}

/// A new file beside `file`.
fn beside(file: &Path, mode: u32) -> std::io::Result<(PathBuf, File)> {
    let Some(name) = file.file_name() else { return Err(ErrorKind::IsADirectory.into()) };
    let mut new = std::ffi::OsString::from(".");
    new.push(name);
    new.push(format!(".{}", std::process::id()));
    let path = file.with_file_name(new);
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
    Ok((path, opened))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_fit_into_requests() {
        assert_eq!(parts(""), [""]);
        assert_eq!(parts("x"), ["x"]);
        let text = "key = \"välue\"\n\u{1}".repeat(20_000);
        let parts = parts(&text);
        assert!(parts.len() > 5);
        assert_eq!(parts.concat(), text);
        for part in parts {
            let written = serde_json::to_string(part).unwrap().len();
            assert!(written <= PART + 2, "{written}");
        }
    }

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        let file = path.to_str().unwrap();
        write(file, "one").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write(link.to_str().unwrap(), "two").unwrap();
        assert_eq!(read(file).unwrap(), ("two".to_owned(), file.to_owned()));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
        let error = write(dir.path().to_str().unwrap(), "x").unwrap_err();
        assert_eq!(error.code(), 1);
        assert!(write(dir.path().join("no/such").to_str().unwrap(), "x").is_err());
    }
}
