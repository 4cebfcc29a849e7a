#!/bin/sh
# An engine must find the planted bug by itself: it starts from those seeds that do not show it.
#
# Usage: canary_found.sh libfuzzer|afl FUZZ_CANARY CANARY_REPLAY SEEDS SECONDS
# CANARY_REPLAY may be of any build. Exit status: 0 found, 1 not found, 2 wrong usage, 3 could not run.
[ $# -eq 5 ] || { sed -n '4,5s/^# //p' "$0" >&2; exit 2; }
engine=$1 fuzz=$2 replay=$3 seeds=$4 seconds=$5
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
"$replay" slice "$found" 2>&1 | grep '^check failed'
echo "$engine found the canary in $took s"
