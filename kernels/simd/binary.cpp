// Addition and multiplication with a broadcast second operand, and their gradients.
// Never here: broadcasting of the first operand (the exporter swaps the operands).
// Built for size (-Os): waits for memory.
#include "kernels/simd/pointwise.h"

namespace edgecl::EDGECL_LEVEL {
namespace {

struct Axis {
  int64_t size, stride_a, stride_b;
};

// Axes g, c, h, w, l. The stride of b along an axis of size 1 says nothing and is taken as 0.
template <class Args>
EDGECL_INLINE void axes_of(const Args& a, const Tensor& t, Axis (&axes)[5]) {
  const int64_t size[] = {t.groups, t.channels, t.height, t.width, t.lanes};
  const int64_t stride_b[] = {a.stride_g, a.stride_c, a.stride_h, a.stride_w, a.stride_l};
  int64_t stride_a = 1;
  for (int i = 4; i >= 0; i--) {
    axes[i] = {size[i], stride_a, size[i] > 1 ? stride_b[i] : 0};
    stride_a *= size[i];
  }
}

// Floats from any place of a on that b has too and that lie together in both, as far as the axes behind *outer reach.
EDGECL_INLINE int64_t common_run(const Axis (&axes)[5], int* outer) {
  int64_t run = 1;
  for (*outer = 5; *outer > 0; (*outer)--) {
    const Axis& axis = axes[*outer - 1];
    if (axis.size != 1 && (axis.stride_b != run || axis.stride_a != run)) break;
    run *= axis.size;
  }
  return run;
}

// How b lies over one plane of a.
enum class Cover { kConstant, kContiguous, kRows };

EDGECL_INLINE Cover cover_of(const Axis (&axes)[5]) {
  bool constant = true, contiguous = true;
  for (int i = 2; i < 5; i++) {
    constant &= axes[i].stride_b == 0;
    contiguous &= axes[i].size == 1 || axes[i].stride_b == axes[i].stride_a;
  }
  return constant ? Cover::kConstant : contiguous ? Cover::kContiguous : Cover::kRows;
}

// n floats of a result: from x, and from b where `b_mask` is all ones; from the one vector at b where it is 0.
struct Run {
  const float *x, *b;
  int64_t b_mask, n;
  float* out;
  float lo, hi;
};
typedef void (*RunLoop)(const Run&);

// Runs over the planes of this part, b at each place. `row` has room for one row of b, gathered where b is neither
// constant nor contiguous over a plane.
EDGECL_INLINE void for_planes(const Axis (&axes)[5], const float* x, const float* b, float* row, float* out, float lo,
                              float hi, int part, int n_parts, RunLoop loop) {
  const Cover cover = cover_of(axes);
  const int64_t channels = axes[1].size, plane = axes[1].stride_a, width = axes[2].stride_a;
  int64_t begin, end;
  share(axes[0].size * channels, part, n_parts, &begin, &end);
  int outer;
  common_run(axes, &outer);
  if (outer == 0) {  // all planes are one
    loop({x + begin * plane, b + begin * plane, -1, (end - begin) * plane, out + begin * plane, lo, hi});
    return;
  }
  for (int64_t gc = begin; gc < end; gc++) {
    const float* from = b + gc / channels * axes[0].stride_b + gc % channels * axes[1].stride_b;
    const int64_t base = gc * plane;
    if (cover == Cover::kConstant) {
      float one[kVec];
      vstore(one, vset(*from));
      loop({x + base, one, 0, plane, out + base, lo, hi});
    } else if (cover == Cover::kContiguous) {
      loop({x + base, from, -1, plane, out + base, lo, hi});
    } else {
      for (int64_t h = 0; h < axes[2].size; h++) {
        if (h == 0 || axes[2].stride_b != 0)
          for (int64_t w = 0, k = 0; w < axes[3].size; w++)
            for (int64_t l = 0; l < axes[4].size; l++, k++)
              row[k] = from[h * axes[2].stride_b + w * axes[3].stride_b + l * axes[4].stride_b];
        const int64_t start = base + h * width;
        loop({x + start, row, -1, width, out + start, lo, hi});
      }
    }
  }
}

// One function for each loop, whatever way b lies.
template <bool kMul, bool kBounded>
void forward_run(const Run& r) {
  const float *x = r.x, *from = r.b;
  const int64_t mask = r.b_mask;
  const vec lo = vset(r.lo), hi = vset(r.hi);
  store_flat(r.out, 0, r.n, [&](int64_t i) EDGECL_INLINE_LAMBDA {
    const vec v = vload(x + i), b = vload(from + (i & mask)), z = kMul ? v * b : v + b;
    return kBounded ? vmin(vmax(z, lo), hi) : z;
  });
}
template <bool kMul, bool kAccumulate>
void backward_run(const Run& r) {
  const float *dy = r.x, *from = r.b;
  const int64_t mask = r.b_mask;
  float* da = r.out;
  store_flat(da, 0, r.n, [&](int64_t i) EDGECL_INLINE_LAMBDA {
    vec d = vload(dy + i);
    if constexpr (kMul) d = d * vload(from + (i & mask));
    return kAccumulate ? vload(da + i) + d : d;
  });
}

// The gradient of b: elements that b shares with a are kept, the others are summed. `run` is the contiguous tail of
// kept axes, `kept` and `summed` are the others, each merged where neighbours lie together in memory.
struct Reduction {
  Axis kept[5], summed[3];
  int n_kept, n_summed;
  int64_t run, items;  // items = products of the kept sizes

