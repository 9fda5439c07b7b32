# Cortex-M55 with its FPU. Without MVE: the scalar kernels do not use it, and GNU as 2.40 takes a conditional vcvt for one
# of its instructions. Never here: a board's memory map.
set(EDGECL_CORE_FLAGS "-mcpu=cortex-m55+nomve -mfloat-abi=hard")
set(EDGECL_BOARD mps3-an547)
include(${CMAKE_CURRENT_LIST_DIR}/arm-none-eabi.cmake)
