# Cross build for 64-bit Arm Linux with Debian's g++-aarch64-linux-gnu, its programs run here by qemu-user.
# EDGECL_TUNE names the core that code is scheduled for; the instructions are those of ARMv8.0 whatever it is, so that a
# build runs on all boards.
# Never here: anything else of one board.
set(EDGECL_TUNE cortex-a72 CACHE STRING "Core to schedule for: cortex-a53, a57, a72, a76")
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES EDGECL_TUNE)
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_C_FLAGS_INIT "-march=armv8-a -mtune=${EDGECL_TUNE}")
set(CMAKE_CXX_FLAGS_INIT "-march=armv8-a -mtune=${EDGECL_TUNE}")
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
# The test presets say in QEMU_CPU which core is emulated. On a Cortex-A72, which a Raspberry Pi 4 has, an instruction
# beyond ARMv8.0 ends the run with SIGILL.
set(CMAKE_CROSSCOMPILING_EMULATOR "qemu-aarch64;-L;/usr/aarch64-linux-gnu")
