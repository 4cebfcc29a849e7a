# A source of lib/src as it would be if checked builds had never been thought of: without their parts, and without each call of
# check.h. Ends with status 1 at a use of them that it does not know.
function stop(why) {
    print FILENAME ":" FNR ": " why ": " $0 > "/dev/stderr"
    exit 1
}

/^#if/ {
    depth++
    if ($0 == "#if IOBUF_CHECKED" || $0 == "#if !IOBUF_CHECKED") {
        ours[depth] = 1
        off[depth] = $0 == "#if IOBUF_CHECKED"
        next
    }
    if (/IOBUF_CHECKED/)
        stop("not understood")
    ours[depth] = off[depth] = 0
}
/^#else/ && ours[depth] {
    off[depth] = !off[depth]
    next
}
/^#endif/ {
    if (ours[depth--])
        next
}
{
    for (i = 1; i <= depth; i++)
        if (off[i])
            next
}
/^#include "check.h"$/ || /^#define check_/ { next }
{
    code = $0
    # A statement of its own goes; what only names a slice's buf, or compares two, does that.
    if (code !~ /=/)
        sub(/^ *check_[a-z_]+\(.*\);( *\/\*.*\*\/)?$/, ";", code)
    while (match(code, /check_handle\([a-z_]+, "[a-z_]+"\)/)) {
        name = substr(code, RSTART + 13, RLENGTH - 13)
        sub(/,.*/, "", name)
        code = substr(code, 1, RSTART - 1) "buf_from(" name "->buf_)" substr(code, RSTART + RLENGTH)
    }
    if (match(code, /check_same_buf\([a-z_&]+, [a-z_]+\)/)) {
        names = substr(code, RSTART + 15, RLENGTH - 16)
        split(names, name_of, ", ")
        code = substr(code, 1, RSTART - 1) "((" name_of[1] ")->buf_ == " name_of[2] "->buf_)" substr(code, RSTART + RLENGTH)
    }
    if (code ~ /check_[a-z_]+\(/ || code ~ /IOBUF_CHECKED/)
        stop("not understood")
    print code
}
