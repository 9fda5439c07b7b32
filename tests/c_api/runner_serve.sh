#!/bin/sh
# edgecl-run serve, call, selftest, verify and place: what a shell on a device does with them.
# Never here: requests with samples (tests/deploy/test_serve.py). Usage: runner_serve.sh PROGRAM BUNDLE FOLDER
set -eu
program=$1 bundle=$2 folder=$3/runner_serve
rm -rf "$folder"
mkdir -p "$folder/states"
server=
trap 'if [ -n "$server" ]; then kill -9 "$server" 2> /dev/null || true; fi' EXIT
fail() {
  echo "expected $1" >&2
  exit 1
}
refuse() { # CODE WORDS ARGUMENTS...
  code=$1 words=$2
  shift 2
  got=0
  "$program" "$@" > "$folder/out" 2> "$folder/err" || got=$?
  if [ "$got" != "$code" ] || ! grep -q -e "$words" "$folder/err" || [ -s "$folder/out" ]; then
    fail "exit code $code and '$words' of $*; found $got and: $(cat "$folder/err")"
  fi
}
call() { "$program" call --socket "$folder/socket" --timeout 10 "$@"; }
begin() { # ARGUMENTS...: a server, and waits until it answers
  "$program" "$bundle" serve --socket "$folder/socket" "$@" 2> "$folder/log" &
  server=$!
  tries=0
  until call health > "$folder/health" 2> /dev/null; do
    tries=$((tries + 1))
    if [ $tries -ge 100 ] || ! kill -0 $server 2> /dev/null; then fail "a server; found: $(cat "$folder/log")"; fi
    sleep 0.1
  done
}
end() { # expects that the server ends well
  wait $server || fail "a server that ends with 0; found $?"
  server=
  [ ! -e "$folder/socket" ] || fail "no socket after the end"
  [ ! -e "$folder/socket.lock" ] || fail "no lock after the end"
}

# place
"$program" place link first "$folder/link"
"$program" place link second "$folder/link"
[ "$(readlink "$folder/link")" = second ] || fail "the link switched"
echo 1 > "$folder/a"
echo 2 > "$folder/b"
"$program" place move "$folder/a" "$folder/b"
[ "$(cat "$folder/b")" = 1 ] && [ ! -e "$folder/a" ] || fail "the file moved"
"$program" place sync "$folder/b" "$folder"
refuse 2 "place link TARGET PATH" place nothing
refuse 3 "No such file" place move "$folder/none" "$folder/b"
refuse 3 "No such file" place link x "$folder/none/link"

# verify, selftest
"$program" "$bundle" verify | grep -q '"signed": false' || fail "an unsigned bundle"
key=0000000000000000000000000000000000000000000000000000000000000001
refuse 1 "EDGECL_E_BUNDLE_SIGNATURE" "$bundle" verify --key $key
refuse 2 "64 hexadecimal digits" "$bundle" verify --key nothing
head -c 300 "$bundle" > "$folder/half.ecl"
refuse 3 "E_BUNDLE_CORRUPT" "$folder/half.ecl" verify
refuse 1 "damaged" "$folder/half.ecl" verify --key $key
refuse 3 "no such file" "$folder" verify
"$program" "$bundle" selftest --predict 5 | grep -q '"state": "none"' || fail "a self-test"
refuse 3 "canary" "$bundle" selftest --canary "$bundle"
refuse 1 "SIGNATURE" "$bundle" selftest --key $key
"$program" "$bundle" run --batch 2 --learn 3 --predict 0 --state-out "$folder/learned.ecs" > /dev/null
"$program" "$bundle" selftest --state "$folder/learned.ecs" --state-out "$folder/again.ecs" | grep -q '"state": "kept"'
cmp "$folder/learned.ecs" "$folder/again.ecs" || fail "the same state"
refuse 3 "E_STATE" "$bundle" selftest --state "$bundle"

