// What a build has of parts, for kernels that hold several functions. CMake hands in lists of names, separated by blanks
// (EDGECL_PARTS; runtime/README.md); without a list a build has all.
// Never here: operators, heads and novelty scores (runtime/core/subset.h).
#ifndef EDGECL_KERNELS_BUILT_H_
#define EDGECL_KERNELS_BUILT_H_

#include "kernels/activations.h"

#if !defined(EDGECL_BUILT_PARTS)
#define EDGECL_BUILT_PARTS ""
#endif

namespace edgecl {

// Whether a list has a name; an empty list has every name. Constant, so that what a table does not point to is not
// linked.
constexpr bool is_built(const char* list, const char* name) {
  if (*list == '\0') return true;
  while (*list != '\0') {
    const char* at = name;
    while (*list == *at && *at != '\0') list++, at++;
    if (*at == '\0' && (*list == ' ' || *list == '\0')) return true;
    while (*list != ' ' && *list != '\0') list++;
    while (*list == ' ') list++;
  }
  return false;
}
static_assert(is_built("conv linear", "linear") && is_built("", "add") && !is_built("int8_add", "add") &&
              !is_built("add_more", "add"));

// The part `activations`: the functions beyond relu, clip, hard_swish, sigmoid and hard_sigmoid, 2.5 kB of firmware.
constexpr bool is_built(Activation kind) {
  return kind <= Activation::kHardSigmoid || is_built(EDGECL_BUILT_PARTS, "activations");
}

}  // namespace edgecl

#endif  // EDGECL_KERNELS_BUILT_H_
