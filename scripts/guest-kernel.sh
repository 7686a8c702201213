#!/usr/bin/env bash
# Unpacks Debian's cloud kernel for the guests of the QEMU tests.
#
#   scripts/guest-kernel.sh DIRECTORY
#
# DIRECTORY then holds vmlinuz and the virtio modules. The kernel is not
# installed, and nothing is done when the directory is there already.
set -euo pipefail
# shellcheck source=scripts/install.sh
source "$(dirname "$0")/install.sh"

directory=${1:?usage: scripts/guest-kernel.sh DIRECTORY}
[[ ! -e $directory/vmlinuz ]] || exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# apt fetches as a user of its own, which must be able to look in.
chown _apt "$work" 2>/dev/null || chmod 755 "$work"

# The name of the real package changes with every kernel.
real_package() {
    apt-cache depends linux-image-cloud-amd64 2>/dev/null |
        awk '$1 == "Depends:" && $2 ~ /^linux-image-/ { print $2; exit }'
}
download() {
    local package
    package=$(real_package)
    [[ -n $package ]] && (cd "$work" && apt-get download -qq "$package")
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
modules+=(failover net_failover virtio_net)
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
