// Raw images to normalised activations, with crop and flip per row: scalar reference.
// Never here: the choice of crops and flips (the caller's random generator makes it).
#include "kernels/reference/common.h"

namespace edgecl::reference {
namespace {

float raw_value(const InputArgs& a, int64_t row, int64_t c, int64_t h, int64_t w) {
  const int64_t height = a.y.height, width = a.y.width;
  if (a.flip && a.flip[row]) w = width - 1 - w;
  if (a.crop_y) h += a.crop_y[row];
  if (a.crop_x) w += a.crop_x[row];
  if (h < 0 || h >= height || w < 0 || w >= width) return 0.0f;
  const int64_t i = a.channels_last ? (h * width + w) * a.y.channels + c : (c * height + h) * width + w;
  return a.is_u8 ? static_cast<float>(static_cast<const uint8_t*>(a.rows[row])[i])
                 : static_cast<const float*>(a.rows[row])[i];
}

}  // namespace

void input_normalize(const InputArgs& a, int part, int n_parts, void*) {
  const Share planes = share_of(static_cast<int64_t>(a.y.groups) * a.y.channels, part, n_parts);
  for (int64_t gc = planes.begin; gc < planes.end; gc++) {
    const int64_t g = gc / a.y.channels, c = gc % a.y.channels;
    for (int64_t h = 0; h < a.y.height; h++)
      for (int64_t w = 0; w < a.y.width; w++)
        for (int64_t l = 0; l < a.y.lanes; l++) {
          const float scaled = raw_value(a, g * a.y.lanes + l, c, h, w) * a.scale;
          const float centred = scaled - a.mean[c];
          a.y.data[offset_of(a.y, g, c, h, w, l)] = centred * a.inv_std[c];
        }
  }
}

}  // namespace edgecl::reference
