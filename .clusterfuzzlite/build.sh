#!/bin/bash -eu
# Builds the fuzz targets for ClusterFuzzLite and OSS-Fuzz: with a shell, the compilers and flags of the environment ($CC $CXX $CFLAGS
# $CXXFLAGS $LIB_FUZZING_ENGINE), Python for the archives, and nothing else. Sources are in $SRC/iobuf, what comes between goes to
# $WORK, and all that is needed to run to $OUT: each target with its seeds, dictionary and options.
readonly targets="slice reader pool all"
cd "$SRC/iobuf"
readonly work=${WORK:?}/iobuf
mkdir -p "$work/objects" "$work/include"

# standalone.c as an array of lines, as in fuzz/CMakeLists.txt.
sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/.*/"&\\n",/' fuzz/execute/standalone.c > "$work/include/standalone.h"

# Every build checks; and the engine is to explore the library, not the harness (FUZZ_UNSEEN in fuzz/CMakeLists.txt).
flags="-std=gnu11 -pthread -DIOBUF_CHECKED=1 -Ilib/include -Ifuzz -I$work/include"
unseen=
case " $CFLAGS " in
*fuzzer-no-link*)
    unseen=-fno-sanitize-coverage=edge,inline-8bit-counters,pc-table,indirect-calls,trace-cmp,trace-div,trace-gep
    ;;
esac

compile() { # SOURCE OBJECT FLAG...
    local source=$1 object=$work/objects/$2
    shift 2
    rm -f "$object" # so that one which failed beside others is missed when it is linked
    # shellcheck disable=SC2086 # lists of flags
    $CC $CFLAGS $flags "$@" -c "$source" -o "$object"
}

for source in lib/src/*.c; do
    compile "$source" "lib-$(basename "$source" .c).o" &
done
wait
for source in fuzz/{program,model,execute,mutate}/*.c; do
    case $source in
    fuzz/execute/standalone.c | fuzz/mutate/afl.c | fuzz/mutate/libfuzzer.c) ;;
    *) compile "$source" "$(basename "$(dirname "$source")")-$(basename "$source" .c).o" ${unseen:+"$unseen"} & ;;
    esac
done
wait

# A token for each op: its code, and a 0 for each operand (two for a run).
awk -F'[(,] *' '/^OP\(/ {
    operands = $4
    gsub(/"/, "", operands)
    zeros = length(operands) + ($3 != "0") + gsub(/[uU]/, "", operands)
    printf "%s=\"\\x%02x", $2, code++
    while (zeros-- > 0)
        printf "\\x00"
    print "\""
}' fuzz/program/ops.def > "$work/programs.dict"

wrap=-Wl,--wrap=read,--wrap=writev,--wrap=calloc,--wrap=posix_memalign,--wrap=realloc,--wrap=free
for target in $targets; do
    mkdir -p "$work/objects/$target"
    compile "fuzz/targets/$target.c" "$target/target.o"
    compile fuzz/mutate/libfuzzer.c "$target/mutator.o" "-DMUTATE_TARGET=\"$target\"" ${unseen:+"$unseen"}
    # shellcheck disable=SC2086
    $CXX $CXXFLAGS -pthread "$work/objects"/*.o "$work/objects/$target"/*.o $LIB_FUZZING_ENGINE "$wrap" -o "$OUT/fuzz_$target"
    python3 -m zipfile -c "$OUT/fuzz_${target}_seed_corpus.zip" corpus/"$target"/*/*
    cp "$work/programs.dict" "$OUT/fuzz_$target.dict"
    # The longest program: PROGRAM_MAX_BYTES.
    printf '[libfuzzer]\nmax_len = 18433\ntimeout = 10\n' > "$OUT/fuzz_$target.options"
done
