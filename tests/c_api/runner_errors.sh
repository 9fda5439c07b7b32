#!/bin/sh
# edgecl-run with what it cannot use: one line that says why, and the exit code of its kind.
# Never here: states (runner_state.sh). Usage: runner_errors.sh PROGRAM BUNDLE FOLDER
set -eu
program=$1 bundle=$2 folder=$3/runner_errors
rm -rf "$folder"
mkdir -p "$folder"

# refuse CODE WORDS ARGUMENTS...: expects that exit code, these words in the message, nothing on stdout.
refuse() {
  code=$1 words=$2
  shift 2
  got=0
  "$program" "$@" > "$folder/out" 2> "$folder/err" || got=$?
  if [ "$got" != "$code" ] || ! grep -q -e "$words" "$folder/err" || [ -s "$folder/out" ]; then
    echo "edgecl-run $*: expected exit code $code and '$words'; found $got and: $(cat "$folder/err")" >&2
    exit 1
  fi
}

refuse 2 usage
refuse 2 usage "$bundle" nothing
refuse 2 "found \"--nothing\"" "$bundle" run --nothing 1
refuse 2 "expected --batch with a number in 1..1000000000; found \"0\"" "$bundle" run --batch 0
refuse 2 "expected --threads with a number in 1..64; found \"99\"" "$bundle" run --threads 99
refuse 2 "found \"99999999999999999999\"" "$bundle" run --seed 99999999999999999999
refuse 2 "a value after --learn" "$bundle" run --learn
refuse 2 "\-\-labels together" "$bundle" run --data "$folder/x.npy"
refuse 2 "method" "$bundle" run --method nothing
refuse 3 "No such file" "$folder/none.ecl" info
printf 'no bundle' > "$folder/bad.ecl"
refuse 3 "E_BUNDLE" "$folder/bad.ecl" info
refuse 3 "No such file" "$bundle" run --state-in "$folder/none.ecs"
refuse 3 "E_STATE_CORRUPT" "$bundle" run --state-in "$folder/bad.ecl"
# Before the first step: so many would take hours.
refuse 3 "No such file" "$bundle" run --learn 900000000 --state-out "$folder/none/state.ecs"
refuse 3 "a device" "$bundle" run --learn 900000000 --state-out /dev/null
refuse 3 "a .npy file" "$bundle" predict "$folder/bad.ecl"
# Two rows of three float32, which no bundle of this test takes.
{ printf '\223NUMPY\001\000\166\000'; printf "%-117s\n" "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"
  head -c 24 /dev/zero; } > "$folder/shape.npy"
refuse 3 "found float32, 2 rows of 3" "$bundle" predict "$folder/shape.npy"

if [ -e /dev/full ]; then
  got=0
  "$program" "$bundle" info > /dev/full 2> "$folder/err" || got=$?
  [ "$got" = 3 ] && grep -q "expected to write the output" "$folder/err"
fi

# A link stays a link, and its file keeps its mode.
: > "$folder/file.ecs"
chmod 640 "$folder/file.ecs"
ln -s file.ecs "$folder/link.ecs"
"$program" "$bundle" run --learn 1 --state-out "$folder/link.ecs" > /dev/null
[ -L "$folder/link.ecs" ] && [ -s "$folder/file.ecs" ]
[ "$(stat -c %a "$folder/file.ecs")" = 640 ]
mkdir "$folder/later"
ln -s later/state.ecs "$folder/first.ecs"
ln -s "$folder/first.ecs" "$folder/second.ecs"
"$program" "$bundle" run --learn 1 --state-out "$folder/second.ecs" > /dev/null
[ -L "$folder/second.ecs" ] && [ -L "$folder/first.ecs" ] && cmp "$folder/file.ecs" "$folder/later/state.ecs"
# What is no file, or must not be written, is refused and stays what it is. A file of an earlier, killed run is no hindrance.
mkfifo "$folder/pipe"
refuse 3 "a pipe" "$bundle" run --learn 1 --state-out "$folder/pipe"
[ -p "$folder/pipe" ]
refuse 3 "a folder" "$bundle" run --learn 1 --state-out "$folder"
[ -c /dev/null ]
ln -s loop.ecs "$folder/loop.ecs"
refuse 3 "oo many" "$bundle" run --learn 1 --state-out "$folder/loop.ecs"
cp "$folder/file.ecs" "$folder/fixed.ecs"
chmod 444 "$folder/fixed.ecs"
refuse 3 "a read-only file" "$bundle" run --learn 2 --state-out "$folder/fixed.ecs"
cmp "$folder/file.ecs" "$folder/fixed.ecs"
: > "$folder/file.ecs.new"
"$program" "$bundle" run --learn 1 --state-out "$folder/file.ecs" > /dev/null
cmp "$folder/file.ecs" "$folder/fixed.ecs"
[ -z "$(find "$folder" -name '*.new')" ]

# A file that is mounted by itself cannot be renamed over: it is overwritten, also by a shorter state.
mounted='mount --bind "$0/host" "$0/state.ecs" && "$1" "$2" run --learn 1 --state-out "$0/state.ecs" > /dev/null'
head -c 9999999 /dev/zero > "$folder/host"
: > "$folder/state.ecs"
if unshare -m true 2> /dev/null && [ "$(id -u)" = 0 ]; then
  unshare -m sh -c "$mounted" "$folder" "$program" "$bundle"
  cmp "$folder/host" "$folder/file.ecs"
  [ -z "$(find "$folder" -name '*.new')" ]
fi
