// The kernels of recurrent layers, for module.cpp.
// Never here: their definitions (recurrent.cpp).
#ifndef EDGECL_TOOLS_KERNELS_MODULE_RECURRENT_H_
#define EDGECL_TOOLS_KERNELS_MODULE_RECURRENT_H_

#include <pybind11/pybind11.h>

namespace edgecl::binding {

// Adds recurrent_forward and recurrent_backward.
void add_recurrent(pybind11::module_& m);

}  // namespace edgecl::binding

#endif  // EDGECL_TOOLS_KERNELS_MODULE_RECURRENT_H_
