#!/usr/bin/env bash
# Throughput of a config beside testpmd's io mode on the same devices.
#
#   scripts/bench/throughput.sh [CONFIG [SECONDS [PAIRS]]]
#
# mvswitch and testpmd run in turn, PAIRS times (3) for SECONDS each (5), one
# forwarding core each, on the same kind of pages. testpmd gets the devices of
# CONFIG (config/bench-null.toml) as they stand there; for a link with a socket,
# a net_vhost. If the config has sockets, one more testpmd on core 0 is the
# guests: frames of 64 bytes go to and fro between a link and the next one, as
# many as fit the rings, both sides alike.
#
# testpmd's io mode looks at no frame and sends everything to one port: it is
# the cost of the drivers, not of a switch. Cycles are TSC ticks of turns that
# moved frames, for both.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/install.sh
source scripts/install.sh

config=${1:-config/bench-null.toml}
seconds=${2:-5}
pairs=${3:-3}
if [[ ! -r $config || ! $seconds =~ ^[1-9][0-9]*$ || ! $pairs =~ ^[1-9][0-9]*$ ]]; then
    sed -n '2,4s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi

need "${BUILD_PACKAGES[@]}" dpdk-dev
need_cargo
cargo build --release --quiet
mvswitch=${CARGO_TARGET_DIR:-target}/release/mvswitch

