#!/usr/bin/env bash
# Round-trip latency of mvswitch beside testpmd io and OVS-DPDK, in turn.
#
#   scripts/bench/latency.sh [--rounds N] [--window MS] [--program NAME]... [--json FILE]
#
# See docs/latency.md for what is measured. What is not installed is left out
# and said. Another cargo profile than release: PROFILE=peers.
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/install.sh
source scripts/install.sh

need "${BUILD_PACKAGES[@]}"
need "${PEER_PACKAGES[@]}" >&2 || true
need_cargo
# Run by this script and not by cargo, which would leave it behind when killed.
bench=$(cargo bench --profile "${PROFILE:-release}" --bench latency --no-run --message-format=json |
    sed -n 's/.*"executable":"\([^"]*\/latency-[^"]*\)".*/\1/p')

# All its files go below this; its programs die with it.
TMPDIR=$(mktemp -d)
export TMPDIR
pid=
# shellcheck disable=SC2317
clean_up() {
    [[ -z $pid ]] || kill -KILL "$pid" 2>/dev/null || true
    rm -rf "$TMPDIR"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

cd "$here"
"$bench" --bench "$@" &
pid=$!
code=0
wait "$pid" || code=$?
pid=
exit "$code"
