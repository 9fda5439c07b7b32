# x86-64 Linux with musl: programs that run on any such system, whatever its C library.
# Never here: anything of one machine.
set(EDGECL_ZIG_TARGET x86_64-linux-musl)
include(${CMAKE_CURRENT_LIST_DIR}/zig.cmake)
