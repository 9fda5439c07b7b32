// Messages that are refused leave the session as it was: damaged, forged, of other bundles and heads, beyond the room.
// Never here: what merging does (learn_merge.cpp).
#include "tests/runtime/merge_fixture.h"

namespace {

using namespace edgecl_test;

constexpr size_t kContents = 128;                // behind header and one entry of the table
constexpr size_t kPart = kContents + 24;         // head, dim, scale, kind of labels, list
constexpr size_t kFirstClass = kPart + 24;       // device, version, list
constexpr size_t kCounts = kFirstClass + 4 + 3;  // a name of three letters
size_t class_bytes(uint32_t head) {
  const size_t triangle = head == EDGECL_HEAD_FECAM ? kHidden * (kHidden + 1) / 2 * 8 : 0;
  return 4 + 3 + 24 + (head == EDGECL_HEAD_HD ? kMergeBits * 4 : kHidden * 8) + triangle;
}

struct Pair {
  Pair(const Model& model, const NamedRows& rows, uint32_t head)
      : here(model, merging(model, head)), there(model, merging(model, head)) {
    CHECK(edgecl_device_set(here.session, 1, 0) == EDGECL_OK && edgecl_device_set(there.session, 2, 0) == EDGECL_OK);
    for (uint32_t row = 0; row < 16; row++) CHECK(learn_row(row % 4 == 3 ? &here : &there, rows, row) == EDGECL_OK);
    message = message_of(there);
    before = here.digest();
  }
  // Refused with this code and a sentence that holds `saying`; nothing changed.
  void refused(const Bytes& bytes, edgecl_status expected, const char* saying) {
    edgecl_merge_report report = fresh_report();
    report.n_new = 77;
    const edgecl_status status = merge(&here, bytes, &report);
    CHECK_MESSAGE(status == expected, "%s", edgecl_status_name(status));
    CHECK_MESSAGE(strstr(edgecl_session_error(here.session), saying) != nullptr, "%s",
                  edgecl_session_error(here.session));
    CHECK(here.digest() == before && report.n_new == 77);
  }
  void forged(size_t at, uint64_t value, size_t n, edgecl_status expected, const char* saying) {
    Bytes bytes = message;
    memcpy(bytes.data() + at, &value, n);
    seal(&bytes);
    refused(bytes, expected, saying);
  }
  Session here, there;
  Bytes message;
  std::string before;
};

}  // namespace

TEST(damaged_messages) {
  const Model model(mlp());
  const NamedRows rows(model, 24);
  for (const uint32_t head : kMergeHeads) {
    Pair pair(model, rows, head);
    const Bytes state = pair.here.state();
    for (size_t n = 1; n < pair.message.size(); n += n < 200 ? 1 : 37)
      pair.refused(Bytes(pair.message.begin(), pair.message.begin() + static_cast<long>(n)), EDGECL_E_STATE_CORRUPT,
                   "expected");
    for (size_t at = 0; at < pair.message.size(); at += at < 200 ? 1 : 11) {
      Bytes bytes = pair.message;
      bytes[at] ^= 0x40;
      const edgecl_status status = merge(&pair.here, bytes);
      CHECK(status == EDGECL_E_STATE_CORRUPT || status == EDGECL_E_STATE_MISMATCH);
      CHECK(pair.here.digest() == pair.before);
      seal(&bytes);  // any word may stand there now
      if (merge(&pair.here, bytes) == EDGECL_OK) CHECK(import(&pair.here, state) == EDGECL_OK);
      CHECK_MESSAGE(pair.here.digest() == pair.before, "head %u, byte %zu", head, at);
    }
    Bytes longer = pair.message;
    longer.push_back(0);
    pair.refused(longer, EDGECL_E_STATE_CORRUPT, "length");
    pair.refused(pair.there.state(), EDGECL_E_STATE_CORRUPT, "a state");
    CHECK(import(&pair.here, pair.message) == EDGECL_E_STATE_CORRUPT && pair.here.digest() == pair.before);
  }
}

