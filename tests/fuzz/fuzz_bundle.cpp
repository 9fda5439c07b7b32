// Fuzz target: any bytes as a bundle. What the reader accepts lives a short life in a session: its proof must be enough
// for sizes, kernels, learning, structures and states.
// Never here: checks of results.
#include <math.h>

#include "runtime/learn/learn_step.h"
#include "tests/fuzz/fuzz_formats.h"
#include "tests/fuzz/fuzz_session.h"

namespace {

using namespace edgecl_fuzz;

// An input is kControl bytes that say what happens, then the bundle.
constexpr size_t kControl = 32;
constexpr size_t kMostBundle = 64u << 10;
constexpr uint8_t kDigestsStay = 0xd1;  // first byte: the bundle's digests are left as they are

Block bundle_block(kMostBundle), model_block(256u << 10), arena_block(kMostArena), twin_block(kMostArena),
    rows_block(512u << 10), state_block(512u << 10);

void run(edgecl_model* model, Input* in) {
  Rows rows(model, &rows_block);
  if (rows.info().macs_forward > kMostMacs || rows.sample_bytes() * kMostRows > rows_block.capacity()) return;
  const uint8_t flags = in->u8();
  const bool tame = (flags & 1) == 0;
  const edgecl_session_config config = config_from(in, model);
  edgecl_session* session = make_session(model, config, &arena_block);
  if (session == nullptr) return;
  live(session, config, &rows, in, tame, 6);

  const size_t state_bytes = export_to(session, &state_block);
  edgecl_session* twin = (flags & 2) != 0 ? make_session(model, config, &twin_block) : nullptr;
  if (state_bytes > 0 &&
      twin != nullptr) {  // whatever a session can become, another one can take over, and goes on alike
    const edgecl_status status = edgecl_state_import(twin, state_block.use(state_bytes), state_bytes);
    REQUIRE(status == EDGECL_OK, "%s", edgecl_session_error(twin));
    REQUIRE(digest_of(twin) == digest_of(session));
    Input again = *in;
    live(session, config, &rows, in, tame, 2);
    live(twin, config, &rows, &again, tame, 2);
    REQUIRE(digest_of(twin) == digest_of(session));
  }
  edgecl_session_destroy(twin);
  edgecl_session_destroy(session);
}

// All that the description of an encoder points to is there, and the probe has numbers.
void look_at_encoder(const edgecl_model* model) {
  edgecl_encoder_info info = {};
  info.struct_size = sizeof info;
  const edgecl_status status = edgecl_model_encoder(model, &info);
  if (status != EDGECL_OK) {
    REQUIRE(status == EDGECL_E_NOT_FOUND);
    return;
  }
  float sum = 0;
  for (uint32_t c = 0; c < info.n_channels; c++) sum += info.mean[c] / 4 + info.inv_std[c] / 4;
  for (uint32_t i = 0; i < info.n_probe * info.embedding_dim; i++) REQUIRE(info.probe_outputs[i] < INFINITY);
  uint32_t bytes = 0;
  for (uint64_t i = 0; i < info.file_bytes; i++) bytes += static_cast<const uint8_t*>(info.file)[i];
  REQUIRE(!(sum > INFINITY) && bytes < 0xffffffffu);
  const uint64_t sample_bytes = info.input_elements * (info.input_dtype == EDGECL_U8 ? 1 : sizeof(float));
  if (sample_bytes > rows_block.capacity()) return;
  uint8_t* sample = rows_block.use(static_cast<size_t>(sample_bytes));
  for (uint32_t row = 0; row < info.n_probe; row++)
    REQUIRE(edgecl_model_encoder_probe(model, row, sample) == EDGECL_OK);
  if (info.input_dtype == EDGECL_F32) {
    for (uint64_t i = 0; i < info.input_elements; i++) {
      const float x = reinterpret_cast<float*>(sample)[i];
      REQUIRE(x - x == 0);
    }
  }
  REQUIRE(edgecl_model_encoder_probe(model, info.n_probe, sample) == EDGECL_E_NOT_FOUND);
}

void mutate_sections(RandomStream* random, std::vector<BundleSection>* sections) {
  BundleSection& section = (*sections)[random->bounded(static_cast<uint32_t>(sections->size()))];
  const size_t record = record_bytes(section.type) == 1 ? 4 : record_bytes(section.type);
  const uint32_t n = static_cast<uint32_t>(section.bytes.size() / record);
  switch (random->bounded(6)) {
    case 0: {  // a record twice
      if (n == 0) break;
      const uint8_t* begin = section.bytes.data() + random->bounded(n) * record;
      const std::vector<uint8_t> copy(begin, begin + record);
      section.bytes.insert(section.bytes.begin() + random->bounded(n + 1) * static_cast<uint32_t>(record), copy.begin(),
                           copy.end());
      break;
    }
    case 1: {  // one less
      if (n == 0) break;
      const auto begin = section.bytes.begin() + random->bounded(n) * static_cast<uint32_t>(record);
      section.bytes.erase(begin, begin + static_cast<long>(record));
      break;
    }
    case 2:  // two change places
      if (n > 1) {
        uint8_t* bytes = section.bytes.data();
        const uint32_t a = random->bounded(n), b = random->bounded(n);
        for (size_t i = 0; i < record; i++) std::swap(bytes[a * record + i], bytes[b * record + i]);
      }
      break;
    case 3: {  // an optional section more
      static const uint32_t kTypes[] = {11, 12, 13, 14, 15, 16, 17, 18, 19, 1000};
      const uint32_t type = kTypes[random->bounded(10)];
      BundleSection extra = {type, random->bounded(4) == 0 ? 0u : format::kSectionOptional, {}};
      extra.bytes.resize(type == 13   ? 16 * (1 + random->bounded(3))
                         : type == 11 ? 32
                         : type == 12 ? 96
                                      : 2 + random->bounded(40));
      if (type == 17) memset(extra.bytes.data(), 'a', extra.bytes.size() - 1);
      if (type == 13) extra.bytes[0] = static_cast<uint8_t>(random->bounded(8));
      if (type == 11 || type == 12) extra.bytes[0] = 1;
      size_t at = 0;
      while (at < sections->size() && (*sections)[at].type < type) at++;
      sections->insert(sections->begin() + static_cast<long>(at), extra);
      break;
    }
    case 4:  // one section less
      if (random->bounded(4) == 0 || section.type > 10)
        sections->erase(sections->begin() + (&section - sections->data()));
      break;
    default: {  // longer or shorter
      const uint32_t bytes = 4 * random->bounded(20);
      section.bytes.resize(random->bounded(2) == 0 || bytes > section.bytes.size() ? section.bytes.size() + bytes
                                                                                   : section.bytes.size() - bytes);
    }
  }
}

size_t from_seed(RandomStream* random, uint8_t* data, size_t max_size) {
  const std::vector<uint8_t>& bundle = seed_bundle(random->next_u32());
  if (kControl + bundle.size() > max_size) return 0;
  for (size_t i = 0; i < kControl; i++) data[i] = static_cast<uint8_t>(random->next_u32());
  memcpy(data + kControl, bundle.data(), bundle.size());
  return kControl + bundle.size();
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  RandomStream random = {seed, 0, 0};
  uint32_t n_sections = 0;
  // The bundle of an input need not be aligned: a copy is.
  uint8_t* bundle =
      size > kControl && size - kControl <= kMostBundle ? bundle_block.copy(data + kControl, size - kControl) : nullptr;
  const size_t n = size - kControl;
  if (bundle == nullptr || bundle_table(bundle, n, &n_sections) == nullptr || random.bounded(64) == 0) {
    const size_t made = from_seed(&random, data, max_size);
    return made > 0 ? made : LLVMFuzzerMutate(data, size, max_size);
  }
  switch (random.bounded(16)) {
    case 0:
      return LLVMFuzzerMutate(data, size, max_size);
    case 1:
      data[0] = random.bounded(8) == 0 ? kDigestsStay : static_cast<uint8_t>(random.next_u32());
      [[fallthrough]];
    case 2:
    case 3:
      LLVMFuzzerMutate(data, kControl, kControl);
      return size;
    case 4:
    case 5: {
      std::vector<BundleSection> sections = take_apart(bundle, n);
      if (sections.empty()) break;
      mutate_sections(&random, &sections);
      const std::vector<uint8_t> out = put_together(sections, max_size > kControl ? max_size - kControl : 0);
      if (out.empty() || out.size() > kMostBundle) return size;
      memcpy(data + kControl, out.data(), out.size());
      return kControl + out.size();
    }
    default:
      break;
  }
  const uint32_t n_changes = 1 + random.bounded(3);
  for (uint32_t change = 0; change < n_changes; change++) {
    size_t begin = 0, end = n;
    if (random.bounded(16) != 0) {  // a word of one section: DATA as rarely as the others
      const format::SectionRecord* table = bundle_table(bundle, n, &n_sections);
      if (table == nullptr) break;  // a change before this one
      const format::SectionRecord& section = table[random.bounded(n_sections)];
      if (section.offset > n || section.bytes > n - section.offset) continue;
      begin = static_cast<size_t>(section.offset);
      end = begin + static_cast<size_t>(section.bytes);
    }
    mutate_word(&random, bundle, begin, end);
  }
  memcpy(data + kControl, bundle, n);
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < kControl || size - kControl > kMostBundle) return 0;
  const size_t n = size - kControl;
  uint8_t* bundle = bundle_block.copy(data + kControl, n);
  if (data[0] != kDigestsStay) repair_bundle(bundle, n);
  Input control(data, kControl);
  edgecl_model* model = open_model(bundle, n, &model_block);
  if (data[0] % 8 == 0) REQUIRE((verify(bundle, n) == EDGECL_OK) == (model != nullptr));
  if (model == nullptr) return 0;
  look_at_encoder(model);
  run(model, &control);
  REQUIRE(edgecl_model_close(model) == EDGECL_OK);
  return 0;
}
