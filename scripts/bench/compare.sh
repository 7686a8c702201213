#!/usr/bin/env bash
# mvswitch beside testpmd's io mode and OVS-DPDK: same frames, same core, in turn.
#
#   scripts/bench/compare.sh [SCENARIO]... [--pairs N] [--windows N] [--json FILE] [--svg FILE] [--markdown FILE]
#   scripts/bench/compare.sh --help
#
# Prints cycles per frame, Mpps and the ratios; docs/benchmarks.md says how to
# read them. What is missing is installed where that is allowed; a peer that is
# still missing is left out aloud. MVSWITCH=PATH measures that binary instead of
# a fresh release build.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/install.sh
source scripts/install.sh

need "${BUILD_PACKAGES[@]}"
need "${PEER_PACKAGES[@]}" >&2 || true
if [[ -z ${MVSWITCH:-} ]]; then
    need_cargo
    cargo build --release --quiet
    MVSWITCH=${CARGO_TARGET_DIR:-target}/release/mvswitch
fi
export MVSWITCH PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=scripts/bench
exec python3 -m compare "$@"
