#!/bin/sh
# edgecl-run as two devices, with statistics and with codes of bits: each learns, sends a message, and merges that of the
# other; a second time nothing is new.
# Never here: sums (tests/runtime/learn_merge.cpp). Usage: runner_merge.sh PROGRAM BUNDLE FOLDER
set -eu
program=$1 bundle=$2 folder=$3/runner_merge
mkdir -p "$folder"
for method in ncm hd; do
  run() { "$program" "$bundle" run --method $method --merges 2 --batch 2 --predict 1 "$@"; }
  fail() {
    echo "expected $1" >&2
    exit 1
  }
  run --device 1 --learn 3 --state-out "$folder/1.ecs" --message-out "$folder/1.ecd" > /dev/null
  run --device 2 --learn 5 --seed 9 --message-out "$folder/2.ecd" > /dev/null
  run --state-in "$folder/1.ecs" --merge "$folder/2.ecd" --state-out "$folder/1.ecs" --sha > "$folder/first"
  grep -q '"new": 1, .*"rows": 16}' "$folder/first" || fail "one new device and 16 rows"
  run --state-in "$folder/1.ecs" --merge "$folder/2.ecd" --sha > "$folder/second"
  grep -q '"new": 0, "newer": 0, "known": 1, .*"rows": 16}' "$folder/second" || fail "nothing new"
  sha() { sed -n 's/.*"state_sha256": "\([0-9a-f]*\)".*/\1/p' "$1"; }
  test -n "$(sha "$folder/first")" && test "$(sha "$folder/first")" = "$(sha "$folder/second")" || fail "one state"
  refused() {
    code=$1 && shift
    status=0
    run "$@" > /dev/null 2> "$folder/sentence" || status=$?
    test "$status" -eq "$code" && grep -q expected "$folder/sentence" || fail "exit code $code and a sentence for $*"
  }
  refused 3 --merge "$folder/1.ecs"
  refused 3 --merge "$folder/none.ecd"
  refused 2 --message-out "$folder/3.ecd"
  refused 2 --method er --device 3
  refused 2 --merges 0 --merge "$folder/2.ecd"
  head -c 200 "$folder/2.ecd" > "$folder/half.ecd"
  refused 3 --merge "$folder/half.ecd"
done
