#!/bin/bash
# firmware.sh vectors TARGET_DIR: builds the board's self-test and runs it in QEMU.
# firmware.sh report TARGET_DIR: the same, and writes TARGET_DIR/firmware/report.json.
set -euo pipefail
action=$1
target_dir=$(realpath -m "$2")
repository=$(realpath "$(dirname "$0")/..")

board=microbit
triple=thumbv6m-none-eabi
# Ten of RFC 4226, eighteen of RFC 6238, three controls. Counted here too: a run that skips some must fail.
expected='vectors: 31 passed, 0 failed'
# A run takes a second; a hung one must not hold up anything.
time_limit_s=60

out=$target_dir/firmware
image=$out/$board/$triple/release/vectors
log=$out/$board/vectors.log

build() {
    # Panic messages name source files: the remapping keeps the builder's directories out of the image. The hash
    # still depends on where the clone lies, because cargo puts the path of oath, which is outside the board's
    # workspace, into symbol names.
    # A RUSTFLAGS from outside would replace the linker script.
    local registry=${CARGO_HOME:-$HOME/.cargo}/registry/src
    (
        cd "$repository/firmware/boards/$board"
        env -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS cargo build --release --locked --bin vectors --target-dir "$out/$board" --config \
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

# Flash and RAM as the linker laid them out; the hash is of the flash contents, not of the ELF around them.
report() {
    local tools size flash_image stack
    tools=$(dirname "$(find "$(rustc --print sysroot)/lib/rustlib" -name llvm-size -print -quit)")
    flash_image=$out/$board/vectors.bin
    "$tools/llvm-objcopy" -O binary "$image" "$flash_image"
    size=$("$tools/llvm-size" -A "$image")
    stack=$(sed -n 's/^stack: \([0-9]*\) bytes$/\1/p' "$log")
    section_sum() { awk -v names=" $* " 'index(names, " " $1 " ") { sum += $2 } END { print sum + 0 }' <<<"$size"; }
    jq -n --arg board "$board" \
        --argjson flash "$(stat -c %s "$flash_image")" \
        --argjson static_ram "$(section_sum .data .bss .uninit)" \
        --argjson stack "$stack" \
        --arg sha256 "$(sha256sum "$flash_image" | cut -d' ' -f1)" \
        '{($board): {$flash, $static_ram, $stack, $sha256}}' | tee "$out/report.json"
}

case $action in
    vectors)
        build
        run
        ;;
    report)
        build
        run
        report
        ;;
    *) echo "usage: firmware.sh vectors|report TARGET_DIR" >&2; exit 2 ;;
esac
