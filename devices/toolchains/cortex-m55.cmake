# Cortex-M55 with its FPU.
# Never here: a board's memory map.
set(EDGECL_CORE_FLAGS "-mcpu=cortex-m55 -mfloat-abi=hard")
set(EDGECL_BOARD mps3-an547)
include(${CMAKE_CURRENT_LIST_DIR}/arm-none-eabi.cmake)
