// Cases of input normalisation and of the two losses.
// Never here: other kernels.
#include "tests/kernels/shapes.h"

namespace edgecl::test {
namespace {

void input(Tests& tests, Rng& rng) {
  const bool vector = rng.chance(0.2);  // features rather than an image
  const int batch = random_batch(rng), channels = vector ? rng.range(1, 70) : rng.pick({1, 3, 4}),
            height = vector ? 1 : rng.range(1, 9), width = vector ? 1 : rng.range(1, 11);
  Case c(rng);
  InputArgs args = {};
  args.is_u8 = rng.chance(0.6);
  args.channels_last = rng.chance(0.4);
  args.y = c.output_shape(batch, channels, height, width);
  args.scale = args.is_u8 ? 1.0f / 255.0f : 1.0f;
  args.mean = c.floats(channels);
  args.inv_std = c.floats(channels, 0.5f, 5.0f);
  std::vector<const void*> rows;
  std::vector<int8_t> crop_y, crop_x;
  std::vector<uint8_t> flip;
  for (int r = 0; r < batch; r++) {
    const int pixels = channels * height * width;
    if (args.is_u8) {
      std::vector<uint8_t> image(static_cast<size_t>(pixels));
      for (uint8_t& v : image) v = static_cast<uint8_t>(rng.next());
      rows.push_back(c.copy(image));
    } else {
      rows.push_back(c.floats(pixels));
    }
    crop_y.push_back(static_cast<int8_t>(rng.range(-5, 5)));
    crop_x.push_back(static_cast<int8_t>(rng.range(-12, 12)));
    flip.push_back(rng.chance(0.5));
  }
  args.rows = c.copy(rows);
  if (rng.chance(0.6)) {
    args.crop_y = c.copy(crop_y);
    args.crop_x = c.copy(crop_x);
  }
  if (rng.chance(0.6)) args.flip = c.copy(flip);
  c.output(args.y);
  CHECK_KERNEL(tests, c, input_normalize, args,
               text("batch %d, %d channels, %dx%d, u8 %d, channels last %d, crop %d, flip %d", batch, channels, height,
                    width, args.is_u8, args.channels_last, args.crop_y != nullptr, args.flip != nullptr));
}

void losses(Tests& tests, Rng& rng) {
  const int batch = random_batch(rng), classes = rng.pick({1, 2, 5, 10, 17, 100});
  const int begin = rng.chance(0.5) ? 0 : rng.range(0, batch), end = rng.chance(0.5) ? batch : rng.range(begin, batch);
  const std::string name = text("rows %d..%d of %d, %d classes", begin, end, batch, classes);
  std::vector<uint8_t> allowed;
  std::vector<int32_t> open, labels;
  for (int k = 0; k < classes; k++) {
    allowed.push_back(rng.chance(0.7) || k == classes - 1);
    if (allowed.back()) open.push_back(k);
  }
  for (int r = 0; r < batch; r++)
    labels.push_back(open[static_cast<size_t>(rng.range(0, static_cast<int>(open.size()) - 1))]);
  const float weight = rng.pick({1.0f, 0.1f, 1.0f / 3.0f}), range = rng.pick({1.0f, 20.0f, 300.0f});
  {
    Case c(rng);
    CrossEntropyArgs args = {c.tensor(batch, classes, 1, 1),
                             c.output_shape(batch, classes, 1, 1),
                             c.copy(labels),
                             c.copy(allowed),
                             begin,
                             end,
                             weight,
                             nullptr};
    args.logits.data = c.floats(args.logits.size(), -range, range);
    c.output(args.dlogits);
    c.output(&args.loss_row, batch);
    CHECK_KERNEL(tests, c, cross_entropy, args, name);
  }
  {
    Case c(rng);
    std::vector<const float*> targets;
    for (int r = 0; r < batch; r++) targets.push_back(c.floats(classes));
    LogitsMseArgs args = {c.tensor(batch, classes, 1, 1),
                          c.output_shape(batch, classes, 1, 1),
                          c.copy(targets),
                          c.copy(allowed),
                          begin,
                          end,
                          weight,
                          nullptr};
    c.output(args.dlogits);
    c.output(&args.loss_row, batch);
    CHECK_KERNEL(tests, c, logits_mse, args, name);
  }
}

}  // namespace

void input_and_loss_cases(Tests& tests) {
  Rng rng(0x10);
  for (int i = 0; i < tests.repeats(300, 2000); i++) input(tests, rng);
  for (int i = 0; i < tests.repeats(300, 2000); i++) losses(tests, rng);
}

}  // namespace edgecl::test
