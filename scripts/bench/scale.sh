#!/usr/bin/env bash
# What a thousand links cost: start, memory, idling, how soon a silent guest's kick
# is heard, and how many frames 8 busy links of 1,000 (200 with a guest) move
# beside a switch that has only those 8.
#
#   scripts/bench/scale.sh
#
# Takes two minutes. Fails where a promise of docs/scale.md does not hold; build
# nothing beside it. Needs two cores and no rights.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/install.sh
source scripts/install.sh

need "${BUILD_PACKAGES[@]}"
# For testpmd.
need dpdk-dev >&2 || true
need_cargo
cargo build --quiet --profile peers
MVSWITCH_BENCH=1 cargo test --quiet --profile peers --test scale -- --test-threads=1 --nocapture
