#!/bin/sh
# The device's side of `edgecl deploy`: sh device.sh COMMAND DIR [TOKEN] [ARGUMENTS...]. README.md beside it says what is
# in DIR and what happens at a cut. Every command may be killed at any line: what decides is always one rename, and what
# was begun is finished by `tidy`, by `prestart` or by the guard.
# Needs a POSIX shell and its utilities, sha256sum, and the runner. Answers with lines key=value.
# Exit codes: 0 done, 3 rolled back, 4 refused, 1 anything else. Never here: checks that need a Python.
set -eu
umask 077

runner=./edgecl-run
socket=socket            # relative: a Unix socket's path is short
stale_after=900          # seconds after which a lock counts for nothing
most_attempts=3          # starts of a release that is not confirmed
most_bad=5               # health checks in a row
patience=30              # seconds that a reload may take

say() { printf '%s\n' "$1"; }
fail() { # CODE SENTENCE
  say "error=$2"
  exit "$1"
}
plain() { printf '%s' "$1" | tr -d '"\134' | tr '\n\t\r' '   '; }
journal() { # EVENT [NAME VALUE]...
  line="{\"time\": \"$(date -u +%Y-%m-%dT%H:%M:%SZ)\", \"event\": \"$1\""
  shift
  while [ $# -ge 2 ]; do
    line="$line, \"$1\": \"$(plain "$2")\""
    shift 2
  done
  { printf '%s}\n' "$line" >> journal; } 2> /dev/null || true # a full disk must not keep a release from going back
}
field() { # NAME, of lines name=value on stdin
  sed -n "s/^$1=//p" | head -n 1
}
json() { # NAME, of a JSON line on stdin: a number, or text without quotes in it
  sed -n "s/.*\"$1\": \"\{0,1\}\([^\",}]*\).*/\1/p" | head -n 1
}
release_of() { # LINK: the name of the release that it leads to, or nothing
  if [ -L "$1" ]; then basename "$(readlink "$1")"; fi
}
seconds_up() { sed 's/[ .].*//' /proc/uptime; } # the wall clock may be set back
alive() { # FILE with the number of a process of ours; after a reboot another may have it
  [ -f "$1" ] && number=$(cat "$1") && [ -n "$number" ] && [ -r "/proc/$number/cmdline" ] &&
    tr '\000' ' ' < "/proc/$number/cmdline" | grep -q -e 'device.sh' -e ' serve '
}
bytes_of() { if [ -f "$1" ]; then wc -c < "$1" | tr -d ' '; else echo 0; fi; }
detached() { # a process that outlives the connection
  if command -v setsid > /dev/null 2>&1; then
    setsid nohup "$@" >> log 2>&1 < /dev/null &
  else
    nohup "$@" >> log 2>&1 < /dev/null &
  fi
}

# Whole or not at all: written beside, flushed, renamed. Also where a failure does not end the script (`||`, `if`).
keep() { # FILE, its text on stdin
  cat > "$1.new" && $runner place sync "$1.new" && $runner place move "$1.new" "$1"
}
copy() { # FROM TO
  cp "$1" "$2.new" && $runner place sync "$2.new" && $runner place move "$2.new" "$2"
}
cannot_write() { # WHAT: the sentence of a write that failed
  free=$(df -P -k . | tail -n 1 | { read -r _ _ _ free _; say "$free"; })
  if [ "${free:-9}" -lt 8 ]; then
    say "expected to write $1 in $PWD; found no free space; make room"
  else
    say "expected to write $1 in $PWD; found a folder or file that cannot be written; mend it by hand"
  fi
}
# The counter decides what may come, so what is not as it was written decides nothing: one line, release and name.
counter_is_sound() {
  [ ! -e counter ] || { [ -f counter ] && [ "$(wc -l < counter)" -eq 1 ] &&
    grep -q -E -e '^([0-9]{1,18}|[1-8][0-9]{18}) [0-9a-f]{64}$' counter; }
}
counter() { # the release that was confirmed last; 0: none
  if [ -f counter ]; then cut -d ' ' -f 1 counter; else echo 0; fi
}

# --- The server --------------------------------------------------------------------------------------------------------

health() { $runner call --socket "$socket" --timeout 2 health 2> /dev/null; }
serving() { health | json release; } # the release that answers, or nothing
unit() { if [ -f unit ]; then cat unit; fi; }
manager() { # ARGUMENTS of systemctl
  case $(unit) in
    user) systemctl --user "$@" ;;
    *) systemctl "$@" ;;
  esac
}
start_server() {
  if [ -n "$(unit)" ]; then
    manager reset-failed edgecl.service 2> /dev/null || true
    manager restart edgecl.service
  elif alive supervisor.pid; then
    touch wake # it may be waiting, the longer the more often its server failed
  else
    detached sh "$PWD/device.sh" supervise "$PWD"
  fi
}
end_server() { # asked first, then told; whoever watches over it starts it again
  $runner call --socket "$socket" --timeout 2 stop > /dev/null 2>&1 || true
  tries=0
  while alive server.pid && [ $tries -lt 3 ]; do
    sleep 1
    tries=$((tries + 1))
  done
  if alive server.pid; then kill -9 "$(cat server.pid)" 2> /dev/null || true; fi
}
await_release() { # NAME SECONDS
  waited=0
  while [ "$(serving)" != "$1" ]; do
    [ $waited -lt "$2" ] || return 1
    sleep 1
    waited=$((waited + 1))
  done
}

