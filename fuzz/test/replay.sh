#!/bin/sh
# The command line of replay: exit status and one clear line for each wrong use. Usage: [LAUNCHER=...] replay.sh REPLAY
replay=$1
launcher=${LAUNCHER-} # words in front of each call: an emulator
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
failures=0

# expect STATUS PATTERN ARG...: that exit status, and a line of output that matches.
expect() {
    status=$1
    pattern=$2
    shift 2
    $launcher "$replay" "$@" >"$tmp/out" 2>&1
    got=$?
    if [ "$got" -ne "$status" ] || ! grep -q -e "$pattern" "$tmp/out"; then
        echo "replay $*: status $got, not $status, or no line like: $pattern"
        cat "$tmp/out"
        failures=$((failures + 1))
    fi
}

cat >"$tmp/good" <<'END'
iobuf-program 1 slice
p0 = pool_create 64 0 0
a0 = allocator_init p0 8
s0 = alloc a0 10
expand_front s0 head
expand_front s0 1
END
printf 'iobuf-program 1 slice\nrelease s99\n' >"$tmp/bad"
head -c 3000 /dev/urandom >"$tmp/random"
head -c 2000000 /dev/zero >"$tmp/huge"
: >"$tmp/empty"
mkdir "$tmp/none" "$tmp/some"
cp "$tmp/good" "$tmp/random" "$tmp/empty" "$tmp/some"

expect 0 'usage: replay TARGET' --help
expect 2 'needs a target' slice
expect 2 'no target nowhere' nowhere "$tmp/good"
expect 2 'is no option' slice --frobnicate "$tmp/good"
expect 2 'needs a file' slice --quiet
expect 2 'needs a file' slice --encode
expect 2 'needs a file' slice --minimise
expect 2 'minimise needs one file' slice --minimise "$tmp/out" "$tmp/good" "$tmp/good"
expect 3 'cannot open' slice --minimise "$tmp/out" "$tmp/missing"
expect 0 'does not fail: nothing to minimise' slice --minimise "$tmp/out" "$tmp/good"
expect 0 'does not fail: nothing to minimise' all --minimise "$tmp/out" "$tmp/random"
expect 0 'does not fail: nothing to minimise' slice --minimise "$tmp/out" "$tmp/empty"
expect 0 '^1 programs, [1-9][0-9]* allocations failed in turn' slice --fault-sweep "$tmp/good"
expect 0 '^refused 0x' slice --fault-sweep "$tmp/good"
expect 3 'cannot open' slice "$tmp/missing"
expect 3 'bad:2: malformed operand' slice "$tmp/bad"
expect 3 'too large' slice "$tmp/huge"
expect 3 'cannot write' slice --encode "$tmp/none/no/such" "$tmp/good"
expect 0 '^1 programs, 5 ops: clean' slice "$tmp/good"
expect 0 '^0 programs, 0 ops: clean' slice "$tmp/none"
expect 0 '^3 programs' slice "$tmp/some"
expect 0 'clean' all "$tmp/random"
expect 0 'expand_front s0 head -> true (8)' slice --print "$tmp/good"
expect 0 'expand_front s0 1 -> false' slice --print "$tmp/good"
expect 0 's0 = alloc a0 10$' slice --text "$tmp/good"
expect 0 '^[0-9a-f]\{16\} ' slice --hash "$tmp/good"

# Bytes, text and bytes again are the same program; what --print prints can be read again.
$launcher "$replay" slice --encode "$tmp/bytes" "$tmp/good" && $launcher "$replay" slice --text "$tmp/bytes" >"$tmp/text"
cmp "$tmp/good" "$tmp/text" || failures=$((failures + 1))
$launcher "$replay" slice --print --quiet "$tmp/bytes" >"$tmp/printed" && $launcher "$replay" slice --text "$tmp/printed" >"$tmp/text"
cmp "$tmp/good" "$tmp/text" || failures=$((failures + 1))

[ "$failures" -eq 0 ]
