// Fuzz target: any bytes as a state, into sessions of many kinds. A refused import changes nothing; an accepted one
// leaves a session that learns, predicts and exports, and its exports come back in.
// Never here: checks of results.
#include <memory>

#include "tests/fuzz/fuzz_formats.h"
#include "tests/fuzz/fuzz_session.h"

namespace {

using namespace edgecl_fuzz;

// An input is kControl bytes that say what happens, then the state.
constexpr size_t kControl = 24;
constexpr size_t kMostState = 48u << 10;
constexpr uint8_t kDigestsStay = 0xd1;  // second byte: digests are left as they are

Block state_block(kMostState), moved_block(kMostState), export_block(512u << 10), rows_block(64u << 10);

// A session that has learned a little, and its state.
struct Place {
  std::unique_ptr<Block> bundle, model_memory, arena;
  edgecl_model* model = nullptr;
  edgecl_session_config config = {};
  edgecl_session* session = nullptr;
  std::unique_ptr<Rows> rows;
  std::vector<uint8_t> state;
  Digest digest = {};
};

void move_structure(edgecl_session_config* config, uint32_t structure, uint32_t growth) {
  config->structure = structure;
  config->growth = growth;
  config->structure_interval = 2;
  config->structure_updates = 2;
  config->structure_inter = 0.1f;
  config->structure_intra = 0.2f;
  config->importance_current = 1;
  config->importance_replay = 1;
}

void mask_gradients(edgecl_session_config* config, uint32_t mask) {
  config->gradient_mask = mask;
  config->gradient_interval = 2;
  config->gradient_keep = 0.5f;
}

constexpr uint32_t kPlaces = 19;

uint32_t place_seed(uint32_t i) {
  static const uint32_t kSeedOf[kPlaces] = {0, 1, 2, 3, 5, 0, 6, 1, 0, 2, 20, 21, 0, 0, 0, 23, 24, 0, 0};
  return kSeedOf[i];
}

void configure(uint32_t i, edgecl_session_config* config) {
  config->max_batch = config->max_batch < kMostRows ? config->max_batch : kMostRows;
  config->replay_batch = config->replay_batch < kMostRows ? config->replay_batch : kMostRows;
  config->add_unseen_labels = 1;
  switch (i) {
    case 1:
      config->momentum = 0.9f;
      move_structure(config, EDGECL_STRUCTURE_TDM, EDGECL_GROWTH_IMPORTANCE);
      mask_gradients(config, EDGECL_GRADIENT_DGM);
      break;
    case 2:
      config->method = EDGECL_METHOD_DERPP;
      break;
    case 3:
    case 11:
      config->latent_replay = 1;
      config->method = EDGECL_METHOD_ER;
      break;
    case 4:
      move_structure(config, EDGECL_STRUCTURE_SET, EDGECL_GROWTH_RANDOM);
      config->boundary = EDGECL_BOUNDARY_DRIFT;
      config->drift_threshold = 0.01f;
      break;
    case 5:
    case 9:
      config->predict_only = 1;
      break;
    case 7:
      move_structure(config, EDGECL_STRUCTURE_RIGL, EDGECL_GROWTH_GRADIENT);
      mask_gradients(config, EDGECL_GRADIENT_MIGU);
      break;
    case 8:
      config->method = EDGECL_METHOD_UER;
      config->cosine_scale = 4;
      mask_gradients(config, EDGECL_GRADIENT_HFT);
      break;
    case 10:
      config->replay_policy = EDGECL_REPLAY_CLASS_BALANCED;
      config->method = EDGECL_METHOD_DERPP;
      break;
    case 12:
      statistics_head(config, EDGECL_HEAD_NCM, 7, EDGECL_NOVELTY_KNN);
      break;
    case 13:
      statistics_head(config, EDGECL_HEAD_LDA, 9, EDGECL_NOVELTY_RMDS);
      break;
    case 14:
      statistics_head(config, EDGECL_HEAD_RIDGE, 40, EDGECL_NOVELTY_ENERGY);
      break;
    case 15:
      statistics_head(config, EDGECL_HEAD_LDA, 3, EDGECL_NOVELTY_ENERGY);
      config->head_merges = 2;
      config->novelty = EDGECL_NOVELTY_FIT;
      config->max_domains = 3;
      break;
    case 16:  // nothing adapts, and the embedding routes
      statistics_head(config, EDGECL_HEAD_NCM, 0, EDGECL_NOVELTY_NONE);
      config->head_merges = 0;
      config->max_domains = 2;
      break;
    case 17:
      statistics_head(config, EDGECL_HEAD_HD, 1, EDGECL_NOVELTY_HD);
      break;
    case 18:
      statistics_head(config, EDGECL_HEAD_FECAM, 3, EDGECL_NOVELTY_RMDS);
      break;
    default:
      break;
  }
}

const std::vector<Place>& places() {
  static std::vector<Place> all;
  while (all.size() < kPlaces) {
    const uint32_t i = static_cast<uint32_t>(all.size());
    const std::vector<uint8_t>& bundle = seed_bundle(place_seed(i));
    Place place;
    place.bundle = std::make_unique<Block>(bundle.size());
    place.model_memory = std::make_unique<Block>(64u << 10);
    place.model = open_model(place.bundle->copy(bundle.data(), bundle.size()), bundle.size(), place.model_memory.get());
    REQUIRE(place.model != nullptr);
    place.config = sized<edgecl_session_config>();
    REQUIRE(edgecl_session_config_init(place.model, &place.config) == EDGECL_OK);
    configure(i, &place.config);
    place.arena = std::make_unique<Block>(kMostArena);
    edgecl_error error = sized<edgecl_error>();
    edgecl_sizes sizes = sized<edgecl_sizes>();
    const edgecl_status fits = edgecl_session_sizes(place.model, &place.config, &sizes, &error);
    REQUIRE(fits == EDGECL_OK, "place %u: %s", i, error.message);
    place.session = make_session(place.model, place.config, place.arena.get());
    REQUIRE(place.session != nullptr, "place %u is too large", i);
    place.rows = std::make_unique<Rows>(place.model, &rows_block);
    if (place.config.predict_only == 0) {
      for (uint32_t step = 0; step < 5; step++) {
        const uint8_t bytes[] = {3, static_cast<uint8_t>(step), 0, 1, 2, 0};
        Input in(bytes, sizeof bytes);
        REQUIRE(learn_rows(place.session, place.config, place.rows.get(), &in, true) == EDGECL_OK);
      }
      if (place.config.max_domains > 0) {
        int32_t domain = 0;
        REQUIRE(edgecl_domain_add(place.session, "second", &domain) == EDGECL_OK);
        REQUIRE(edgecl_domain_select(place.session, domain) == EDGECL_OK);
        const uint8_t bytes[] = {3, 9, 0, 1, 2, 0};
        Input in(bytes, sizeof bytes);
        REQUIRE(learn_rows(place.session, place.config, place.rows.get(), &in, true) == EDGECL_OK);
        REQUIRE(edgecl_domain_select(place.session, EDGECL_DOMAIN_BY_FIT) == EDGECL_OK);
      }
      edgecl_status weighted = edgecl_class_weight_set(place.session, 1, 2);
      REQUIRE(weighted == EDGECL_OK || weighted == EDGECL_E_NOT_FOUND || weighted == EDGECL_E_UNSUPPORTED);
      if (place.config.head_merges > 0) {  // what was learned so far becomes the part of another device
        for (const uint64_t device : {5, 6}) REQUIRE(edgecl_device_set(place.session, device, 0) == EDGECL_OK);
        const uint8_t bytes[] = {3, 9, 0, 1, 2, 0};
        Input in(bytes, sizeof bytes);
        REQUIRE(learn_rows(place.session, place.config, place.rows.get(), &in, true) == EDGECL_OK);
      }
      const float scores[] = {1, 2, 4};
      REQUIRE(edgecl_novelty_calibrate(place.session, EDGECL_NOVELTY_ENERGY, scores, i % 3, 0.5, 0.9) ==
              (i % 3 == 0 ? EDGECL_E_ARGUMENT : EDGECL_OK));
      if (i % 3 != 0 && place.config.novelty == EDGECL_NOVELTY_NONE) {  // a window with something in it
        const uint8_t bytes[] = {3, 4, static_cast<uint8_t>(i)};
        Input in(bytes, sizeof bytes);
        REQUIRE(observe_rows(place.session, place.rows.get(), &in, true) == EDGECL_OK);
      }
      const edgecl_status forgotten = forget_class(place.session, 2);
      REQUIRE(forgotten == EDGECL_OK || forgotten == EDGECL_E_UNSUPPORTED);
    }
    const size_t n = export_to(place.session, &export_block);
    place.state.assign(export_block.use(n), export_block.use(n) + n);
    place.digest = digest_of(place.session);
    all.push_back(std::move(place));
  }
  return all;
}

void mutate_parts(RandomStream* random, std::vector<StatePart>* parts) {
  const uint32_t n = static_cast<uint32_t>(parts->size());
  StatePart& part = (*parts)[random->bounded(n)];
  const uint32_t bytes = static_cast<uint32_t>(part.bytes.size());
  switch (random->bounded(8)) {
    case 0: {  // a piece of it twice
      if (bytes < 4) break;
      const uint32_t begin = random->bounded(bytes),
                     length = 1 + random->bounded(bytes - begin < 64 ? bytes - begin : 64);
      const std::vector<uint8_t> copy(part.bytes.begin() + begin, part.bytes.begin() + begin + length);
      part.bytes.insert(part.bytes.begin() + random->bounded(bytes + 1), copy.begin(), copy.end());
      break;
    }
    case 1: {  // a piece of it less
      if (bytes < 4) break;
      const uint32_t begin = random->bounded(bytes),
                     length = 1 + random->bounded(bytes - begin < 64 ? bytes - begin : 64);
      part.bytes.erase(part.bytes.begin() + begin, part.bytes.begin() + begin + length);
      break;
    }
    case 2:
      part.bytes.resize(random->bounded(2) == 0 ? random->bounded(bytes + 1) : bytes + random->bounded(64));
      break;
    case 3:  // that of another state
    case 4: {
      const Place& other = places()[random->bounded(kPlaces)];
      for (const StatePart& candidate : take_state_apart(other.state.data(), other.state.size())) {
        if (candidate.id == part.id) part = candidate;
      }
      break;
    }
    case 5:
      if (random->bounded(4) == 0) parts->erase(parts->begin() + (&part - parts->data()));
      break;
    case 6: {  // one that nobody knows
      const uint32_t id = random->bounded(2) == 0 ? 1 + random->bounded(12) : random->next_u32();
      size_t at = 0;
      while (at < parts->size() && (*parts)[at].id < id) at++;
      parts->insert(parts->begin() + static_cast<long>(at),
                    {id, 1, random->bounded(4) != 0, std::vector<uint8_t>(random->bounded(40))});
      break;
    }
    default:
      (random->bounded(2) == 0 ? part.version : part.flags) = random->bounded(4);
  }
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  RandomStream random = {seed, 0, 0};
  if (size <= kControl || random.bounded(48) == 0) {  // a good state, mostly of the place that it goes to
    const uint32_t place = random.bounded(kPlaces);
    const std::vector<uint8_t>& state = places()[place].state;
    if (kControl + state.size() > max_size) return LLVMFuzzerMutate(data, size, max_size);
    for (size_t i = 0; i < kControl; i++) data[i] = static_cast<uint8_t>(random.next_u32());
    if (random.bounded(8) != 0) data[0] = static_cast<uint8_t>(place);
    memcpy(data + kControl, state.data(), state.size());
    return kControl + state.size();
  }
  uint8_t* state = data + kControl;
  const size_t n = size - kControl;
  switch (random.bounded(16)) {
    case 0:
      return LLVMFuzzerMutate(data, size, max_size);
    case 1:
      data[1] = random.bounded(8) == 0 ? kDigestsStay : static_cast<uint8_t>(random.next_u32());
      [[fallthrough]];
    case 2:
      data[random.bounded(kControl)] = static_cast<uint8_t>(random.next_u32());
      return size;
    case 3:
    case 4:
    case 5:
    case 6: {
      std::vector<StatePart> parts = take_state_apart(state, n);
      if (parts.empty()) break;
      mutate_parts(&random, &parts);
      const std::vector<uint8_t> out = put_state_together(parts);
      if (kControl + out.size() > max_size) return size;
      memcpy(state, out.data(), out.size());
      return kControl + out.size();
    }
    default:
      break;
  }
  const uint32_t n_changes = 1 + random.bounded(3), n_sections = state_sections(state, n);
  for (uint32_t change = 0; change < n_changes; change++) {
    size_t begin = 0, end = n;
    if (n_sections > 0 && random.bounded(16) != 0) {
      edgecl::StateEntry entry;
      memcpy(&entry, state + sizeof(edgecl::StateHeader) + random.bounded(n_sections) * sizeof entry, sizeof entry);
      if (entry.offset > n || entry.bytes > n - entry.offset) continue;
      begin = static_cast<size_t>(entry.offset);
      end = begin + static_cast<size_t>(entry.bytes);
      if (random.bounded(3) == 0 && end > begin + 64) end = begin + 64;  // counts stand in front
    }
    mutate_word(&random, state, begin, end);
  }
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < kControl || size - kControl > kMostState) return 0;
  const Place& place = places()[data[0] % kPlaces];
  const size_t n = size - kControl;
  uint8_t* state = state_block.copy(data + kControl, n);
  if (data[1] != kDigestsStay) repair_state(state, n, place.rows->info().digest);
  Input control(data + 2, kControl - 2);
  edgecl_session* session = place.session;
  // What a state says of its session makes one, or is refused with a sentence.
  edgecl_session_config config = sized<edgecl_session_config>();
  edgecl_error error = sized<edgecl_error>();
  if (edgecl_session_config_from_state(place.model, state, n, &config, &error) != EDGECL_OK) {
    require_failure(error.status, error.message);
  } else {
    edgecl_sizes sizes = sized<edgecl_sizes>();
    REQUIRE(
        edgecl_session_sizes(place.model, &config, &sizes, &error) == EDGECL_OK || error.status == EDGECL_E_CAPACITY,
        "%s", error.message);
  }
  // To the bundle that it belongs to, a state moves as it is.
  uint8_t* const moved = moved_block.use(n);
  if (edgecl_state_migrate(place.model, place.model, state, n, moved, n, nullptr, &error) != EDGECL_OK) {
    require_failure(error.status, error.message);
  } else {
    REQUIRE(memcmp(moved, state, n) == 0);
  }
  const edgecl_status status = edgecl_state_import(session, state, n);
  require_status(session, status);
  if (status != EDGECL_OK) {
    REQUIRE(digest_of(session) == place.digest, "a refused state changed the session");
    return 0;
  }
  const bool tame = control.below(2) == 0;
  for (uint32_t round = 0; round < 2; round++) {
    const size_t bytes = export_to(session, &export_block);
    REQUIRE(bytes > 0);
    const Digest before = digest_of(session);
    REQUIRE(memcmp(export_block.use(bytes) + bytes - before.size(), before.data(), before.size()) == 0);
    const edgecl_status again = edgecl_state_import(session, export_block.use(bytes), bytes);
    REQUIRE(again == EDGECL_OK, "%s", edgecl_session_error(session));
    REQUIRE(digest_of(session) == before);
    if (round == 0) live(session, place.config, place.rows.get(), &control, tame, 4);
  }
  // Back to where every execution begins.
  REQUIRE(edgecl_session_reset(session) == EDGECL_OK);
  state = state_block.copy(place.state.data(), place.state.size());
  REQUIRE(edgecl_state_import(session, state, place.state.size()) == EDGECL_OK);
  REQUIRE(digest_of(session) == place.digest);
  return 0;
}
