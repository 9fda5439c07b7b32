// Which numbers of batch rows need a plan of their own, and which ones a caller must measure.
// Never here: plans.
#include "kernels/plan/vector_shape.h"

namespace edgecl {

namespace plan {

RowClass row_class(int64_t rows) {
  if (rows <= kExactRows) return {rows, rows};
  int64_t step = kVirtualLanes;  // an eighth to a quarter of `rows`
  for (int64_t octave = 128; octave < rows && step < (int64_t{1} << 40); octave *= 2) step *= 2;
  const int64_t high = round_up(rows, step);
  return {high - step + 1, high};
}

}  // namespace plan

uint32_t next_row_count(uint32_t rows, uint32_t max_rows) {
  if (rows >= max_rows) return 0;
  if (rows < plan::kExactRows) return rows + 1;
  // Of each class the largest number that is no multiple of 16, then the largest that is one: two layouts.
  const plan::RowClass next = plan::row_class(static_cast<int64_t>(rows) + 1);
  const uint32_t last = next.high < max_rows ? static_cast<uint32_t>(next.high) : max_rows;
  const uint32_t in_lanes = last % kVirtualLanes == 0 ? last - 1 : last;
  const uint32_t in_groups = last / kVirtualLanes * kVirtualLanes;
  const uint32_t low = static_cast<uint32_t>(next.low), first = in_lanes < in_groups ? in_lanes : in_groups,
                 second = in_lanes < in_groups ? in_groups : in_lanes;
  return first >= low && first > rows ? first : second;
}

}  // namespace edgecl
