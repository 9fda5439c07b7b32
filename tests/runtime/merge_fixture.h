// Devices that learn rows of named classes, and what their statistics say, class by class.
// Never here: checks of one test file.
#ifndef EDGECL_TESTS_RUNTIME_MERGE_FIXTURE_H_
#define EDGECL_TESTS_RUNTIME_MERGE_FIXTURE_H_

#include <map>
#include <string>

#include "tests/runtime/learn_fixture.h"
#include "tests/runtime/state_forging.h"

namespace edgecl_test {

using Bytes = std::vector<uint8_t>;
const uint32_t kMergeHeads[] = {EDGECL_HEAD_NCM,   EDGECL_HEAD_NCM_DISTANCE, EDGECL_HEAD_LDA,
                                EDGECL_HEAD_RIDGE, EDGECL_HEAD_HD,           EDGECL_HEAD_FECAM};
constexpr uint32_t kMergeHeadCount = sizeof kMergeHeads / sizeof kMergeHeads[0];
constexpr uint32_t kMergeBits = 128;  // of codes
const char* const kClassNames[kColumns] = {"ant", "bee", "cat", "dog"};

inline edgecl_session_config merging(const Model& model, uint32_t head, uint32_t merges = 6, uint32_t bank = 64) {
  edgecl_session_config config = model.config();
  config.head = head;
  config.head_bank = bank;
  config.head_merges = merges;
  config.hd_bits = kMergeBits;
  return config;
}

// Rows of a stream; `names` of their classes.
struct NamedRows {
  NamedRows(const Model& model, uint32_t n) {
    Stream stream(model.info, 11);
    stream.next(n, 0, kColumns);
    samples = stream.floats;
    classes = stream.labels;
    elements = model.info.input_elements;
  }
  const float* row(uint32_t r) const { return samples.data() + r * elements; }
  const char* name(uint32_t r) const { return kClassNames[classes[r]]; }
  uint32_t size() const { return static_cast<uint32_t>(classes.size()); }

  std::vector<float> samples;
  std::vector<int32_t> classes;
  uint64_t elements = 0;
};

inline int32_t label_of(const Session& session, const char* name, bool add = false) {
  int32_t label = -1;
  if (edgecl_class_find(session.session, name, &label) != EDGECL_OK && add)
    CHECK(edgecl_class_add(session.session, name, &label) == EDGECL_OK);
  return label;
}

inline edgecl_status learn_row(Session* session, const NamedRows& rows, uint32_t r) {
  return session->learn(rows.row(r), {label_of(*session, rows.name(r), true)});
}
inline edgecl_status unlearn_row(Session* session, const NamedRows& rows, uint32_t r) {
  const edgecl_batch batch = session->batch(rows.row(r), 1);
  const int32_t label = label_of(*session, rows.name(r));
  return edgecl_unlearn(session->session, &batch, &label);
}

inline edgecl_status import(Session* session, const Bytes& state) {
  return edgecl_state_import(session->session, state.data(), state.size());
}

inline Bytes message_of(const Session& session, uint32_t which = EDGECL_DELTA_OWN) {
  size_t n = 0, written = 0;
  CHECK_MESSAGE(edgecl_delta_size(session.session, which, &n) == EDGECL_OK, "%s",
                edgecl_session_error(session.session));
  Bytes bytes(n);
  CHECK(edgecl_delta_export(session.session, which, bytes.data(), n, &written) == EDGECL_OK && written == n);
  return bytes;
}

inline edgecl_merge_report fresh_report() {
  edgecl_merge_report report = {};
  report.struct_size = sizeof report;
  return report;
}
inline edgecl_status merge(Session* session, const Bytes& message, edgecl_merge_report* report = nullptr) {
  return edgecl_merge(session->session, message.data(), message.size(), report);
}

inline edgecl_device_info device_of(const Session& session, uint32_t index) {
  edgecl_device_info info = {};
  info.struct_size = sizeof info;
  CHECK(edgecl_device_describe(session.session, index, &info) == EDGECL_OK);
  return info;
}

inline edgecl_class_info class_of(const Session& session, int32_t label) {
  edgecl_class_info info = {};
  info.struct_size = sizeof info;
  CHECK(edgecl_class_describe(session.session, label, &info) == EDGECL_OK);
  return info;
}

// Section HEAD by names of classes in place of columns, without the bank.
struct Sums {
  explicit Sums(const Session& session) {
    Bytes state = session.state();
    const uint8_t* at = state.data() + section_at(&state, 8);
    uint32_t head[4];
    memcpy(head, at, sizeof head);
    at += sizeof head;
    const uint32_t kind = session.config().head, triangle = head[0] * (head[0] + 1) / 2 * 8;
    const uint32_t of_one = kind == EDGECL_HEAD_HD      ? 24 + head[3] * 4
                            : kind == EDGECL_HEAD_FECAM ? 32 + head[0] * 8 + triangle
                                                        : 32 + head[0] * 8;
    for (uint32_t k = 0; k < head[2]; k++) {
      uint64_t label;
      memcpy(&label, at, sizeof label);
      of_class[class_of(session, static_cast<int32_t>(label)).name] = Bytes(at + 8, at + of_one);
      at += of_one;
    }
    if (kind == EDGECL_HEAD_LDA || kind == EDGECL_HEAD_RIDGE) moments = Bytes(at, at + triangle);
  }
  bool operator==(const Sums& other) const { return of_class == other.of_class && moments == other.moments; }
  std::map<std::string, Bytes> of_class;
  Bytes moments;
};

// Scores of all rows by the class's name.
inline std::map<std::string, std::vector<float>> scores(Session* session, const NamedRows& rows) {
  std::vector<float> out(rows.size() * kColumns);
  const edgecl_batch batch = session->batch(rows.samples.data(), rows.size());
  CHECK_MESSAGE(edgecl_logits(session->session, &batch, out.data(), out.size()) == EDGECL_OK, "%s",
                edgecl_session_error(session->session));
  std::map<std::string, std::vector<float>> found;
  for (int32_t label = 0; label < static_cast<int32_t>(kColumns); label++) {
    if (class_of(*session, label).present == 0) continue;
    std::vector<float>& of = found[class_of(*session, label).name];
    for (uint32_t r = 0; r < rows.size(); r++) of.push_back(out[r * kColumns + static_cast<uint32_t>(label)]);
  }
  return found;
}

}  // namespace edgecl_test

#endif  // EDGECL_TESTS_RUNTIME_MERGE_FIXTURE_H_