# In place of a service manager: starts the server again until it ends well.
supervise() {
  if alive supervisor.pid && [ "$(cat supervisor.pid)" != $$ ]; then exit 0; fi
  echo $$ > supervisor.pid
  trap 'trap - TERM; if [ -n "${child:-}" ]; then kill "$child" 2> /dev/null; wait "$child"; fi; exit 0' TERM INT
  pause=1
  while [ -L current ]; do
    began=$(seconds_up)
    if [ "$(cat supervisor.pid 2> /dev/null)" != $$ ]; then exit 0; fi # another was faster
    prestart || journal prestart_failed
    set -- current/bundle.ecl serve --socket "$socket" --state state/
    if [ -f key ]; then set -- "$@" --key key; fi
    $runner "$@" &
    child=$!
    echo $child > server.pid
    code=0
    while kill -0 $child 2> /dev/null; do
      # Should the guard have been killed.
      if [ -f probation ] || [ -f rolling ] || [ -f confirmed ]; then start_guard || true; fi
      sleep 1
    done
    wait $child || code=$?
    rm -f server.pid
    if [ $code = 0 ] && [ ! -f restart ]; then break; fi
    if [ -f restart ] || [ $(($(seconds_up) - began)) -gt 60 ]; then pause=1; fi
    rm -f restart
    journal server_ended code $code release "$(release_of current)"
    left=$pause
    while [ $left -gt 0 ] && [ ! -f wake ]; do
      sleep 1
      left=$((left - 1))
    done
    if [ -f wake ]; then
      pause=1
    elif [ $pause -lt 30 ]; then
      pause=$((pause * 2)) # one that never comes up costs little
    fi
    rm -f wake
  done
  rm -f supervisor.pid
}

# Before each start of the server: a release that does not come up three times is taken back.
prestart() {
  finish_pending
  [ -f probation ] || return 0
  attempts=$(($(cat attempts 2> /dev/null || echo 0) + 1))
  echo $attempts > attempts
  if [ $attempts -gt $most_attempts ]; then
    roll_back "it did not start $most_attempts times" offline || true
  else
    start_guard
  fi
}

# --- Probation ---------------------------------------------------------------------------------------------------------

start_guard() {
  alive guard.pid && return 0
  if [ -n "$(unit)" ]; then
    manager --no-block start edgecl-guard.service # its order is after the server, which may be starting
  else
    detached sh "$PWD/device.sh" watch "$PWD"
  fi
}

