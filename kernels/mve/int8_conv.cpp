// Convolution in int8 by products of 16 bytes that one instruction adds to a sum (VMLADAVA), for cores with the M-profile
// vector extension (Helium: Cortex-M52, M55, M85).
// Indices have 32 bits. Never here: depthwise windows.
//
// The 16 values of K that a channel multiplies lie as four words, one in each group of weights; a gathering load fetches
// them once for four positions, whose values lie side by side, 0 behind the last. They stay as they are stored: sums are
// corrected by the zero point times the sum of the weights, and the border holds the zero point.
#include "kernels/mve/tile.h"

namespace edgecl::mve {
namespace {

using dsp::Window;

constexpr int kStep = 16;    // bytes of a vector
constexpr int kChunk = 256;  // bytes of a window that are gathered together
constexpr int kBlockBytes = kInt8Channels * kInt8Group;

struct Tile {
  int8_t values[kChunk / kStep][kPositions][kStep];
  Sums sums;
};

void fill(int8_t* to, int32_t n, int8_t value) {
  for (int32_t i = 0; i < n; i += kStep) vst1q_s8(to + i, vdupq_n_s8(value));
}
void copy(int8_t* to, const int8_t* from, int32_t n) {
  for (int32_t i = 0; i < n; i += kStep) vst1q_s8(to + i, vld1q_s8(from + i));
}

int8x16_t next(const int8_t** x) {
  const int8x16_t values = vld1q_s8(*x);
  advance(x, kStep);
  return values;
}

int32_t at_least(int32_t value, int32_t least) {
  return value < least ? least : value;
}
int32_t at_most(int32_t value, int32_t most) {
  return value < most ? value : most;
}

// Values first .. first + n of a window, in the order of the weights. A run is what lies together: a tap, or without
// dilation a row of taps.
void gather(const Int8ConvArgs& a, const Window& at, int32_t first, int32_t n, int8_t* to) {
  const ConvShape& s = a.shape;
  const int32_t taps = s.dilation_w == 1 ? s.kernel_w : 1, run = taps * a.x.channels, runs = s.kernel_w / taps;
  const int8_t zero = static_cast<int8_t>(a.x.zero_point);
  int32_t r = first / run, from = first % run;
  for (int32_t left = n; left > 0; r++, from = 0) {
    const int32_t length = at_most(run - from, left);
    const int32_t h = at.top + r / runs * s.dilation_h, w = at.left + r % runs * s.dilation_w;
    // Of the run: the part that lies in the picture.
    const int32_t begin = at_most(at_least(-w * a.x.channels, from), from + length) - from;
    const int32_t end = at_least(at_most((a.x.width - w) * a.x.channels, from + length) - from, begin);
    if (h < 0 || h >= a.x.height || begin == end) {
      fill(to, length, zero);
    } else {
      const int8_t* const row = a.x.data + (at.row * a.x.height + h) * a.x.width * a.x.channels;
      fill(to, begin, zero);
      copy(to + begin, row + w * a.x.channels + from + begin, end - begin);
      fill(to + end, length - end, zero);
    }
    to += length;
    left -= length;
  }
}

// Puts n values of a position beside those of the others. They may lie in the picture as they are wanted.
void place(const Int8ConvArgs& a, const Window& at, bool in_place, int32_t first, int32_t n, int position, Tile* t) {
  int8_t copied[kChunk + kStep];  // copies run over their end
  if (!in_place) gather(a, at, first, n, copied);
  const int8_t* const from = in_place ? dsp::tap_of(a, at, 0, 0) + first : copied;
  for (int32_t k = 0; k < n; k += kStep) {
    vst1q_s8(t->values[k / kStep][position], vldrbq_z_s8(from + k, vctp8q(static_cast<uint32_t>(n - k))));
  }
}

// A block's weights times the values of so many steps, from 0 or from the sums on. `weight` is the block's at the first of
// the values.
template <bool kFromZero>
void add_products(const int8_t* weight, int32_t steps, Tile* t) {
  const uint32x4_t groups = vmulq_n_u32(vidupq_n_u32(0, 1), kBlockBytes);
  for (int channel = 0; channel < kInt8Channels; channel++) {
    const int8_t *w = weight + channel * kInt8Group, *x = t->values[0][0];
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    if (!kFromZero) {
      s0 = t->sums[0][channel], s1 = t->sums[1][channel], s2 = t->sums[2][channel], s3 = t->sums[3][channel];
    }
    for (int32_t k = 0; k < steps; k++) {
      const int8x16_t wk = vreinterpretq_s8_s32(vldrwq_gather_offset_s32(reinterpret_cast<const int32_t*>(w), groups));
      s0 = vmladavaq_s8(s0, next(&x), wk);
      s1 = vmladavaq_s8(s1, next(&x), wk);
      s2 = vmladavaq_s8(s2, next(&x), wk);
      s3 = vmladavaq_s8(s3, next(&x), wk);
      advance(&w, kStep / kInt8Group * kBlockBytes);
    }
    t->sums[0][channel] = s0, t->sums[1][channel] = s1, t->sums[2][channel] = s2, t->sums[3][channel] = s3;
  }
}

}  // namespace

void int8_conv(const Int8ConvArgs& a, int part, int n_parts, void*) {
  const ConvShape& s = a.shape;
  const int32_t k = s.kernel_h * s.kernel_w * a.x.channels, groups = (k + kInt8Group - 1) / kInt8Group;
  const bool in_place = s.kernel_h == 1 && s.kernel_w == 1 && s.pad_top == 0 && s.pad_left == 0 &&
                        (a.y.height - 1) * s.stride_h < a.x.height && (a.y.width - 1) * s.stride_w < a.x.width;
  const dsp::Positions positions = dsp::positions_of(a, part, n_parts);
  Tile t;
  for (int32_t p = positions.begin; p < positions.end; p += kPositions) {
    const Places places = places_of(a, p, positions.end);
    for (int32_t o = 0; o < a.y.channels; o += kInt8Channels) {
      for (int32_t first = 0; first < k; first += kChunk) {
        const int32_t n = at_most(k - first, kChunk), steps = (n + kStep - 1) / kStep;
        if (o == 0 || k > kChunk) {
          for (int i = 0; i < kPositions; i++) place(a, places.at[i], in_place, first, n, i, &t);
        }
        const int8_t* const weight = a.weight + o * groups * kInt8Group + first / kInt8Group * kBlockBytes;
        if (first == 0) {
          add_products<true>(weight, steps, &t);
        } else {
          add_products<false>(weight, steps, &t);
        }
      }
      finish(a, t.sums, p, places.rows, o, a.x.zero_point);
    }
  }
}

}  // namespace edgecl::mve
