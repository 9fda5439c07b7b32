# 64-bit Arm Linux with musl: programs that run on any such system, whatever its C library.
# Never here: anything of one board.
set(EDGECL_ZIG_TARGET aarch64-linux-musl)
include(${CMAKE_CURRENT_LIST_DIR}/zig.cmake)
set(CMAKE_CROSSCOMPILING_EMULATOR "qemu-aarch64")
