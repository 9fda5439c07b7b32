// Products of two tensors of a row, summed over any axes: scalar reference.
// Never here: layers with weights (conv.cpp, linear.cpp).
#include "kernels/reference/common.h"

namespace edgecl::reference {
namespace {

// Where an index of some of the axes lies in each tensor.
struct Places {
  int64_t a, b, y;
};

// The places of index `at` of the axes that y has (`kept`) or has not, in row-major order.
Places places_of(const MatmulArgs& args, int64_t at, bool kept) {
  Places p = {0, 0, 0};
  for (int k = kMatmulAxes - 1; k >= 0; k--) {
    if ((args.y_stride[k] != 0) != kept) continue;
    const int64_t i = at % args.size[k];
    at /= args.size[k];
    p.a += i * args.a_stride[k];
    p.b += i * args.b_stride[k];
    p.y += i * args.y_stride[k];
  }
  return p;
}

int64_t elements(const Tensor& t) {
  return static_cast<int64_t>(t.channels) * t.height * t.width;
}

}  // namespace

void matmul(const MatmulArgs& args, int part, int n_parts, void*) {
  int64_t outputs = 1, terms = 1;
  for (int k = 0; k < kMatmulAxes; k++) (args.y_stride[k] != 0 ? outputs : terms) *= args.size[k];
  const int64_t lanes = args.y.lanes;
  const Share share = share_of(outputs, part, n_parts);
  for (int64_t o = share.begin; o < share.end; o++) {
    const Places out = places_of(args, o, true);
    for (int64_t row = 0; row < args.y.rows(); row++) {
      const int64_t g = row / lanes, l = row % lanes;
      const float* a = args.a.data + (g * elements(args.a) + args.a_offset + out.a) * lanes + l;
      const float* b = args.b.data + (g * elements(args.b) + args.b_offset + out.b) * lanes + l;
      float& y = args.y.data[(g * elements(args.y) + args.y_offset + out.y) * lanes + l];
      float sum = 0.0f;
      for (int64_t r = 0; r < terms; r++) {
        const Places in = places_of(args, r, false);
        sum = fused(a[in.a * lanes], b[in.b * lanes], sum);
      }
      const float result = args.scale * sum;
      y = args.accumulate ? y + result : result;
    }
  }
}

}  // namespace edgecl::reference
