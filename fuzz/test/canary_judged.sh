#!/bin/sh
# canary_found.sh must not believe an engine that stops at an input which does not show the planted bug, and must believe one that
# stops at one which does. The engines are fakes. Usage: [LAUNCHER=...] canary_judged.sh CANARY_FOUND CANARY_REPLAY REPLAY SEEDS
canary_found=$1
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
failures=0

# replays NAME PROGRAM: a command of one word.
replays() {
    printf '#!/bin/sh\nexec %s "%s" "$@"\n' "${LAUNCHER-}" "$2" >"$tmp/$1"
    chmod +x "$tmp/$1"
}
replays with "$2"
replays without "$3"
printf '#!/bin/sh\necho "check failed: %s"\nexit 1\n' always >"$tmp/always"
chmod +x "$tmp/always"
mkdir "$tmp/seeds"
printf 'iobuf-program 1 slice\np0 = pool_create 64 0 0\n' >"$tmp/seeds/clean"

# expect STATUS NAME INPUT UNMUTATED: that exit status with an engine that stops at INPUT.
expect() {
    cat >"$tmp/engine" <<END
#!/bin/sh
for word in "\$@"; do
    case \$word in -artifact_prefix=*) cp "$3" "\${word#-artifact_prefix=}found" ;; esac
done
END
    chmod +x "$tmp/engine"
    sh "$canary_found" libfuzzer "$tmp/engine" "$tmp/with" "$4" "$tmp/seeds" 1 >"$tmp/out" 2>&1
    status=$?
    [ "$status" -eq "$1" ] && return
    echo "$2: status $status, not $1"
    cat "$tmp/out"
    failures=$((failures + 1))
}

printf x >"$tmp/nothing"
expect 1 'an input that shows nothing' "$tmp/nothing" "$tmp/without"
expect 1 'a bug that was not planted' "$4/coalesce-at-limit" "$tmp/always"
expect 0 'the planted bug' "$4/coalesce-at-limit" "$tmp/without"
[ "$failures" -eq 0 ]