work=$(mktemp -d)
pids=()
# shellcheck disable=SC2317
clean_up() {
    local pid
    for pid in "${pids[@]}"; do
        kill -KILL "$pid" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# ends KEY: the values of KEY in the [[macvlan]] tables, or the lowers' devices.
value_of() {
    awk -v table="$1" -v key="$2" '
        /^[[:space:]]*\[/ { inside = ($0 ~ "\\[\\[" table "\\]\\]") }
        inside && $0 ~ "^[[:space:]]*" key "[[:space:]]*=" {
            sub(/^[^"]*"/, ""); sub(/".*/, ""); print
        }' "$config"
}
mapfile -t lowers < <(value_of lower device)
mapfile -t devices < <(value_of macvlan device)
mapfile -t sockets < <(value_of macvlan socket)
mapfile -t addresses < <(value_of macvlan address)
if ((${#sockets[@]} > ${#addresses[@]})); then
    echo "$config: give every link with a socket an address, for the guests to send to" >&2
    exit 2
fi

# What is free decides for both.
pages=(--no-huge --no-shconf -m 512)
free=$(cat /sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages 2>/dev/null || echo 0)
if ((free >= 1024)); then
    pages=(--in-memory --single-file-segments -m 512)
fi

# net_null's frames have no addresses of their own: both programs get them from
# the same plugin. EAL takes no plugin from below a directory that others may
# write to, such as /tmp.
plugin=()
if printf '%s\n' "${lowers[@]}" | grep -q '^net_null0'; then
    # shellcheck disable=SC2046
    gcc -O3 -shared -fPIC $(pkg-config --cflags libdpdk) scripts/bench/fill.c -o target/fill.so
    plugin=(-d "$PWD/target/fill.so")
fi

# wait_for PATTERN FILE PID: until the line is there; fails when the process ends.
wait_for() {
    local tenths
    for ((tenths = 0; tenths < 300; tenths++)); do
        ! grep -qs -- "$1" "$2" || return 0
        kill -0 "$3" 2>/dev/null || break
        sleep 0.1
    done
    echo "no \"$1\" from $2:" >&2
    tail -n 20 "$2" >&2
    return 1
}

# testpmd NAME CORE ARGUMENT... -- ARGUMENT...: interactive, told through $work/NAME.in.
testpmd() {
    local name=$1 core=$2
    shift 2
    rm -f "$work/$name.in"
    mkfifo "$work/$name.in"
    # Open for both, so that neither side waits for the other.
    exec {input}<>"$work/$name.in"
    RUNTIME_DIRECTORY=$work stdbuf -oL dpdk-testpmd --lcores "0@0,1@$core" "${pages[@]}" \
        --no-pci --no-telemetry --iova-mode=va --file-prefix "bench-$$-$name" \
        "${plugin[@]}" "$@" \
        <"$work/$name.in" >"$work/$name.out" 2>"$work/$name.err" {input}>&- &
    testpmd_pid=$!
    pids+=("$testpmd_pid")
    wait_for '^testpmd>' "$work/$name.out" "$testpmd_pid"
}

# The guests of links 0, 1, …: 0 and 1 send to each other, 2 and 3, and so on.
start_guests() {
    local index next vdevs=() peers=() count=${#sockets[@]}
    ((count)) || return 0
    for ((index = 0; index < count; index++)); do
        next=$(((index ^ 1) % count))
        vdevs+=(--vdev "net_virtio_user$index,path=$1/${sockets[index]},mac=${addresses[index]},queue_size=1024")
        peers+=("--eth-peer=$index,${addresses[next]}")
    done
    testpmd guests 0 "${vdevs[@]}" -- -i --port-topology=loop --forward-mode=mac \
        --total-num-mbufs=$((4096 * count + 2048)) --rxd=1024 --txd=1024 "${peers[@]}"
    guests_input=$input
    # 12 bursts of 32 each way: no ring on the way can overflow.
    echo "start tx_first 12" >&"$guests_input"
    guests=$testpmd_pid
}
stop_guests() {
    [[ -n ${guests:-} ]] || return 0
    echo quit >&"$guests_input"
    wait "$guests" || true
    exec {guests_input}>&-
    guests=
}

median() {
    sort -g | awk '{ v[NR] = $1 } END { m = int((NR + 1) / 2); print NR % 2 ? v[m] : (v[m] + v[m + 1]) / 2 }'
}

# Both print: millions of frames a second, cycles per frame.
run_mvswitch() {
    mkdir -p "$work/run"
    RUNTIME_DIRECTORY=$work "$mvswitch" -c "$config" --runtime-dir "$work/run" --stats-period 1 \
        --log-level warn -- "${plugin[@]}" >"$work/mvswitch.out" </dev/null &
    local pid=$! lines
    pids+=("$pid")
    wait_for '^ready' "$work/mvswitch.out" "$pid"
    start_guests "$work/run"
    sleep "$seconds.5"
    stop_guests
    kill -TERM "$pid"
    wait "$pid" || { tail -n 3 "$work/mvswitch.out" >&2 && return 1; }
    # worker 0  core 1  busy 97.3 %  frames/s 12345678  cycles/frame 61.2
    lines=$(awk '/^worker 0 / {
            for (i = 1; i < NF; i++) { if ($i == "frames/s") f = $(i + 1); if ($i == "cycles/frame") c = $(i + 1) }
            if (f > 0) print f / 1e6, c
        }' "$work/mvswitch.out")
    # The first and the last second are partly start and stop.
    lines=$(sed '1d;$d' <<<"$lines")
    echo "$(cut -d' ' -f1 <<<"$lines" | median) $(cut -d' ' -f2 <<<"$lines" | median)"
}
run_testpmd() {
    local vdevs=() device socket index=0
    for device in "${lowers[@]}"; do
        # The demo wire is mvswitch's own, and a lower that only swallows frames
        # would get io mode's pairs of ports out of step.
        [[ $device == demo* || $device == *no-rx=1* ]] || vdevs+=(--vdev "$device")
    done
    for device in "${devices[@]}"; do
        vdevs+=(--vdev "$device")
    done
    for socket in "${sockets[@]}"; do
        rm -f "$work/$socket"
        vdevs+=(--vdev "net_vhost$index,iface=$work/$socket")
        ((index += 1))
    done
    testpmd io 1 "${vdevs[@]}" -- -i --forward-mode=io --record-core-cycles \
        --total-num-mbufs=16384
    local io=$testpmd_pid io_input=$input moved=1
    start_guests "$work"
    echo start >&"$io_input"
    sleep "$seconds"
    echo stop >&"$io_input"
    wait_for 'Done\.$' "$work/io.out" "$io"
    # testpmd's guests and its net_vhost now and then miss each other's start.
    grep -q 'CPU cycles/packet=' "$work/io.out" || moved=
    stop_guests
    echo quit >&"$io_input"
    wait "$io" || true
    exec {io_input}>&-
    [[ -n $moved ]] || return 1
    # CPU cycles/packet=48.25 (total cycles=… / total io packets=135788704) at 2600 MHz Clock
    sed -n 's|.*CPU cycles/packet=\([0-9.]*\).*packets=\([0-9]*\)).*|\2 \1|p' "$work/io.out" |
        awk -v seconds="$seconds" '{ printf "%.3f %s\n", $1 / seconds / 1e6, $2 }'
}

echo "$config, $pairs pairs of $seconds s, pages: ${pages[0]#--}"
printf '%-6s %22s %22s %8s\n' pair 'mvswitch Mpps  cyc/fr' 'testpmd Mpps  cyc/fr' ratio
for ((pair = 1; pair <= pairs; pair++)); do
    run_mvswitch >"$work/ours"
    run_testpmd >"$work/theirs" || run_testpmd >"$work/theirs"
    read -r our_rate our_cycles <"$work/ours"
    read -r their_rate their_cycles <"$work/theirs"
    ratio=$(awk -v a="$our_cycles" -v b="$their_cycles" 'BEGIN { printf "%.3f", a / b }')
    echo "$ratio" >>"$work/ratios"
    printf '%-6s %14.2f %7.1f %14.2f %7.1f %8s\n' \
        "$pair" "$our_rate" "$our_cycles" "$their_rate" "$their_cycles" "$ratio"
done
echo "median ratio of cycles per frame, mvswitch to testpmd: $(median <"$work/ratios")"
