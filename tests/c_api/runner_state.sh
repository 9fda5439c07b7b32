#!/bin/sh
# edgecl-run with the same file for --state-in and --state-out: a full disk leaves the old state, a good run replaces it.
# Never here: what a state holds. Usage: runner_state.sh PROGRAM BUNDLE FOLDER
set -eu
program=$1 bundle=$2 state=$3/runner_state.ecs
rm -f "$state" "$state.new"
run() { "$program" "$bundle" run --batch 2 --learn 3 --predict 1 "$@" > /dev/null; }
run --state-out "$state"
cp "$state" "$state.before"
if (trap '' XFSZ; ulimit -f 0; run --state-in "$state" --state-out "$state" 2> /dev/null); then
  echo "expected a run without room on the disk to fail; found success" >&2
  exit 1
fi
cmp "$state" "$state.before"
test ! -e "$state.new"
run --state-in "$state" --state-out "$state"
if cmp -s "$state" "$state.before"; then
  echo "expected a new state; found the old one" >&2
  exit 1
fi
test ! -e "$state.new"
