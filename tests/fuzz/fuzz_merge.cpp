// Fuzz target: any bytes as a message to merge, into sessions of every head that keeps statistics, with and without
// domains. A refused message changes nothing; an accepted one is known from then on, and what the session says of all
// devices fits another session.
// Never here: sums (tests/runtime/learn_merge.cpp).
#include <memory>

#include "tests/fuzz/fuzz_formats.h"
#include "tests/fuzz/fuzz_session.h"

namespace {

using namespace edgecl_fuzz;

// An input is kControl bytes that say what happens, then the message.
constexpr size_t kControl = 16;
constexpr size_t kMostMessage = 16u << 10;
constexpr uint8_t kDigestsStay = 0xd1;  // second byte: digests are left as they are
// One place a head, and some heads with domains; new ones go to the end, as an input says its place by number.
struct PlaceKind {
  uint32_t head, max_domains;
};
constexpr PlaceKind kPlaceKinds[] = {
    {EDGECL_HEAD_NCM, 0},   {EDGECL_HEAD_NCM_DISTANCE, 0}, {EDGECL_HEAD_LDA, 0},   {EDGECL_HEAD_RIDGE, 0},
    {EDGECL_HEAD_HD, 0},    {EDGECL_HEAD_NCM_DISTANCE, 3}, {EDGECL_HEAD_RIDGE, 3}, {EDGECL_HEAD_HD, 3},
    {EDGECL_HEAD_FECAM, 0}, {EDGECL_HEAD_FECAM, 3},
};
constexpr uint32_t kPlaces = sizeof kPlaceKinds / sizeof *kPlaceKinds;
constexpr uint32_t kMerges = 3, kDomainSeed = 23;

Block message_block(kMostMessage), delta_block(64u << 10), export_block(64u << 10), rows_block(64u << 10);

// A session that is device 1 and has merged device 2, another that takes what it is handed on, and good messages.
struct Place {
  std::unique_ptr<Block> bundle, model_memory, arenas[2];
  edgecl_model* model = nullptr;
  edgecl_session_config config = {};
  edgecl_session *session = nullptr, *other = nullptr;
  std::unique_ptr<Rows> rows;
  std::vector<uint8_t> state, empty;  // of the two
  std::vector<std::vector<uint8_t>> messages;
  Digest digest = {};
};

std::vector<uint8_t> delta_of(edgecl_session* session, uint32_t which) {
  size_t n = 0, written = 0;
  REQUIRE(edgecl_delta_size(session, which, &n) == EDGECL_OK);
  uint8_t* const bytes = delta_block.use(n);
  REQUIRE(edgecl_delta_export(session, which, bytes, n, &written) == EDGECL_OK && written == n);
  return {bytes, bytes + n};
}

std::vector<uint8_t> state_of(edgecl_session* session) {
  const size_t n = export_to(session, &export_block);
  REQUIRE(n > 0);
  return {export_block.use(n), export_block.use(n) + n};
}

void go_on(edgecl_session* session, const std::vector<uint8_t>& state) {
  REQUIRE(edgecl_state_import(session, export_block.copy(state.data(), state.size()), state.size()) == EDGECL_OK);
}

edgecl_status merge(edgecl_session* session, const std::vector<uint8_t>& message, edgecl_merge_report* report) {
  return edgecl_merge(session, message_block.copy(message.data(), message.size()), message.size(), report);
}

void learn_some(Place* place, uint8_t kind) {
  if (place->config.max_domains > 0) {
    const char* const names[] = {"one", "two"};
    int32_t domain = 0;
    const edgecl_status status = edgecl_domain_add(place->session, names[kind % 2], &domain);
    REQUIRE(status == EDGECL_OK || status == EDGECL_E_ARGUMENT || status == EDGECL_E_CAPACITY);
    if (status == EDGECL_OK) REQUIRE(edgecl_domain_select(place->session, domain) == EDGECL_OK);
  }
  const uint8_t bytes[] = {3, kind, 0, 1, 2, 1, 1, 1, 1};
  Input in(bytes, sizeof bytes);
  REQUIRE(learn_rows(place->session, place->config, place->rows.get(), &in, true) == EDGECL_OK, "%s",
          edgecl_session_error(place->session));
}

// The contributions of devices 2, 3 and 4 of this session, each in versions that follow.
void make_messages(Place* place) {
  edgecl_merge_report report = sized<edgecl_merge_report>();
  for (uint64_t device = 2; device < 5; device++) {
    go_on(place->session, place->empty);
    REQUIRE(edgecl_device_set(place->session, device, 0) == EDGECL_OK);
    for (uint8_t step = 0; step < 2; step++) {
      learn_some(place, static_cast<uint8_t>(device * 7 + step));
      place->messages.push_back(delta_of(place->session, EDGECL_DELTA_OWN));
    }
    if (device == 3) {
      REQUIRE(merge(place->session, place->messages[0], &report) == EDGECL_OK);
      place->messages.push_back(delta_of(place->session, EDGECL_DELTA_ALL));
    }
  }
  go_on(place->session, place->empty);
  REQUIRE(edgecl_device_set(place->session, 1, 0) == EDGECL_OK);
  learn_some(place, 1);
  REQUIRE(merge(place->session, place->messages[0], &report) == EDGECL_OK && report.n_new == 1);
  place->messages.push_back(delta_of(place->session, EDGECL_DELTA_ALL));
}

const std::vector<Place>& places() {
  static std::vector<Place> all;
  while (all.size() < kPlaces) {
    const uint32_t i = static_cast<uint32_t>(all.size());
    const std::vector<uint8_t>& bundle = seed_bundle(kPlaceKinds[i].max_domains == 0 ? 0 : kDomainSeed);
    Place place;
    place.bundle = std::make_unique<Block>(bundle.size());
    place.model_memory = std::make_unique<Block>(64u << 10);
    place.model = open_model(place.bundle->copy(bundle.data(), bundle.size()), bundle.size(), place.model_memory.get());
    REQUIRE(place.model != nullptr);
    place.config = sized<edgecl_session_config>();
    REQUIRE(edgecl_session_config_init(place.model, &place.config) == EDGECL_OK);
    place.config.max_batch = place.config.max_batch < kMostRows ? place.config.max_batch : kMostRows;
    place.config.add_unseen_labels = 1;
    statistics_head(&place.config, kPlaceKinds[i].head, 5, EDGECL_NOVELTY_ENERGY);
    place.config.head_merges = kMerges;
    place.config.max_domains = kPlaceKinds[i].max_domains;
    for (uint32_t k = 0; k < 2; k++) {
      place.arenas[k] = std::make_unique<Block>(kMostArena);
      (k == 0 ? place.session : place.other) = make_session(place.model, place.config, place.arenas[k].get());
    }
    REQUIRE(place.session != nullptr && place.other != nullptr);
    place.rows = std::make_unique<Rows>(place.model, &rows_block);
    place.empty = state_of(place.session);
    make_messages(&place);
    place.state = state_of(place.session);
    place.digest = digest_of(place.session);
    all.push_back(std::move(place));
  }
  return all;
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  RandomStream random = {seed, 0, 0};
  if (size <= kControl || random.bounded(32) == 0) {  // a good message, mostly of the place that it goes to
    const uint32_t place = random.bounded(kPlaces);
    const auto& messages = places()[place].messages;
    const std::vector<uint8_t>& message = messages[random.bounded(static_cast<uint32_t>(messages.size()))];
    if (kControl + message.size() > max_size) return LLVMFuzzerMutate(data, size, max_size);
    for (size_t i = 0; i < kControl; i++) data[i] = static_cast<uint8_t>(random.next_u32());
    if (random.bounded(8) != 0) data[0] = static_cast<uint8_t>(place);
    memcpy(data + kControl, message.data(), message.size());
    return kControl + message.size();
  }
  uint8_t* const message = data + kControl;
  const size_t n = size - kControl;
  switch (random.bounded(12)) {
    case 0:
      return LLVMFuzzerMutate(data, size, max_size);
    case 1:
      data[random.bounded(kControl)] = static_cast<uint8_t>(random.next_u32());
      return size;
    case 2:
    case 3: {  // a piece of the section twice, or less
      std::vector<StatePart> parts = take_state_apart(message, n);
      if (parts.empty() || parts[0].bytes.size() < 4) break;
      std::vector<uint8_t>& bytes = parts[0].bytes;
      const uint32_t begin = random.bounded(static_cast<uint32_t>(bytes.size())),
                     most = static_cast<uint32_t>(bytes.size()) - begin,
                     length = 1 + random.bounded(most < 400 ? most : 400);
      const auto at = bytes.begin() + begin;
      if (random.bounded(2) == 0) {
        const std::vector<uint8_t> copy(at, at + length);
        bytes.insert(bytes.begin() + random.bounded(static_cast<uint32_t>(bytes.size()) + 1), copy.begin(), copy.end());
      } else {
        bytes.erase(at, at + length);
      }
      std::vector<uint8_t> out = put_state_together(parts);
      memcpy(out.data(), &edgecl::kMessageMagic, sizeof edgecl::kMessageMagic);
      if (kControl + out.size() > max_size) return size;
      memcpy(message, out.data(), out.size());
      return kControl + out.size();
    }
    case 4:  // a letter of a name, or any byte
      message[random.bounded(static_cast<uint32_t>(n))] ^= static_cast<uint8_t>(1u << random.bounded(8));
      return size;
    default:
      break;
  }
  for (uint32_t change = 1 + random.bounded(3); change > 0; change--) {
    const size_t end = random.bounded(2) == 0 && n > 260 ? 260 : n;  // counts stand in front
    mutate_word(&random, message, random.bounded(16) == 0 ? 0 : 128 < n ? 128 : 0, end);
  }
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < kControl || size - kControl > kMostMessage) return 0;
  const Place& place = places()[data[0] % kPlaces];
  const size_t n = size - kControl;
  uint8_t* const message = message_block.copy(data + kControl, n);
  if (data[1] != kDigestsStay) repair_state(message, n, place.rows->info().digest);
  Input control(data + 2, kControl - 2);
  edgecl_session* const session = place.session;
  edgecl_merge_report report = sized<edgecl_merge_report>();
  const edgecl_status status = edgecl_merge(session, message, n, &report);
  require_status(session, status);
  if (status != EDGECL_OK) {
    REQUIRE(digest_of(session) == place.digest, "a refused message changed the session");
    return 0;
  }
  // Once more it changes nothing.
  const Digest merged = digest_of(session);
  const uint64_t rows = report.rows;
  REQUIRE(edgecl_merge(session, message, n, &report) == EDGECL_OK && report.n_known == report.n_devices);
  REQUIRE(report.rows == rows && digest_of(session) == merged, "a message that is known changed the session");
  // The state goes out and in, and all parts go to another session.
  const std::vector<uint8_t> state = state_of(session);
  go_on(session, state);
  REQUIRE(digest_of(session) == merged);
  go_on(place.other, place.empty);
  REQUIRE(edgecl_device_set(place.other, ~0ull, 0) == EDGECL_OK);
  const edgecl_status taken = merge(place.other, delta_of(session, EDGECL_DELTA_ALL), &report);
  REQUIRE(taken == EDGECL_OK || taken == EDGECL_E_CAPACITY || taken == EDGECL_E_STATE_MISMATCH, "%s",
          edgecl_session_error(place.other));
  REQUIRE(taken != EDGECL_OK || report.rows == rows);
  live(session, place.config, place.rows.get(), &control, control.below(2) == 0, 3);
  // Back to where every execution begins.
  go_on(session, place.state);
  REQUIRE(digest_of(session) == place.digest);
  return 0;
}
