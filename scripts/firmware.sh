#!/bin/bash
# firmware.sh vectors TARGET_DIR: builds the board's self-test and runs it in QEMU.
# firmware.sh images TARGET_DIR: builds all images, and checks the size of the token's.
# firmware.sh report TARGET_DIR: all of it, runs the token's image too, and writes TARGET_DIR/firmware/report.json.
set -euo pipefail
action=$1
target_dir=$(realpath -m "$2")
repository=$(realpath "$(dirname "$0")/..")

board=microbit
triple=thumbv6m-none-eabi
# Ten of RFC 4226, eighteen of RFC 6238, twenty-five of RFC 6287, three controls. Counted here too: a run that skips some must fail.
expected='vectors: 56 passed, 0 failed'
# A run takes a second; a hung one must not hold up anything.
time_limit_s=60

out=$target_dir/firmware
image=$out/$board/$triple/release/vectors
token=$out/$board/$triple/release/token
# A slot for an image, and all RAM that an image may use, the deepest stack of the end-to-end test included.
flash_max=$((104 * 1024))
ram_max=$((14 * 1024))
log=$out/$board/vectors.log

build() {
    # Panic messages name source files: the remapping keeps the builder's directories out of the image. The hash
    # still depends on where the clone lies, because cargo puts the path of oath, which is outside the board's
    # workspace, into symbol names.
    # A RUSTFLAGS from outside would replace the linker script.
    local registry=${CARGO_HOME:-$HOME/.cargo}/registry/src
    (
        cd "$repository/firmware/boards/$board"
        env -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS cargo build --release --locked --bin vectors --bin token --target-dir "$out/$board" --config \
            "target.$triple.rustflags=['--remap-path-prefix=$registry=registry','--remap-path-prefix=$repository=.']"
    )
}

run() {
    # The image ends in a reset, which -no-reboot turns into the end of QEMU.
    local status=0
    timeout --kill-after=5 "$time_limit_s" qemu-system-arm -machine "$board" -nographic -monitor none \
        -serial stdio -no-reboot -kernel "$image" </dev/null | tee "$log" || status=$?
    if [ "$status" -ne 0 ]; then
        echo "vectors: QEMU ended with status $status (124: the time limit of $time_limit_s s)" >&2
        exit 1
    fi
    if [ "$(tail -n 1 "$log")" != "$expected" ]; then
        echo "vectors: the last line is not '$expected'" >&2
        exit 1
    fi
}

tool() { "$(dirname "$(find "$(rustc --print sysroot)/lib/rustlib" -name llvm-size -print -quit)")/$1" "${@:2}"; }

section_sum() {
    tool llvm-size -A "$token" | awk -v names=" $* " 'index(names, " " $1 " ") { sum += $2 } END { print sum + 0 }'
}

# The hash is of the flash contents, not of the ELF around them: the one that a token tells.
check_size() {
    tool llvm-objcopy -O binary "$token" "$out/$board/token.bin"
    flash=$(stat -c %s "$out/$board/token.bin")
    if [ "$flash" -gt "$flash_max" ]; then
        echo "token: $flash bytes of flash, at most $flash_max" >&2
        exit 1
    fi
}

# Flash and RAM as the linker laid them out; the stack as the end-to-end test found it.
report() {
    local stack static_ram
    check_size
    (cd "$repository" && cargo test --release --locked -p tests --test board -- --nocapture) | tee "$out/$board/token.log"
    stack=$(sed -n 's/^.*: \([0-9]*\) bytes of stack$/\1/p' "$out/$board/token.log" | sort -n | tail -n 1)
    static_ram=$(section_sum .data .bss .uninit)
    if [ "$((static_ram + stack))" -gt "$ram_max" ]; then
        echo "token: $static_ram bytes of static data and $stack of stack, at most $ram_max" >&2
        exit 1
    fi
    jq -n --arg board "$board" \
        --argjson flash "$flash" \
        --argjson static_ram "$static_ram" \
        --argjson stack "$stack" \
        --arg sha256 "$(sha256sum "$out/$board/token.bin" | cut -d' ' -f1)" \
        '{($board): {$flash, $static_ram, $stack, $sha256}}' | tee "$out/report.json"
}

case $action in
    vectors)
        build
        run
        ;;
    images)
        build
        check_size
        ;;
    report)
        build
        run
        report
        ;;
    *) echo "usage: firmware.sh vectors|images|report TARGET_DIR" >&2; exit 2 ;;
esac
