#!/bin/sh
# A program as C needs the library alone: those of the corpus run clean, and one that shows a planted bug fails with the library
# that has it and with no other. Usage: c_source.sh REPLAY CANARY_REPLAY CORPUS INCLUDE LIBRARY CANARY_LIBRARY CC [FLAG...]
replay=$1 canary_replay=$2 corpus=$3 include=$4 library=$5 canary_library=$6
shift 6
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
failures=0

fail() {
    echo "$1"
    failures=$((failures + 1))
}

# build SOURCE LIBRARY OUT FLAG...
build() {
    source=$1 with=$2 program=$3
    shift 3
    "$@" -Wall -Wextra -Werror -I "$include" -o "$program" "$source" "$with" -lpthread 2>"$tmp/log" ||
        { cat "$tmp/log"; fail "$source does not compile"; }
}

for target in slice reader pool all; do
    # Those with names are written by hand and reach every op; the others would only take long.
    for input in "$corpus/$target"/seeds/*-* "$corpus/$target"/regressions/*; do
        [ -e "$input" ] || continue
        "$replay" "$target" --quiet --c "$tmp/program.c" "$input" || fail "replay of $input"
        build "$tmp/program.c" "$library" "$tmp/program" "$@"
        "$tmp/program" 2>"$tmp/log" || { cat "$tmp/log"; fail "$input fails as C"; }
    done
done

"$canary_replay" slice --quiet --c "$tmp/canary.c" "$corpus/slice/seeds/coalesce-at-limit" 2>/dev/null && fail "no canary"
build "$tmp/canary.c" "$library" "$tmp/program" "$@"
"$tmp/program" || fail "the reproducer fails without the bug"
build "$tmp/canary.c" "$canary_library" "$tmp/program" "$@"
("$tmp/program" 2>"$tmp/log") 2>/dev/null && fail "the reproducer does not fail"
grep -q 'op 8: slices left: 2, not 1' "$tmp/log" || { cat "$tmp/log"; fail "it fails in another way"; }

# So does what is left of it when it is minimised.
"$canary_replay" slice --minimise "$tmp/small" "$corpus/slice/seeds/coalesce-at-limit" >/dev/null 2>&1
build "$tmp/small.c" "$library" "$tmp/program" "$@"
"$tmp/program" || fail "the minimised reproducer fails without the bug"
build "$tmp/small.c" "$canary_library" "$tmp/program" "$@"
("$tmp/program" 2>"$tmp/log") 2>/dev/null && fail "the minimised reproducer does not fail"
grep -q 'slices left: 2, not 1' "$tmp/log" || { cat "$tmp/log"; fail "the minimised one fails in another way"; }
[ "$failures" -eq 0 ]
