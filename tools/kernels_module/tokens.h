// Layer normalisation and products of two tensors, for module.cpp.
// Never here: their definitions (tokens.cpp).
#ifndef EDGECL_TOOLS_KERNELS_MODULE_TOKENS_H_
#define EDGECL_TOOLS_KERNELS_MODULE_TOKENS_H_

#include <pybind11/pybind11.h>

namespace edgecl::binding {

// Adds layer_norm_forward, layer_norm_backward and matmul.
void add_tokens(pybind11::module_& m);

}  // namespace edgecl::binding

#endif  // EDGECL_TOOLS_KERNELS_MODULE_TOKENS_H_
