#!/bin/sh
# misuse.sh plain|asan|valgrind WORD PROGRAM SOURCE: `PROGRAM WORD` makes a mistake, and what is reported must be this mistake, in the
# line of SOURCE that is marked with WORD: not one further on, nor in the library.
set -u
how=$1 word=$2 program=$3 source=$4
out=$(mktemp)
trap 'rm -f "$out"' EXIT

wrong() {
    echo "misuse.sh: $how $word: $1; it said:" >&2
    cat "$out" >&2
    exit 1
}

released="stale handle: the slice was released before, perhaps through a copy"
gone="stale handle: its buf is gone; the slice was released before"
behind="bytes that no slice has were written to, behind a slice's end"
twice="used by two threads at once"
# What the library says; and for what is no call of it, what the tools say: an access, and what AddressSanitizer calls it.
message="" access="" kind=use-after-poison
case $word in
use_after_release) message="iobuf_slice_truncate_front: $released" ;;
double_release) message="iobuf_slice_release: $released" ;;
use_after_close) message="iobuf_slice_headroom: $gone" ;;
double_release_after_close) message="iobuf_slice_release: $gone" ;;
allocator_on_two_threads) message="iobuf_alloc: $twice" ;;
allocator_released_meanwhile) message="iobuf_allocator_release: $twice" ;;
reader_on_two_threads) message="iobuf_reader_read: $twice" ;;
foreign_handle) message="iobuf_slice_release: foreign handle: no buf of this library" ;;
invalid_slice) message="iobuf_slice_truncate_back: invalid slice: reaches beyond its buf" ;;
read_after_release | read_after_close) access="read" ;;
write_past_inner_slice) access="write" ;;
write_after_release) access="write" message="checked build: a free buf was written to: a slice was used after its release" ;;
write_past_slice | write_unallocated_tail | write_unallocated_tail_and_end) access="write" message="checked build: $behind" ;;
no_misuse) ;;
*) echo "misuse.sh: no misuse is called $word" >&2 && exit 2 ;;
esac
[ "$word" != read_after_close ] || kind=heap-use-after-free # its memory is malloc's again

if [ "$word" = no_misuse ]; then
    line=0
else
    line=$(grep -n "/\* misuse: $word \*/" "$source" | cut -d : -f 1)
    [ -n "$line" ] || wrong "no line of $source is marked with it"
fi
place="${source##*/}:$line"

if [ "$how" = valgrind ]; then
    (exec valgrind -q --error-exitcode=99 "$program" "$word") >/dev/null 2>"$out"
else
    (exec "$program" "$word") >/dev/null 2>"$out"
fi
status=$?

# says WORDS: the first line is the library's, of these words, and it aborted.
says() {
    [ "$(head -n 1 "$out")" = "iobuf: $1" ] || wrong "the first line is not 'iobuf: $1'"
    [ "$status" -eq 134 ] || wrong "exit status $status, not that of SIGABRT"
}

# at LINE...: the first of these is at the place.
at() {
    case $1 in
    *"$place)"* | *"$place:"* | *"$place") ;;
    *) wrong "the report is not at $place but '$1'" ;;
    esac
}

# The first line of a report of Valgrind's that is neither the library's nor Valgrind's own.
outside() {
    sed -n "/^\*\*[0-9]*\*\* $1/,\$p" "$out" | sed 1d | while read -r frame; do
        name=${frame##*\(} name=${name%%:*}
        if [ "$name" != valgrind.h ] && [ ! -e "${source%/*}/../src/$name" ]; then
            echo "$frame"
            break
        fi
    done
}

if [ "$word" = no_misuse ]; then
    [ "$(cat "$out")" = "it went on" ] || wrong "something was reported"
    [ "$status" -eq 0 ] || wrong "exit status $status"
elif [ "$how" = plain ]; then
    says "$message"
    [ "$(wc -l <"$out")" -eq 1 ] || wrong "more than one line"
elif [ -z "$access" ]; then
    says "$message"
    case $how in
    asan) at "$(sed -n 2p "$out")" ;;
    valgrind) at "$(outside "$message")" ;;
    esac
elif [ "$how" = asan ]; then
    [ "$status" -ne 0 ] || wrong "exit status 0"
    grep -q "ERROR: AddressSanitizer: $kind on address" "$out" || wrong "no report of $kind"
    grep -qi "^$access of size 1" "$out" || wrong "no report of a $access"
    at "$(grep -m 1 '^ *#0 ' "$out")"
else
    [ "$status" -eq 99 ] || wrong "exit status $status: nothing was reported"
    grep -q "Invalid $access of size 1" "$out" || wrong "no report of a $access"
    at "$(grep -m 1 -A 1 "Invalid $access of size 1" "$out" | sed -n 2p)"
fi
