// Each method's loss and update against a plain double-precision computation on a small network.
// Never here: kernels by themselves, transactions.
#include <math.h>

#include "tests/runtime/learn_fixture.h"

namespace {

using namespace edgecl_test;

// The network of mlp() in double precision, with its gradients.
struct Reference {
  std::vector<double> w1, b1, w2, b2;  // [in][out]
  std::vector<double> g1, gb1, g2, gb2;

  explicit Reference(const DecodedState& state) {
    CHECK(state.params.size() == 4);
    const auto copy = [&](size_t i) {
      return std::vector<double>(state.params[i].values.begin(), state.params[i].values.end());
    };
    w1 = copy(0), b1 = copy(1), w2 = copy(2), b2 = copy(3);
    g1.resize(w1.size()), gb1.resize(b1.size()), g2.resize(w2.size()), gb2.resize(b2.size());
  }

  std::vector<double> hidden(const float* x) const {
    std::vector<double> h(b1);
    for (uint32_t i = 0; i < kFeatures; i++) {
      for (uint32_t o = 0; o < kHidden; o++) h[o] += w1[i * kHidden + o] * static_cast<double>(x[i]);
    }
    for (double& v : h) v = v > 0 ? v : 0;
    return h;
  }
  std::vector<double> logits(const std::vector<double>& h) const {
    std::vector<double> z(b2);
    for (uint32_t i = 0; i < kHidden; i++) {
      for (uint32_t o = 0; o < kColumns; o++) z[o] += w2[i * kColumns + o] * h[i];
    }
    return z;
  }
  void backward(const float* x, const std::vector<double>& dz) {
    const std::vector<double> h = hidden(x);
    for (uint32_t i = 0; i < kHidden; i++) {
      double dh = 0;
      for (uint32_t o = 0; o < kColumns; o++) {
        g2[i * kColumns + o] += h[i] * dz[o];
        dh += w2[i * kColumns + o] * dz[o];
      }
      if (h[i] <= 0) continue;
      gb1[i] += dh;
      for (uint32_t k = 0; k < kFeatures; k++) g1[k * kHidden + i] += static_cast<double>(x[k]) * dh;
    }
    for (uint32_t o = 0; o < kColumns; o++) gb2[o] += dz[o];
  }

