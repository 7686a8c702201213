#!/usr/bin/env bash
# Builds mvswitch, starts it on config/two-ports.toml and runs the demo against it.
#
#   scripts/run.sh [--once] [--runtime-dir DIR] [MVSWITCH ARGUMENT]...
#
# The switch then runs until Ctrl-C. --once stops it after the demo: exit code 0
# if every ping of the demo went as it should and the switch stopped cleanly.
# No root is needed, but for packages that are missing.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/install.sh
source scripts/install.sh

once=
directory=()
arguments=()
while (($#)); do
    case $1 in
        --once) once=1 ;;
        --runtime-dir)
            directory=(--runtime-dir "${2:?--runtime-dir needs a directory}")
            shift
            ;;
        --help | -h) sed -n '2,9s/^# \{0,1\}//p' "$0" && exit 0 ;;
        # What follows is for DPDK.
        --) arguments+=("$@") && break ;;
        *) arguments+=("$1") ;;
    esac
    shift
done

need "${BUILD_PACKAGES[@]}"
need_cargo
cargo build --release
mvswitch=${CARGO_TARGET_DIR:-target}/release/mvswitch

work=$(mktemp -d)
# A switch that somebody else runs here is none of our business.
[[ -z $once || ${#directory[@]} -gt 0 ]] || directory=(--runtime-dir "$work/run")

switch=
show=
# There before anybody looks.
: >"$work/out"

# stop_switch: exit code of the switch; kills it if a clean stop takes too long.
stop_switch() {
    [[ -n $switch ]] || return 0
    local pid=$switch code=0 tenths
    switch=
    kill -TERM "$pid" 2>/dev/null || true
    for ((tenths = 0; tenths < 50; tenths++)); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" || code=$?
    # The last line is worth reading.
    wait "$show" || true
    return "$code"
}
# shellcheck disable=SC2317
clean_up() {
    stop_switch || true
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# A session of its own: Ctrl-C reaches this script alone, and the switch hears of it once.
setsid "$mvswitch" -c config/two-ports.toml "${directory[@]}" "${arguments[@]}" \
    >"$work/out" </dev/null &
switch=$!
tail -n +1 -s 0.1 --pid="$switch" -f "$work/out" 2>/dev/null &
show=$!
for ((tenths = 0; ; tenths++)); do
    ! grep -q '^ready' "$work/out" || break
    if ! kill -0 "$switch" 2>/dev/null || ((tenths == 300)); then
        echo "mvswitch did not get ready" >&2
        exit 1
    fi
    sleep 0.1
done

code=0
"$mvswitch" demo "${directory[@]}" || code=1
if [[ -z $once ]]; then
    echo "The switch goes on. Ctrl-C ends it."
    # Ctrl-C is how this is meant to end.
    trap 'trap "" INT; stop_switch || exit 1; exit 0' INT
    wait "$switch" || code=1
    switch=
    exit "$code"
fi
stop_switch || code=1
exit "$code"
