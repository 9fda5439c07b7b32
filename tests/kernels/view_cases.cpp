// Cases of copied views and of boxes in a grid.
// Never here: concatenation along channels (pointwise_cases.cpp).
#include <utility>

#include "tests/kernels/shapes.h"

namespace edgecl::test {
namespace {

struct View {
  std::vector<int32_t> sizes_and_strides;
  int32_t offset;
  int elements;
};

// Any sizes and strides, moved so that they lie in a row of `in` elements: slices, transposes, repetitions, all at once.
View random_view(Rng& rng, int in) {
  View v = {std::vector<int32_t>(2 * kViewRank), 0, 1};
  int64_t first = 0, last = 0;
  const int axes = rng.range(1, kViewRank);
  for (int k = 0; k < kViewRank; k++) {
    int32_t &size = v.sizes_and_strides[static_cast<size_t>(k)],
            &stride = v.sizes_and_strides[static_cast<size_t>(kViewRank + k)];
    size = k < kViewRank - axes || rng.chance(0.2) ? 1 : rng.range(1, rng.chance(0.3) ? 20 : 4);
    stride = rng.pick({0, 1, 1, 2, 3, -1, -2, 5, 7, 12});
    const int64_t reach = static_cast<int64_t>(size - 1) * stride;
    if (last - first + (reach < 0 ? -reach : reach) >= in || v.elements * size > 3000) {
      size = 1;
      continue;
    }
    (reach < 0 ? first : last) += reach;
    v.elements *= size;
  }
  v.offset = static_cast<int32_t>(-first) + rng.range(0, in - 1 - static_cast<int>(last - first));
  return v;
}

// A permutation of three axes, of which neighbours may lie together.
View random_transpose(Rng& rng, int channels, int height, int width) {
  const int32_t size[3] = {channels, height, width}, stride[3] = {height * width, width, 1};
  static const int kOrders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
  View v = {std::vector<int32_t>(2 * kViewRank, 1), 0, channels * height * width};
  const int* order = kOrders[rng.range(0, 5)];
  for (int k = 0; k < 3; k++) {
    v.sizes_and_strides[static_cast<size_t>(kViewRank - 3 + k)] = size[order[k]];
    v.sizes_and_strides[static_cast<size_t>(2 * kViewRank - 3 + k)] = stride[order[k]];
  }
  return v;
}

// Channels and a map cut into patches, [channel][row][row in patch][column][column in patch], in any other order.
View random_patches(Rng& rng, int channels, int rows, int height, int columns, int width) {
  const int32_t size[5] = {channels, rows, height, columns, width};
  View v = {std::vector<int32_t>(2 * kViewRank, 1), 0, channels * rows * height * columns * width};
  int order[5] = {0, 1, 2, 3, 4};
  for (int k = 4; k > 0; k--) std::swap(order[k], order[rng.range(0, k)]);
  for (int k = 0; k < 5; k++) {
    int32_t stride = 1;
    for (int behind = order[k] + 1; behind < 5; behind++) stride *= size[behind];
    v.sizes_and_strides[static_cast<size_t>(kViewRank - 5 + k)] = size[order[k]];
    v.sizes_and_strides[static_cast<size_t>(2 * kViewRank - 5 + k)] = stride;
  }
  return v;
}

void strided(Tests& tests, Rng& rng) {
  const int batch = random_batch(rng);
  int channels = rng.range(1, 12), height = rng.range(1, 6), width = rng.range(1, 20);
  View v = random_view(rng, channels * height * width);
  if (rng.chance(0.3)) v = random_transpose(rng, channels, height, width);
  if (rng.chance(0.2)) {
    const int rows = rng.range(1, 3), high = rng.range(1, 3), columns = rng.range(1, 9), wide = rng.range(1, 3);
    channels = rng.range(1, 36);
    height = rows * high;
    width = columns * wide;
    v = random_patches(rng, channels, rows, high, columns, wide);
  }
  std::string name = text("batch %d, %d elements, view %d", batch, channels * height * width, v.offset);
  for (int32_t k : v.sizes_and_strides) name += text(" %d", k);
  Case forward(rng);
  StridedForwardArgs args = {forward.tensor(batch, channels, height, width),
                             forward.output_shape(batch, v.elements, 1, 1), forward.copy(v.sizes_and_strides),
                             v.offset};
  forward.output(args.y);
  CHECK_KERNEL(tests, forward, strided_forward, args, name);
  Case c(rng);
  StridedBackwardArgs back = {c.tensor(batch, v.elements, 1, 1), c.output_shape(batch, channels, height, width),
                              c.copy(v.sizes_and_strides), v.offset, rng.chance(0.3)};
  c.output(back.dx);
  CHECK_KERNEL(tests, c, strided_backward, back, name);
}

// Slabs of the grid along one axis, some of them smaller along the others.
void place(Tests& tests, Rng& rng) {
  const int batch = random_batch(rng), n = rng.range(1, kMaxInputs), axis = rng.range(0, kViewRank - 1);
  std::vector<int32_t> boxes(kViewRank, 1);
  for (int k = 0; k < kViewRank; k++) boxes[static_cast<size_t>(k)] = rng.chance(0.5) ? 1 : rng.range(1, 4);
  int32_t begin = 0;
  Case forward(rng), c(rng);
  PlaceForwardArgs args = {};
  PlaceBackwardArgs back = {};
  args.n_inputs = back.n_inputs = n;
  for (int i = 0; i < n; i++) {
    int elements = 1;
    std::vector<int32_t> at(2 * kViewRank);
    for (int k = 0; k < kViewRank; k++) {
      const int grid = boxes[static_cast<size_t>(k)];
      int32_t &first = at[static_cast<size_t>(k)], &size = at[static_cast<size_t>(kViewRank + k)];
      if (k == axis) {
        first = begin + rng.range(0, 2);
        size = rng.range(1, 3);
        begin = first + size;
      } else {
        size = rng.chance(0.6) ? grid : rng.range(1, grid);
        first = rng.range(0, grid - size);
      }
      elements *= size;
    }
    boxes.insert(boxes.end(), at.begin(), at.end());
    args.inputs[i] = forward.tensor(batch, elements, 1, 1);
    back.dinputs[i] = c.output_shape(batch, elements, 1, 1);
    back.accumulate[i] = rng.chance(0.3);
    if (rng.chance(0.8)) c.output(back.dinputs[i]);
  }
  boxes[static_cast<size_t>(axis)] = begin + rng.range(0, 2);
  int whole = 1;
  for (int k = 0; k < kViewRank; k++) whole *= boxes[static_cast<size_t>(k)];
  args.y = forward.output_shape(batch, whole, 1, 1);
  args.boxes = forward.copy(boxes);
  args.fill = rng.pick({0.0f, -1.5f});
  forward.output(args.y);
  back.dy = c.tensor(batch, whole, 1, 1);
  back.boxes = c.copy(boxes);
  const std::string name = text("batch %d, %d inputs along axis %d, grid of %d", batch, n, axis, whole);
  CHECK_KERNEL(tests, forward, place_forward, args, name);
  CHECK_KERNEL(tests, c, place_backward, back, name);
}

}  // namespace

void view_cases(Tests& tests) {
  Rng rng(0x71);
  for (int i = 0; i < tests.repeats(400, 4000); i++) strided(tests, rng);
  for (int i = 0; i < tests.repeats(150, 1500); i++) place(tests, rng);
}

}  // namespace edgecl::test