  EDGECL_ALWAYS_INLINE explicit Reduction(const Axis (&axes)[5]) : n_kept(0), n_summed(0), run(1), items(1) {
    int last;
    run = common_run(axes, &last);
    for (int i = 0; i < 3; i++) summed[i] = {1, 0, 0};
    bool joins = false;  // the axis before was summed too
    for (int i = 0; i < last; i++) {
      if (axes[i].size == 1) continue;
      if (axes[i].stride_b != 0) {
        kept[n_kept++] = axes[i];
        items *= axes[i].size;
        joins = false;
      } else if (joins) {
        summed[n_summed - 1].size *= axes[i].size;
        summed[n_summed - 1].stride_a = axes[i].stride_a;
      } else {
        summed[n_summed++] = axes[i];
        joins = true;
      }
    }
    for (int i = 0; i < n_summed; i++) {  // to the inner loops
      const Axis moved = summed[n_summed - 1 - i];
      summed[n_summed - 1 - i] = {1, 0, 0};
      summed[2 - i] = moved;
    }
  }
  EDGECL_ALWAYS_INLINE void locate(int64_t item, int64_t* offset_a, int64_t* offset_b) const {
    *offset_a = *offset_b = 0;
    for (int i = n_kept - 1; i >= 0; i--) {
      const int64_t k = item % kept[i].size;
      item /= kept[i].size;
      *offset_a += k * kept[i].stride_a;
      *offset_b += k * kept[i].stride_b;
    }
  }
  // Offsets into a of the summed elements, in the order of the sum.
  template <class Visit>
  EDGECL_ALWAYS_INLINE void visit(Visit f) const {
    for (int64_t i = 0; i < summed[0].size; i++)
      for (int64_t j = 0; j < summed[1].size; j++) {
        const int64_t base = i * summed[0].stride_a + j * summed[1].stride_a;
        for (int64_t k = 0; k < summed[2].size; k++) f(base + k * summed[2].stride_a);
      }
  }
};

constexpr int kSideSums = 8;  // scalar chains that run side by side

// dy * x summed, x being the one vector of ones at `x` where `x_mask` is 0: a multiply-add by 1 has the bits of an
// addition.
template <int kCount>
EDGECL_INLINE void scalar_sums(const Reduction& r, int64_t item, const float* dy, const float* x, int64_t x_mask,
                               bool accumulate, float* db) {
  const float *from_dy[kCount], *from_x[kCount];
  int64_t to[kCount];
  float sum[kCount] = {};
  for (int n = 0; n < kCount; n++) {
    int64_t offset;
    r.locate(item + n, &offset, &to[n]);
    from_dy[n] = dy + offset;
    from_x[n] = x + (offset & x_mask);
  }
  r.visit([&](int64_t i) EDGECL_INLINE_LAMBDA {
    for (int n = 0; n < kCount; n++) sum[n] = sfma(from_dy[n][i], from_x[n][i & x_mask], sum[n]);
  });
  for (int n = 0; n < kCount; n++) db[to[n]] = accumulate ? db[to[n]] + sum[n] : sum[n];
}

EDGECL_INLINE void gradient_of_b(const BinaryBackwardArgs& a, const Reduction& r, int part, int n_parts) {
  float ones[kVec];
  vstore(ones, vset(1.0f));
  const int64_t x_mask = a.op == BinaryOp::kMul ? -1 : 0;
  const float *dy = a.dy.data, *x = x_mask ? a.a.data : ones;
  float* db = a.db;
  const bool accumulate = a.accumulate_b;
  int64_t begin, end;
  if (r.run == 1) {
    share(r.items, part, n_parts, &begin, &end);
    int64_t item = begin;
    for (; item + kSideSums <= end; item += kSideSums) scalar_sums<kSideSums>(r, item, dy, x, x_mask, accumulate, db);
    for (; item < end; item++) scalar_sums<1>(r, item, dy, x, x_mask, accumulate, db);
    return;
  }
  const int64_t chunks = (r.run + kVirtualLanes - 1) / kVirtualLanes;
  share(r.items * chunks, part, n_parts, &begin, &end);
  for (int64_t k = begin; k < end; k++) {
    int64_t offset_a, offset_b;
    r.locate(k / chunks, &offset_a, &offset_b);
    const int64_t first = k % chunks * kVirtualLanes,
                  last = first + kVirtualLanes < r.run ? first + kVirtualLanes : r.run;
    store_flat(db + offset_b, first, last, [&](int64_t i) EDGECL_INLINE_LAMBDA {
      vec sum = vzero();
      r.visit([&](int64_t s) EDGECL_INLINE_LAMBDA {
        const int64_t at = offset_a + s + i;
        sum = vfma(vload(dy + at), vload(x + (at & x_mask)), sum);
      });
      return accumulate ? vload(db + offset_b + i) + sum : sum;
    });
  }
}

}  // namespace

void binary_forward(const BinaryArgs& a, int part, int n_parts, void* scratch) {
  Axis axes[5];
  axes_of(a, a.a, axes);
  const bool clip = a.activation.kind == Activation::kClip;
  static const RunLoop kLoops[2][2] = {{forward_run<false, false>, forward_run<false, true>},
                                       {forward_run<true, false>, forward_run<true, true>}};
  for_planes(axes, a.a.data, a.b, static_cast<float*>(scratch), a.y.data, clip ? a.activation.lo : 0.0f,
             clip ? a.activation.hi : __builtin_inff(), part, n_parts,
             kLoops[a.op == BinaryOp::kMul][a.activation.kind != Activation::kNone]);
}

void binary_backward(const BinaryBackwardArgs& a, int part, int n_parts, void* scratch) {
  Axis axes[5];
  axes_of(a, a.dy, axes);
  const float* dy = a.dy.data;
  float *da = a.da.data, *row = static_cast<float*>(scratch);
  if (a.db) {
    const Reduction r(axes);
    gradient_of_b(a, r, part, n_parts);
  }
  if (!da) return;
  if (a.op == BinaryOp::kMul) {
    for_planes(axes, dy, a.b, row, da, 0.0f, 0.0f, part, n_parts,
               a.accumulate_a ? backward_run<true, true> : backward_run<true, false>);
    return;
  }
  // b plays no part, and the planes are one run.
  int64_t begin, end;
  share(axes[0].size * axes[1].size, part, n_parts, &begin, &end);
  const int64_t plane = axes[1].stride_a;
  const Run all = {dy + begin * plane, nullptr, 0, (end - begin) * plane, da + begin * plane, 0.0f, 0.0f};
  if (a.accumulate_a)
    backward_run<false, true>(all);
  else
    backward_run<false, false>(all);
}

}  // namespace edgecl::EDGECL_LEVEL
