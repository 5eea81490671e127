#!/bin/bash
# setup.sh [--check]: brings a Debian machine to the point where every make target works.
#
# Looks at what is really there each time and installs only what is missing, so that a second run does nothing.
# With --check it installs nothing: exit 0 when nothing is missing, 1 otherwise.
# Exit 3: something is missing that it may not or cannot install; the message says what to run.
set -euo pipefail
cd "$(dirname "$0")/.."

# The daemon needs these on the machine where it runs. softhsm2 stands in for a hardware module.
runtime=(ca-certificates softhsm2)
# Compilers: SQLite and libFuzzer are built from source.
build=(build-essential curl git pkg-config)
# Judges and peers of the tests that are not ours: PKCS#11 tools, an emulated board, OATH and SMS codecs, a
# QR reader, readers of PDF, udev's own parser, a browser; tmux, socat, jq and sqlite3 drive and inspect.
judges=(chromium-driver chromium-headless-shell gammu jq oathtool opensc opensc-pkcs11 pamtester poppler-utils qemu-system-arm qpdf socat sqlite3 tmux
    tshark udev zbar-tools)

# Fetches axe-core and http_ece (scripts/axe.sh, webpush.sh) and brings Node.js; whichever npm is in PATH serves.
command -v npm >/dev/null || judges+=(npm)

# Any version serves; this one is installed where there is none.
nextest=0.9.143

give_up() {
    printf 'setup: %s\n' "$@" >&2
    exit 3
}

missing_packages() {
    command -v dpkg-query >/dev/null ||
        give_up "this is not Debian; install what these packages hold, and put them in PATH:" \
            "    ${runtime[*]} ${build[*]} ${judges[*]}"
    local installed package
    installed=$(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' "${runtime[@]}" "${build[@]}" "${judges[@]}" 2>/dev/null || true)
    for package in "${runtime[@]}" "${build[@]}" "${judges[@]}"; do
        grep -qx "ii *$package" <<<"$installed" || echo "$package"
    done
}

# What rust-toolchain.toml asks for and rustup has not got, as arguments of `rustup`: `target add ...`.
missing_rust() {
    local rustlib component target
    rustlib=$(rustc --print sysroot)/lib/rustlib
    for target in $(list_in_toolchain targets); do
        [ -d "$rustlib/$target/lib" ] || echo "target add $target"
    done
    for component in $(list_in_toolchain components); do
        grep -qs "^$component\(-preview\)\?\(-\|$\)" "$rustlib/components" || echo "component add $component"
    done
}

list_in_toolchain() {
    sed -n "s/^$1 *= *\[\(.*\)\]/\1/p" rust-toolchain.toml | tr -d '",'
}

install_packages() {
    local packages=("$@")
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        as_root=(sudo)
        # Without a terminal there is nobody to type a password.
        [ -t 0 ] || as_root=(sudo -n)
        command -v sudo >/dev/null && "${as_root[@]}" true 2>/dev/null ||
            give_up "these packages are missing and need root; run this, then the same command again:" \
                "    apt-get install --no-install-recommends ${packages[*]}"
    fi
    "${as_root[@]}" apt-get update -q
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends "${packages[@]}"
}

check_only=false
case ${1-} in
    '') ;;
    --check) check_only=true ;;
    *) echo "usage: setup.sh [--check]" >&2; exit 2 ;;
esac

packages_text=$(missing_packages)
mapfile -t packages < <(printf '%s' "$packages_text")
rust=()
nextest_missing=false
rust_missing=false
if command -v rustc >/dev/null && command -v cargo >/dev/null; then
    # A toolchain that rust-toolchain.toml names and rustup lacks is fetched by this first call.
    rust_text=$(missing_rust)
    mapfile -t rust < <(printf '%s' "$rust_text")
    command -v cargo-nextest >/dev/null || nextest_missing=true
else
    rust_missing=true
fi

if [ ${#packages[@]} -eq 0 ] && [ ${#rust[@]} -eq 0 ] && ! $nextest_missing && ! $rust_missing; then
    echo "setup: nothing to do"
    exit 0
fi

if $check_only; then
    echo "setup: missing:"
    [ ${#packages[@]} -eq 0 ] || echo "    packages: ${packages[*]}"
    for arguments in "${rust[@]}"; do echo "    rustup $arguments"; done
    ! $nextest_missing || echo "    cargo-nextest"
    ! $rust_missing || echo "    Rust (see https://rustup.rs)"
    exit 1
fi

[ ${#packages[@]} -eq 0 ] || install_packages "${packages[@]}"
! $rust_missing || give_up "Rust is missing; install rustup (https://rustup.rs), then run the same command again"
if [ ${#rust[@]} -gt 0 ]; then
    command -v rustup >/dev/null ||
        give_up "the Rust toolchain lacks parts and there is no rustup to add them:" "${rust[@]/#/    }"
    for arguments in "${rust[@]}"; do
        # shellcheck disable=SC2086 -- three words on purpose.
        rustup $arguments
    done
fi
! $nextest_missing || cargo install cargo-nextest --locked --version "$nextest"
echo "setup: done"