  // weight * CE over the allowed classes; adds gradients.
  double cross_entropy(const float* x, int32_t label, const std::vector<bool>& allowed, double weight) {
    const std::vector<double> z = logits(hidden(x));
    double sum = 0;
    for (uint32_t c = 0; c < kColumns; c++) sum += allowed[c] ? exp(z[c]) : 0;
    std::vector<double> dz(kColumns);
    for (uint32_t c = 0; c < kColumns; c++) {
      if (allowed[c]) dz[c] = weight * (exp(z[c]) / sum - (static_cast<int32_t>(c) == label));
    }
    backward(x, dz);
    return weight * (log(sum) - z[static_cast<size_t>(label)]);
  }
  double squared_error(const float* x, const std::vector<float>& target, const std::vector<bool>& allowed,
                       double weight) {
    const std::vector<double> z = logits(hidden(x));
    std::vector<double> dz(kColumns);
    double sum = 0;
    for (uint32_t c = 0; c < kColumns; c++) {
      if (!allowed[c]) continue;
      const double d = z[c] - static_cast<double>(target[c]);
      sum += d * d;
      dz[c] = 2 * weight * d;
    }
    backward(x, dz);
    return weight * sum;
  }
};

struct Expected {
  double current = 0, replay = 0, logits = 0;
};

struct Rows {
  const Stream& stream;
  const DecodedState& before;
  std::vector<std::vector<uint32_t>> draws;  // slots
  std::vector<bool> present, batch;          // allowed classes
};

const float* exemplar(const Rows& rows, uint32_t slot) {
  return reinterpret_cast<const float*>(rows.before.replay[slot].sample.data());
}

Expected reference_loss(Reference* net, const edgecl_session_config& c, const Rows& rows) {
  Expected loss;
  const double n = static_cast<double>(rows.stream.labels.size());
  const std::vector<uint32_t> none;
  const std::vector<uint32_t>& first = !rows.draws.empty() ? rows.draws[0] : none;
  const std::vector<uint32_t>& second = rows.draws.size() > 1 ? rows.draws[1] : none;
  const double m1 = static_cast<double>(first.size()), m2 = static_cast<double>(second.size());
  const bool masked = c.class_mask || c.method == EDGECL_METHOD_ER_ACE;
  const double current_weight = c.method == EDGECL_METHOD_ER ? 1 / (n + m1) : 1 / n;
  for (size_t r = 0; r < rows.stream.labels.size(); r++) {
    loss.current += net->cross_entropy(&rows.stream.floats[r * kFeatures], rows.stream.labels[r],
                                       masked ? rows.batch : rows.present, current_weight);
  }
  double n_present = 0;
  for (bool p : rows.present) n_present += p;
  for (uint32_t slot : first) {
    const DecodedState::Exemplar& e = rows.before.replay[slot];
    if (c.method == EDGECL_METHOD_DERPP) {
      loss.logits += net->squared_error(exemplar(rows, slot), e.logits, rows.present,
                                        static_cast<double>(c.alpha) / (m1 * n_present));
    } else {
      loss.replay += net->cross_entropy(exemplar(rows, slot), e.label, rows.present,
                                        c.method == EDGECL_METHOD_ER ? 1 / (n + m1) : 1 / m1);
    }
  }
  for (uint32_t slot : second) {
    loss.replay += net->cross_entropy(exemplar(rows, slot), rows.before.replay[slot].label, rows.present,
                                      static_cast<double>(c.beta) / m2);
  }
  return loss;
}

void check_close(const char* what, double found, double expected, double tolerance) {
  CHECK_MESSAGE(fabs(found - expected) <= tolerance * (1 + fabs(expected)), "%s: %.9g, expected %.9g", what, found,
                expected);
}

void check_params(const std::vector<float>& found, const std::vector<double>& before,
                  const std::vector<double>& gradient, double lr) {
  for (size_t i = 0; i < before.size(); i++)
    check_close("weight", static_cast<double>(found[i]), before[i] - lr * gradient[i], 2e-6);
}

// Twelve steps, classes arriving two by two; every step is checked from the state before it.
void check_method(uint32_t method, uint32_t class_mask, uint32_t draws_when_filled) {
  const Model model(mlp());
  edgecl_session_config config = model.config();
  config.method = method;
  config.class_mask = class_mask;
  config.seed = 11;
  Session session(model, config);
  Stream stream(model.info, 21);
  for (uint32_t step = 0; step < 12; step++) {
    stream.next(4, step < 6 ? 0 : 2);
    const DecodedState before = decode(session);
    uint32_t slots[16];
    edgecl_learn_report report = {};
    report.struct_size = sizeof report;
    report.replay_slots = slots;
    report.replay_slots_capacity = 16;
    CHECK(session.learn(stream.data(), stream.labels, &report) == EDGECL_OK);

    const uint32_t fill = static_cast<uint32_t>(before.replay.size());
    const uint32_t per_draw = fill < config.replay_batch ? fill : config.replay_batch;
    CHECK(report.n_replayed == per_draw * draws_when_filled && report.step == step + 1);
    Rows rows = {stream, before, {}, std::vector<bool>(kColumns), std::vector<bool>(kColumns)};
    for (uint32_t d = 0; d < draws_when_filled && fill > 0; d++)
      rows.draws.push_back({slots + d * per_draw, slots + (d + 1) * per_draw});
    for (uint32_t label : before.labels_present) rows.present[label] = true;
    for (int32_t label : stream.labels)
      rows.present[static_cast<size_t>(label)] = rows.batch[static_cast<size_t>(label)] = true;

    Reference net(before);
    const Expected loss = reference_loss(&net, config, rows);
    check_close("loss_current", static_cast<double>(report.loss_current), loss.current, 1e-5);
    check_close("loss_replay", static_cast<double>(report.loss_replay), loss.replay, 1e-5);
    check_close("loss_logits", static_cast<double>(report.loss_logits), loss.logits, 1e-5);
    check_close("loss", static_cast<double>(report.loss), loss.current + loss.replay + loss.logits, 1e-5);

    const DecodedState after = decode(session);
    const double lr = static_cast<double>(config.learning_rate);
    check_params(after.params[0].values, net.w1, net.g1, lr);
    check_params(after.params[1].values, net.b1, net.gb1, lr);
    check_params(after.params[2].values, net.w2, net.g2, lr);
    check_params(after.params[3].values, net.b2, net.gb2, lr);
    CHECK(after.seen == before.seen + 4);
    // An exemplar that came in now carries the logits from before the update.
    for (const DecodedState::Exemplar& e : after.replay) {
      if (e.logits.empty()) continue;
      for (size_t r = 0; r < 4; r++) {
        if (memcmp(e.sample.data(), &stream.floats[r * kFeatures], e.sample.size()) != 0) continue;
        const std::vector<double> z = Reference(before).logits(Reference(before).hidden(&stream.floats[r * kFeatures]));
        for (uint32_t c = 0; c < kColumns; c++)
          check_close("stored logit", static_cast<double>(e.logits[c]), z[c], 1e-5);
      }
    }
    CHECK(after.replay.size() == (before.replay.size() + 4 < 8 ? before.replay.size() + 4 : 8));
  }
}

}  // namespace