TEST(forged_messages) {
  const Model model(mlp());
  const NamedRows rows(model, 24);
  for (const uint32_t head : kMergeHeads) {
    Pair pair(model, rows, head);
    pair.forged(kContents, 0, 4, EDGECL_E_STATE_CORRUPT, "statistics");
    pair.forged(kContents, 99, 4, EDGECL_E_STATE_CORRUPT, "statistics");
    pair.forged(kContents, head == EDGECL_HEAD_NCM ? EDGECL_HEAD_LDA : EDGECL_HEAD_NCM, 4, EDGECL_E_STATE_MISMATCH,
                "head");
    if (head == EDGECL_HEAD_HD) {
      pair.forged(kContents + 4, 64, 4, EDGECL_E_STATE_MISMATCH, "hd_bits");
      pair.forged(kCounts + 8, 1, 8, EDGECL_E_STATE_CORRUPT, "squares");
    } else {
      pair.forged(kContents + 4, 9, 4, EDGECL_E_STATE_CORRUPT, "features");
    }
    pair.forged(kContents + 8, 0x43000000, 4, EDGECL_E_STATE_MISMATCH, "feature_range");
    pair.forged(kContents + 12, 9, 4, EDGECL_E_STATE_CORRUPT, "labels");
    pair.forged(kContents + 16, 2, 4, EDGECL_E_STATE_CORRUPT, "truncated");
    pair.forged(kContents + 16, 0, 4, EDGECL_E_STATE_CORRUPT, "size");
    pair.forged(kPart, 0, 8, EDGECL_E_STATE_CORRUPT, "devices");
    pair.forged(kPart, 1, 8, EDGECL_E_STATE_MISMATCH, "newer of this device");
    pair.forged(kPart + 8, 0, 8, EDGECL_E_STATE_CORRUPT, "version");
    pair.forged(kPart + 16, 0xffffffff, 4, EDGECL_E_STATE_CORRUPT, "truncated");
    pair.forged(kFirstClass, 0, 4, EDGECL_E_STATE_CORRUPT, "");
    pair.forged(kFirstClass, 64, 4, EDGECL_E_STATE_CORRUPT, "");
    pair.forged(kFirstClass + 4, 0xff, 1, EDGECL_E_STATE_CORRUPT, "name");
    pair.forged(kFirstClass + 5, 0, 1, EDGECL_E_STATE_CORRUPT, "name");
    for (const uint64_t n : {0ull, ~0ull, 1ull << 40}) pair.forged(kCounts, n, 8, EDGECL_E_STATE_CORRUPT, "count");
    pair.forged(kCounts, 1 << 29, 8, EDGECL_E_CAPACITY, "rows");
    Bytes twice = pair.message;
    memcpy(twice.data() + kFirstClass, twice.data() + kFirstClass + class_bytes(head), 7);
    seal(&twice);
    pair.refused(twice, EDGECL_E_STATE_CORRUPT, "twice");
  }
}

TEST(two_devices_of_one_number) {
  const Model model(mlp());
  const NamedRows rows(model, 24);
  for (const uint32_t head : kMergeHeads) {
    Pair pair(model, rows, head);
    Session twin(model, merging(model, head));
    CHECK(edgecl_device_set(twin.session, 2, 0) == EDGECL_OK);
    for (uint32_t row = 4; row < 16; row++) CHECK(learn_row(&twin, rows, row) == EDGECL_OK);
    CHECK(merge(&pair.here, pair.message) == EDGECL_OK &&
          device_of(twin, 0).version == device_of(pair.there, 0).version);
    pair.before = pair.here.digest();
    pair.refused(message_of(twin), EDGECL_E_STATE_MISMATCH, "one number");
    // Also where only the second moments tell.
    Bytes other = pair.message;
    other[other.size() - 40] ^= 1;
    seal(&other);
    pair.refused(other, EDGECL_E_STATE_MISMATCH, "one number");
    // This device went on from an older state.
    const Bytes older = pair.there.state();
    CHECK(learn_row(&pair.there, rows, 20) == EDGECL_OK && merge(&pair.here, message_of(pair.there)) == EDGECL_OK);
    CHECK(import(&pair.there, older) == EDGECL_OK);
    const std::string restored = pair.there.digest();
    CHECK(merge(&pair.there, message_of(pair.here, EDGECL_DELTA_ALL)) == EDGECL_E_STATE_MISMATCH);
    CHECK(pair.there.digest() == restored);
    CHECK(edgecl_device_set(pair.there.session, 3, 0) == EDGECL_OK);
    CHECK(merge(&pair.there, message_of(pair.here, EDGECL_DELTA_ALL)) == EDGECL_OK);
    CHECK(Sums(pair.there) == Sums(pair.here));
  }
}

