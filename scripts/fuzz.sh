#!/usr/bin/env bash
# Looks for inputs that break something, beyond those that the tests replay.
#
#   scripts/fuzz.sh TARGET [SECONDS]     60 unless given
#
# Targets are the directories of fuzz/corpus. New inputs stay in target/fuzz; one
# that breaks something is named at the end and belongs into the corpus together
# with the fix. Needs nightly Rust and cargo-fuzz and installs them if missing.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/install.sh
source scripts/install.sh

target=${1:-} seconds=${2:-60}
if [[ ! -d fuzz/corpus/$target || -z $target || $seconds = *[!0-9]* ]]; then
    sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
    echo "Targets: $(cd fuzz/corpus && echo *)" >&2
    exit 2
fi

need "${BUILD_PACKAGES[@]}"
need_cargo
cargo +nightly --version >/dev/null 2>&1 || rustup toolchain install nightly --profile minimal
command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz

# libFuzzer writes what it finds into the first directory.
found=${CARGO_TARGET_DIR:-target}/fuzz/$target
mkdir -p "$found"
dictionary=fuzz/dictionaries/$target
options=(-max_total_time="$seconds" -max_len=65536 -rss_limit_mb=2048 -timeout=5)
[[ ! -f $dictionary ]] || options+=(-dict="$dictionary")
cargo +nightly fuzz run "$target" "$found" "fuzz/corpus/$target" -- "${options[@]}"
