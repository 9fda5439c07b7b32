# Cortex-M55 with its FPU and its vector extension (MVE, Helium). Only kernels/mve is built for the extension: nothing else
# would use it, and GNU as 2.40 takes a conditional vcvt for one of its instructions. Never here: a board's memory map.
set(EDGECL_CORE_FLAGS "-mcpu=cortex-m55+nomve -mfloat-abi=hard")
if(NOT DEFINED EDGECL_MVE_FLAGS)  # empty: for a chip whose core was made without the extension
  set(EDGECL_MVE_FLAGS -mcpu=cortex-m55)
endif()
set(EDGECL_BOARD mps3-an547)
include(${CMAKE_CURRENT_LIST_DIR}/arm-none-eabi.cmake)
