# Cortex-M4 with its single-precision FPU.
# Never here: a board's memory map.
set(EDGECL_CORE_FLAGS "-mcpu=cortex-m4 -mfpu=fpv4-sp-d16 -mfloat-abi=hard")
set(EDGECL_BOARD mps2-an386)
include(${CMAKE_CURRENT_LIST_DIR}/arm-none-eabi.cmake)
