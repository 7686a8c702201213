#!/usr/bin/env bash
# The Debian packages that mvswitch needs, in one place.
#
#   scripts/install.sh          what building and running needs
#   scripts/install.sh test     what the tests need in addition
#
# The other scripts source this file and call `need`. Nothing is installed that
# is there already; who is not root is told what to type.

# Headers and the library (with every driver), libclang for the bindings.
BUILD_PACKAGES=(libdpdk-dev libclang-dev clang pkg-config gcc libc6-dev)

# What scripts/bench/compare.sh compares with, and is written in.
PEER_PACKAGES=(dpdk-dev openvswitch-switch-dpdk python3)

# testpmd, guests under QEMU, network namespaces, promtool, what README types.
TEST_PACKAGES=(dpdk-dev qemu-system-x86 busybox-static cpio iproute2 ethtool prometheus curl jq socat)

# need PACKAGE...: installs those that are missing, or says how.
need() {
    command -v dpkg-query >/dev/null || return 0
    local package missing=()
    for package in "$@"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
            missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    if ((EUID != 0)); then
        echo "These packages are missing. Type:" >&2
        echo "  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing[*]}" >&2
        return 1
    fi
    update_package_lists
    echo "installing ${missing[*]}"
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" \
        </dev/null >/dev/null
}

# Once per script: package lists older than the mirror name files that are gone.
update_package_lists() {
    [[ -z ${PACKAGE_LISTS_UPDATED:-} ]] || return 0
    apt-get update -qq
    PACKAGE_LISTS_UPDATED=1
}

# Cargo is often found by login shells alone.
need_cargo() {
    command -v cargo >/dev/null || PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
    command -v cargo >/dev/null && return 0
    echo "No cargo: install Rust first, see https://rustup.rs" >&2
    return 1
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    set -euo pipefail
    case ${1:-build} in
        build) need "${BUILD_PACKAGES[@]}" ;;
        test) need "${BUILD_PACKAGES[@]}" "${TEST_PACKAGES[@]}" "${PEER_PACKAGES[@]}" ;;
        *) echo "usage: scripts/install.sh [build|test]" >&2 && exit 2 ;;
    esac
fi
