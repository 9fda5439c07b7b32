// What a build has, as far as kernels go. CMake hands in lists of names, separated by blanks (EDGECL_OPS, EDGECL_HEADS,
// EDGECL_NOVELTY, EDGECL_PARTS; runtime/README.md); without a list a build has all.
// Never here: what the runtime leaves out (runtime/core/subset.h).
#ifndef EDGECL_KERNELS_BUILT_H_
#define EDGECL_KERNELS_BUILT_H_

#include "kernels/activations.h"

#if !defined(EDGECL_BUILT_OPS)
#define EDGECL_BUILT_OPS ""
#endif
#if !defined(EDGECL_BUILT_HEADS)
#define EDGECL_BUILT_HEADS ""
#endif
#if !defined(EDGECL_BUILT_NOVELTY)
#define EDGECL_BUILT_NOVELTY ""
#endif
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

// Whether a list has another name than one.
constexpr bool is_more_than(const char* list, const char* name) {
  for (; *list == *name; list++, name++) {
    if (*list == '\0') return false;
  }
  return true;
}
static_assert(is_more_than("none energy", "none") && is_more_than("", "none") && !is_more_than("none", "none"));

// Sums of embeddings, codes and their routing.
constexpr bool kHasSums = is_more_than(EDGECL_BUILT_HEADS, "gradient") || is_more_than(EDGECL_BUILT_NOVELTY, "none") ||
                          is_built(EDGECL_BUILT_PARTS, "domains");

// Kernels that only some operators call, by the beginning of their names; the longer name first. All others are in
// every build.
struct KernelUse {
  const char* kernels;
  const char* operators[3];
};
constexpr KernelUse kKernelUses[] = {
    {"conv_", {"conv"}},
    {"sparse_conv_", {"conv"}},
    {"batch_norm_", {"batch_norm"}},
    {"group_norm_", {"group_norm"}},
    {"l2_normalize_", {"l2_normalize"}},
    {"layer_norm_", {"layer_norm"}},
    {"max_pool_", {"max_pool"}},
    {"average_pool_", {"average_pool"}},
    {"global_average_pool_", {"global_average_pool"}},
    {"binary_", {"add", "mul"}},
    {"concat_", {"concat"}},
    {"prelu_", {"prelu"}},
    {"extremum_", {"maximum", "minimum"}},
    {"strided_", {"strided"}},
    {"place_", {"place", "matmul"}},  // zeros of a gradient that a product reads in part
    {"reduce_", {"reduce"}},
    {"softmax_", {"softmax"}},
    {"recurrent_", {"recurrent"}},
    {"matmul", {"matmul"}},
    {"int8_conv", {"int8_conv"}},
    {"int8_depthwise", {"int8_conv"}},
    {"int8_add", {"int8_add"}},
    {"int8_mean", {"int8_mean"}},
    {"int8_max_pool", {"int8_max_pool"}},
    {"int8_average_pool", {"int8_average_pool"}},
    {"int8_quantize", {"quantize"}},
    {"int8_dequantize", {"dequantize"}},
};
constexpr const char* kKernelsOfSums[] = {"moments_", "cholesky_", "hd_", "sum_row", "quantize_rows"};

constexpr bool begins_with(const char* text, const char* begin) {
  for (; *begin != '\0'; text++, begin++) {
    if (*text != *begin) return false;
  }
  return true;
}

// Whether a build can call a kernel; what it cannot is no entry of its tables, and so not linked.
constexpr bool is_kernel_built(const char* kernel) {
  for (const char* begin : kKernelsOfSums) {
    if (begins_with(kernel, begin)) return kHasSums;
  }
  for (const KernelUse& use : kKernelUses) {
    if (!begins_with(kernel, use.kernels)) continue;
    for (const char* name : use.operators) {
      if (name != nullptr && is_built(EDGECL_BUILT_OPS, name)) return true;
    }
    return false;
  }
  return true;
}

// The part `activations`: the functions beyond relu, clip, hard_swish, sigmoid and hard_sigmoid, 2.5 kB of firmware.
constexpr bool is_built(Activation kind) {
  return kind <= Activation::kHardSigmoid || is_built(EDGECL_BUILT_PARTS, "activations");
}

}  // namespace edgecl

#endif  // EDGECL_KERNELS_BUILT_H_
