#!/bin/sh
# Builds the same program with pkg-config (PKG_CONFIG_PATH names the installed edgecl): build_with_pkg_config.sh OUTPUT
# Never here: CMake.
set -eu
folder=$(dirname "$0")
# Flags are words by design, hence no quotes around them.
# shellcheck disable=SC2046
"${CC:-cc}" -std=c99 -Wall -Wextra -Wpedantic -Werror "$folder/main.c" -o "$1" $(pkg-config --cflags --libs edgecl)
