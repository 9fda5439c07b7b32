// The kernels behind statistics, for module.cpp.
// Never here: their definitions (moments.cpp).
#ifndef EDGECL_TOOLS_KERNELS_MODULE_MOMENTS_H_
#define EDGECL_TOOLS_KERNELS_MODULE_MOMENTS_H_

#include <pybind11/pybind11.h>

namespace edgecl::binding {

// Adds quantize_rows, moments_update, moments_to_covariance, cholesky_factor, cholesky_solve and triangle_places.
void add_moments(pybind11::module_& m);

}  // namespace edgecl::binding

#endif  // EDGECL_TOOLS_KERNELS_MODULE_MOMENTS_H_
