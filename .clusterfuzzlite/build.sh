#!/bin/bash
# Builds the fuzz targets for ClusterFuzzLite and OSS-Fuzz: with a shell, the compilers and flags of the environment ($CC $CXX $CFLAGS
# $CXXFLAGS $LIB_FUZZING_ENGINE), Python for the archives, and nothing else. Starts in the source, or finds it in $SRC/iobuf; what comes
# between goes to $WORK, and all that is needed to run to $OUT: each target with its seeds, dictionary and options.
set -eu
readonly targets="slice reader pool all"
[ -e lib/include/iobuf/iobuf.h ] || cd "$SRC/iobuf"
export work=${WORK:?}/iobuf
rm -rf "$work"
mkdir -p "$work/objects" "$work/include" "$OUT"

# standalone.c as an array of lines, as in fuzz/CMakeLists.txt.
sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/.*/"&\\n",/' fuzz/execute/standalone.c > "$work/include/standalone.h"

# Every build checks; and the engine is to explore the library, not the harness (FUZZ_UNSEEN and fuzz_harness in fuzz/CMakeLists.txt).
export flags="-std=gnu11 -pthread -DIOBUF_CHECKED=1 -Ilib/include -Ifuzz -I$work/include"
export unseen=
case " $CFLAGS " in
*fuzzer-no-link*)
    unseen=-fno-sanitize-coverage=edge,inline-8bit-counters,pc-table,indirect-calls,trace-cmp,trace-div,trace-gep
    ;;
esac
export AFL_LLVM_DENYLIST=$PWD/fuzz/harness.denylist

compile() { # SOURCE FOLDER [FLAG]: the object goes to a folder of $work
    local source=$1 object
    object=$work/$2/$(basename "$(dirname "$source")")-$(basename "$source" .c).o
    case $source in
    lib/*) set -- "${3-}" ;;
    *) set -- "${3-}" "$unseen" ;;
    esac
    # shellcheck disable=SC2086,SC2068 # lists of flags
    $CC $CFLAGS $flags $@ -c "$source" -o "$object"
}
export -f compile

# As many at once as there are processors; one that fails (255 stops xargs) ends the build.
find lib/src fuzz/program fuzz/model fuzz/execute fuzz/mutate -name '*.c' ! -name standalone.c ! -name afl.c ! -name libfuzzer.c -print0 |
    xargs -0 -P "$(nproc)" -I SOURCE bash -euc 'compile SOURCE objects || exit 255'

# A token for each op that the target issues: its code, and a 0 for each operand (two for a run).
dictionary() { # LETTER of the target in the op list, none for all
    awk -v letter="$1" -F'[(,] *' '/^OP\(/ {
        operands = $4
        gsub(/"/, "", operands)
        zeros = length(operands) + ($3 != "0") + gsub(/[uU]/, "", operands)
        token = sprintf("%s=\"\\x%02x", $2, code++)
        while (zeros-- > 0)
            token = token "\\x00"
        if (letter == "" || index($6, letter))
            print token "\""
    }' fuzz/program/ops.def
}

# The base image has glibc, whose locks the harness knows.
wrap=$(sed -n 's/^ *\(set\|string\)(\(APPEND \)\?FUZZ_WRAP \(.*\))$/\3/p' fuzz/CMakeLists.txt | tr -d '\n')
for target in $targets; do
    case $target in
    slice) letter=S ;;
    reader) letter=R ;;
    pool) letter=P ;;
    all) letter= ;;
    esac
    mkdir "$work/$target"
    compile "fuzz/targets/$target.c" "$target"
    compile fuzz/mutate/libfuzzer.c "$target" "-DMUTATE_TARGET=\"$target\""
    # shellcheck disable=SC2086
    $CXX $CXXFLAGS -pthread "$work/objects"/*.o "$work/$target"/*.o $LIB_FUZZING_ENGINE "${wrap:?}" -o "$OUT/fuzz_$target"
    rm -f "$OUT/fuzz_${target}_seed_corpus.zip"
    python3 -m zipfile -c "$OUT/fuzz_${target}_seed_corpus.zip" corpus/"$target"/*/*
    dictionary "$letter" > "$OUT/fuzz_$target.dict"
    # The longest program: PROGRAM_MAX_BYTES.
    printf '[libfuzzer]\nmax_len = 18433\ntimeout = 10\n' > "$OUT/fuzz_$target.options"
done
