// The kernels of hyperdimensional codes, for module.cpp.
// Never here: their definitions (hyperdimensional.cpp).
#ifndef EDGECL_TOOLS_KERNELS_MODULE_HYPERDIMENSIONAL_H_
#define EDGECL_TOOLS_KERNELS_MODULE_HYPERDIMENSIONAL_H_

#include <pybind11/pybind11.h>

namespace edgecl::binding {

// Adds hd_encode, hd_bundle_majority, hd_accumulate, hd_signs and hd_hamming.
void add_hyperdimensional(pybind11::module_& m);

}  // namespace edgecl::binding

#endif  // EDGECL_TOOLS_KERNELS_MODULE_HYPERDIMENSIONAL_H_
