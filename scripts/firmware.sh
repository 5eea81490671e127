#!/bin/bash
# firmware.sh vectors TARGET_DIR: builds the reference board's self-test and runs it in QEMU.
# firmware.sh images TARGET_DIR: builds all boards' images, and checks their sizes.
# firmware.sh report TARGET_DIR: all of it, builds every image a second time at another path, runs what QEMU can run,
# and writes TARGET_DIR/firmware/report.json.
set -euo pipefail
action=$1
target_dir=$(realpath -m "$2")
repository=$(realpath "$(dirname "$0")/..")

# Board, target, images, whether QEMU has the part, and all RAM that an image may use, static data and the deepest
# stack. Where QEMU has the part, the stack is measured in the end-to-end test. Elsewhere it is what the part's stack
# limit leaves, with room beyond the sum of all frames that could lie on one another.
boards='
microbit  thumbv6m-none-eabi       token,vectors  emulated  14336
stm32u5   thumbv8m.main-none-eabi  token          -         25280
'
reference=microbit

# Ten of RFC 4226, eighteen of RFC 6238, twenty-five of RFC 6287, three controls. Counted here too: a run that skips
# some must fail.
expected='vectors: 56 passed, 0 failed'
# A run takes a second; a hung one must not hold up anything.
time_limit_s=60
# A slot for an image.
flash_max=$((104 * 1024))

out=$target_dir/firmware
# Another path, of another length, with a target directory of its own.
elsewhere=$out/built-at-another-path

fail() {
    echo "firmware: $*" >&2
    exit 1
}

each_board() {
    local board triple images part ram_max
    while read -r board triple images part ram_max; do
        [ -z "$board" ] || "$@" </dev/null
    done <<<"$boards"
}

# build SOURCES TARGET_DIR: the images of $board.
build() {
    # Panic messages name source files: the remapping keeps the builder's directories out of the image.
    # A RUSTFLAGS from outside would replace the linker script.
    local registry=${CARGO_HOME:-$HOME/.cargo}/registry/src
    (
        cd "$1/firmware/boards/$board"
        # shellcheck disable=SC2086 -- words on purpose.
        env -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS cargo build --release --locked --target-dir "$2/$board" \
            --bin ${images//,/ --bin } --config \
            "target.$triple.rustflags=['--remap-path-prefix=$registry=registry','--remap-path-prefix=$1=.']"
    )
}

tool() { "$(dirname "$(find "$(rustc --print sysroot)/lib/rustlib" -name llvm-size -print -quit)")/$1" "${@:2}"; }

# The hash is of the flash contents, not of the ELF around them: the one that a token tells.
flash_image() {
    tool llvm-objcopy -O binary "$1/$board/$triple/release/token" "$out/$board/$2"
}

# Flash and RAM as the linker laid them out.
check_size() {
    local token=$out/$board/$triple/release/token
    flash_image "$out" token.bin
    flash=$(stat -c %s "$out/$board/token.bin")
    static_ram=$(tool llvm-size -A "$token" | awk '/^\.(data|bss|uninit) / { sum += $2 } END { print sum + 0 }')
    stack_max=$(tool llvm-nm "$token" |
        awk '$3 == "_stack_start" { start = $1 } $3 == "_stack_end" { end = $1 } END { print "0x" start, "0x" end }' |
        while read -r start end; do echo $((start - end)); done)
    [ "$flash" -le "$flash_max" ] || fail "$board: $flash bytes of flash, at most $flash_max"
    [ "$static_ram" -lt "$ram_max" ] || fail "$board: $static_ram bytes of static data, at most $ram_max with the stack"
}

image() {
    build "$repository" "$out"
    check_size
}

vectors() {
    local status=0 log=$out/$reference/vectors.log triple=thumbv6m-none-eabi
    # The image ends in a reset, which -no-reboot turns into the end of QEMU.
    timeout --kill-after=5 "$time_limit_s" qemu-system-arm -machine "$reference" -nographic -monitor none \
        -serial stdio -no-reboot -kernel "$out/$reference/$triple/release/vectors" </dev/null | tee "$log" || status=$?
    [ "$status" -eq 0 ] || fail "QEMU ended with status $status (124: the time limit of $time_limit_s s)"
    [ "$(tail -n 1 "$log")" = "$expected" ] || fail "the last line of the vectors is not '$expected'"
}

# A clone elsewhere, as far as the images come from it.
copy_sources() {
    rm -rf "$elsewhere/clone"
    mkdir -p "$elsewhere/clone"
    # With new times, so that nothing of an earlier run passes for this one.
    tar -C "$repository" -c --exclude=target Cargo.toml rust-toolchain.toml firmware | tar -C "$elsewhere/clone" -x -m
}

same_elsewhere() {
    build "$elsewhere/clone" "$elsewhere"
    flash_image "$elsewhere" token-again.bin
    cmp "$out/$board/token.bin" "$out/$board/token-again.bin" ||
        fail "$board: another path gives another image: $(sha256sum "$out/$board"/token{,-again}.bin)"
}

# What the end-to-end test says on its way.
run_emulated() {
    export CARGO_TARGET_DIR=$target_dir COUNTERSIGN_BIN=$target_dir/release/countersign
    cd "$repository"
    cargo build --release --locked --bin countersign --bin token-sim
    cargo nextest run --release --locked --workspace --test board --no-capture 2>&1 | tee "$out/token.log"
}

report() {
    local stack measured=false sha256
    check_size
    stack=$stack_max
    if [ "$part" = emulated ]; then
        measured=true
        stack=$(sed -n 's/^.*: \([0-9]*\) bytes of stack$/\1/p' "$out/token.log" | sort -n | tail -n 1)
        [ -n "$stack" ] || fail "$board: the end-to-end test did not say how deep the stack was"
    fi
    [ "$((static_ram + stack))" -le "$ram_max" ] ||
        fail "$board: $static_ram bytes of static data and $stack of stack, at most $ram_max"
    sha256=$(sha256sum "$out/$board/token.bin" | cut -d' ' -f1)
    jq -n --arg board "$board" --argjson flash "$flash" --argjson static_ram "$static_ram" \
        --argjson stack "$stack" --arg sha256 "$sha256" --argjson stack_measured "$measured" \
        '{($board): {$flash, $static_ram, $stack, $sha256, $stack_measured}}'
}

table() {
    printf '%-10s %7s %10s %6s  %s\n' board flash 'static RAM' stack 'SHA-256 of the image'
    jq -r 'to_entries[] | .key as $board | .value | [$board, .flash, .static_ram,
        (.stack | tostring) + (if .stack_measured then "" else "*" end), .sha256] | @tsv' "$out/report.json" |
        while read -r board flash static_ram stack sha256; do
            printf '%-10s %7s %10s %6s  %s\n' "$board" "$flash" "$static_ram" "$stack" "$sha256"
        done
    echo "flash: at most $flash_max    * the limit that the part holds, not measured"
}

case $action in
    vectors)
        each_board image
        vectors
        ;;
    images)
        each_board image
        ;;
    report)
        each_board image
        copy_sources
        each_board same_elsewhere
        vectors
        run_emulated
        each_board report | jq -s add >"$out/report.json"
        table
        ;;
    *) echo "usage: firmware.sh vectors|images|report TARGET_DIR" >&2; exit 2 ;;
esac
