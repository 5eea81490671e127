#!/bin/bash
# suite.sh NAME COMMAND...: runs the command and says its name, how it ended and its wall time.
set -u
name=$1
shift
echo "==> $name"
begin=${EPOCHREALTIME/[.,]/}
"$@"
status=$?
ms=$((${EPOCHREALTIME/[.,]/} / 1000 - begin / 1000))
verdict=passed
[ $status -eq 0 ] || verdict="FAILED with status $status"
printf '<== %s: %s in %d.%03d s\n' "$name" "$verdict" $((ms / 1000)) $((ms % 1000))
exit $status
