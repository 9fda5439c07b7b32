// The class TimedLayer of edgecl_kernels; for module.cpp.
// Never here: anything else of the module.
#ifndef EDGECL_TOOLS_KERNELS_MODULE_TIMING_H_
#define EDGECL_TOOLS_KERNELS_MODULE_TIMING_H_

#include <pybind11/pybind11.h>

namespace edgecl::binding {

void add_timed_layer(pybind11::module_& m);

}  // namespace edgecl::binding

#endif  // EDGECL_TOOLS_KERNELS_MODULE_TIMING_H_
