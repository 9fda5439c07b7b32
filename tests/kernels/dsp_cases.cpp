// Cases of the kernels that firmware and 32-bit Arm Linux take in place of the scalar reference; with the instructions
// that they are for on 32-bit Arm alone.
// Never here: other levels.
#include "kernels/dsp/pairs.h"
#include "tests/kernels/int8_layers.h"

EDGECL_DECLARE_DOT_KERNELS(reference)

namespace edgecl::test {
namespace {

using Kernel = void (*)(const Int8ConvArgs&, int, int, void*);

// The same bytes as the reference, whatever the parts.
void compare(Tests& tests, Rng& rng, ConvProblem p, bool depthwise) {
  if (depthwise) p.out_channels = p.shape.groups = p.in_channels;
  Case c(rng);
  Int8ConvArgs args = int8_layer(c, p, depthwise, rng.chance(0.2));
  // By name: on 32-bit Arm the table has the other ones.
  const Kernel reference = depthwise ? reference::int8_depthwise : reference::int8_conv;
  const Kernel own = depthwise ? dsp::int8_depthwise : dsp::int8_conv;
  const size_t n = static_cast<size_t>(args.y.size());
  std::vector<int8_t> expected(n, 77), found(n + 1, 99);
  args.y.data = expected.data();
  reference(args, 0, 1, nullptr);
  args.y.data = found.data();
  const int parts = rng.range(1, 4);
  for (int part = parts; part-- > 0;) own(args, part, parts, nullptr);
  tests.expect(found[n] == 99 && std::equal(expected.begin(), expected.end(), found.begin()),
               text("%s of firmware: other bytes than the reference, %s", depthwise ? "int8_depthwise" : "int8_conv",
                    p.name().c_str()));
}

}  // namespace

void dsp_cases(Tests& tests) {
  Rng rng(0xd5);
  for (const ConvProblem& p : known_convs(false)) compare(tests, rng, p, false);
  compare(tests, rng, conv_problem(1, 300, 70, 1, 1, 1, 0), false);  // more values than one chunk
  compare(tests, rng, conv_problem(2, 1, 17, 10, 4, 2, 1), false);   // groups across taps
  for (int i = 0; i < tests.repeats(40, 1000); i++) {
    compare(tests, rng, random_conv(rng, 100000, false), false);
    compare(tests, rng, random_conv(rng, 100000, false), true);
  }
}

}  // namespace edgecl::test
