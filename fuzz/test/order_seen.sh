#!/bin/sh
# test_order must name inputs that depend on what ran before them. Usage: order_seen.sh TEST_ORDER CORPUS PATTERN
# The program has a planted bug, PATTERN is a line that it must then print.
out=$("$1" "$2" 2>&1)
status=$?
printf '%s\n' "$out" | tail -n 40
[ "$status" -eq 1 ] || { echo "status $status, not 1: a state left behind is not seen"; exit 1; }
printf '%s\n' "$out" | grep -q -e "$3"
