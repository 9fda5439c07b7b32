// Packing a region of many channels for the sparse convolutions, and asking for what will be packed next.
// Never here: multiply-adds, the layouts themselves (conv_pack.h, sparse_split.h).
#ifndef EDGECL_KERNELS_SIMD_SPARSE_PACK_H_
#define EDGECL_KERNELS_SIMD_SPARSE_PACK_H_

#include "kernels/plan/sparse_gather_plan.h"
#include "kernels/simd/simd.h"

namespace edgecl::EDGECL_LEVEL {

// Channels [begin, end) of the source planes at `source` (of channel 0), as pack_layout lays them out. `sixteen`: 16
// lanes from there on alone. `asked`: their lines were asked for before.
void pack_channels(const PackLayout& layout, const Axis& h, const Axis& w, const Tensor& source_shape,
                   const float* source, int row, int column, int64_t begin, int64_t end, bool sixteen, bool asked,
                   float* packed);

// The rows of a plane; of a larger region the rest is left to the hardware. Returns how many.
int source_rows(const PackLayout& layout, const Axis& h, const Axis& w, const Tensor& source_shape, int row, int column,
                SourceRow* rows);

// What will be packed next, asked for a few rows of the source at a time while rows of the pattern are computed, so
// that far memory is read behind the multiply-adds.
struct SourceAhead {
  const SourceRow* row;  // source_rows
  int rows;
  int step;            // floats between the cells of a row
  int per_row;         // source rows that one row of the pattern asks for
  const float* plane;  // the plane that `at` lies in
  int64_t plane_floats;
  int at, planes;  // next source row; planes that are left

  // Channels [begin, end) of the source planes at `source` (of channel 0), while `pattern_rows` rows are computed.
  void aim(const float* source, int64_t floats, int64_t begin, int64_t end, int64_t pattern_rows) {
    at = 0;
    plane = source + begin * floats;
    plane_floats = floats;
    planes = rows > 0 ? static_cast<int>(end - begin) : 0;
    per_row = static_cast<int>((rows * (end - begin) + pattern_rows - 1) / pattern_rows);
  }
  EDGECL_ALWAYS_INLINE void ask() {
    for (int i = 0; i < per_row && planes > 0; i++) {
      const float* from = plane + row[at].first;
      int cells = row[at].cells;
      for (; cells >= 3; cells -= 3, from += 3 * step) {
        __builtin_prefetch(from, 0, 2);
        __builtin_prefetch(from + step, 0, 2);
        __builtin_prefetch(from + 2 * step, 0, 2);
      }
      for (; cells > 0; cells--, from += step) __builtin_prefetch(from, 0, 2);
      if (++at < rows) continue;
      at = 0;
      plane += plane_floats;
      planes--;
    }
  }
};

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_SPARSE_PACK_H_
