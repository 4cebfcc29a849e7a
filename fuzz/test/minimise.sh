#!/bin/sh
# What is left of a program that shows a planted bug: it fails the same check at the same op, none of its ops can go, and its forms are
# one program. Usage: [LAUNCHER=...] minimise.sh REPLAY CANARY_REPLAY SEEDS
# shellcheck disable=SC2086 # LAUNCHER is words
replay=$1 canary_replay=$2 seeds=$3
launcher=${LAUNCHER-}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
failures=0

fail() {
    echo "$1"
    failures=$((failures + 1))
}

# check FILE: the check that fails on it, nothing if it is clean.
check() {
    $launcher "$canary_replay" slice "$1" 2>&1 | sed -n 's/^check failed: \([a-z_]*\):.*/\1/p' | head -n 1
}

# All that is in the seeds' programs with names, one behind the other, and at last what shows the bug.
echo 'iobuf-program 1 slice' >"$tmp/long"
for seed in "$seeds"/*-* "$seeds/coalesce-at-limit"; do
    $launcher "$replay" slice --text "$seed" | sed 1d >>"$tmp/long"
done
before=$(check "$tmp/long")
[ "$before" = result_equals ] || fail "the long program fails $before"
$launcher "$canary_replay" slice --minimise "$tmp/small" "$tmp/long" >"$tmp/said" 2>&1
status=$?
cat "$tmp/said"
[ "$status" -eq 1 ] || fail "status $status, not 1"
grep -q '^5 of [0-9]* ops left; result_equals at coalesce; ' "$tmp/said" || fail "not the 5 ops that it takes, or another check"
cat "$tmp/small.txt"
[ -z "$(ls "$tmp"/*.part 2>/dev/null)" ] || fail "a part of a file is left"
[ "$(check "$tmp/small")" = result_equals ] || fail "what is left does not fail the same check"

$launcher "$replay" slice --text "$tmp/small" >"$tmp/text"
$launcher "$replay" slice --text "$tmp/small.txt" | cmp - "$tmp/text" || fail "text and encoding are two programs"
{ $launcher "$replay" slice --encode "$tmp/again" "$tmp/small.txt" && cmp "$tmp/small" "$tmp/again"; } ||
    fail "text does not encode to the same"
grep -q '^# check failed: result_equals: ' "$tmp/small.txt" || fail "the text does not name the check"
grep -q 'iobuf_coalesce' "$tmp/small.c" || fail "the C file lacks the op that fails"

lines=$(wc -l <"$tmp/text")
for line in $(seq 2 "$lines"); do
    sed "${line}d" "$tmp/text" >"$tmp/less"
    [ "$(check "$tmp/less")" != result_equals ] || fail "line $line is not needed"
done

# Where nothing can be written, that is said, and nothing is left.
$launcher "$canary_replay" slice --minimise "$tmp/no/such" "$tmp/long" >"$tmp/said" 2>&1
status=$?
{ [ "$status" -eq 3 ] && grep -q "cannot write" "$tmp/said"; } || fail "status $status, not 3, or no reason"
[ "$failures" -eq 0 ]
