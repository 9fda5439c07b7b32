// Plans and scratch sizes over layers from ordinary to the edge of the legal: that they end, that few numbers of rows
// stand for all, that every level is known on every machine.
// Never here: kernels being run (their cases check that a kernel keeps to its scratch memory).
#include <string.h>

#include <algorithm>

#include "kernels/plan/conv_plan.h"
#include "tests/kernels/scratch_shapes.h"

namespace edgecl::test {
namespace {

const char* const kLevelNames[] = {"reference",      "x86-64-v1", "x86-64-v3", "x86-64-v4",
                                   "x86-64-v4-vnni", "neon",      "neon-dot"};

// Most rows with which every tensor stays below 2^31 floats, as sessions check, and at most what a session may have.
int most_rows(const ConvProblem& p) {
  const int64_t in = static_cast<int64_t>(p.in_channels) * p.height * p.width,
                out = static_cast<int64_t>(p.out_channels) * p.out_height * p.out_width;
  return static_cast<int>(std::min(((int64_t{1} << 31) - 1) / std::max(in, out), int64_t{3 * 65536}));
}

void row_counts(Tests& tests) {
  for (uint32_t most : {1u, 15u, 16u, 17u, 160u, 161u, 175u, 176u, 177u, 191u, 192u, 193u, 1000u, 4096u, 196608u}) {
    int n = 0;
    uint32_t last = 0;
    for (uint32_t rows = next_row_count(0, most); rows != 0 && n < 300; rows = next_row_count(rows, most), n++) {
      tests.expect(rows > last && rows <= most, text("row counts up to %u ascend: %u behind %u", most, rows, last));
      last = rows;
    }
    tests.expect(n < 250 && last == most, text("row counts up to %u are few and end with it (%d)", most, n));
  }
}

// What the few row counts say is enough for any other.
void few_stand_for_all(Tests& tests, Rng& rng, const LayerShape& l) {
  const int limit = most_rows(l.conv);
  if (limit < 1) return;
  const int most = std::min(limit, rng.chance(0.5) ? rng.range(1, 700) : rng.range(1, limit));
  for (const char* level : kLevelNames) {
    const ScratchTable& table = *scratch_table(level);
    uint64_t planned[64] = {};
    int n = 0;
    for (uint32_t rows = next_row_count(0, static_cast<uint32_t>(most)); rows != 0;
         rows = next_row_count(rows, static_cast<uint32_t>(most))) {
      n = 0;
      ask_scratch(table, l, static_cast<int>(rows), [&](const char*, uint64_t bytes) {
        planned[n] = std::max(planned[n], bytes);
        n++;
      });
    }
    for (int i = 0; i < 30; i++) {
      const int rows = i == 0 ? most : rng.chance(0.5) ? rng.range(std::max(1, most - 40), most) : rng.range(1, most);
      n = 0;
      ask_scratch(table, l, rows, [&](const char* kernel, uint64_t bytes) {
        tests.expect(bytes <= planned[n],
                     text("%s at %s, %s: %llu bytes for %d rows, planned %llu for up to %d", kernel, level,
                          l.conv.name().c_str(), static_cast<unsigned long long>(bytes), rows,
                          static_cast<unsigned long long>(planned[n]), most));
        n++;
      });
    }
  }
}

// A convolution's strip fits, or cannot be cut any further.
void strips_end(Tests& tests, const LayerShape& l) {
  for (int rows : {1, 20, 192, 1000, most_rows(l.conv)}) {
    if (rows < 1 || rows > most_rows(l.conv) || l.sparse) continue;
    ConvForwardArgs args = {};
    args.x = shape_of(rows, l.conv.in_channels, l.conv.height, l.conv.width);
    args.y = shape_of(rows, l.conv.out_channels, l.conv.out_height, l.conv.out_width);
    args.shape = l.conv.shape;
    for (const char* level : kLevelNames) {
      const VectorShape shape = scratch_table(level)->tiled;
      if (shape.floats == 1) continue;
      const plan::GemmPlan p = plan::plan_gemm(shape, plan::forward_gemm(args));
      const int64_t lanes = plan::row_class(args.x.lanes).high;
      const int64_t packed =
          p.channel_block * plan::pack_layout(p.h, p.w, p.strip_rows, p.strip_columns, lanes).channel;
      const bool ends = p.direct || p.flat || p.strip_columns == 1 || p.strip_columns * lanes <= 8 * shape.floats ||
                        packed <= 2 * (shape.floats == 4 ? 48 : 96) * 1024;
      tests.expect(ends && p.strip_rows >= 1 && p.strip_columns >= 1,
                   text("strips of %s, %d rows, at %s end with %d columns", l.conv.name().c_str(), rows, level,
                        p.strip_columns));
    }
  }
}

// Each phase that an input gradient runs is of a kind that was measured.
void phases_are_known(Tests& tests, Rng& rng) {
  const int kernel = rng.pick({1, 2, 3, 5, 7, 17, 32, 1024}), stride = rng.pick({1, 2, 3, 4, 6, 30, 65536}),
            dilation = rng.pick({1, 2, 3, 4, 40}), pad = rng.range(0, kernel - 1), in = rng.range(1, 90);
  const plan::PhaseKinds kinds = plan::phase_kinds(kernel, stride, dilation, pad, in);
  tests.expect(kinds.n >= 1 && kinds.n < plan::PhaseKinds::kMost, "few kinds of phases");
  for (int phase = 0; phase < stride && phase < in; phase++) {
    const plan::Axis axis = plan::gradient_axis(kernel, stride, dilation, pad, in, phase);
    bool known = false;
    for (int i = 0; i < kinds.n; i++) {
      const plan::Axis& kind = kinds.axis[i];
      known = known || (kind.count == axis.count && kind.out == axis.out && kind.delta == axis.delta &&
                        (axis.count != 1 || (kind.start == 0) == (axis.start == 0)));
    }
    tests.expect(known, text("phase %d of kernel %d stride %d dilation %d pad %d size %d is of a known kind", phase,
                             kernel, stride, dilation, pad, in));
  }
}

// A level that runs here has the shapes by which other machines know it.
void levels_are_known(Tests& tests) {
  const char* names[16];
  const int n = kernel_levels(names, 16);
  for (int i = 0; i < n; i++) {
    const KernelTable& own = *kernel_table(names[i]);
    const ScratchTable* table = scratch_table(names[i]);
    tests.expect(table == &own, text("%s is sized by what runs here", names[i]));
  }
  for (const char* level : kLevelNames)
    tests.expect(scratch_table(level) && strcmp(scratch_table(level)->level, level) == 0, text("%s is known", level));
  tests.expect(scratch_table("mmx") == nullptr && scratch_table("") == nullptr, "unknown levels give null");
}

}  // namespace

void plan_cases(Tests& tests) {
  levels_are_known(tests);
  row_counts(tests);
  Rng rng(0x91a5);
  for (int i = 0; i < tests.repeats(600, 20000); i++) {
    const LayerShape l = random_layer(rng);
    few_stand_for_all(tests, rng, l);
    strips_end(tests, l);
    phases_are_known(tests, rng);
  }
}

}  // namespace edgecl::test
