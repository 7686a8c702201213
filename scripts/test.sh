#!/usr/bin/env bash
# All tests, or the stages named.
#
#   scripts/test.sh [STAGE]...
#
#   fast        scripts/check.sh: form, lints, floors, docs, quick tests, instruction counts
#   dpdk        the safe layer over DPDK, in processes of its own
#   kernel      the kernel's own macvlan beside ours: deliveries, operations, counters
#   control     build and start errors, the control socket, every command of README and man pages
#   iproute2    the same commands to ip and to mvctl, field by field
#   live        the control plane under traffic: reload, batches, races, abuse, rights
#   lowers      modes, filters, events, hosts and VLANs of the running switch
#   guests      testpmd guests: accounts, restarts, crashes, churn; a short latency bench
#   namespace   a host in a network namespace behind a real lower device
#   scale       a thousand links: start, memory, idling, throughput, the limit
#   qemu        Linux guests under QEMU
#   nic         the switch inside a QEMU guest, on an emulated NIC
#   prometheus  /metrics, as promtool sees it
#   bench       the comparison with testpmd and OVS-DPDK: it works; nobody looks how fast
#   run         scripts/run.sh --once
#
# Needs root for the packages, for namespaces and for huge pages; without it
# those tests are skipped aloud. Where CI is set, a skip is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/install.sh
source scripts/install.sh

# Longer than any stage may take, in seconds.
LIMIT=900

stages=("$@")
((${#stages[@]})) || stages=(fast dpdk kernel control iproute2 live lowers guests namespace scale qemu nic prometheus bench run)
for stage in "${stages[@]}"; do
    case $stage in
        fast | dpdk | kernel | control | iproute2 | live | lowers | guests | namespace | scale | qemu | nic | prometheus | bench | run) ;;
        *) sed -n '2,24s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
    esac
done

# Without root a test may still find all that it needs.
need "${BUILD_PACKAGES[@]}"
need "${TEST_PACKAGES[@]}" "${PEER_PACKAGES[@]}" || [[ -z ${CI:-} ]]
need_cargo
export MVSWITCH_GUEST_KERNEL=${MVSWITCH_GUEST_KERNEL:-$PWD/target/guest-kernel}

log=$(mktemp)
running=
trap '[[ -z $running ]] || kill "$running" 2>/dev/null || true; rm -f "$log"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# A test with real peers has the machine to itself.
black_box() {
    # mvctl, too, which tests look for beside the daemon.
    cargo build --profile peers
    # shellcheck disable=SC2046
    cargo test --profile peers --no-fail-fast $(printf -- '--test %s ' "$@") -- --test-threads=1
}
export -f black_box

command_of() {
    case $1 in
        fast) echo scripts/check.sh ;;
        control) echo "black_box build start control commands doctor import" ;;
        guests) echo "black_box guests latency" ;;
        dpdk | kernel | iproute2 | live | lowers | namespace | scale | prometheus | bench) echo "black_box $1" ;;
        qemu) echo "scripts/guest-kernel.sh '$MVSWITCH_GUEST_KERNEL' && black_box qemu" ;;
        nic) echo "scripts/guest-kernel.sh '$MVSWITCH_GUEST_KERNEL-standard' standard && black_box nic" ;;
        run) echo scripts/run.sh --once ;;
    esac
}

# sum N: adds up field N of the log's test results.
sum() {
    awk -v field="$1" '/^test result: / { total += $field } END { print total + 0 }' "$log"
}

passed=0 failed=0 skipped=0
for stage in "${stages[@]}"; do
    echo "=== $stage"
    started=$SECONDS
    code=0
    : >"$log"
    timeout --kill-after=30 "$LIMIT" bash -euo pipefail -c "$(command_of "$stage")" \
        </dev/null >"$log" 2>&1 &
    running=$!
    tail -n +1 -s 0.2 --pid="$running" -f "$log" 2>/dev/null &
    show=$!
    wait "$running" || code=$?
    running=
    wait "$show" || true

    # test result: ok. 6 passed; 0 failed; 1 ignored; …
    stage_skipped=$(grep -c '^SKIPPED: ' "$log" || true)
    stage_passed=$(($(sum 4) - stage_skipped))
    stage_failed=$(sum 6)
    ((skipped += stage_skipped + $(sum 8), passed += stage_passed, failed += stage_failed)) || true
    # A stage is more than the tests it counts: lints, the demo, the time limit.
    if ((code != 0 && stage_failed == 0)); then
        ((failed += 1))
        ((code != 124)) || echo "$stage was ended after $LIMIT s"
    elif ((code == 0 && stage_passed == 0 && stage_skipped == 0)); then
        ((passed += 1))
    fi
    echo "=== $stage: exit code $code, $((SECONDS - started)) s"
done

if [[ -n ${CI:-} ]] && ((skipped > 0)); then
    echo "skipped tests count as failed in CI"
    ((failed += skipped, skipped = 0)) || true
fi
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
