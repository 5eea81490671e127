#!/bin/bash
# fuzz-rustc.sh RUSTC ARGUMENTS...: the compiler as scripts/fuzz.sh has cargo call it.
#
# Takes the coverage counters away from arithmetic: a signature would cost thirty times as much and lead to nothing,
# because no branch in there depends on what a fuzzer could find out.
set -euo pipefail
rustc=$1
shift

case ${CARGO_PKG_NAME-} in
    aes | aes-kw | crypto-bigint | ecdsa | elliptic-curve | hmac | p256 | primefield | primeorder | rfc6979 | sha1 | sha2) ;;
    *) exec "$rustc" "$@" ;;
esac

kept=()
for argument in "$@"; do
    case $argument in
        -Cpasses=sancov-module | -Cllvm-args=-sanitizer-coverage-*) ;;
        *) kept+=("$argument") ;;
    esac
done
exec "$rustc" "${kept[@]}"
