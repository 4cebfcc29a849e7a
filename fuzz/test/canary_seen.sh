#!/bin/sh
# A planted bug must make replay of the seeds fail, with the check's name and the program. Usage:
# [LAUNCHER=...] canary_seen.sh REPLAY SEEDS
# shellcheck disable=SC2086 # LAUNCHER is words
out=$(${LAUNCHER-} "$1" slice "$2" 2>&1)
status=$?
printf '%s\n' "$out" | tail -n 40
[ "$status" -eq 1 ] || { echo "status $status, not 1: the harness does not see a planted bug"; exit 1; }
printf '%s\n' "$out" | grep -q '^check failed: ' || exit 1
printf '%s\n' "$out" | grep -q '^iobuf-program 1 slice' || exit 1
