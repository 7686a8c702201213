#!/usr/bin/env bash
# Instructions per frame of the pure data path, counted by callgrind and compared
# with those of scripts/bench/instructions.txt: more than 2 % above is a failure.
#
#   scripts/bench/instructions.sh                   counts and compares
#   scripts/bench/instructions.sh --store REASON    stores what has changed, and why
#
# Valgrind has no AVX-512, so the MAC table's AVX2 code is what is counted.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/install.sh
source scripts/install.sh

STORED=scripts/bench/instructions.txt

reason=
case ${1:-} in
    '') ;;
    --store) reason=${2:?say why the counts have changed} ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
esac

if ! grep -qw avx2 /proc/cpuinfo; then
    echo "SKIPPED: this CPU has no AVX2, whose code is what the stored counts are of"
    exit 0
fi
need valgrind
need_cargo
compiler=$(rustc --version | cut -d' ' -f1,2)
stored_compiler=$(sed -n 's/^# compiler: //p' "$STORED")
if [[ -z $reason && $compiler != "$stored_compiler" ]]; then
    echo "SKIPPED: the stored counts are of $stored_compiler, this is $compiler. Once it is the one to use:"
    echo "  $0 --store '$compiler'"
    exit 0
fi

program=$(cargo bench -q -p macvlan --bench instructions --no-run --message-format=json |
    sed -n 's/.*"executable":"\([^"]*instructions-[^"]*\)".*/\1/p')

# count SCENE: instructions per frame. What sets the scene up is not counted.
count() {
    local frames
    frames=$("$program" "$1")
    valgrind --tool=callgrind --callgrind-out-file=/dev/null \
        --toggle-collect='instructions::counted*' "$program" "$1" 2>&1 >/dev/null |
        awk -v frames="$frames" '/Collected/ { printf "%.1f\n", $NF / frames }'
}

# within FEW MANY: MANY is at most 2 % above FEW.
within() {
    awk -v few="$1" -v many="$2" 'BEGIN { exit !(many <= few * 1.02) }'
}

failed=0
rows=
for scene in $("$program"); do
    now=$(count "$scene")
    read -r before why < <(sed -n "s/^$scene //p" "$STORED") || true
    if [[ -z ${before:-} ]]; then
        verdict="not stored: $0 --store REASON"
        [[ -n $reason ]] || failed=1
    elif ! within "$before" "$now"; then
        verdict="MORE than 2 % above $before ($why). If that is what it must cost: $0 --store REASON"
        [[ -n $reason ]] || failed=1
    elif ! within "$now" "$before"; then
        verdict="less than $before: worth storing"
    else
        verdict="as stored"
        [[ -z $reason ]] || now=$before
    fi
    printf '%-14s %7s  %s\n' "$scene" "$now" "$verdict"
    [[ $now == "${before:-}" ]] || why=$reason
    rows+="$scene $now $why"$'\n'
    unset before why
done

if [[ -n $reason ]]; then
    {
        sed -n '/^#/p' "$STORED" | sed "s/^# compiler: .*/# compiler: $compiler/"
        printf '%s' "$rows"
    } >"$STORED.new"
    mv "$STORED.new" "$STORED"
fi
exit "$failed"
