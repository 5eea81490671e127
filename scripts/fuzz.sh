#!/bin/bash
# fuzz.sh smoke TARGET_DIR: builds the targets of tests/fuzz but the appliance's, and runs each for a few seconds, from
# its seeds.
# fuzz.sh soak TARGET_DIR MINUTES: runs each for so long, the appliance's too, on what earlier soaks have found, one
# after the other.
# fuzz.sh run TARGET_DIR NAME ARGUMENTS...: one target with libFuzzer's own arguments, such as a reproducer.
# fuzz.sh lint TARGET_DIR: clippy for what smoke builds, on that build's dependencies.
#
# smoke and soak write TARGET_DIR/fuzz/report.json: what ran, how far it came, and whether its control was caught, a
# target with a planted fault. Exit 1 when a target failed or a control did not; the reproducer's path is printed.
set -euo pipefail
action=$1
target_dir=$(realpath -m "$2")
repository=$(realpath "$(dirname "$0")/..")

# In the smoke run whichever of these comes first ends a target.
smoke_runs=20000
smoke_s=8
# Whoever does not find a planted fault within this is blind.
control_s=20
# One input may take so long, and the process so much memory, before that counts as a finding.
input_s=10
rss_mb=1024
length_max=2048

out=$target_dir/fuzz
triple=$(rustc -vV | sed -n 's/^host: //p')
binaries=$out/$triple/release

# The passes of LLVM that libFuzzer lives on; they are in every rustc, without a nightly one.
counters=-Cpasses=sancov-module
for option in level=4 inline-8bit-counters pc-table trace-compares; do
    counters+=" -Cllvm-args=-sanitizer-coverage-$option"
done

# The appliance is the longest build of all: smoke does without it.
default=fuzz
apart=fuzz-appliance

# with_cargo ARGUMENTS...: cargo in that workspace, with the counters.
with_cargo() {
    # For the target alone: build scripts and macros are linked without libFuzzer. RUSTFLAGS from outside would be
    # for another build than this.
    (
        cd "$repository/tests/fuzz"
        env -u CARGO_ENCODED_RUSTFLAGS RUSTFLAGS="$counters" RUSTC_WRAPPER="$repository/scripts/fuzz-rustc.sh" \
            cargo "$1" --release --locked --target "$triple" --target-dir "$out" "${@:2}"
    )
}

# names PACKAGE: its targets.
names() {
    local manifest=$repository/tests/fuzz/Cargo.toml
    [ "$1" = $default ] || manifest=$repository/tests/fuzz/appliance/Cargo.toml
    sed -n '/^\[\[bin\]\]/,/^$/s/^name = "\(.*\)"/\1/p' "$manifest"
}

# fuzz NAME DIRECTORY ARGUMENTS...: from the seeds in DIRECTORY, into its corpus and its log.
fuzz() {
    local name=$1 directory=$2
    shift 2
    mkdir -p "$directory/corpus" "$directory/seeds" "$directory/failures"
    (
        cd "$directory"
        FUZZ_SEEDS=seeds "$binaries/$name" >log 2>&1 || exit
        # The HSM child tells every end on standard error; libFuzzer's own words go there all the same.
        [ "$name" != hsm_child ] || set -- "$@" -close_fd_mask=2
        "$binaries/$name" corpus seeds -artifact_prefix="$directory/failures/" -print_final_stats=1 \
            -timeout=$input_s -rss_limit_mb=$rss_mb -max_len=$length_max "$@" >log 2>&1
    )
}

# one NAME ARGUMENTS...: the target and its control; a line for people, and an entry of the report.
one() {
    local name=$1 violations=0 caught=0
    shift
    local directory=$out/runs/$action/$name control=$out/runs/control/$name
    # A smoke run begins anew each time, a soak goes on.
    [ "$action" = soak ] || rm -rf "$directory"
    rm -rf "$control" "$directory/failures"
    fuzz "$name" "$directory" "$@" || violations=1
    FUZZ_CONTROL=1 fuzz "$name" "$control" -max_total_time=$control_s -seed=1 || caught=1
    [ -n "$(ls -A "$control/failures")" ] || caught=0
    local runs coverage
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$directory/log" | tail -n 1)
    coverage=$(sed -n 's/^#.* cov: \([0-9]*\) .*/\1/p' "$directory/log" | tail -n 1)
    printf '%-20s %9d runs %6d edges, control %s\n' "$name" "${runs:-0}" "${coverage:-0}" \
        "$([ $caught -eq 1 ] && echo caught || echo MISSED)"
    if [ $violations -ne 0 ]; then
        tail -n 40 "$directory/log"
        echo "$name: FAILED; the input: $(ls "$directory"/failures/* 2>/dev/null || echo none, see "$directory/log")"
        echo "    scripts/fuzz.sh run $target_dir $name INPUT"
    fi
    printf '{"name":"fuzz-%s","runs":%d,"violations":%d,"control_violations":%d,"edges":%d}\n' \
        "$name" "${runs:-0}" $violations $caught "${coverage:-0}" >"$out/runs/$name.json"
    [ $violations -eq 0 ] && [ $caught -eq 1 ]
}

# all JOBS ARGUMENTS...: every target on standard input, so many at once.
all() {
    local jobs=$1 status=0
    shift
    mkdir -p "$out/runs"
    rm -f "$out"/runs/*.json "$out/report.json"
    export -f fuzz one
    export action target_dir out binaries control_s input_s rss_mb length_max
    xargs -P "$jobs" -I NAME bash -c 'set -uo pipefail; one "$@"' one NAME "$@" || status=1
    cat "$out"/runs/*.json | jq -s . >"$out/report.json"
    return $status
}

case $action in
    smoke)
        with_cargo build --package $default
        names $default | all "$(nproc)" -runs=$smoke_runs -max_total_time=$smoke_s -seed=1
        ;;
    soak)
        minutes=$3
        with_cargo build --package $default
        with_cargo build --package $apart
        { names $default; names $apart; } | all 1 -max_total_time=$((minutes * 60))
        ;;
    run)
        name=$3
        package=$default
        ! names $apart | grep -qx "$name" || package=$apart
        with_cargo build --package $package --bin "$name"
        exec "$binaries/$name" "${@:4}"
        ;;
    lint) with_cargo clippy --package $default --all-targets -- -D warnings ;;
    *)
        echo "usage: fuzz.sh smoke|lint TARGET_DIR | soak TARGET_DIR MINUTES | run TARGET_DIR NAME ARGUMENTS..." >&2
        exit 2
        ;;
esac
