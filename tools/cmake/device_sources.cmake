# Which files a device's library is made of: for the build here and for those of other systems (devices/packages).
# Never here: flags, targets.
get_filename_component(_edgecl_root ${CMAKE_CURRENT_LIST_DIR}/../.. ABSOLUTE)

# Every room of the device; the bundle writer is of the host.
set(EDGECL_RUNTIME_SOURCES "")
foreach(_room IN ITEMS core bundle state learn heads novelty adapt api)
  file(GLOB_RECURSE _room_sources CONFIGURE_DEPENDS ${_edgecl_root}/runtime/${_room}/*.cpp)
  list(APPEND EDGECL_RUNTIME_SOURCES ${_room_sources})
endforeach()
list(FILTER EDGECL_RUNTIME_SOURCES EXCLUDE REGEX "/bundle_writer[^/]*$")

# What every level needs, and the scalar kernels.
file(GLOB EDGECL_KERNEL_SOURCES CONFIGURE_DEPENDS ${_edgecl_root}/kernels/*.cpp ${_edgecl_root}/kernels/reference/*.cpp
     ${_edgecl_root}/kernels/sparse/*.cpp ${_edgecl_root}/kernels/plan/*.cpp)
# Of a library without an operating system also these, in place of some of the scalar kernels (kernels.h).
file(GLOB EDGECL_FIRMWARE_SOURCES CONFIGURE_DEPENDS ${_edgecl_root}/kernels/dsp/*.cpp)
# And of one for a core with the M-profile vector extension these, built for that core, in place of some of both.
file(GLOB EDGECL_MVE_SOURCES CONFIGURE_DEPENDS ${_edgecl_root}/kernels/mve/*.cpp)

# No contraction: fused multiply-adds are written where they are meant, so that every compiler gives the same bits. No
# errno: square roots stay instructions.
set(EDGECL_SAME_BITS -ffp-contract=off -fno-math-errno)
# For a library without an operating system: constants in place of a table of levels.
set(EDGECL_FIRMWARE_DEFINITIONS EDGECL_REFERENCE_ONLY)
set(EDGECL_MVE_DEFINITIONS EDGECL_HAS_MVE)
