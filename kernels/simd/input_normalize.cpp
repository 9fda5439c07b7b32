// Raw images to normalised activations, with crop and flip per row. Rows that are taken as they lie go through
// registers, a square of rows and columns at a time; the others cell by cell, those of uint8 through a table of the 256
// possible results of a channel, which are the same three rounded steps.
// Never here: the choice of crops and flips (the caller's random generator makes it).
// Built for size (-Os): a few per cent of a step at most.
#include "kernels/plan/streamed_plan.h"
#include "kernels/simd/pointwise.h"
#include "kernels/simd/transpose.h"

namespace edgecl::EDGECL_LEVEL {
namespace {

constexpr int kTable = kInputTable;
constexpr int64_t kAhead = 64;  // raw numbers of a row that are asked for ahead: more rows than a CPU follows by itself

EDGECL_INLINE float normalised(const InputArgs& a, int64_t c, float raw) {
  const float scaled = raw * a.scale;
  const float centred = scaled - a.mean[c];
  return centred * a.inv_std[c];
}

// Columns of one output row that lie inside the image are [begin, end); output column w is read from source + w * step.
struct Span {
  int64_t begin, end, source, step;
};

EDGECL_INLINE Span span_of(const InputArgs& a, int64_t row, int64_t c, int64_t h) {
  const int64_t height = a.y.height, width = a.y.width;
  const int64_t y = h + (a.crop_y ? a.crop_y[row] : 0), dx = a.crop_x ? a.crop_x[row] : 0;
  if (y < 0 || y >= height) return {0, 0, 0, 0};
  const int64_t pixel = a.channels_last ? a.y.channels : 1;
  const int64_t origin = a.channels_last ? y * width * pixel + c : (c * height + y) * width;
  // Inside where 0 <= w' + dx < width, w' = w or width - 1 - w.
  const int64_t first = dx < 0 ? (-dx < width ? -dx : width) : 0, last = dx > 0 ? (dx < width ? width - dx : 0) : width;
  if (a.flip && a.flip[row]) return {width - last, width - first, origin + (width - 1 + dx) * pixel, -pixel};
  return {first, last, origin + dx * pixel, pixel};
}

// One output row of one batch row: `out` is its lane, neighbouring columns are `lanes` floats apart.
template <class Value>
EDGECL_INLINE void fill_lane(float* out, int64_t width, int64_t lanes, const Span& s, float outside, Value value) {
  for (int64_t w = 0; w < s.begin; w++) out[w * lanes] = outside;
  for (int64_t w = s.begin; w < s.end; w++) out[w * lanes] = value(s.source + w * s.step);
  for (int64_t w = s.end; w < width; w++) out[w * lanes] = outside;
}

// Whether output plane positions are the raw ones: nothing is cropped or flipped, and channels lie as in the output.
bool as_they_lie(const InputArgs& a) {
  const bool same_order = !a.channels_last || a.y.channels == 1 || a.y.height * a.y.width == 1;
  return same_order && !a.crop_y && !a.crop_x && !a.flip;
}

EDGECL_INLINE vec load_raw(const float* raw) {
  return vload(raw);
}
EDGECL_INLINE vec load_raw(const uint8_t* raw) {
  return vload_u8(raw);
}

// Positions [p, p + kVec) of all rows of group g.
template <class Raw>
EDGECL_INLINE void fill_columns(const InputArgs& a, int64_t g, int64_t p) {
  const int64_t plane = static_cast<int64_t>(a.y.height) * a.y.width, lanes = a.y.lanes;
  vec mean, factor;
  if (plane == 1) {
    mean = vload(a.mean + p);
    factor = vload(a.inv_std + p);
  } else if (p / plane == (p + kVec - 1) / plane) {
    mean = vset(a.mean[p / plane]);
    factor = vset(a.inv_std[p / plane]);
  } else {
    for (int i = 0; i < kVec; i++) {
      mean[i] = a.mean[(p + i) / plane];
      factor[i] = a.inv_std[(p + i) / plane];
    }
  }
  const vec scale = vset(a.scale);
  const Raw* const* rows = reinterpret_cast<const Raw* const*>(a.rows) + g * lanes;
  float* out = a.y.data + (g * a.y.channels * plane + p) * lanes;
  if (p % kAhead == 0)
    for (int64_t l = 0; l < lanes; l++) __builtin_prefetch(rows[l] + p + kAhead);
  for (int64_t l = 0; l < lanes; l += kVec) {
    const int count = static_cast<int>(lanes - l < kVec ? lanes - l : kVec);
    vec t[kVec];
    EDGECL_UNROLL
    for (int i = 0; i < kVec; i++) t[i] = (load_raw(rows[l + (i < count ? i : 0)] + p) * scale - mean) * factor;
    transpose_registers(t);
    if (count == kVec) {
      EDGECL_UNROLL
      for (int i = 0; i < kVec; i++) vstore(out + i * lanes + l, t[i]);
    } else if (count == 4) {  // a batch of 20 ends so
      EDGECL_UNROLL
      for (int i = 0; i < kVec; i++) memcpy(out + i * lanes + l, &t[i], 16);
    } else {
      for (int i = 0; i < kVec; i++) vstore_n(out + i * lanes + l, t[i], count);
    }
  }
}

// Positions from p on, fewer than kVec: cell by cell, since nothing behind a row may be read (rows are the caller's own
// memory).
template <class Raw>
EDGECL_INLINE void fill_last_columns(const InputArgs& a, int64_t g, int64_t p, int64_t columns) {
  const int64_t plane = static_cast<int64_t>(a.y.height) * a.y.width, lanes = a.y.lanes;
  const Raw* const* rows = reinterpret_cast<const Raw* const*>(a.rows) + g * lanes;
  float* out = a.y.data + (g * a.y.channels * plane + p) * lanes;
  for (; p < columns; p++)
    for (int64_t l = 0; l < lanes; l++) *out++ = normalised(a, p / plane, static_cast<float>(rows[l][p]));
}

// Positions [p, end) of the only row, of one place each: a vector of numbers as it lies.
template <class Raw>
EDGECL_INLINE void fill_vector(const InputArgs& a, int64_t p, int64_t end) {
  const Raw* raw = static_cast<const Raw*>(a.rows[0]);
  float* out = a.y.data;
  const vec scale = vset(a.scale);
  for (; p + kVec <= end; p += kVec)
    vstore(out + p, (load_raw(raw + p) * scale - vload(a.mean + p)) * vload(a.inv_std + p));
  for (; p < end; p++) out[p] = normalised(a, p, static_cast<float>(raw[p]));
}

// Positions [p, end) of the only row, channel by channel.
template <class Raw>
EDGECL_INLINE void fill_planes(const InputArgs& a, int64_t p, int64_t end) {
  const Raw* raw = static_cast<const Raw*>(a.rows[0]);
  float* out = a.y.data;
  const int64_t plane = static_cast<int64_t>(a.y.height) * a.y.width;
  const vec scale = vset(a.scale);
  for (int64_t c = p / plane; p < end; c++) {
    const int64_t stop = (c + 1) * plane < end ? (c + 1) * plane : end;
    const vec mean = vset(a.mean[c]), factor = vset(a.inv_std[c]);
    for (; p + kVec <= stop; p += kVec) vstore(out + p, (load_raw(raw + p) * scale - mean) * factor);
    for (; p < stop; p++) out[p] = normalised(a, c, static_cast<float>(raw[p]));
  }
}

template <class Raw>
void fill_rows(const InputArgs& a, int part, int n_parts) {
  const int64_t columns = static_cast<int64_t>(a.y.channels) * a.y.height * a.y.width;
  const int64_t blocks = (columns + kVec - 1) / kVec;
  int64_t begin, end;
  share(a.y.groups * blocks, part, n_parts, &begin, &end);
  if (begin == end) return;
  if (a.y.lanes * a.y.groups == 1) {
    const int64_t last = columns < end * kVec ? columns : end * kVec;
    if (a.y.height * a.y.width == 1) return fill_vector<Raw>(a, begin * kVec, last);
    return fill_planes<Raw>(a, begin * kVec, last);
  }
  int64_t g = begin / blocks, p = begin % blocks * kVec;  // divided once: a division costs as much as a block
  for (; begin < end; begin++, p += kVec) {
    if (p >= columns) {
      p = 0;
      g++;
    }
    if (columns - p >= kVec)
      fill_columns<Raw>(a, g, p);
    else
      fill_last_columns<Raw>(a, g, p, columns);
  }
}

}  // namespace

void input_normalize(const InputArgs& a, int part, int n_parts, void* scratch) {
  const int64_t lanes = a.y.lanes, width = a.y.width, height = a.y.height;
  float* table = static_cast<float*>(scratch);
  int64_t begin, end;
  if (as_they_lie(a)) {
    if (a.is_u8)
      fill_rows<uint8_t>(a, part, n_parts);
    else
      fill_rows<float>(a, part, n_parts);
    return;
  }
  share(static_cast<int64_t>(a.y.groups) * a.y.channels, part, n_parts, &begin, &end);
  for (int64_t gc = begin; gc < end; gc++) {
    const int64_t g = gc / a.y.channels, c = gc % a.y.channels;
    const float outside = normalised(a, c, 0.0f);
    if (a.is_u8)
      for (int i = 0; i < kTable; i++) table[i] = normalised(a, c, static_cast<float>(i));
    for (int64_t h = 0; h < height; h++)
      for (int64_t l = 0; l < lanes; l++) {
        const int64_t row = g * lanes + l;
        const Span span = span_of(a, row, c, h);
        float* out = a.y.data + (gc * height + h) * width * lanes + l;
        if (a.is_u8) {
          const uint8_t* raw = static_cast<const uint8_t*>(a.rows[row]);
          fill_lane(out, width, lanes, span, outside, [&](int64_t i) EDGECL_INLINE_LAMBDA { return table[raw[i]]; });
        } else {
          const float* raw = static_cast<const float*>(a.rows[row]);
          fill_lane(out, width, lanes, span, outside,
                    [&](int64_t i) EDGECL_INLINE_LAMBDA { return normalised(a, c, raw[i]); });
        }
      }
  }
}

}  // namespace edgecl::EDGECL_LEVEL
