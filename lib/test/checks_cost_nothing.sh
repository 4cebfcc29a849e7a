#!/bin/sh
# checks_cost_nothing.sh PROGRAM HOOKLESS OBJECT... and OBJECT...: the library's objects are those of a source without checks, byte for
# byte, and so the same work takes the same instructions, as callgrind counts them.
set -u
program=$1 hookless=$2
shift 2
objects="" status=0
while [ "$1" != and ]; do
    objects="$objects $1"
    shift
done
shift

compared=0
for other; do
    for object in $objects; do
        if [ "${object##*/}" = "${other##*/}" ]; then
            compared=$((compared + 1))
            cmp "$object" "$other" || status=1
        fi
    done
done
# All but check.c, of which nothing is left.
set -- "$@" check.c.o
if [ "$compared" -eq 0 ] || [ $((compared + 1)) -ne $# ] || [ "$(echo "$objects" | wc -w)" -ne $# ]; then
    echo "checks_cost_nothing.sh: compared $compared objects of $objects" >&2
    status=1
fi

# count PROGRAM: the instructions of its work. Both are called alike, since a longer name moves the stack, and memset goes by that.
count() (
    cd "${1%/*}" || exit
    valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect=no_misuse "./${1##*/}" no_misuse 2>&1 |
        sed -n 's/.*Collected : \([0-9]*\)$/\1/p'
)
if command -v valgrind >/dev/null; then
    with=$(count "$program") without=$(count "$hookless")
    echo "instructions: $with, and $without of the source without checks"
    if [ -z "$with" ] || [ "$with" != "$without" ] || [ "$with" -lt 100000 ]; then
        status=1
    fi
fi
exit $status