TEST(no_more_than_fits) {
  const Model model(mlp());
  const NamedRows rows(model, 24);
  for (const uint32_t head : kMergeHeads) {
    Session full(model, merging(model, head, 1));
    for (uint64_t number = 2; number < 4; number++) {
      Session other(model, merging(model, head, 1));
      CHECK(edgecl_device_set(other.session, number, 0) == EDGECL_OK && learn_row(&other, rows, 0) == EDGECL_OK);
      const std::string before = full.digest();
      const edgecl_status status = merge(&full, message_of(other));
      CHECK(status == (number == 2 ? EDGECL_OK : EDGECL_E_CAPACITY));
      CHECK(number == 2 || (full.digest() == before && strstr(edgecl_session_error(full.session), "head_merges")));
    }
    // Classes: two fit, the message has four; labels issued on trial are as if they had never been.
    edgecl_session_config narrow = merging(model, head);
    narrow.max_classes = 2;
    Session few(model, narrow), many(model, merging(model, head));
    CHECK(edgecl_device_set(many.session, 2, 0) == EDGECL_OK);
    for (uint32_t row = 0; row < 24; row++) CHECK(learn_row(&many, rows, row) == EDGECL_OK);
    label_of(few, "eel", true);
    label_of(few, "fox", true);
    CHECK(edgecl_class_forget(few.session, 0) == EDGECL_OK);
    const std::string before = few.digest();
    CHECK(merge(&few, message_of(many)) == EDGECL_E_CAPACITY && few.digest() == before);
    CHECK(strstr(edgecl_session_error(few.session), "max_classes") != nullptr);
    CHECK(label_of(few, "ant", true) == 0);
  }
}

