#!/bin/sh
# An engine must find the planted bug by itself: it starts from those seeds that do not show it. What it finds counts if a check
# fails on it with the bug, and none without.
#
# Usage: canary_found.sh libfuzzer|afl FUZZ_CANARY CANARY_REPLAY REPLAY SEEDS SECONDS
# Both replays may be of any build. Exit status: 0 found, 1 not found, 2 wrong usage, 3 could not run.
[ $# -eq 6 ] || { sed -n '5,6s/^# //p' "$0" >&2; exit 2; }
engine=$1 fuzz=$2 replay=$3 unmutated=$4 seeds=$5 seconds=$6
tmp=$(mktemp -d) || exit 3
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/in"
for seed in "$seeds"/*; do
    "$replay" slice --quiet "$seed" >/dev/null 2>&1 && cp "$seed" "$tmp/in/"
done
[ -n "$(ls "$tmp/in")" ] || { echo "no seeds in $seeds" >&2; exit 3; }
start=$(date +%s)
case $engine in
libfuzzer)
    "$fuzz" "$tmp/in" -max_total_time="$seconds" -artifact_prefix="$tmp/crash-" >"$tmp/log" 2>&1
    found=$(find "$tmp" -maxdepth 1 -name 'crash-*' | head -n 1)
    ;;
afl)
    AFL_NO_UI=1 AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_TRY_AFFINITY=1 AFL_BENCH_UNTIL_CRASH=1 \
        afl-fuzz -i "$tmp/in" -o "$tmp/out" -V "$seconds" -- "$fuzz" >"$tmp/log" 2>&1
    found=$(find "$tmp/out" -path '*crashes/id*' 2>/dev/null | head -n 1)
    ;;
*)
    echo "no engine $engine: libfuzzer or afl" >&2
    exit 2
    ;;
esac
took=$(($(date +%s) - start))
if [ -z "$found" ]; then
    tail -n 20 "$tmp/log" >&2
    echo "$engine did not find the canary in $took s" >&2
    exit 1
fi
if ! "$replay" slice "$found" >"$tmp/said" 2>&1 && shows=$(grep '^check failed: ' "$tmp/said"); then :; else
    tail -n 20 "$tmp/said" >&2
    echo "$engine stopped at an input on which no check fails with the bug planted" >&2
    exit 1
fi
if ! "$unmutated" slice "$found" >"$tmp/said" 2>&1; then
    tail -n 20 "$tmp/said" >&2
    echo "$engine stopped at an input that fails without the planted bug" >&2
    exit 1
fi
echo "$engine found the canary in $took s, as it must: ${shows#check failed: }"
