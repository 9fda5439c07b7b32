// Kernel calls of operators: one type a kernel of the list, and the hand-over to a visitor.
// Never here: which kernels an operator calls.
#ifndef EDGECL_RUNTIME_CORE_OPS_OP_CALLS_H_
#define EDGECL_RUNTIME_CORE_OPS_OP_CALLS_H_

#include <type_traits>

#include "runtime/core/executor_ops.h"

namespace edgecl {

// The field of the kernel table for a kernel, the function for its scratch size, and its arguments.
template <auto kKernel, auto kScratch, class ArgsType>
struct TypedCall {
  using Args = ArgsType;
  static void run(const KernelTable& kernels, const void* args, int part, int n_parts, void* scratch) {
    if constexpr (std::is_member_pointer_v<decltype(kKernel)>) {
      (kernels.*kKernel)(*static_cast<const Args*>(args), part, n_parts, scratch);
    } else {  // a constant of the table: a build for firmware
      (*kKernel)(*static_cast<const Args*>(args), part, n_parts, scratch);
    }
  }
  static uint64_t scratch_bytes(const ScratchTable& kernels, const void* args) {
    return (kernels.*kScratch)(*static_cast<const Args*>(args));
  }
};

namespace call {
#define EDGECL_CALL(name, Args) using name = TypedCall<&KernelTable::name, &ScratchTable::name##_scratch_bytes, Args>;
EDGECL_KERNEL_LIST(EDGECL_CALL)
#undef EDGECL_CALL
}  // namespace call

// emit<call::concat_forward>(visitor, args)
template <class Call>
void emit(const KernelVisitor& visitor, const typename Call::Args& args) {
  visitor.visit(visitor.user, {Call::run, Call::scratch_bytes, &args});
}

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_CORE_OPS_OP_CALLS_H_
