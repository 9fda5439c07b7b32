// The proof that arena offsets keep tensors apart that are alive at the same time.
// Never here: lifetimes (runtime/core/planner.cpp), the assignment of offsets (the writer's).
#include "runtime/bundle/validate.h"
#include "runtime/core/planner.h"

namespace edgecl {

namespace {

Status check_mode(const Plan& plan, Mode mode, Lifetime* lifetimes) {
  const bool learning = mode == Mode::kLearn;
  const char* field = learning ? "train_offset" : "predict_offset";
  const uint64_t arena = learning ? plan.model->train_floats_per_row : plan.model->predict_floats_per_row;
  tensor_lifetimes(plan, mode, lifetimes);

  auto offset_of = [&](uint32_t t) { return learning ? plan.tensors[t].train_offset : plan.tensors[t].predict_offset; };
  for (uint32_t t = 0; t < plan.tensors.n; t++) {
    const uint64_t offset = offset_of(t);
    if (!lifetimes[t].lives()) {
      if (offset != format::kNoOffset)
        return corrupt("TENSORS", t, field, "expected none for a tensor that this mode never touches, found one");
      continue;
    }
    if (offset == format::kNoOffset)
      return corrupt("TENSORS", t, field, "expected an offset for a tensor in use, found none");
    if (offset % 16 != 0)
      return corrupt("TENSORS", t, field, "expected a multiple of 16 floats, found %llu", u64(offset));
    const uint64_t size = tensor_arena_floats(plan.tensors[t]);
    if (offset > arena || size > arena - offset) {
      return corrupt("TENSORS", t, field,
                     "expected the tensor inside the arena of %llu floats per row, found %llu + %llu", u64(arena),
                     u64(offset), u64(size));
    }
    const uint32_t alias = plan.tensors[t].alias;
    if (alias != format::kNone && offset_of(alias) != offset) {
      return corrupt("TENSORS", t, field, "expected the offset of its alias, tensor %u, found another", alias);
    }
  }
  for (uint32_t t = 1; t < plan.tensors.n; t++) {
    if (plan.tensors[t].alias != format::kNone || !lifetimes[t].lives()) continue;
    const uint64_t begin = offset_of(t), end = begin + tensor_arena_floats(plan.tensors[t]);
    for (uint32_t other = 0; other < t; other++) {
      if (!lifetimes[other].meets(lifetimes[t]) || plan.tensors[other].alias != format::kNone) continue;
      const uint64_t other_begin = offset_of(other);
      if (begin < other_begin + tensor_arena_floats(plan.tensors[other]) && other_begin < end) {
        return corrupt("TENSORS", t, field,
                       "expected memory of its own, found an overlap with tensor %u that is alive at the same time",
                       other);
      }
    }
  }
  return Status();
}

}  // namespace

Status check_offsets(const Plan& plan, const CheckScratch& scratch) {
  EDGECL_RETURN_IF_FAILED(check_mode(plan, Mode::kPredict, scratch.lifetimes));
  return check_mode(plan, Mode::kLearn, scratch.lifetimes);
}

}  // namespace edgecl