# Runs on the device alone: silence is failure, also with the network gone.
watch() {
  echo $$ > guard.pid
  began=$(seconds_up)
  bad=0
  own=$(field id < probation 2> /dev/null) || own=
  while [ -f probation ]; do
    sleep 1
    text=$(cat probation 2> /dev/null) || continue
    if [ "$(say "$text" | field id)" != "$own" ]; then return 0; fi # a later one has a guard of its own
    elapsed=$(($(seconds_up) - began))
    if why=$(judge_health "$text" $elapsed); then bad=0; else bad=$((bad + 1)); fi
    if [ $bad -ge $most_bad ]; then
      roll_back "$why" || true
    elif [ $elapsed -ge $(($(say "$text" | field seconds) + $(say "$text" | field silence))) ]; then
      roll_back "no confirmation came" || true
    fi
  done
  # Whoever confirmed or rolled back may have been cut in the middle of it.
  waited=0
  while { [ -f confirmed ] && [ $waited -lt 10 ]; } || { [ -f rolling ] && [ $waited -lt 45 ]; }; do
    sleep 1
    waited=$((waited + 1))
  done
  if [ -f rolling ]; then finish_roll_back; fi
  finish_pending
  rm -f guard.pid
}
judge_health() { # TEXT of the probation, ELAPSED seconds: says what is wrong
  answer=$(health) || { say "the server does not answer"; return 1; }
  if [ "$(say "$answer" | json release)" != "$(say "$1" | field new)" ]; then
    [ "$2" -lt $patience ] && return 0
    say "the server did not take the release"
    return 1
  fi
  least=$(say "$1" | field least)
  if [ "$(say "$answer" | json canary_correct)" -lt "$least" ]; then
    say "it predicts fewer than $least of the canary's labels"
    return 1
  fi
}