TEST(what_cannot_be_merged) {
  const Model model(mlp()), other(mlp(0.5f));
  const NamedRows rows(model, 24);
  Pair pair(model, rows, EDGECL_HEAD_LDA);
  Session elsewhere(other, merging(other, EDGECL_HEAD_LDA));
  CHECK(edgecl_device_set(elsewhere.session, 2, 0) == EDGECL_OK && learn_row(&elsewhere, rows, 0) == EDGECL_OK);
  pair.refused(message_of(elsewhere), EDGECL_E_STATE_MISMATCH, "another bundle");
  Session ridge(model, merging(model, EDGECL_HEAD_RIDGE));
  CHECK(edgecl_device_set(ridge.session, 2, 0) == EDGECL_OK && learn_row(&ridge, rows, 0) == EDGECL_OK);
  pair.refused(message_of(ridge), EDGECL_E_STATE_MISMATCH, "ridge");
  edgecl_session_config wide = merging(model, EDGECL_HEAD_LDA);
  wide.feature_range = 32;
  Session range(model, wide);
  CHECK(edgecl_device_set(range.session, 2, 0) == EDGECL_OK && learn_row(&range, rows, 0) == EDGECL_OK);
  pair.refused(message_of(range), EDGECL_E_STATE_MISMATCH, "feature_range");
  // A range of 1 has the same steps with and without roots.
  edgecl_session_config plain = merging(model, EDGECL_HEAD_FECAM);
  plain.feature_range = 1;
  edgecl_session_config rooted = plain;
  rooted.feature_root = 1;
  Session of_features(model, plain), of_roots(model, rooted);
  for (Session* one : {&of_features, &of_roots})
    CHECK(edgecl_device_set(one->session, 2, 0) == EDGECL_OK && learn_row(one, rows, 0) == EDGECL_OK);
  CHECK(merge(&of_features, message_of(of_roots)) == EDGECL_E_STATE_MISMATCH);
  CHECK(strstr(edgecl_session_error(of_features.session), "feature_root") != nullptr);
  CHECK(edgecl_label_kind_set(pair.here.session, EDGECL_LABELS_INTEGER) == EDGECL_OK);
  pair.before = pair.here.digest();
  CHECK(edgecl_label_kind_set(pair.there.session, EDGECL_LABELS_TEXT) == EDGECL_OK);
  pair.refused(message_of(pair.there), EDGECL_E_STATE_MISMATCH, "numbers");
  CHECK(edgecl_label_kind_set(pair.there.session, EDGECL_LABELS_REAL) == EDGECL_OK);
  CHECK(merge(&pair.here, message_of(pair.there)) == EDGECL_OK);
  uint32_t kind = 0;
  CHECK(edgecl_label_kind_get(pair.here.session, &kind) == EDGECL_OK && kind == EDGECL_LABELS_REAL);

  Session gradient(model, model.config()), alone(model, merging(model, EDGECL_HEAD_LDA, 0));
  size_t bytes = 0;
  CHECK(merge(&gradient, pair.message) == EDGECL_E_UNSUPPORTED);
  CHECK(strstr(edgecl_session_error(gradient.session), "not averaged") != nullptr);
  CHECK(edgecl_device_set(gradient.session, 1, 0) == EDGECL_E_UNSUPPORTED);
  CHECK(edgecl_delta_size(gradient.session, EDGECL_DELTA_OWN, &bytes) == EDGECL_E_UNSUPPORTED);
  CHECK(edgecl_unmerge(gradient.session, 2) == EDGECL_E_UNSUPPORTED);
  edgecl_device_info info = {};
  info.struct_size = sizeof info;
  CHECK(edgecl_device_describe(gradient.session, 0, &info) == EDGECL_E_UNSUPPORTED);
  CHECK(edgecl_device_describe(alone.session, 1, &info) == EDGECL_E_NOT_FOUND);
  CHECK(edgecl_device_describe(alone.session, 0, nullptr) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_delta_size(alone.session, EDGECL_DELTA_OWN, &bytes) == EDGECL_E_SEQUENCE);
  CHECK(edgecl_device_set(alone.session, 0, 0) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_device_set(alone.session, 4, 0) == EDGECL_OK);
  CHECK(edgecl_delta_size(alone.session, 2, &bytes) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_delta_size(alone.session, EDGECL_DELTA_ALL, nullptr) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_delta_size(alone.session, EDGECL_DELTA_ALL, &bytes) == EDGECL_OK && bytes > 0);
  std::vector<uint8_t> room(bytes);
  CHECK(edgecl_delta_export(alone.session, EDGECL_DELTA_ALL, room.data(), bytes - 1, &bytes) == EDGECL_E_SHAPE);
  CHECK(edgecl_delta_export(alone.session, EDGECL_DELTA_ALL, nullptr, bytes, &bytes) == EDGECL_E_ARGUMENT);
  // It sends, and takes nothing.
  CHECK(merge(&alone, pair.message) == EDGECL_E_UNSUPPORTED);
  CHECK(edgecl_merge(pair.here.session, nullptr, 3, nullptr) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_merge(nullptr, room.data(), room.size(), nullptr) == EDGECL_E_ARGUMENT);
}

// Sections HEAD and DEVICES must go together.
TEST(a_forged_state_with_devices_changes_nothing) {
  const Model model(mlp());
  const NamedRows rows(model, 24);
  for (const uint32_t head : kMergeHeads) {
    Pair pair(model, rows, head);
    CHECK(merge(&pair.here, pair.message) == EDGECL_OK);
    const std::string before = pair.here.digest();
    const Bytes state = pair.here.state();
    Bytes copy = state;
    const uint32_t n_sections = word<uint32_t>(&copy, 48);
    const size_t devices = section_at(&copy, n_sections), part = devices + 32, first = part + 24;
    struct Forgery {
      size_t at, bytes;
      uint64_t value;
    };
    for (const Forgery& forgery : std::vector<Forgery>{{devices, 8, 0},
                                                       {devices, 8, 2},
                                                       {devices + 24, 4, 2},
                                                       {devices + 24, 4, 0},
                                                       {part, 8, 0},
                                                       {part, 8, 1},
                                                       {part + 8, 8, 0},
                                                       {part + 16, 4, 77},
                                                       {first, 4, 99},
                                                       {first + 4, 8, 0},
                                                       {first + 4, 8, 1000}}) {
      Bytes forged = state;
      memcpy(forged.data() + forgery.at, &forgery.value, forgery.bytes);
      seal(&forged);
      CHECK_MESSAGE(import(&pair.here, forged) == EDGECL_E_STATE_CORRUPT, "head %u, byte %zu: %s", head,
                    forgery.at - devices, edgecl_session_error(pair.here.session));
      CHECK(pair.here.digest() == before && strstr(edgecl_session_error(pair.here.session), "DEVICES") != nullptr);
    }
  }
}

RUN_TESTS()
