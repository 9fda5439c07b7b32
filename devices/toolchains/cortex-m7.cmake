# Cortex-M7 with an FPU. Single precision, so that the archive runs on every such core; the library computes in float.
# Never here: a board's memory map.
set(EDGECL_CORE_FLAGS "-mcpu=cortex-m7 -mfpu=fpv5-sp-d16 -mfloat-abi=hard")
set(EDGECL_BOARD mps2-an500)
include(${CMAKE_CURRENT_LIST_DIR}/arm-none-eabi.cmake)
