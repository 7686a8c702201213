#!/usr/bin/env bash
# What every change must pass, in a few minutes: form, lints, floors, docs, quick tests.
#
#   scripts/check.sh
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/install.sh
source scripts/install.sh
need "${BUILD_PACKAGES[@]}"
need_cargo

step() {
    echo "== $*"
    "$@"
}

step cargo fmt --all --check
step cargo clippy --workspace --all-targets -- -D warnings
# Which floor imports from which, and where unsafe code lives.
step cargo test --test floors
step cargo test -p macvlan -p mvctl
# Man pages and completions are those of the programs.
step cargo test --lib --test config --test docs --test fuzz_replay
RUSTDOCFLAGS="-D warnings" step cargo doc --workspace --no-deps

# mvctl must run on a machine without DPDK.
step cargo build -p mvctl
if readelf -d "${CARGO_TARGET_DIR:-target}/debug/mvctl" | grep librte_; then
    echo "mvctl is linked with DPDK" >&2
    exit 1
fi

# What a frame costs, in instructions.
step scripts/bench/instructions.sh
