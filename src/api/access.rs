//! Who may do what on the control socket.
//!
//! Decided once per connection, by the peer's credentials, which the kernel
//! vouches for. Files' modes let people connect; what they may ask for is said
//! here.

use std::ffi::CString;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use mvctl::proto::Access;
use nix::unistd::{Gid, Group, Uid, User, getegid, geteuid, getgrouplist};

use crate::config::ControlConfig;

/// Who may use the control socket, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    /// May change everything, beside root and the switch's own user.
    owner: Option<Uid>,
    /// Its members may change everything.
    group: Gid,
    /// It was named: its members must be able to get there.
    grouped: bool,
    /// Its members may look.
    read_group: Option<Gid>,
}

impl Default for Rights {
    fn default() -> Self {
        Self { owner: None, group: getegid(), grouped: false, read_group: None }
    }
}

impl Rights {
    /// What `[control]` says, in the numbers of this machine.
    ///
    /// # Errors
    /// One sentence: there is no such user or group.
    pub fn new(config: &ControlConfig) -> Result<Self, String> {
        let group = |key: &str, name: &String| {
            let number = name.parse().ok().map(Gid::from_raw);
            let known = || Group::from_name(name).ok().flatten().map(|group| group.gid);
            number.or_else(known).ok_or_else(|| {
                format!("[control] {key} names group {name}, which this machine does not have")
            })
        };
        let user = |name: &String| {
            let number = name.parse().ok().map(Uid::from_raw);
            let known = || User::from_name(name).ok().flatten().map(|user| user.uid);
            number.or_else(known).ok_or_else(|| {
                format!("[control] owner names user {name}, which this machine does not have")
            })
        };
        let named = config.group.as_ref().map(|name| group("group", name)).transpose()?;
        Ok(Self {
            owner: config.owner.as_ref().map(user).transpose()?,
            group: named.unwrap_or_else(getegid),
            grouped: named.is_some(),
            read_group: config
                .read_group
                .as_ref()
                .map(|name| group("read_group", name))
                .transpose()?,
        })
    }

    /// Lets those who may use the socket at `path` get there: its owner, group
    /// and mode, and a way through its directory.
    ///
    /// # Errors
    /// The system refused.
    pub(super) fn open(&self, path: &Path) -> std::io::Result<()> {
        let group = self.grouped.then(|| self.group.as_raw());
        if self.owner.is_some() || group.is_some() {
            chown(path, self.owner.map(Uid::as_raw), group)?;
        }
        // To connect is to write. Those whom the mode lets in for the sake of a
        // second group are told apart by their credentials.
        let everyone = self.read_group.is_some();
        let mode = if everyone { 0o666 } else { 0o660 };
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        let Some(directory) =
            path.parent().filter(|_| everyone || self.grouped || self.owner.is_some())
        else {
            return Ok(());
        };
        // A directory that everybody may pass through needs nothing, and may well
        // not be ours alone.
        if std::fs::metadata(directory)?.mode() & 0o001 != 0 {
            return Ok(());
        }
        if let Some(group) = group {
            chown(directory, None, Some(group))?;
        }
        // To pass through, not to look around.
        let mode = if everyone || self.owner.is_some() { 0o711 } else { 0o710 };
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(mode))
    }

    /// What a peer with these credentials may do; `None` for nothing. May ask
    /// the system's user database, which can take a while.
    pub(super) fn of(&self, user: Uid, group: Gid) -> Option<Access> {
        if user.is_root() || user == geteuid() || Some(user) == self.owner {
            return Some(Access::Write);
        }
        let groups = groups_of(user, group);
        if groups.contains(&self.group) {
            return Some(Access::Write);
        }
        self.read_group.filter(|group| groups.contains(group)).map(|_| Access::Read)
    }
}

/// The group of a process and those that its user is a member of.
fn groups_of(user: Uid, group: Gid) -> Vec<Gid> {
    let name = User::from_uid(user).ok().flatten().and_then(|user| CString::new(user.name).ok());
    let listed = name.and_then(|name| getgrouplist(&name, group).ok());
    listed.unwrap_or_else(|| vec![group])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_go_by_user_and_group() {
        let config = |owner: &str, group: &str, read: &str| ControlConfig {
            owner: Some(owner.to_owned()),
            group: Some(group.to_owned()),
            read_group: Some(read.to_owned()),
        };
        let rights = Rights::new(&config("4001", "4002", "4003")).unwrap();
        let of = |user, group| rights.of(Uid::from_raw(user), Gid::from_raw(group));
        assert_eq!(of(0, 0), Some(Access::Write));
        assert_eq!(of(geteuid().as_raw(), 9), Some(Access::Write));
        assert_eq!(of(4001, 9), Some(Access::Write));
        assert_eq!(of(4009, 4002), Some(Access::Write));
        assert_eq!(of(4009, 4003), Some(Access::Read));
        assert_eq!(of(4009, 4009), None);
        assert!(Rights::new(&config("0", "no-such-group", "0")).unwrap_err().contains("group"));
        assert!(Rights::new(&config("no-such-user", "0", "0")).unwrap_err().contains("owner"));
    }

    #[test]
    fn the_way_to_the_socket_is_as_wide_as_it_must_be() {
        let modes = |rights: &Rights| {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("s");
            std::fs::write(&path, "").unwrap();
            let closed = std::fs::Permissions::from_mode(0o700);
            std::fs::set_permissions(dir.path(), closed).unwrap();
            rights.open(&path).unwrap();
            let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            (mode(&path), mode(dir.path()))
        };
        let plain = Rights::default();
        assert_eq!(modes(&plain), (0o660, 0o700));
        let own = Rights { grouped: true, ..plain.clone() };
        assert_eq!(modes(&own), (0o660, 0o710));
        let readers = Rights { read_group: Some(getegid()), ..plain };
        assert_eq!(modes(&readers), (0o666, 0o711));
    }
}
