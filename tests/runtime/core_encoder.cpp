// Taps of an encoder pass: each tensor's rows as an independent run of the ops up to it leaves them.
// Never here: what heads make of the rows.
#include <memory>

#include "runtime/api/api_objects.h"
#include "runtime/core/encoder.h"
#include "runtime/learn/session.h"
#include "tests/runtime/learn_fixture.h"

namespace {

using namespace edgecl_test;

}  // namespace

TEST(taps_hold_what_their_op_wrote) {
  for (const BundleSource& source : {residual_net(), all_kinds_net()}) {
    const Model model(source);
    const edgecl::Plan& plan = model.model->plan;
    edgecl::SessionConfig config = edgecl::default_config(plan);
    config.max_batch = 20;
    edgecl::Environment env;
    env.kernels = model.model->kernels;
    edgecl::Session session;
    edgecl::Arena measuring;
    edgecl::lay_out_session(&measuring, plan, *env.kernels, env, config, &session);
    AlignedBytes memory(measuring.used());
    edgecl::Arena arena(memory.data(), memory.size());
    edgecl::lay_out_session(&arena, plan, *env.kernels, env, config, &session);
    edgecl::reset_session(&session);
    const edgecl::Net net = session.predicting();

    for (const uint32_t rows : {3u, 16u, 20u}) {
      const auto write_input = [&] {
        const edgecl::Tensor x = edgecl::plan_tensor(net, 0, rows, edgecl::Mode::kPredict);
        for (int64_t i = 0; i < x.size(); i++) x.data[i] = static_cast<float>(i * 7919 % 1000) / 500.0f - 1.0f;
      };
      // All forward tensors at once, whole and pooled.
      std::vector<edgecl::Tap> taps;
      std::vector<std::unique_ptr<std::vector<float>>> values;
      for (uint32_t t = 0; t < plan.tensors.n; t++) {
        for (const bool pooled : {false, true}) {
          if (plan.tensors[t].flags != 0 || plan.tensors[t].dtype != edgecl::format::kElementF32) continue;
          values.push_back(std::make_unique<std::vector<float>>(rows * edgecl::tap_floats(plan, t, pooled)));
          taps.push_back({t, pooled, values.back()->data()});
        }
      }
      write_input();
      edgecl::encode(net, rows, edgecl::Mode::kPredict, 0, plan.ops.n, taps.data(), static_cast<uint32_t>(taps.size()));

      for (const edgecl::Tap& tap : taps) {
        write_input();
        uint32_t end = 0;
        while (tap.tensor != 0 && plan.ops[end].output != tap.tensor) end++;
        if (tap.tensor != 0) edgecl::forward_ops(net, rows, edgecl::Mode::kPredict, 0, end + 1);
        const edgecl::Tensor x = edgecl::plan_tensor(net, tap.tensor, rows, edgecl::Mode::kPredict);
        const float* found = tap.rows;
        for (uint32_t r = 0; r < rows; r++) {
          for (int32_t c = 0; c < x.channels; c++) {
            const int64_t positions = static_cast<int64_t>(x.height) * x.width;
            float sum = 0;
            for (int64_t i = 0; i < positions; i++) {
              const float expected = edgecl::tensor_element(x, r, c, i);
              sum += expected;
              if (!tap.pooled) CHECK(*found++ == expected);
            }
            if (tap.pooled) CHECK(*found++ == sum / static_cast<float>(positions));
          }
        }
      }
    }
  }
}

RUN_TESTS()
