// Scalar reference of the sparse convolution and linear kernels: these loops are the arithmetic contract.
// Never here: vector code, blocking for speed, anything whose order of operations depends on the machine.
#include "kernels/reference/common.h"

namespace edgecl::reference {
namespace {

// A cell of a tensor, or +0 outside of the image.
float cell(const Tensor& t, int64_t g, int64_t c, int64_t h, int64_t w, int64_t l) {
  if (h < 0 || h >= t.height || w < 0 || w >= t.width) return 0.0f;
  return t.data[offset_of(t, g, c, h, w, l)];
}

// Reduces `term(acc, g, flat)` over the planes of one output channel in blocks of `block_chunks` chunks of 16 floats.
template <class Term>
float reduce_planes(const Tensor& dy, int block_chunks, Term term) {
  const int64_t plane = dy.plane(), plane_chunks = (plane + 15) / 16, n_chunks = plane_chunks * dy.groups;
  float sum = 0.0f;
  for (int64_t first = 0; first < n_chunks; first += block_chunks) {
    float lanes[16] = {};
    for (int64_t q = first; q < n_chunks && q < first + block_chunks; q++) {
      const int64_t g = q / plane_chunks, begin = q % plane_chunks * 16;
      for (int i = 0; i < 16 && begin + i < plane; i++) lanes[i] = term(lanes[i], g, begin + i);
    }
    const float block = tree(lanes);
    sum = first == 0 ? block : sum + block;
  }
  return sum;
}

// The place in dY's plane of the f-th float in the order of sparse_gradient_tiles.
int64_t float_of_tiles(const Tensor& dy, int64_t f) {
  constexpr int64_t kSide = kSparseGradientTile, kPositions = kSide * kSide;
  const int64_t across = dy.width / kSide, tile = f / (kPositions * dy.lanes);
  int64_t position = f % (kPositions * dy.lanes) / 16, lane = f % 16;
  if (position >= kPositions) {  // a row's four positions together, four lanes each
    position = (position - kPositions) * kSide + lane / 4;
    lane = 16 + lane % 4;
  }
  const int64_t h = tile / across * kSide + position / kSide, w = tile % across * kSide + position % kSide;
  return (h * dy.width + w) * dy.lanes + lane;
}

}  // namespace

void sparse_conv_forward(const SparseConvForwardArgs& a, int part, int n_parts, void*) {
  const SparsePattern& p = a.pattern;
  const Share s = share_of(static_cast<int64_t>(a.y.groups) * p.rows, part, n_parts);
  for (int64_t u = s.begin; u < s.end; u++) {
    const int64_t g = u / p.rows, o = u % p.rows;
    float* y = a.y.data + u * a.y.plane();
    for (int64_t f = 0; f < a.y.plane(); f++) {
      const int64_t l = f % a.y.lanes, ow = f / a.y.lanes % a.y.width, oh = f / a.y.lanes / a.y.width;
      float acc = a.bias ? a.bias[o] : 0.0f;
      for (int64_t b = 0; b < p.n_blocks; b++)
        for (uint32_t k = p.row_start[b * p.rows + o]; k < p.row_start[b * p.rows + o + 1]; k++) {
          const int64_t c = b * p.channel_block + p.index[k] / p.taps, tap = p.index[k] % p.taps;
          const int64_t h = oh * a.shape.stride_h - a.shape.pad_top + tap / a.shape.kernel_w * a.shape.dilation_h;
          const int64_t w = ow * a.shape.stride_w - a.shape.pad_left + tap % a.shape.kernel_w * a.shape.dilation_w;
          acc = fused(a.value[k], cell(a.x, g, c, h, w, l), acc);
        }
      y[f] = activate(a.activation, acc);
    }
  }
}

// A tap whose output row or column would lie between two strides takes no part in the chain; one beyond the border
// does, with +0.
void sparse_conv_backward_data(const SparseConvBackwardDataArgs& a, int part, int n_parts, void*) {
  const SparsePattern& p = a.transposed;
  const Share s = share_of(static_cast<int64_t>(a.dx.groups) * p.rows, part, n_parts);
  for (int64_t u = s.begin; u < s.end; u++) {
    const int64_t g = u / p.rows, c = u % p.rows;
    float* dx = a.dx.data + u * a.dx.plane();
    for (int64_t f = 0; f < a.dx.plane(); f++) {
      const int64_t l = f % a.dx.lanes, iw = f / a.dx.lanes % a.dx.width, ih = f / a.dx.lanes / a.dx.width;
      float acc = 0.0f;
      for (int64_t b = 0; b < p.n_blocks; b++)
        for (uint32_t k = p.row_start[b * p.rows + c]; k < p.row_start[b * p.rows + c + 1]; k++) {
          const int64_t o = b * p.channel_block + p.index[k] / p.taps, tap = p.index[k] % p.taps;
          const int64_t h = ih + a.shape.pad_top - tap / a.shape.kernel_w * a.shape.dilation_h;
          const int64_t w = iw + a.shape.pad_left - tap % a.shape.kernel_w * a.shape.dilation_w;
          if (h % a.shape.stride_h != 0 || w % a.shape.stride_w != 0) continue;
          acc = fused(a.value[k], cell(a.dy, g, o, h / a.shape.stride_h, w / a.shape.stride_w, l), acc);
        }
      dx[f] = a.accumulate ? dx[f] + acc : acc;
    }
  }
}

void sparse_conv_backward_weight(const SparseConvBackwardWeightArgs& a, int part, int n_parts, void*) {
  const SparsePattern& p = a.pattern;
  const Share s = share_of(p.rows, part, n_parts);
  const int64_t plane = a.dy.plane(), lanes = a.dy.lanes, width = a.dy.width;
  const bool tiles = sparse_gradient_tiles(a.dy);
  const int chunks = tiles ? a.dy.lanes : kSparseGradientChunks;
  for (int64_t o = s.begin; o < s.end; o++) {
    const float* dy = a.dy.data + o * plane;
    const int64_t group = a.dy.channels * plane;
    for (int64_t b = 0; b < p.n_blocks; b++)
      for (uint32_t k = p.row_start[b * p.rows + o]; k < p.row_start[b * p.rows + o + 1]; k++) {
        if (a.selected && !a.selected[k]) {
          a.dvalue[k] = 0.0f;
          continue;
        }
        const int64_t c = b * p.channel_block + p.index[k] / p.taps, tap = p.index[k] % p.taps;
        const int64_t h0 = tap / a.shape.kernel_w * a.shape.dilation_h - a.shape.pad_top;
        const int64_t w0 = tap % a.shape.kernel_w * a.shape.dilation_w - a.shape.pad_left;
        a.dvalue[k] = reduce_planes(a.dy, chunks, [&](float acc, int64_t g, int64_t place) {
          const int64_t f = tiles ? float_of_tiles(a.dy, place) : place;
          const int64_t h = f / lanes / width * a.shape.stride_h + h0, w = f / lanes % width * a.shape.stride_w + w0;
          return fused(dy[g * group + f], cell(a.x, g, c, h, w, f % lanes), acc);
        });
      }
    if (a.dbias)
      a.dbias[o] = reduce_planes(a.dy, kGradientChunks,
                                 [&](float acc, int64_t g, int64_t f) { return acc + dy[g * group + f]; });
  }
}

void sparse_linear_forward(const SparseLinearForwardArgs& a, int part, int n_parts, void*) {
  const SparsePattern& p = a.pattern;
  const Share s = share_of(static_cast<int64_t>(a.y.groups) * p.rows, part, n_parts);
  for (int64_t u = s.begin; u < s.end; u++) {
    const int64_t g = u / p.rows, o = u % p.rows;
    for (int64_t l = 0; l < a.y.lanes; l++) {
      float acc = a.bias ? a.bias[o] : 0.0f;
      for (int64_t b = 0; b < p.n_blocks; b++)
        for (uint32_t k = p.row_start[b * p.rows + o]; k < p.row_start[b * p.rows + o + 1]; k++)
          acc = fused(a.value[k], cell(a.x, g, b * p.channel_block + p.index[k], 0, 0, l), acc);
      a.y.data[u * a.y.lanes + l] = activate(a.activation, acc);
    }
  }
}

void sparse_linear_backward_data(const SparseLinearBackwardDataArgs& a, int part, int n_parts, void*) {
  const SparsePattern& p = a.transposed;
  const Share s = share_of(static_cast<int64_t>(a.dx.groups) * p.rows, part, n_parts);
  for (int64_t u = s.begin; u < s.end; u++) {
    const int64_t g = u / p.rows, c = u % p.rows;
    for (int64_t l = 0; l < a.dx.lanes; l++) {
      float acc = 0.0f;
      for (int64_t b = 0; b < p.n_blocks; b++)
        for (uint32_t k = p.row_start[b * p.rows + c]; k < p.row_start[b * p.rows + c + 1]; k++)
          acc = fused(a.value[k], cell(a.dy, g, b * p.channel_block + p.index[k], 0, 0, l), acc);
      float* dx = a.dx.data + u * a.dx.lanes + l;
      *dx = a.accumulate ? *dx + acc : acc;
    }
  }
}

void sparse_linear_backward_weight(const SparseLinearBackwardWeightArgs& a, int part, int n_parts, void*) {
  const SparsePattern& p = a.pattern;
  const Share s = share_of(p.rows, part, n_parts);
  for (int64_t o = s.begin; o < s.end; o++) {
    for (int64_t b = 0; b < p.n_blocks; b++)
      for (uint32_t k = p.row_start[b * p.rows + o]; k < p.row_start[b * p.rows + o + 1]; k++) {
        const int64_t c = b * p.channel_block + p.index[k];
        a.dvalue[k] = a.selected && !a.selected[k]
                          ? 0.0f
                          : reduce_planes(a.dy, kSparseGradientChunks, [&](float acc, int64_t g, int64_t l) {
                              return fused(cell(a.dy, g, o, 0, 0, l), cell(a.x, g, c, 0, 0, l), acc);
                            });
      }
    if (a.dbias)
      a.dbias[o] = reduce_planes(a.dy, kSparseGradientChunks,
                                 [&](float acc, int64_t g, int64_t l) { return acc + cell(a.dy, g, o, 0, 0, l); });
  }
}

}  // namespace edgecl::reference
