// Checks that several operators make.
// Never here: checks of one operator.
#include "runtime/core/ops/op_check.h"

namespace edgecl {

Status OpCheck::range(const char* field, int64_t value, int64_t low, int64_t high) const {
  if (value >= low && value <= high) return Status();
  return corrupt("OPS", index, field, "expected %lld..%lld, found %lld", static_cast<long long>(low),
                 static_cast<long long>(high), static_cast<long long>(value));
}

Status OpCheck::output_shape(uint64_t channels, uint64_t height, uint64_t width) const {
  const format::TensorRecord& found = y();
  if (found.channels == channels && found.height == height && found.width == width) return Status();
  return corrupt("OPS", index, "output", "expected a tensor of %llu x %llu x %llu, found %u x %u x %u", u64(channels),
                 u64(height), u64(width), found.channels, found.height, found.width);
}

Status OpCheck::vector_param(uint32_t slot, uint32_t n) const {
  if (has_param(slot) && param_is_vector(param(slot), n)) return Status();
  return corrupt("OPS", index, "params", "expected a dense vector of %u in place %u, found %s", n, slot,
                 has_param(slot) ? "another shape" : "none");
}

Status OpCheck::view_param(uint32_t slot, uint32_t rows) const {
  if (has_param(slot)) {
    const format::ParamRecord& found = param(slot);
    if (found.dtype == format::kElementI32 && found.storage == format::kStorageDense && found.rank == 2 &&
        found.dims[0] == rows && found.dims[1] == kViewRank)
      return Status();
  }
  return corrupt("OPS", index, "params", "expected int32 of %u x %d in place %u, found %s", rows, kViewRank, slot,
                 has_param(slot) ? "another" : "none");
}

}  // namespace edgecl
