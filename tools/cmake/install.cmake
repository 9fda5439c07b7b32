# What `cmake --install` puts down: the C header, one self-contained static library, the shared library and the device
# runner where there are any, the files with which CMake and pkg-config find them. Never here: anything of the Python wheel.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

if(NOT TARGET edgecl_static)
  return()  # a part of the tree
endif()

set_target_properties(edgecl_static PROPERTIES EXPORT_NAME static)
set(_libraries edgecl_static)
if(TARGET edgecl_shared)
  set_target_properties(edgecl_shared PROPERTIES EXPORT_NAME edgecl)
  list(APPEND _libraries edgecl_shared)
endif()
install(TARGETS ${_libraries} EXPORT edgeclTargets COMPONENT library
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${PROJECT_SOURCE_DIR}/runtime/include/edgecl/edgecl.h
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/edgecl COMPONENT library)
if(TARGET edgecl_run)
  install(TARGETS edgecl_run RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT runner)
endif()

set(_package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/edgecl)
install(EXPORT edgeclTargets NAMESPACE edgecl:: DESTINATION ${_package_folder} COMPONENT library)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/edgeclConfig.cmake.in ${PROJECT_BINARY_DIR}/edgeclConfig.cmake
                              INSTALL_DESTINATION ${_package_folder})
# Before version 1 a minor version may change the API.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/edgeclConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/edgeclConfig.cmake ${PROJECT_BINARY_DIR}/edgeclConfigVersion.cmake
        DESTINATION ${_package_folder} COMPONENT library)
# Debian's library folder is lib/<triplet>: one step deeper than lib.
file(RELATIVE_PATH _prefix_from_pkgconfig /p/${CMAKE_INSTALL_LIBDIR}/pkgconfig /p)
configure_file(${CMAKE_CURRENT_LIST_DIR}/edgecl.pc.in ${PROJECT_BINARY_DIR}/edgecl.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/edgecl.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT library)