# serve: what it does not begin with
refuse 2 "expected --socket" "$bundle" serve
refuse 2 "expected --commit-every" "$bundle" serve --socket "$folder/socket" --commit-every never
refuse 2 "found \"--nothing\"" "$bundle" serve --socket "$folder/socket" --nothing
refuse 3 "E_BUNDLE_CORRUPT" "$folder/half.ecl" serve --socket "$folder/socket"
refuse 3 "No such file" "$bundle" serve --socket "$folder/none/socket"
refuse 1 "SIGNATURE" "$bundle" serve --socket "$folder/socket" --key $key
refuse 3 "No such file" "$bundle" serve --socket "$folder/socket" --state "$folder/none/state.ecs"
refuse 3 "E_STATE" "$bundle" serve --socket "$folder/socket" --state "$folder/b"
long=$(printf '%0110d' 0)
refuse 3 "more than 103 bytes" "$bundle" serve --socket "$folder/$long"
# What lies at the path of the socket stays, and a refusal leaves nothing behind.
echo kept > "$folder/keepme.txt"
ln -s keepme.txt "$folder/alias"
mkdir "$folder/inner"
echo kept > "$folder/busy.new"
refuse 3 "found: a file" "$bundle" serve --socket "$folder/keepme.txt"
refuse 3 "found: a file" "$bundle" serve --socket "$bundle"
refuse 3 "no socket" "$bundle" serve --socket "$folder/alias"
refuse 3 "a folder" "$bundle" serve --socket "$folder/inner"
refuse 3 "with .new" "$bundle" serve --socket "$folder/busy"
[ "$(cat "$folder/keepme.txt" "$folder/busy.new")" = "kept
kept" ] && [ -L "$folder/alias" ] && [ -s "$bundle" ] || fail "files that stay"
[ -z "$(find "$folder" -name '*.lock')" ] || fail "no lock after a refusal; found $(find "$folder" -name '*.lock')"
refuse 2 "found \"sirve\"" "$bundle" sirve
refuse 2 "expected predict FILE.npy" "$bundle" predict
refuse 2 "expected route FILE.npy" "$bundle" route
refuse 2 "expected a command" "$bundle"
refuse 5 "expected an answer" call --socket "$folder/socket" health
refuse 2 "call --socket" call health

# A state that is there is taken over; a stop by the socket commits.
cp "$folder/learned.ecs" "$folder/state.ecs"
begin --state "$folder/state.ecs"
grep -q '"state": "kept"' "$folder/health" || fail "the state taken over"
[ "$(stat -c %a "$folder/socket")" = 600 ] || fail "a socket of its owner alone"
refuse 3 "another server" "$bundle" serve --socket "$folder/socket"
refuse 3 "another server" "$bundle" serve --socket "$folder/other" --state "$folder/state.ecs"
ln -sf state.ecs "$folder/state_alias"
refuse 3 "another server" "$bundle" serve --socket "$folder/other" --state "$folder/state_alias"
call stats | grep -q '"steps": 3,' || fail "three steps"
call commit > /dev/null
cmp "$folder/learned.ecs" "$folder/state.ecs" || fail "the same state"
call reload | grep -q '"state": "kept"' || fail "a reload"
call --state fresh reload | grep -q '"state": "none"' || fail "a reload without what was learned"
kill -HUP $server
tries=0
until call stats | grep -q '"reloads": 3'; do
  tries=$((tries + 1))
  [ $tries -lt 50 ] || fail "a reload by SIGHUP"
  sleep 0.1
done
if command -v socat > /dev/null; then # nonsense, half a message, nothing, and 100 silent clients
  head -c 3000 "$program" | socat -t 2 - UNIX-CONNECT:"$folder/socket" > /dev/null 2>&1 || true
  printf '\377\377\377\377\001\000\001\000' | socat -t 2 - UNIX-CONNECT:"$folder/socket" | grep -q "longer one" ||
    fail "a message that is too long refused"
  printf '\004\000' | socat -t 1 - UNIX-CONNECT:"$folder/socket" > /dev/null || true
  silent=
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40; do
    socat -u UNIX-CONNECT:"$folder/socket" - > /dev/null 2>&1 &
    silent="$silent $!"
  done
  sleep 1
  call health > /dev/null || fail "an answer beside silent clients"
  kill $silent 2> /dev/null || true
  for pid in $silent; do wait "$pid" || true; done
fi
call stop > /dev/null
end

# SIGTERM ends it well; a folder of states has one a release, named by the bundle's folder.
mkdir "$folder/release7"
cp "$bundle" "$folder/release7/bundle.ecl"
ln -s release7 "$folder/current"
outer=$bundle
bundle=$folder/current/bundle.ecl
begin --state "$folder/states/" --threads 2
grep -q '"release": "release7"' "$folder/health" || fail "the release's name"
call commit > /dev/null
refuse 3 "another server" "$bundle" serve --socket "$folder/other" --state "$folder/states/"
[ -s "$folder/states/release7.ecs" ] || fail "a state file of the release"
mkdir "$folder/release8"
cp "$folder/half.ecl" "$folder/release8/bundle.ecl"
"$program" place link release8 "$folder/current"
refuse 3 "E_BUNDLE_CORRUPT" call --socket "$folder/socket" reload
call health | grep -q '"release": "release7"' || fail "the old bundle after a reload that failed"
kill -TERM $server
end
bundle=$outer

# The service manager hears when it is ready and when it ends.
if command -v socat > /dev/null; then
  socat -u UNIX-RECVFROM:"$folder/manager",fork STDOUT > "$folder/notified" &
  manager=$!
  sleep 0.5
  export NOTIFY_SOCKET="$folder/manager" WATCHDOG_USEC=200000
  begin
  sleep 1
  kill -TERM $server
  end
  sleep 0.3
  kill $manager
  wait $manager || true
  for word in READY=1 WATCHDOG=1 STOPPING=1; do grep -q $word "$folder/notified" || fail "the message $word"; done
fi
