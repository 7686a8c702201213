#!/usr/bin/env bash
# Unpacks one of Debian's kernels for the guests of the QEMU tests.
#
#   scripts/guest-kernel.sh DIRECTORY [cloud|standard]
#
# DIRECTORY then holds vmlinuz and the modules the tests use: those of virtio, and
# of the standard kernel also what a switch inside a guest needs. The kernel is
# not installed, and nothing is done when the directory is there already.
set -euo pipefail
# shellcheck source=scripts/install.sh
source "$(dirname "$0")/install.sh"

directory=${1:?usage: scripts/guest-kernel.sh DIRECTORY [cloud|standard]}
case ${2:-cloud} in
    cloud) package=linux-image-cloud-amd64 extra=() ;;
    standard)
        package=linux-image-amd64
        extra=(uio uio_pci_generic tun llc stp mrp garp 8021q macvlan)
        ;;
    *) sed -n '4s/^# *//p' "$0" >&2 && exit 2 ;;
esac
[[ ! -e $directory/vmlinuz ]] || exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# apt fetches as a user of its own, which must be able to look in.
chown _apt "$work" 2>/dev/null || chmod 755 "$work"

# The name of the real package changes with every kernel.
real_package() {
    apt-cache depends "$package" 2>/dev/null |
        awk '$1 == "Depends:" && $2 ~ /^linux-image-/ { print $2; exit }'
}
download() {
    local real
    real=$(real_package)
    [[ -n $real ]] && (cd "$work" && apt-get download -qq "$real")
}
if ! download; then
    ((EUID == 0)) || { echo "Type: sudo apt-get update" >&2 && exit 1; }
    update_package_lists
    download
fi

dpkg-deb -x "$work"/linux-image-*.deb "$work/tree"
mkdir "$work/out"
cp "$work"/tree/boot/vmlinuz-* "$work/out/vmlinuz"
modules=(virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci)
modules+=(failover net_failover virtio_net "${extra[@]}")
for module in "${modules[@]}"; do
    # A later kernel may have a module built in, or compressed.
    file=$(find "$work/tree" -name "$module.ko*" -print -quit)
    case $file in
        '') ;;
        *.xz) xz -dc "$file" >"$work/out/$module.ko" ;;
        *) cp "$file" "$work/out/$module.ko" ;;
    esac
done
mkdir -p "$(dirname "$directory")"
rm -rf "$directory"
mv "$work/out" "$directory"
