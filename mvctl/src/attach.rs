//! How a guest is attached to a link: lines to paste, for the programs that guests run in.
//!
//! A link's role is mvswitch's: where it is server the guest connects, and comes
//! back after a restart of the switch; where it is client the guest listens.
//! Guest memory is shared in all of them: without that nothing works, silently.

use crate::failure::Failure;
use crate::proto::LinkShow;

/// What runs a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Qemu,
    Libvirt,
    CloudHypervisor,
    Testpmd,
}

/// Seconds between attempts of a guest to come back.
const RECONNECT: u32 = 1;

struct Guest<'a> {
    name: &'a str,
    socket: &'a str,
    listens: bool,
    address: &'a str,
    mtu: u32,
}

/// The lines that attach a guest in `program` to `link`.
///
/// # Errors
/// The link is a device: no guest can be attached.
pub(crate) fn lines(link: &LinkShow, program: Program) -> Result<String, Failure> {
    let extra = &link.mvswitch;
    let Some(socket) = extra.socket.as_deref() else {
        let device = extra.device.as_deref().unwrap_or("a device");
        let name = &link.ifname;
        return Err(Failure::Local(format!(
            "{name} is {device} and has no socket: no guest is attached to it"
        )));
    };
    let listens = extra.role.as_deref() == Some("client");
    let (name, address) = (&link.ifname, &link.address);
    let guest = Guest { name, socket, listens, address, mtu: link.mtu };
    Ok(match program {
        Program::Qemu => qemu(&guest),
        Program::Libvirt => libvirt(&guest),
        Program::CloudHypervisor => cloud_hypervisor(&guest),
        Program::Testpmd => testpmd(&guest),
    })
}

fn qemu(Guest { name, socket, listens, address, mtu }: &Guest<'_>) -> String {
    let side =
        if *listens { "server=on,wait=off".to_owned() } else { format!("reconnect={RECONNECT}") };
    // QEMU reads a doubled comma as one that belongs to the value.
    let name = identifier(name);
    let chardev = format!("socket,id=chr-{name},path={},{side}", socket.replace(',', ",,"));
    format!(
        "qemu-system-x86_64 -m 512M \\\n  \
         -object memory-backend-memfd,id=mem,size=512M,share=on -machine memory-backend=mem \\\n  \
         -chardev {} \\\n  \
         -netdev vhost-user,id=net-{name},chardev=chr-{name} \\\n  \
         -device virtio-net-pci,netdev=net-{name},mac={address},host_mtu={mtu}\n",
        quoted(&chardev)
    )
}

fn libvirt(Guest { socket, listens, address, mtu, .. }: &Guest<'_>) -> String {
    let socket = escaped(socket);
    let source = if *listens {
        format!("<source type='unix' path='{socket}' mode='server'/>")
    } else {
        format!(
            "<source type='unix' path='{socket}' mode='client'>\n      \
             <reconnect enabled='yes' timeout='{RECONNECT}'/>\n    </source>"
        )
    };
    format!(
        "<memoryBacking>\n  <source type='memfd'/>\n  <access mode='shared'/>\n</memoryBacking>\n\
         <devices>\n  <interface type='vhostuser'>\n    <mac address='{address}'/>\n    {source}\n    \
         <model type='virtio'/>\n    <mtu size='{mtu}'/>\n  </interface>\n</devices>\n"
    )
}

fn cloud_hypervisor(Guest { socket, listens, address, mtu, .. }: &Guest<'_>) -> String {
    let side = if *listens { "server" } else { "client" };
    let net = format!("vhost_user=on,socket={socket},vhost_mode={side},mac={address},mtu={mtu}");
    format!("cloud-hypervisor --memory size=512M,shared=on \\\n  --net {}\n", quoted(&net))
}

fn testpmd(Guest { name, socket, listens, address, .. }: &Guest<'_>) -> String {
    let side = if *listens { ",server=1" } else { "" };
    let vdev = format!("net_virtio_user0,path={socket},mac={address}{side}");
    format!(
        "dpdk-testpmd -l 0-1 --no-huge --no-shconf -m 64 --no-pci --no-telemetry \\\n  \
         --file-prefix {} \\\n  --vdev {} \\\n  -- -i --total-num-mbufs=2048\n",
        quoted(name),
        quoted(&vdev)
    )
}

/// What QEMU takes as an identifier.
fn identifier(name: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
    name.chars().map(|letter| if plain(letter) { letter } else { '_' }).collect()
}

/// For a shell, where it must be.
fn quoted(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_=+,./:@%".contains(letter);
    if text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// For an attribute of XML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('\'', "&apos;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::tests::link;

    fn shown(role: &str, socket: &str, program: Program) -> String {
        let mut link = link();
        link.mvswitch.role = Some(role.into());
        link.mvswitch.socket = Some(socket.into());
        lines(&link, program).unwrap()
    }

    #[test]
    fn the_guest_takes_the_other_side() {
        for (program, server, client) in [
            (
                Program::Qemu,
                "path=/run/mv0.sock,reconnect=1 \\",
                "path=/run/mv0.sock,server=on,wait=off \\",
            ),
            (
                Program::Libvirt,
                "mode='client'>\n      <reconnect enabled='yes' timeout='1'/>",
                "mode='server'/>",
            ),
            (
                Program::CloudHypervisor,
                "socket=/run/mv0.sock,vhost_mode=client",
                "socket=/run/mv0.sock,vhost_mode=server",
            ),
            (
                Program::Testpmd,
                "path=/run/mv0.sock,mac=02:00:00:00:00:01 \\",
                "mac=02:00:00:00:00:01,server=1",
            ),
        ] {
            let text = shown("server", "/run/mv0.sock", program);
            assert!(text.contains(server) && text.contains("02:00:00:00:00:01"), "{text}");
            let text = shown("client", "/run/mv0.sock", program);
            assert!(text.contains(client), "{text}");
        }
    }

    #[test]
    fn mtu_and_shared_memory_are_said() {
        let at = |program| shown("server", "/run/mv0.sock", program);
        let text = at(Program::Qemu);
        assert!(text.contains("host_mtu=1400") && text.contains("share=on"), "{text}");
        let text = at(Program::Libvirt);
        assert!(text.contains("<mtu size='1400'/>") && text.contains("'shared'"), "{text}");
        let text = at(Program::CloudHypervisor);
        assert!(text.contains("mtu=1400") && text.contains("shared=on"), "{text}");
    }

    #[test]
    fn odd_paths_survive() {
        let text = shown("server", "/run/a,b c.sock", Program::Qemu);
        assert!(
            text.contains("-chardev 'socket,id=chr-mv0,path=/run/a,,b c.sock,reconnect=1' \\"),
            "{text}"
        );
        let text = shown("server", "/run/it's", Program::Libvirt);
        assert!(text.contains("path='/run/it&apos;s'"), "{text}");
        let text = shown("server", "/run/it's", Program::Testpmd);
        assert!(text.contains("'net_virtio_user0,path=/run/it'\\''s,mac="), "{text}");
    }

    #[test]
    fn a_device_has_no_guest() {
        let mut link = link();
        link.mvswitch.socket = None;
        link.mvswitch.device = Some("net_tap0".into());
        let error = lines(&link, Program::Qemu).unwrap_err();
        assert!(error.to_string().contains("mv0 is net_tap0"), "{error}");
        assert_eq!(error.code(), 1);
    }
}