# One rename decides between confirming and rolling back; only one of the two succeeds.
roll_back() { # REASON [offline]
  if mv probation rolling 2> /dev/null; then
    plain "$1" > reason
  else
    # The guard is at it; if it was killed, this goes on where it stopped.
    waited=0
    while [ -f rolling ] && alive guard.pid && [ "$(cat guard.pid)" != $$ ] && [ $waited -lt 60 ]; do
      sleep 1
      waited=$((waited + 1))
    done
    [ -f rolling ] || return 0
  fi
  finish_roll_back "${2:-}"
}
finish_roll_back() { # [offline]: without a server
  text=$(cat rolling 2> /dev/null) || return 0 # another process has just finished it
  new=$(say "$text" | field new)
  [ -n "$new" ] || return 0
  old=$(say "$text" | field old)
  now=
  if [ -z "${1:-}" ]; then now=$(serving); fi
  # A server that never left the old release knows more than the snapshot, and keeps it.
  if [ -n "$old" ] && [ "$now" != "$old" ]; then
    if [ ! -f "state/$old.snapshot" ]; then
      rm -f "state/$old.ecs"
    elif ! cmp -s "state/$old.snapshot" "state/$old.ecs" && ! copy "state/$old.snapshot" "state/$old.ecs"; then
      journal snapshot_not_restored release "$old" # the file is the last commit before the switch, or a later one
    fi
  fi
  if [ -n "$old" ]; then $runner place link "releases/$old" current; else rm -f current; fi
  if [ -z "${1:-}" ] && [ -z "$old" ]; then
    end_server
  elif [ -z "${1:-}" ] && [ "$now" != "$old" ]; then
    if [ -z "$now" ] || ! $runner call --socket "$socket" --timeout $patience --state disk reload > /dev/null 2>&1; then
      touch restart
      end_server
      start_server
    fi
    await_release "$old" $patience || journal old_release_silent release "$old"
  fi
  [ -f rolling ] || return 0 # the server's start was faster
  if [ "$(release_of previous)" = "$new" ]; then rm -f previous; fi
  rm -rf "releases/$new" "state/$new.ecs"
  journal rolled_back release "$new" to "$old" reason "$(cat reason 2> /dev/null || echo "it was cut")"
  rm -f rolling reason attempts
}
finish_confirm() {
  text=$(cat confirmed 2> /dev/null) || return 0
  new=$(say "$text" | field new)
  [ -n "$new" ] || return 0
  old=$(say "$text" | field old)
  # Not before the confirmation: else a release that failed would block the one before it.
  say "$(say "$text" | field counter) $new" | keep counter || return 1
  if [ -n "$old" ] && [ "$old" != "$new" ]; then $runner place link "releases/$old" previous || return 1; fi
  prune
  rm -f confirmed attempts
  journal confirmed release "$new" counter "$(say "$text" | field counter)"
}
finish_pending() {
  if [ -f rolling ]; then finish_roll_back offline; fi
  if [ -f confirmed ]; then finish_confirm; fi
}
prune() { # [NAME]: what neither link leads to, but for that release and what was copied of it
  for folder in releases/*; do
    name=${folder#releases/}
    case ${name%.part} in
      '*' | "$(release_of current)" | "$(release_of previous)" | "${1:-}") ;;
      *) rm -rf "$folder" ;;
    esac
  done
  for file in state/*; do
    name=${file#state/}
    name=${name%%.*}
    if [ ! -d "releases/$name" ]; then rm -f "$file"; fi
  done
}

# --- The commands of a deployment --------------------------------------------------------------------------------------

probe() {
  folder=$dir
  while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
  say "arch=$(uname -m)"
  df -P -k "$folder" | tail -n 1 | {
    read -r _ _ _ free _ mounted
    say "free_kb=$free"
    say "file_system=$(grep -F " $mounted " /proc/mounts | tail -n 1 | cut -d ' ' -f 3)"
  }
  for tool in sha256sum cp mv df sed tail cut tr date readlink; do
    command -v $tool > /dev/null 2>&1 || say "missing=$tool"
  done
  [ -d "$dir" ] || return 0
  cd "$dir"
  if [ -x $runner ]; then
    say "runner=$(sha256sum < $runner | cut -d ' ' -f 1)"
    if ! $runner place sync . > /dev/null 2>&1; then say "runner_unfit=yes"; fi
  fi
  status
}
status() {
  say "current=$(release_of current)"
  say "previous=$(release_of previous)"
  if counter_is_sound; then say "counter=$(counter)"; else say "counter_damaged=yes"; fi
  if [ -f key ]; then say "key=$(cat key)"; fi
  for pending in probation rolling confirmed; do
    if [ -f $pending ]; then say "$pending=$(field new < $pending)"; fi
  done
  if alive lock/pid; then say "locked=yes"; fi
  if alive guard.pid; then say "guard=yes"; fi
  say "state_bytes=$(bytes_of "state/$(release_of current).ecs")"
  say "health=$(health || true)"
  if [ -f journal ]; then say "journal=$(tail -n 1 journal)"; fi
}

# Holds the lock for as long as the host keeps the connection open. The folder stays when it ends: a command of that
# deployment may still run, and whoever takes the lock next waits for it.
hold() {
  tries=0
  until mkdir lock 2> /dev/null; do
    since=$(cat lock/since 2> /dev/null || echo 0)
    case $since in '' | *[!0-9]* | ???????????*) since=0 ;; esac
    age=$(($(date +%s) - since))
    if alive lock/pid && [ $age -ge 0 ] && [ $age -lt $stale_after ]; then
      fail 4 "expected no other deployment; found one that began $age s ago; try again later"
    fi
    # Without a process number it is being made, or its maker was killed.
    if [ -f lock/pid ] || [ $tries -ge 2 ]; then take_lock_away; else sleep 1; fi
    tries=$((tries + 1))
    [ $tries -lt 10 ] || fail 4 "expected to take the lock; found others that take it; try again later"
  done
  { date +%s > lock/since && say "$token" > lock/token && echo $$ > lock/pid; } 2> /dev/null || fail 4 "$(cannot_write lock)"
  trap 'exit 0' HUP INT TERM
  say "locked=yes"
  cat > /dev/null
}
take_lock_away() {
  mv lock "lock.$$" 2> /dev/null || return 0
  for file in "lock.$$"/busy.*; do
    waited=0
    while alive "$file" && [ $waited -lt 15 ]; do
      sleep 1
      waited=$((waited + 1))
    done
    if alive "$file"; then kill -9 "$(cat "$file")" 2> /dev/null || true; fi # any line may be its last
  done
  rm -rf "lock.$$"
}
# Told first, looked at then: whoever takes the lock away after the look sees this process in it, and waits.
need_lock() {
  if ! { echo $$ > "lock/busy.$$"; } 2> /dev/null; then
    if [ -d lock ]; then fail 4 "$(cannot_write lock)"; fi
    fail 4 "expected to hold the lock; found none; deploy again"
  fi
  trap 'rm -f "lock/busy.$$"' EXIT
  [ "$(cat lock/token 2> /dev/null)" = "$token" ] || fail 4 "expected to hold the lock; found another's; deploy again"
}

tidy() { # NAME: the release that comes, whose copy so far is kept
  if [ -f probation ] || [ -f rolling ]; then roll_back "another deployment came before the confirmation" || true; fi
  finish_pending
  rm -rf lock.[0-9]* ./*.new state/*.new
  prune "$1"
}
have() { # FILE: bytes that came so far
  say "bytes=$(bytes_of "$1")"
}
append() { # FILE OFFSET: the rest on stdin
  mkdir -p "$(dirname "$1")"
  [ "$(bytes_of "$1")" -eq "$2" ] || fail 1 "expected a copy of $2 bytes; found another length"
  cat >> "$1"
}
same_sum() { # FILE SHA256
  [ "$(sha256sum < "$1" | cut -d ' ' -f 1)" = "$2" ]
}
take_runner() { # SHA256
  if ! same_sum edgecl-run.part "$1"; then
    rm -f edgecl-run.part
    fail 4 "expected the runner's digest; found another; deploy again"
  fi
  chmod 755 edgecl-run.part
  # The first runner cannot be asked to place itself if it does not run here.
  ./edgecl-run.part methods > /dev/null 2>&1 || fail 4 "expected a runner for $(uname -m); found one that does not run; name another with --runner"
  ./edgecl-run.part place sync edgecl-run.part
  ./edgecl-run.part place move edgecl-run.part edgecl-run
  journal runner sha256 "$1"
}
pin() { # KEY
  if [ -f key ] && [ "$(cat key)" != "$1" ]; then
    fail 4 "expected no other key; found one that is pinned; change it on the device by hand"
  fi
  if [ ! -f key ]; then say "$1" | keep key; fi
  journal pinned key "$1"
}
stage() { # NAME CANARY_SHA256
  folder=releases/$1
  if [ ! -d "$folder" ]; then folder=$folder.part; fi
  if ! same_sum "$folder/bundle.ecl" "$1" || ! same_sum "$folder/canary.ecc" "$2"; then
    rm -rf "$folder"
    fail 4 "expected the digests that the host told; found others: the copy is damaged; deploy again"
  fi
  set -- "$1" "$folder/bundle.ecl" verify
  if [ -f key ]; then set -- "$@" --key key; fi
  name=$1
  shift
  told=$($runner "$@" 2>&1) || {
    rm -rf "$folder"
    fail 4 "$(plain "$told")"
  }
  release=$(say "$told" | json release)
  if ! counter_is_sound; then
    rm -rf "$folder"
    fail 4 "expected one line with a release and a name in $PWD/counter; found other contents; restore it, or remove it by hand: then any release may come"
  fi
  stored=$(counter)
  if [ -f key ] && [ "$release" -lt 1 ]; then
    rm -rf "$folder"
    fail 4 "expected a signature with a release of 1 or more; found none; sign with edgecl sign --release"
  fi
  if [ "$release" -lt "$stored" ] || { [ "$release" -eq "$stored" ] && [ "$stored" -gt 0 ] &&
    [ "$name" != "$(cut -d ' ' -f 2 counter)" ]; }; then
    rm -rf "$folder"
    fail 4 "expected a release above $stored; found $release; sign with a higher --release"
  fi
  if [ "$folder" != "releases/$name" ]; then
    $runner place sync "$folder/bundle.ecl" "$folder/canary.ecc" "$folder"
    $runner place move "$folder" "releases/$name"
  fi
  journal staged release "$name" counter "$release"
  say "counter=$release"
}
snapshot() {
  current=$(release_of current)
  if [ -n "$current" ]; then
    if [ -n "$(serving)" ]; then
      told=$($runner call --socket "$socket" commit 2>&1) || fail 4 "$(plain "$told")"
    fi
    if [ -f "state/$current.ecs" ]; then
      copy "state/$current.ecs" "state/$current.snapshot"
    else
      rm -f "state/$current.snapshot"
    fi
  fi
  say "$current" > snapshot_of
  journal snapshot release "$current"
}
limited() { # SECONDS COMMAND...: what it printed lies in selftest.out
  seconds=$1
  shift
  "$@" > selftest.out 2>&1 < /dev/null &
  tested=$!
  (
    sleep "$seconds"
    kill -9 $tested
  ) > /dev/null 2>&1 < /dev/null &
  killer=$!
  code=0
  wait $tested 2> /dev/null || code=$?
  kill $killer 2> /dev/null || true
  return $code
}
# Of a release that came and does not stay. The one before the present one stays: it can be gone back to.
drop() { # NAME
  rm -f "state/$1.ecs"
  rm -rf "releases/$1.part"
  case $1 in "$(release_of current)" | "$(release_of previous)") ;; *) rm -rf "releases/$1" ;; esac
}
abandon() { # NAME: the host was interrupted before the switch
  drop "$1"
  journal abandoned release "$1"
}
selftest() { # NAME carry|fresh SECONDS
  old=$(release_of current)
  new=$1
  how=$2
  limit=$3
  if [ "$how" = carry ] && [ -n "$old" ] && ! same_sum "releases/$old/bundle.ecl" "$old" 2> /dev/null; then
    drop "$new"
    fail 4 "expected the running release $old as it was deployed; found its bundle on the device damaged; deploy with --fresh-state, which replaces it and leaves what it learned behind"
  fi
  set -- "releases/$new/bundle.ecl" selftest --canary "releases/$new/canary.ecc"
  rm -f "state/$new.ecs"
  if [ "$how" = carry ] && [ -n "$old" ] && [ -f "state/$old.snapshot" ]; then
    set -- "$@" --state "state/$old.snapshot" --from "releases/$old/bundle.ecl" --state-out "state/$new.ecs"
  fi
  code=0
  limited "$limit" $runner "$@" || code=$?
  told=$(cat selftest.out)
  if [ $code != 0 ]; then
    drop "$new"
    case $code in 137) told="it took more than $limit s: $told" ;; esac
    journal selftest_failed release "$new" code $code reason "$told"
    fail 3 "self-test: exit code $code: $(plain "$told")"
  fi
  say "new=$(tail -n 1 selftest.out)"
  if [ -n "$old" ]; then
    set -- "releases/$old/bundle.ecl" selftest --score "releases/$new/canary.ecc"
    if [ -f "state/$old.snapshot" ]; then set -- "$@" --state "state/$old.snapshot"; fi
    if limited "$limit" $runner "$@"; then say "old=$(tail -n 1 selftest.out)"; fi
  fi
  journal selftest release "$new"
}
refuse() { # NAME REASON: the host does not like what the self-test measured
  drop "$1"
  journal refused release "$1" reason "$2"
}
switch() { # NAME COUNTER SECONDS SILENCE LEAST
  [ "$(cat snapshot_of)" = "$(release_of current)" ] || fail 4 "expected the release that the snapshot is of; found another; deploy again"
  # Until the last line the old release is what starts; after it the new one, which the guard watches.
  printf 'id=%s\nnew=%s\nold=%s\ncounter=%s\nseconds=%s\nsilence=%s\nleast=%s\n' "$token" "$1" "$(release_of current)" \
    "$2" "$3" "$4" "$5" | keep probation
  rm -f attempts guard.pid
  start_guard
  $runner place link "releases/$1" current
  journal switched release "$1"
}
reload() { # NAME carry|fresh
  if [ -n "$(serving)" ]; then
    told=$($runner call --socket "$socket" --timeout $patience --state "$2" reload 2>&1) || fail 3 "reload: $(plain "$told")"
  else
    start_server || fail 3 "expected to start the server; found that $(unit) units do not start; see systemctl status edgecl"
  fi
  await_release "$1" $patience || fail 3 "expected the server to answer with the release; found none"
  journal reloaded release "$1"
}
check() { # NAME: one look during the probation
  [ -f probation ] || fail 3 "$(tail -n 1 journal)"
  if why=$(judge_health "$(cat probation)" $patience); then say "good=yes"; else say "bad=$why"; fi
}
confirm() {
  # What can fail is tried before the rename that decides: then the release goes back, and that is what is said.
  if [ -f probation ]; then
    if ! counter_is_sound || ! { say "0" > counter.new; } 2> /dev/null || ! $runner place sync counter.new 2> /dev/null; then
      rm -f counter.new 2> /dev/null || true
      fail 3 "confirm: $(cannot_write counter)"
    fi
  fi
  mv probation confirmed 2> /dev/null || [ -f confirmed ] || fail 3 "$(tail -n 1 journal)"
  if ! finish_confirm > /dev/null 2>&1; then say "unfinished=$(cannot_write counter)"; fi
}
take_back() { # the user's rollback, with or without a probation
  if [ -f probation ] || [ -f rolling ]; then
    roll_back "asked for" || true
    say "current=$(release_of current)"
    say "lost=what was learned since the switch went with the release"
    return 0
  fi
  if alive lock/pid; then fail 4 "expected no deployment in progress; found one; try again later"; fi
  finish_pending
  from=$(release_of current)
  to=$(release_of previous)
  if [ "$to" = "$from" ]; then to=; fi # cut between the two links
  for folder in releases/*; do
    name=${folder#releases/}
    if [ -z "$to" ] && [ -f "$folder/bundle.ecl" ] && [ "$name" != "$from" ]; then to=${name%.part}; fi
  done
  if [ -z "$to" ] || [ ! -d "releases/$to" ]; then fail 4 "expected a previous release; found none; deploy one"; fi
  answer=$(health) || answer=
  rows=$(say "$answer" | json rows_not_committed)
  if [ -z "$answer" ] && alive server.pid; then
    lost="what was learned since the last commit is lost: the server did not answer"
  fi
  if [ -n "$rows" ] && ! told=$($runner call --socket "$socket" commit 2>&1) && [ "$rows" -gt 0 ]; then
    lost="$rows rows that the release learned are lost: $(plain "$told")"
  fi
  $runner place link "releases/$to" current
  $runner place link "releases/$from" previous
  if [ -n "$(serving)" ]; then
    told=$($runner call --socket "$socket" --timeout $patience --state disk reload 2>&1) || fail 1 "reload: $(plain "$told")"
  else
    start_server
  fi
  await_release "$to" $patience || fail 1 "expected the server to answer with the release; found none"
  journal taken_back release "$from" to "$to"
  say "current=$to"
  say "lost=${lost:-}"
}
state_file() { # of the release that serves, as it is now
  if [ -n "$(serving)" ]; then
    told=$($runner call --socket "$socket" commit 2>&1) || fail 1 "$(plain "$told")"
  fi
  say "state=state/$(release_of current).ecs"
}
# What serves goes on under systemd; where systemd does not take the units, all is as before.
install_units() { # system|user
  before=$(unit)
  if [ "$1" = user ]; then folder=$HOME/.config/systemd/user target=default.target
  else folder=/etc/systemd/system target=multi-user.target; fi
  command -v systemctl > /dev/null 2>&1 || fail 4 "expected systemd for --systemd; found no program systemctl; deploy without it"
  { mkdir -p "$folder" && write_units "$folder" $target; } 2> /dev/null ||
    fail 4 "expected to write units to $folder; found a folder that cannot be written; mend it by hand, or deploy without --systemd"
  say "$1" > unit
  told=$({ manager daemon-reload && manager enable edgecl.service; } 2>&1) || take_units_away
  if alive supervisor.pid; then # it ends its server, which commits
    kill "$(cat supervisor.pid)"
    tries=0
    while alive supervisor.pid && [ $tries -lt 10 ]; do
      sleep 1
      tries=$((tries + 1))
    done
    alive supervisor.pid || rm -f supervisor.pid server.pid
  fi
  if [ -L current ]; then
    told=$(manager start edgecl.service 2>&1) || take_units_away
    await_release "$(release_of current)" $patience || {
      manager stop edgecl.service > /dev/null 2>&1 || true
      told="a server that does not answer"
      take_units_away
    }
  fi
  journal units folder "$folder"
  if [ "$1" = user ] && [ "$(loginctl show-user "$(id -un)" --property=Linger --value 2> /dev/null)" != yes ]; then
    say "note=its units end with the last login until loginctl enable-linger"
  fi
}
take_units_away() { # fails with what systemd told
  if [ -z "$before" ]; then
    manager disable edgecl.service > /dev/null 2>&1 || true
    rm -f unit "$folder/edgecl.service" "$folder/edgecl-guard.service"
    if [ -L current ] && [ -z "$(serving)" ]; then start_server; fi
  fi
  fail 4 "expected systemd to take the units in $folder; found: $(plain "$told"); mend it, or deploy without --systemd"
}
write_units() { # FOLDER TARGET
  key_option=
  if [ -f key ]; then key_option=" --key $PWD/key"; fi
  cat > "$1/edgecl.service" << UNIT
[Unit]
Description=edgecl: serves the model in $PWD
Wants=edgecl-guard.service

[Service]
Type=notify
WorkingDirectory=$PWD
ExecStartPre=/bin/sh $PWD/device.sh prestart $PWD
ExecStart=$PWD/edgecl-run $PWD/current/bundle.ecl serve --socket $PWD/socket --state $PWD/state/$key_option
ExecReload=/bin/kill -HUP \$MAINPID
Restart=on-failure
RestartSec=1
WatchdogSec=30
UMask=0077
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths=$PWD
PrivateTmp=yes
RestrictAddressFamilies=AF_UNIX

[Install]
WantedBy=$2
UNIT
  cat > "$1/edgecl-guard.service" << UNIT
[Unit]
Description=edgecl: takes a release in $PWD back that nobody confirms
After=edgecl.service

[Service]
WorkingDirectory=$PWD
ExecStart=/bin/sh $PWD/device.sh watch $PWD
Restart=on-failure
UMask=0077
NoNewPrivileges=yes
UNIT
}

command=$1
dir=$2
token=${3:-}
case $command in
  probe) probe ;;
  status | supervise | watch | prestart | state_file | take_back)
    cd "$dir"
    $command
    ;;
  have | write_units)
    cd "$dir"
    shift 2
    $command "$@"
    ;;
  hold)
    mkdir -p "$dir/releases" "$dir/state" 2> /dev/null ||
      fail 4 "expected the folders releases and state in $dir; found that they cannot be made: a file in their place, or no room; mend it by hand"
    cd "$dir"
    hold
    ;;
  tidy | append | take_runner | pin | stage | snapshot | selftest | refuse | abandon | switch | reload | check | confirm | install_units)
    cd "$dir"
    need_lock
    shift 3
    $command "$@"
    ;;
  *) fail 1 "expected a command of this script; found $command" ;;
esac
