// Builds, transposes and gathers the blocked sparse patterns that the sparse kernels walk.
// Never here: arithmetic on weights or activations, allocation, anything that depends on the instruction set.
#include "kernels/kernels.h"

namespace edgecl {

int32_t sparse_channel_block(int32_t channels, int32_t taps) {
  // Large enough that a row has a dozen entries of a block at one tenth density, small enough that the packed tile of a
  // block stays near the first-level cache: a tile holds about (1 + halo) cells per channel and tap row.
  int32_t target = taps <= 1 ? 256 : 144 / taps;
  if (target < 4) target = 4;
  if (channels <= target) return channels > 0 ? channels : 1;
  int32_t n_blocks = (channels + target - 1) / target;
  return (channels + n_blocks - 1) / n_blocks;  // blocks of nearly equal size
}

namespace {

// Turns per-unit counts, kept one place to the right, into cursors; `close` undoes the advance that filling made.
void counts_to_cursors(uint32_t* start, int64_t n_units) {
  for (int64_t u = 0; u < n_units; u++) start[u + 1] += start[u];
}
void cursors_to_starts(uint32_t* start, int64_t n_units) {
  for (int64_t u = n_units; u > 0; u--) start[u] = start[u - 1];
  start[0] = 0;
}

}  // namespace

void sparse_build(const uint32_t* flat, uint32_t nnz, int32_t rows, int32_t channels, int32_t taps, uint32_t* row_start,
                  uint16_t* index, uint32_t* order) {
  const uint32_t block = static_cast<uint32_t>(sparse_channel_block(channels, taps));
  const uint32_t n_blocks = (static_cast<uint32_t>(channels) + block - 1) / block;
  const int64_t n_units = static_cast<int64_t>(n_blocks) * rows;
  const uint32_t row_size = static_cast<uint32_t>(channels) * static_cast<uint32_t>(taps),
                 block_size = block * static_cast<uint32_t>(taps);
  for (int64_t u = 0; u <= n_units; u++) row_start[u] = 0;
  for (uint32_t k = 0; k < nnz; k++)
    row_start[static_cast<int64_t>(flat[k] % row_size / block_size) * rows + flat[k] / row_size + 1]++;
  counts_to_cursors(row_start, n_units);
  for (uint32_t k = 0; k < nnz; k++) {
    const uint32_t in_row = flat[k] % row_size;
    const uint32_t place = row_start[static_cast<int64_t>(in_row / block_size) * rows + flat[k] / row_size]++;
    index[place] = static_cast<uint16_t>(in_row % block_size);
    if (order) order[k] = place;
  }
  cursors_to_starts(row_start, n_units);
}

void sparse_transpose(const SparsePattern& forward, uint32_t* row_start, uint16_t* index, uint32_t* source) {
  const int32_t rows = forward.channels, taps = forward.taps;
  const int32_t block = sparse_channel_block(forward.rows, taps);
  const int64_t n_units = static_cast<int64_t>((forward.rows + block - 1) / block) * rows;
  for (int64_t u = 0; u <= n_units; u++) row_start[u] = 0;
  // index / taps without a division: exact for indices below 2^16 and up to kMaxTaps taps.
  const uint64_t inverse = (1ull << 32) / static_cast<uint32_t>(taps) + 1;
  // The forward order visits, for one input channel, output channels and taps ascending: a stable count sort is all
  // that is needed.
  for (int pass = 0; pass < 2; pass++) {
    for (int32_t b = 0; b < forward.n_blocks; b++)
      for (int32_t r = 0; r < forward.rows; r++) {
        const int64_t unit = static_cast<int64_t>(b) * forward.rows + r;
        uint32_t* start = row_start + static_cast<int64_t>(r / block) * rows + b * forward.channel_block;
        const uint32_t first = static_cast<uint32_t>(r % block * taps);
        for (uint32_t k = forward.row_start[unit]; k < forward.row_start[unit + 1]; k++) {
          const uint32_t channel = static_cast<uint32_t>(forward.index[k] * inverse >> 32);
          if (pass == 0) {
            start[channel + 1]++;
          } else {
            const uint32_t place = start[channel]++;
            index[place] = static_cast<uint16_t>(first + forward.index[k] - channel * static_cast<uint32_t>(taps));
            source[place] = k;
          }
        }
      }
    if (pass == 0) counts_to_cursors(row_start, n_units);
  }
  cursors_to_starts(row_start, n_units);
}

void sparse_gather(const float* value, const uint32_t* source, uint32_t nnz, float* out) {
  for (uint32_t k = 0; k < nnz; k++) out[k] = value[source[k]];
}

}  // namespace edgecl
