// Checks of PARAMS and DATA: shapes, storage, places, positions of sparse entries, finite values.
// Never here: what an operator wants of its parameters (validate_ops.cpp).
#include "runtime/bundle/validate.h"
#include "runtime/core/subset.h"

namespace edgecl {

namespace {

Status check_param_shape(const Plan& plan, uint32_t i) {
  const format::ParamRecord& param = plan.params[i];
  if (param.storage > format::kStorageSparse)
    return corrupt("PARAMS", i, "storage", "expected 0 or 1, found %u", param.storage);
  if (!kHasSparse && param.storage == format::kStorageSparse)
    return failure(EDGECL_E_UNSUPPORTED,
                   "expected dense weights, since this build has no sparse layers; found \"%s\" stored sparsely; build "
                   "the library with them (EDGECL_PARTS)",
                   plan.string(param.name));
  if (param.trainable > 1) return corrupt("PARAMS", i, "trainable", "expected 0 or 1, found %u", param.trainable);
  if (param.rank < 1 || param.rank > 4) return corrupt("PARAMS", i, "rank", "expected 1..4, found %u", param.rank);
  uint64_t size = 1;
  for (uint32_t d = 0; d < 4; d++) {
    const uint32_t dim = param.dims[d];
    if (d >= param.rank ? dim != 0 : dim < 1 || dim > format::kMaxDimension) {
      return corrupt("PARAMS", i, "dims", "expected 1..%u in the first %u places and 0 behind, found %u",
                     format::kMaxDimension, param.rank, dim);
    }
    if (d < param.rank) size = checked_mul(size, dim);
  }
  if (size > format::kMaxParamFloats) {
    return corrupt("PARAMS", i, "dims", "expected a product of at most %llu, found %llu", u64(format::kMaxParamFloats),
                   u64(size));
  }
  if (param.storage == format::kStorageDense) {
    if (param.nnz != 0 || param.nnz_capacity != 0)
      return corrupt("PARAMS", i, "nnz", "expected 0 for a dense parameter, found %u", param.nnz);
    if (param.density != 1.0f)
      return corrupt("PARAMS", i, "density", "expected 1 for a dense parameter, found another number");
    return Status();
  }
  if (param.rank != 2 && param.rank != 4)
    return corrupt("PARAMS", i, "rank", "expected 2 or 4 for a sparse parameter, found %u", param.rank);
  if (param.rank == 4 && checked_mul(param.dims[2], param.dims[3]) > kMaxTaps) {
    return corrupt("PARAMS", i, "dims", "expected a kernel of at most %d taps, found %u x %u", kMaxTaps, param.dims[2],
                   param.dims[3]);
  }
  if (param.nnz < 1 || param.nnz > size)
    return corrupt("PARAMS", i, "nnz", "expected 1..%llu, found %u", u64(size), param.nnz);
  if (param.nnz_capacity < param.nnz || param.nnz_capacity > size) {
    return corrupt("PARAMS", i, "nnz_capacity", "expected %u..%llu, found %u", param.nnz, u64(size),
                   param.nnz_capacity);
  }
  if (param.density != static_cast<float>(static_cast<double>(param.nnz) / static_cast<double>(size))) {
    return corrupt("PARAMS", i, "density", "expected nnz / product of dims, found another number");
  }
  return Status();
}

Status check_param_values(const Plan& plan, uint32_t i) {
  const format::ParamRecord& param = plan.params[i];
  if (param.dtype != format::kElementF32) return Status();  // what integers may be is for the operator to say
  if (param.storage == format::kStorageSparse) {
    const uint32_t* positions = plan.sparse_positions(i);
    const uint64_t size = param_size(param);
    for (uint32_t k = 0; k < param.nnz; k++) {
      if (positions[k] >= size || (k > 0 && positions[k] <= positions[k - 1])) {
        return corrupt("DATA", i, "positions", "expected ascending positions below %llu, found %u as entry %u",
                       u64(size), positions[k], k);
      }
    }
    const uint64_t used = static_cast<uint64_t>(param.nnz) * 4;
    const uint8_t* begin = plan.data_section + param.offset;
    const uint8_t* values = reinterpret_cast<const uint8_t*>(plan.sparse_values(i));
    if (!all_zero(begin + used, static_cast<uint64_t>(values - begin) - used)) {
      return corrupt("DATA", i, "positions", "expected zero bytes up to the values, found others");
    }
  }
  const float* values = param.storage == format::kStorageSparse ? plan.sparse_values(i) : plan.dense_values(i);
  if (!all_finite(values, static_cast<int64_t>(param_stored(param)))) {
    return corrupt("DATA", i, "values", "expected finite weights, found an infinity or a NaN");
  }
  for (uint64_t k = 0; param.trainable != 0 && k < param_stored(param); k++) {
    if (!(values[k] <= format::kMaxWeight && values[k] >= -format::kMaxWeight))
      return corrupt("DATA", i, "values", "expected weights of at most 1e9 where they train, found a larger one");
  }
  return Status();
}

}  // namespace

Status validate_params(const Plan& plan, const SectionSizes& sizes) {
  uint64_t end = 0;  // of the data of the parameters so far
  for (uint32_t i = 0; i < plan.params.n; i++) {
    const format::ParamRecord& param = plan.params[i];
    EDGECL_RETURN_IF_FAILED(check_param_shape(plan, i));
    const uint64_t begin = (end + format::kAlignment - 1) / format::kAlignment * format::kAlignment;
    if (param.offset != begin)
      return corrupt("PARAMS", i, "offset", "expected %llu (no gaps), found %llu", u64(begin), u64(param.offset));
    uint64_t bytes = param_stored(param) * element_bytes(param.dtype);
    if (param.storage == format::kStorageSparse)
      bytes += (bytes + format::kAlignment - 1) / format::kAlignment * format::kAlignment;
    if (param.bytes != bytes)
      return corrupt("PARAMS", i, "bytes", "expected %llu for its dims, found %llu", u64(bytes), u64(param.bytes));
    if (begin > sizes.data || bytes > sizes.data - begin) {
      return corrupt("PARAMS", i, "bytes", "expected at most the %llu bytes of DATA, found an end at %llu",
                     u64(sizes.data), u64(begin + bytes));
    }
    if (!all_zero(plan.data_section + end, begin - end))
      return corrupt("DATA", i, "offset", "expected zero bytes before it, found others");
    EDGECL_RETURN_IF_FAILED(check_param_values(plan, i));
    end = begin + bytes;
  }
  if (sizes.data - end != format::kReadSlackBytes || !all_zero(plan.data_section + end, format::kReadSlackBytes)) {
    return corrupt("DATA", format::kNone, "end",
                   "expected %u zero bytes behind the last parameter (at %llu), found another end (%llu)",
                   format::kReadSlackBytes, u64(end), u64(sizes.data));
  }
  return Status();
}

}  // namespace edgecl
