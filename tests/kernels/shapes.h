// Random convolution shapes and activations for the kernel tests.
// Never here: cases.
#ifndef EDGECL_TESTS_KERNELS_SHAPES_H_
#define EDGECL_TESTS_KERNELS_SHAPES_H_

#include "tests/kernels/harness.h"

namespace edgecl::test {

struct ConvProblem {
  int batch, in_channels, out_channels, height, width, out_height, out_width;
  ConvShape shape;

  std::string name() const {
    const ConvShape& s = shape;
    return text(
        "batch %d, %d->%d channels, %dx%d, kernel %dx%d, stride %d,%d, dilation %d,%d, pads %d,%d,%d,%d, groups %d",
        batch, in_channels, out_channels, height, width, s.kernel_h, s.kernel_w, s.stride_h, s.stride_w, s.dilation_h,
        s.dilation_w, s.pad_top, s.pad_left, s.pad_bottom, s.pad_right, s.groups);
  }
  int taps() const { return shape.kernel_h * shape.kernel_w; }
  int64_t multiplies() const {
    return static_cast<int64_t>(batch) * out_height * out_width * out_channels * (in_channels / shape.groups) * taps();
  }
  // Fills in the output size; false when there is no output.
  bool complete() {
    const ConvShape& s = shape;
    out_height = (height + s.pad_top + s.pad_bottom - s.dilation_h * (s.kernel_h - 1) - 1) / s.stride_h + 1;
    out_width = (width + s.pad_left + s.pad_right - s.dilation_w * (s.kernel_w - 1) - 1) / s.stride_w + 1;
    return height + s.pad_top + s.pad_bottom > s.dilation_h * (s.kernel_h - 1) &&
           width + s.pad_left + s.pad_right > s.dilation_w * (s.kernel_w - 1);
  }
};

inline ConvProblem conv_problem(int batch, int in, int out, int size, int kernel, int stride, int pad, int groups = 1,
                                int dilation = 1) {
  ConvProblem p = {batch, in, out, size,
                   size,  0,  0,   {kernel, kernel, stride, stride, dilation, dilation, pad, pad, pad, pad, groups}};
  p.complete();
  return p;
}

inline int random_batch(Rng& rng) {
  return rng.pick({1, 1, 2, 3, 7, 10, 16, 16, 17, 20, 32});
}

// A problem of at most `budget` multiplies. Pads are below the kernel's reach, as in every framework.
inline ConvProblem random_conv(Rng& rng, int64_t budget, bool with_groups) {
  for (;;) {
    ConvProblem p = {};
    p.batch = random_batch(rng);
    p.height = rng.pick({1, 2, 3, 4, 5, 7, 8, 9, 13, 16});
    p.width = rng.chance(0.5) ? p.height : rng.pick({1, 2, 3, 5, 8, 11, 17, 33});
    ConvShape& s = p.shape;
    s.kernel_h = rng.pick({1, 1, 2, 3, 3, 3, 5, 7});
    s.kernel_w = rng.chance(0.7) ? s.kernel_h : rng.pick({1, 2, 3, 5});
    s.stride_h = rng.pick({1, 1, 1, 2, 2, 3});
    s.stride_w = rng.chance(0.8) ? s.stride_h : rng.pick({1, 2, 4});
    s.dilation_h = rng.pick({1, 1, 1, 2, 3});
    s.dilation_w = rng.chance(0.8) ? s.dilation_h : 2;
    const int reach_h = s.dilation_h * (s.kernel_h - 1), reach_w = s.dilation_w * (s.kernel_w - 1);
    const bool even = rng.chance(0.6);
    s.pad_top = even ? reach_h / 2 : rng.range(0, reach_h);
    s.pad_left = even ? reach_w / 2 : rng.range(0, reach_w);
    s.pad_bottom = even ? s.pad_top : rng.range(0, reach_h);
    s.pad_right = even ? s.pad_left : rng.range(0, reach_w);
    s.groups = 1;
    if (with_groups && rng.chance(0.4)) {
      s.groups = rng.pick({2, 3, 4, 8, 17});
      p.in_channels = s.groups * (rng.chance(0.5) ? 1 : rng.range(1, 5));
      p.out_channels = s.groups * (rng.chance(0.5) ? 1 : rng.range(1, 5));
    } else {
      p.in_channels = rng.pick({1, 2, 3, 4, 5, 8, 13, 16, 17, 24, 40});
      p.out_channels = rng.pick({1, 2, 3, 4, 6, 8, 9, 16, 19, 32, 41});
    }
    if (p.complete() && p.multiplies() <= budget) return p;
  }
}

// Layers whose shapes are those of real networks, small enough for a test.
inline std::vector<ConvProblem> known_convs(bool with_groups) {
  std::vector<ConvProblem> all = {conv_problem(1, 3, 20, 32, 3, 1, 1),  conv_problem(16, 3, 8, 16, 3, 1, 1),
                                  conv_problem(10, 20, 20, 8, 3, 1, 1), conv_problem(32, 8, 16, 8, 3, 2, 1),
                                  conv_problem(16, 16, 32, 4, 1, 2, 0), conv_problem(3, 3, 8, 15, 7, 2, 3),
                                  conv_problem(16, 64, 64, 4, 3, 1, 1), conv_problem(1, 128, 64, 4, 3, 1, 1),
                                  conv_problem(1, 64, 128, 7, 1, 1, 0), conv_problem(17, 10, 12, 5, 3, 1, 2, 1, 2),
                                  conv_problem(32, 40, 33, 2, 1, 1, 0), conv_problem(2, 150, 10, 3, 3, 1, 1)};
  if (with_groups)
    for (int batch : {1, 3, 16, 32}) {
      all.push_back(conv_problem(batch, 24, 24, 9, 3, 1, 1, 24));
      all.push_back(conv_problem(batch, 20, 20, 8, 5, 2, 2, 20));
      all.push_back(conv_problem(batch, 8, 16, 7, 3, 1, 1, 8));
      all.push_back(conv_problem(batch, 12, 8, 6, 3, 1, 1, 4));
    }
  return all;
}

inline ActivationSpec random_fused_activation(Rng& rng) {
  switch (rng.range(0, 2)) {
    case 0:
      return {Activation::kNone, 0.0f, 0.0f};
    case 1:
      return {Activation::kRelu, 0.0f, 0.0f};
    default:
      return {Activation::kClip, rng.pick({0.0f, -0.5f}), rng.pick({0.75f, 6.0f})};
  }
}

}  // namespace edgecl::test

#endif  // EDGECL_TESTS_KERNELS_SHAPES_H_
