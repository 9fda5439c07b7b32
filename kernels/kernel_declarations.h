// Declares every kernel of EDGECL_KERNEL_LIST in one namespace of a level.
// Never here: definitions, and anything that only one kernel needs.
#ifndef EDGECL_KERNELS_KERNEL_DECLARATIONS_H_
#define EDGECL_KERNELS_KERNEL_DECLARATIONS_H_

#include "kernels/kernels.h"

#define EDGECL_DECLARE_KERNEL(name, Args) void name(const Args& args, int part, int n_parts, void* scratch);

// Declares all kernels in edgecl::<level>; a kernel file opens with it, so that a definition that strays from the list
// does not compile unnoticed.
#define EDGECL_DECLARE_KERNELS(level)       \
  namespace edgecl::level {                 \
  EDGECL_KERNEL_LIST(EDGECL_DECLARE_KERNEL) \
  }

// Those of a level of dot products alone, which takes all others of the level below it.
#define EDGECL_DECLARE_DOT_KERNELS(level)       \
  namespace edgecl::level {                     \
  EDGECL_DOT_KERNEL_LIST(EDGECL_DECLARE_KERNEL) \
  }

#endif  // EDGECL_KERNELS_KERNEL_DECLARATIONS_H_