TEST(finetune) {
  check_method(EDGECL_METHOD_FINETUNE, 0, 0);
}
TEST(finetune_with_class_mask) {
  check_method(EDGECL_METHOD_FINETUNE, 1, 0);
}
TEST(er) {
  check_method(EDGECL_METHOD_ER, 0, 1);
}
TEST(er_with_class_mask) {
  check_method(EDGECL_METHOD_ER, 1, 1);
}
TEST(er_ace) {
  check_method(EDGECL_METHOD_ER_ACE, 0, 1);
}
TEST(derpp) {
  check_method(EDGECL_METHOD_DERPP, 0, 2);
}
TEST(derpp_with_class_mask) {
  check_method(EDGECL_METHOD_DERPP, 1, 2);
}

// Terms of weight zero make no draw; DER++ with beta = 0 is DER.
TEST(derpp_terms_of_weight_zero) {
  const Model model(mlp());
  for (int which = 0; which < 3; which++) {
    edgecl_session_config config = model.config();
    config.method = EDGECL_METHOD_DERPP;
    if (which != 1) config.alpha = 0;
    if (which != 0) config.beta = 0;
    Session session(model, config);
    Stream stream(model.info, 3);
    edgecl_learn_report report = {};
    report.struct_size = sizeof report;
    for (int step = 0; step < 3; step++) {
      stream.next(4);
      CHECK(session.learn(stream.data(), stream.labels, &report) == EDGECL_OK);
    }
    CHECK(report.n_replayed == (which == 2 ? 0u : 3u));
    CHECK((report.loss_logits > 0) == (which == 1) && (report.loss_replay > 0) == (which == 0));
    CHECK((decode(session).logits_width > 0) == (which == 1));
  }
}

// PyTorch's momentum and weight decay: v = m v + g + d w; w -= lr v.
TEST(momentum_and_weight_decay) {
  const Model model(mlp());
  edgecl_session_config config = model.config();
  config.method = EDGECL_METHOD_FINETUNE;
  config.momentum = 0.9f;
  config.weight_decay = 0.01f;
  Session session(model, config);
  Stream stream(model.info, 5);
  for (int step = 0; step < 5; step++) {
    stream.next(4);
    const DecodedState before = decode(session);
    CHECK(session.learn(stream.data(), stream.labels) == EDGECL_OK);
    const DecodedState after = decode(session);
    Rows rows = {stream, before, {}, std::vector<bool>(kColumns), std::vector<bool>(kColumns)};
    for (uint32_t label : after.labels_present) rows.present[label] = true;
    Reference net(before);
    reference_loss(&net, config, rows);
    const std::vector<double>* gradients[] = {&net.g1, &net.gb1, &net.g2, &net.gb2};
    for (size_t p = 0; p < 4; p++) {
      for (size_t i = 0; i < gradients[p]->size(); i++) {
        const double w = static_cast<double>(before.params[p].values[i]);
        const double v = 0.9 * static_cast<double>(before.params[p].velocity[i]) + (*gradients[p])[i] + 0.01 * w;
        check_close("velocity", static_cast<double>(after.params[p].velocity[i]), v, 2e-6);
        check_close("weight", static_cast<double>(after.params[p].values[i]),
                    w - static_cast<double>(config.learning_rate) * v, 2e-6);
      }
    }
  }
}

// All rows of a step share one batch-norm pass; the loss falls on a stream that can be learned.
TEST(image_network_learns) {
  const Model model(image_net());
  for (uint32_t method : {EDGECL_METHOD_FINETUNE, EDGECL_METHOD_ER, EDGECL_METHOD_DERPP, EDGECL_METHOD_ER_ACE}) {
    edgecl_session_config config = model.config();
    config.method = method;
    config.max_batch = 8;
    Session session(model, config);
    Stream stream(model.info, 4);
    float first = 0, last = 0;
    for (int step = 0; step < 60; step++) {
      stream.next(8);
      for (size_t r = 0; r < 8; r++) {
        for (size_t e = 0; e < model.info.input_elements; e++) {
          uint8_t& b = stream.bytes[r * model.info.input_elements + e];
          b = static_cast<uint8_t>(b / 4 + (stream.labels[r] ? 128 : 0));
        }
      }
      edgecl_learn_report report = {};
      report.struct_size = sizeof report;
      CHECK(session.learn(stream.data(), stream.labels, &report) == EDGECL_OK);
      if (step == 0) first = report.loss_current;
      last = report.loss_current;
    }
    CHECK_MESSAGE(last < 0.5f * first, "method %u: loss %f -> %f", method, static_cast<double>(first),
                  static_cast<double>(last));
  }
}

RUN_TESTS()
