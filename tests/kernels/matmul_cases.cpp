// Cases of products of two tensors: batches of matrices in any order of their axes, parts of tensors, shared factors, and
// their gradients.
// Never here: layers with weights (dense_cases.cpp).
#include <algorithm>

#include "tests/kernels/shapes.h"

namespace edgecl::test {
namespace {

// An operand: strides over the six axes, 0 where it has none, and the elements that they reach.
struct Operand {
  std::vector<int32_t> stride = std::vector<int32_t>(kMatmulAxes);
  int32_t offset = 0;
  int elements = 1;
};

// The axes that `has` names in random order, each either dense or with a gap; batch axes may be shared.
Operand random_operand(Rng& rng, const std::vector<int32_t>& size, const std::vector<int>& has, bool whole) {
  Operand o;
  std::vector<int> order = has;
  for (size_t i = order.size(); i > 1; i--)
    std::swap(order[i - 1], order[static_cast<size_t>(rng.range(0, static_cast<int>(i) - 1))]);
  if (rng.chance(0.5)) order = {has.rbegin(), has.rend()};  // the last one innermost
  int32_t next = 1;
  for (int axis : order) {
    if (!whole && axis < 3 && rng.chance(0.2)) continue;  // shared
    if (!whole && rng.chance(0.2)) next += rng.range(0, 3);
    o.stride[static_cast<size_t>(axis)] = next;
    next *= size[static_cast<size_t>(axis)];
  }
  o.offset = whole ? 0 : rng.pick({0, 0, 1, 5});
  int last = o.offset;
  for (size_t k = 0; k < size.size(); k++) last += (size[k] - 1) * o.stride[k];
  o.elements = last + 1 + (whole ? 0 : rng.pick({0, 0, 3}));
  return o;
}

void product(Tests& tests, Case& c, const std::string& name, int batch, const std::vector<int32_t>& size,
             const Operand& a, const Operand& b, const Operand& y, float scale, bool accumulate) {
  MatmulArgs args = {};
  args.a = c.tensor(batch, a.elements, 1, 1);
  args.b = c.tensor(batch, b.elements, 1, 1);
  args.y = c.output_shape(batch, y.elements, 1, 1);
  args.size = c.copy(size);
  args.a_stride = c.copy(a.stride);
  args.b_stride = c.copy(b.stride);
  args.y_stride = c.copy(y.stride);
  args.a_offset = a.offset;
  args.b_offset = b.offset;
  args.y_offset = y.offset;
  args.scale = scale;
  args.accumulate = accumulate;
  c.output(args.y);
  CHECK_KERNEL(tests, c, matmul, args, name);
}

void matmul(Tests& tests, Rng& rng, bool large) {
  const int batch = large ? 1 : random_batch(rng);
  std::vector<int32_t> size(kMatmulAxes, 1);
  for (size_t k = 0; k < 3; k++)
    if (rng.chance(0.4)) size[k] = rng.range(1, rng.chance(0.1) ? 40 : 3);
  for (size_t k = 3; k < 6; k++) size[k] = large ? rng.range(1, 150) : rng.pick({1, 2, 3, 4, 5, 7, 8, 9, 16, 17});
  if (!large && rng.chance(0.1)) {  // sums that are taken in turns
    for (size_t k = 0; k < 5; k++) size[k] = rng.range(1, k < 3 ? 2 : 5);
    size[static_cast<size_t>(rng.pick({3, 4, 5, 5}))] = rng.pick({63, 64, 65, 130, 257, 300});
  }
  while (size[0] * size[1] * size[2] * size[3] * size[4] * size[5] > 30000 && !large)
    size[static_cast<size_t>(rng.range(0, 5))] = 1;
  const Operand a = random_operand(rng, size, {0, 1, 2, 3, 5}, false),
                b = random_operand(rng, size, {0, 1, 2, 5, 4}, false),
                y = random_operand(rng, size, {0, 1, 2, 3, 4}, true);
  const float scale = rng.pick({1.0f, 0.125f, 0.3f});
  const bool accumulate = rng.chance(0.3);
  const std::string name = text("batch %d, %d x %d x %d of %d x %d x %d, scale %g", batch, size[0], size[1], size[2],
                                size[3], size[5], size[4], static_cast<double>(scale));
  Case forward(rng), left(rng), right(rng);
  product(tests, forward, name, batch, size, a, b, y, scale, accumulate);
  product(tests, left, name + ", gradient of the left", batch, size, y, b, a, scale, accumulate);
  product(tests, right, name + ", gradient of the right", batch, size, a, y, b, scale, accumulate);
}

}  // namespace

void matmul_cases(Tests& tests) {
  Rng rng(0x3a);
  for (int i = 0; i < tests.repeats(300, 3000); i++) matmul(tests, rng, false);
  for (int i = 0; i < tests.repeats(20, 200); i++) matmul(tests, rng, true);
}

}  // namespace edgecl::test
