// The network of mlp() in double precision, and gradients by central differences: an oracle that shares no formula with
// the library.
// Never here: checks of one test file.
#ifndef EDGECL_TESTS_RUNTIME_LEARN_ORACLE_H_
#define EDGECL_TESTS_RUNTIME_LEARN_ORACLE_H_

#include <math.h>

#include <functional>

#include "tests/runtime/learn_fixture.h"

namespace edgecl_test {

struct Oracle {
  std::vector<std::vector<double>> params;  // w1 [features][hidden], b1, w2 [hidden][columns], b2

  explicit Oracle(const DecodedState& state) {
    CHECK(state.params.size() == 4);
    for (const DecodedState::Param& p : state.params) params.emplace_back(p.values.begin(), p.values.end());
  }

  std::vector<double> hidden(const float* x) const {
    std::vector<double> h(params[1]);
    for (uint32_t i = 0; i < kFeatures; i++) {
      for (uint32_t o = 0; o < kHidden; o++) h[o] += params[0][i * kHidden + o] * static_cast<double>(x[i]);
    }
    for (double& v : h) v = v > 0 ? v : 0;
    return h;
  }
  std::vector<double> logits(const float* x) const {
    const std::vector<double> h = hidden(x);
    std::vector<double> z(params[3]);
    for (uint32_t i = 0; i < kHidden; i++) {
      for (uint32_t c = 0; c < kColumns; c++) z[c] += params[2][i * kColumns + c] * h[i];
    }
    return z;
  }
  std::vector<double> cosines(const float* x, double scale) const {
    const std::vector<double> h = hidden(x);
    std::vector<double> z(kColumns);
    double hh = 0;
    for (const double v : h) hh += v * v;
    for (uint32_t c = 0; c < kColumns; c++) {
      double dot = 0, ww = 0;
      for (uint32_t i = 0; i < kHidden; i++) {
        const double w = params[2][i * kColumns + c];
        dot += w * h[i];
        ww += w * w;
      }
      z[c] = scale * dot / sqrt((ww + 1e-6) * (hh + 1e-6));
    }
    return z;
  }

  static double cross_entropy(const std::vector<double>& z, int32_t label, const std::vector<bool>& allowed) {
    double sum = 0;
    for (size_t c = 0; c < z.size(); c++) sum += allowed[c] ? exp(z[c]) : 0;
    return log(sum) - z[static_cast<size_t>(label)];
  }

  // d loss / d params, one number after the other.
  std::vector<std::vector<double>> gradient(const std::function<double(const Oracle&)>& loss) const {
    constexpr double kStep = 1e-6;
    std::vector<std::vector<double>> result;
    Oracle moved = *this;
    for (std::vector<double>& p : moved.params) {
      result.emplace_back();
      for (double& w : p) {
        const double before = w;
        w = before + kStep;
        const double above = loss(moved);
        w = before - kStep;
        const double below = loss(moved);
        w = before;
        result.back().push_back((above - below) / (2 * kStep));
      }
    }
    return result;
  }
};

inline void check_close(const char* what, double found, double expected, double tolerance) {
  CHECK_MESSAGE(fabs(found - expected) <= tolerance * (1 + fabs(expected)), "%s: %.9g, expected %.9g", what, found,
                expected);
}

inline const float* floats_of(const DecodedState::Exemplar& e) {
  return reinterpret_cast<const float*>(e.sample.data());
}

}  // namespace edgecl_test

#endif  // EDGECL_TESTS_RUNTIME_LEARN_ORACLE_H_
