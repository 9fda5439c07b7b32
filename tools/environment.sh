# Shared by the scripts of this folder (sourced): where things are, steps with times, the virtual environment.
# Never here: what a single script does.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=${EDGECL_VENV:-$ROOT/.venv}
JOBS=${EDGECL_JOBS:-$(nproc)}
export EDGECL_DATA=${EDGECL_DATA:-$ROOT/../shared/data}
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
# The wheel is made of the same objects as the build `host`: where ccache is installed, it compiles them once.
if command -v ccache >/dev/null 2>&1 && command -v c++ >/dev/null 2>&1; then
  export CMAKE_C_COMPILER_LAUNCHER=${CMAKE_C_COMPILER_LAUNCHER-ccache} CMAKE_CXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER-ccache}
  export CC=${CC:-cc} CXX=${CXX:-c++}  # one name for both
fi
cd "$ROOT"

say() { printf '%s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# need COMMAND PACKAGE...: stops with the line that installs what is missing.
need() {
  local command=$1; shift
  has "$command" || fail "expected the program '$command', found none; run: sudo apt-get update && sudo apt-get install -y $*"
}

# find_python: prints the path of the first interpreter that can make a virtual environment. Names alone prove nothing: the
# shim of a version manager carries the name of every version, and fails for those that are not installed or not chosen.
find_python() {
  local names=(python3.13 python3.12 python3.11 python3.10 python3) name path old="" tell='
import sys
if sys.version_info < (3, 10): sys.exit(2)
try: import ensurepip, venv
except ImportError: sys.exit(3)
print(sys.executable)'
  [ -z "${EDGECL_PYTHON:-}" ] || names=("$EDGECL_PYTHON")
  for name in "${names[@]}"; do
    path=$("$name" -c "$tell" 2>/dev/null) && [ -x "$path" ] && { printf '%s\n' "$path"; return; }
    [ $? != 3 ] || old="$old $name"
  done
  [ -z "$old" ] || fail "expected Python's venv module with pip, found none for$old; run: sudo apt-get install -y python3-venv"
  [ -z "${EDGECL_PYTHON:-}" ] ||
    fail "expected EDGECL_PYTHON to run Python 3.10 or newer, found '$EDGECL_PYTHON', which does not; correct it or unset it"
  fail "expected Python 3.10 or newer, found none; run: sudo apt-get install -y python3 python3-venv"
}

# step NAME COMMAND...: runs it, keeps its time and verdict for summary(), and goes on after a failure.
STEP_LINES=()
STEP_FAILED=0
step() {
  local name=$1 begin=$SECONDS verdict=passed; shift
  say ""; say "=== $name"
  "$@" || { verdict=FAILED; STEP_FAILED=1; }
  STEP_LINES+=("$(printf '%-34s %-7s %4d s' "$name" "$verdict" $((SECONDS - begin)))")
}
skip() { STEP_LINES+=("$(printf '%-34s %-7s %s' "$1" skipped "$2")"); }
summary() {
  say ""; say "=== summary ($SECONDS s)"
  printf '%s\n' "${STEP_LINES[@]}"
  return $STEP_FAILED
}

use_venv() {
  [ -x "$VENV/bin/python" ] || fail "expected a virtual environment in $VENV, found none; run tools/setup first"
  export PATH="$VENV/bin:$PATH"
  PYTHON=$VENV/bin/python
}

# build PRESET [cmake options...]: configures and builds one preset of CMakePresets.json.
build() {
  local preset=$1; shift
  nice -n 5 cmake --preset "$preset" "$@" >"$ROOT/build/$preset.configure.log" 2>&1 ||
    { cat "$ROOT/build/$preset.configure.log"; return 1; }
  nice -n 5 cmake --build --preset "$preset" -j "$JOBS"
}

# install_package: builds the wheel (again only what changed), with the kernels' module, and installs it into the virtual
# environment.
install_package() {
  nice -n 5 env CMAKE_BUILD_PARALLEL_LEVEL="$JOBS" "$PYTHON" -m pip install --quiet --no-deps --no-build-isolation \
    --force-reinstall --config-settings build-dir=build/wheel \
    --config-settings cmake.define.EDGECL_BUILD_KERNELS_MODULE=ON "$@" "$ROOT"
}
mkdir -p "$ROOT/build"
