# Bare metal for Arm Cortex-M with arm-none-eabi-gcc: what all cores share. A core's file sets EDGECL_CORE_FLAGS and
# EDGECL_BOARD (a machine of qemu-system-arm) and includes this one. Never here: start-up code, memory maps.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
set(CMAKE_CXX_COMPILER arm-none-eabi-g++)
# There is no start-up code with which a trial program could be linked.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_C_FLAGS_INIT "${EDGECL_CORE_FLAGS} -mthumb")
set(CMAKE_CXX_FLAGS_INIT "${EDGECL_CORE_FLAGS} -mthumb")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
# Text and exit status leave the machine by semihosting.
set(CMAKE_CROSSCOMPILING_EMULATOR
    "qemu-system-arm;-M;${EDGECL_BOARD};-nographic;-monitor;none;-serial;none;-semihosting-config;enable=on,target=native;-kernel")
