// The reader refuses every damaged or hostile bundle with a clear sentence, and opens what the writer wrote.
// Never here: execution.
#include <math.h>
#include <time.h>

#include "runtime/bundle/bundle_format.h"
#include "runtime/bundle/bundle_reader.h"
#include "tests/runtime/bundle_forging.h"
#include "tests/runtime/check.h"
#include "tests/runtime/core_nets.h"
#include "tests/runtime/sentence.h"

using namespace edgecl;
using namespace edgecl_test;

static Status read(AlignedBytes* bytes) {
  Plan plan;
  return read_plan(bytes, &plan);
}

TEST(writer_and_reader_agree) {
  BundleSource source = residual_net();
  source.parity.n_rows = 8;
  source.parity.source = "a reference";
  AlignedBytes bytes(written(source));
  Plan plan;
  const Status status = read_plan(&bytes, &plan);
  CHECK_MESSAGE(status.ok(), "%s", sentence(status).c_str());
  CHECK(plan.tensors.n == source.tensors.size() && plan.ops.n == source.ops.size() &&
        plan.params.n == source.params.size());
  CHECK(strcmp(plan.string(plan.model->name), "net") == 0 && strcmp(plan.string(plan.ops[0].name), "op0") == 0);
  CHECK(plan.parity != nullptr && strcmp(plan.string(plan.parity->source), "a reference") == 0);
  for (uint32_t p = 0; p < plan.params.n; p++) {
    const SourceParam& from = source.params[p];
    const float* values = from.sparse ? plan.sparse_values(p) : plan.dense_values(p);
    CHECK(memcmp(values, from.values.data(), from.values.size() * 4) == 0);
    CHECK(reinterpret_cast<uintptr_t>(values) % 64 == 0);
    if (from.sparse) CHECK(memcmp(plan.sparse_positions(p), from.positions.data(), from.positions.size() * 4) == 0);
  }
  CHECK(plan.classes.n == 2 && strcmp(plan.string(plan.classes[1].name), "one") == 0);
  CHECK(plan.signature == nullptr && plan.taps.n == 0 && plan.notes[0] == 0 && plan.format_version == 2);
  // First layer: 4 x 2 x 3 x 3 weights at 36 positions; second 4 x 4 x 9 at 9; head 4 x 3.
  CHECK(plan.model->macs_forward == 72 * 36 + 144 * 9 + 12);
  CHECK(plan.model->macs_forward_sparse == 72 * 36 + source.params[5].values.size() * 9 + 12);
  CHECK(plan.model->macs_backward == 72 * 36 + 2 * 144 * 9 + 2 * 12);  // the first layer has no input gradient
  uint32_t version = 0;
  uint64_t size = 0;
  CHECK(peek_bundle(bytes.data(), 64, &version, &size).ok() && version == 2 && size == bytes.size());
}

TEST(writing_is_deterministic) {
  CHECK(written(all_kinds_net()) == written(all_kinds_net()));
}

TEST(every_truncation_is_refused) {
  const std::vector<uint8_t> good = written(residual_net());
  for (size_t n = 0; n < good.size(); n += kSweepStep) {
    AlignedBytes cut(std::vector<uint8_t>(good.begin(), good.begin() + static_cast<long>(n)));
    CHECK_MESSAGE(!read(&cut).ok(), "%zu of %zu bytes were accepted", n, good.size());
    if (n >= 64) {
      // The same with a header that claims this size.
      reinterpret_cast<format::Header*>(cut.data())->file_bytes = n;
      CHECK_MESSAGE(!read(&cut).ok(), "%zu of %zu bytes were accepted", n, good.size());
    }
  }
  std::vector<uint8_t> longer = good;
  longer.push_back(0);
  AlignedBytes padded(longer);
  CHECK(!read(&padded).ok());
  reinterpret_cast<format::Header*>(padded.data())->file_bytes = longer.size();
  CHECK(!read(&padded).ok());
}

TEST(every_changed_byte_is_refused) {
  AlignedBytes bytes(written(residual_net()));
  for (size_t i = 0; i < bytes.size(); i += kSweepStep) {
    for (uint8_t flip : {0x01, 0x80}) {
      bytes.data()[i] ^= flip;
      CHECK_MESSAGE(!read(&bytes).ok(), "a change of byte %zu was accepted", i);
      bytes.data()[i] ^= flip;
    }
  }
  CHECK(read(&bytes).ok());
}

static const uint64_t kHostile[] = {
    0, 1, 2, 3, 0x7fffffffull, 0x80000000ull, 0xffffffffull, 0x7fffffffffffffffull, 1ull << 63, ~0ull};

// A message names where: a section or the header, and a field.
static void check_refusal(const Status& status, const char* what, size_t at) {
  if (status.ok()) return;
  CHECK_MESSAGE(sentence(status).find("bundle ") == 0 && strstr(sentence(status).c_str(), "expected") != nullptr &&
                    strstr(sentence(status).c_str(), "found") != nullptr,
                "%s at %zu: %s", what, at, sentence(status).c_str());
}

// Every 4- and 8-byte word of all record sections, of the table and of the header takes hostile values; digests are
// made good again.
TEST(hostile_numbers_do_no_harm) {
  for (const BundleSource& source : {residual_net(), all_kinds_net()}) {
    const std::vector<uint8_t> good = written(source);
    AlignedBytes bytes(good);
    uint64_t accepted = 0, refused = 0;
    auto attempt = [&](size_t at, size_t width, uint64_t value, bool digest) {
      memcpy(bytes.data() + at, &value, width);
      if (digest) digest_again(bytes.data());
      const Status status = read(&bytes);
      status.ok() ? accepted++ : refused++;
      check_refusal(status, "word", at);
      memcpy(bytes.data(), good.data(), good.size());
    };
    for (uint32_t type :
         {format::kSectionModel, format::kSectionTensors, format::kSectionOps, format::kSectionBackward,
          format::kSectionParams, format::kSectionInput, format::kSectionRecipe, format::kSectionClasses}) {
      const format::SectionRecord record = *section(bytes.data(), type);
      for (size_t at = record.offset; at + 4 <= record.offset + record.bytes; at += 4 * kSweepStep) {
        for (uint64_t value : kHostile) {
          attempt(at, 4, value, true);
          if (at % 8 == 0 && at + 8 <= record.offset + record.bytes) attempt(at, 8, value, true);
        }
      }
    }
    const size_t table_end = sizeof(format::Header) + reinterpret_cast<format::Header*>(bytes.data())->n_sections *
                                                          sizeof(format::SectionRecord);
    for (size_t at = 0; at + 8 <= table_end; at += 4 * kSweepStep) {
      for (uint64_t value : kHostile) {
        const bool in_table = at >= sizeof(format::Header);
        for (size_t width : {4u, 8u}) {
          memcpy(bytes.data() + at, &value, width);
          if (in_table) table_digest_again(bytes.data());
          const Status status = read(&bytes);
          check_refusal(status, "table", at);
          memcpy(bytes.data(), good.data(), good.size());
        }
      }
    }
    CHECK(refused > accepted);  // most fields have one good value; names, biases of recipes and means may take others
  }
}

// One field at a time, with the words that the sentence must hold.
template <class Change>
static void expect_refusal(const BundleSource& source, uint32_t type, const char* first, const char* second,
                           Change change) {
  AlignedBytes bytes(written(source));
  change(bytes.data() + section(bytes.data(), type)->offset);
  digest_again(bytes.data());
  const Status status = read(&bytes);
  CHECK_MESSAGE(!status.ok() && strstr(sentence(status).c_str(), first) != nullptr &&
                    strstr(sentence(status).c_str(), second) != nullptr,
                "wanted '%s' '%s', got: %s", first, second, sentence(status).c_str());
}

TEST(sentences_name_section_and_field) {
  const BundleSource net = residual_net(), kinds = all_kinds_net();
  auto op = [](uint8_t* at, uint32_t i) { return reinterpret_cast<format::OpRecord*>(at) + i; };
  auto tensor = [](uint8_t* at, uint32_t i) { return reinterpret_cast<format::TensorRecord*>(at) + i; };
  auto param = [](uint8_t* at, uint32_t i) { return reinterpret_cast<format::ParamRecord*>(at) + i; };
  auto backward = [](uint8_t* at, uint32_t i) { return reinterpret_cast<format::BackwardRecord*>(at) + i; };
  expect_refusal(net, format::kSectionOps, "OPS, record 0", "stride_h", [&](uint8_t* at) { op(at, 0)->stride_h = 0; });
  expect_refusal(net, format::kSectionOps, "OPS, record 0", "groups", [&](uint8_t* at) { op(at, 0)->groups = 0; });
  expect_refusal(net, format::kSectionOps, "OPS, record 0", "pad_top", [&](uint8_t* at) { op(at, 0)->pad_top = 3; });
  expect_refusal(net, format::kSectionOps, "OPS, record 0", "weight", [&](uint8_t* at) { op(at, 0)->params[0] = 1; });
  expect_refusal(net, format::kSectionOps, "OPS, record 2", "expected", [&](uint8_t* at) { op(at, 2)->inputs[0] = 5; });
  expect_refusal(net, format::kSectionOps, "OPS, record 6", "expected an operator",
                 [&](uint8_t* at) { op(at, 6)->kind = format::kOpKinds + 1; });
  expect_refusal(net, format::kSectionOps, "OPS, record 1", "epsilon", [&](uint8_t* at) { op(at, 1)->epsilon = -1; });
  for (float epsilon : {0.0f, 1e-45f, 2.0f, NAN}) {  // 1 / epsilon must be a number
    expect_refusal(kinds, format::kSectionOps, "OPS, record", "epsilon", [&](uint8_t* at) {
      for (uint32_t i = 0; i < kinds.ops.size(); i++)
        if (op(at, i)->kind == format::kOpL2Normalize) op(at, i)->epsilon = epsilon;
    });
  }
  expect_refusal(net, format::kSectionTensors, "TENSORS, record 1", "channels",
                 [&](uint8_t* at) { tensor(at, 1)->channels = 0; });
  expect_refusal(net, format::kSectionTensors, "TENSORS, record 1", "name",
                 [&](uint8_t* at) { tensor(at, 1)->name.bytes = 256; });
  expect_refusal(net, format::kSectionTensors, "TENSORS, record 2", "alias",
                 [&](uint8_t* at) { tensor(at, 2)->alias = 2; });
  expect_refusal(net, format::kSectionParams, "PARAMS, record 0", "bytes",
                 [&](uint8_t* at) { param(at, 0)->bytes -= 4; });
  expect_refusal(net, format::kSectionParams, "PARAMS, record 0", "dims",
                 [&](uint8_t* at) { param(at, 0)->dims[0] = 0; });
  expect_refusal(net, format::kSectionParams, "PARAMS, record 5", "nnz", [&](uint8_t* at) { param(at, 5)->nnz = 0; });
  expect_refusal(net, format::kSectionBackward, "BACKWARD, record 0", "op",
                 [&](uint8_t* at) { backward(at, 0)->op = 2; });
  expect_refusal(net, format::kSectionBackward, "BACKWARD, record 1", "input_gradient",
                 [&](uint8_t* at) { backward(at, 1)->input_gradient[0] = format::kNone; });
  expect_refusal(net, format::kSectionBackward, "BACKWARD, record 2", "train_params",
                 [&](uint8_t* at) { backward(at, 2)->train_params = 1; });
  expect_refusal(net, format::kSectionBackward, "BACKWARD, record 0", "accumulate",
                 [&](uint8_t* at) { backward(at, 0)->accumulate = 1; });
  expect_refusal(net, format::kSectionModel, "MODEL", "macs_forward",
                 [](uint8_t* at) { reinterpret_cast<format::ModelRecord*>(at)->macs_forward++; });
  expect_refusal(net, format::kSectionModel, "MODEL", "head_weight",
                 [](uint8_t* at) { reinterpret_cast<format::ModelRecord*>(at)->head_weight = 0; });
  expect_refusal(net, format::kSectionRecipe, "RECIPE", "learning_rate",
                 [](uint8_t* at) { reinterpret_cast<format::RecipeRecord*>(at)->learning_rate = 0; });
  expect_refusal(net, format::kSectionClasses, "CLASSES, record 1", "label",
                 [](uint8_t* at) { reinterpret_cast<format::ClassRecord*>(at)[1].label = 0; });
  expect_refusal(net, format::kSectionStrings, "name", "UTF-8", [](uint8_t* at) { at[0] = 0xff; });
  expect_refusal(net, format::kSectionData, "DATA, record 0", "finite", [](uint8_t* at) {
    const uint32_t infinity = 0x7f800000;
    memcpy(at, &infinity, 4);
  });
  AlignedBytes newer(written(net));
  for (const uint32_t version : {1u, 3u}) {
    reinterpret_cast<format::Header*>(newer.data())->version = version;
    const Status status = read(&newer);
    CHECK(status.code == EDGECL_E_BUNDLE_VERSION);
    CHECK(strstr(sentence(status).c_str(), version == 1 ? "export the model again" : "newer library") != nullptr);
  }
  Plan plan;
  CHECK(read_bundle(newer.data() + 1, newer.size() - 1, nullptr, 0, &plan).code == EDGECL_E_ARGUMENT);
}

// Fields whose meaning later versions give, and the numbers of elements that are not float32.
TEST(elements_and_reserved_words) {
  const BundleSource net = residual_net();
  auto op = [](uint8_t* at) { return reinterpret_cast<format::OpRecord*>(at); };
  auto tensor = [](uint8_t* at) { return reinterpret_cast<format::TensorRecord*>(at) + 1; };
  auto param = [](uint8_t* at) { return reinterpret_cast<format::ParamRecord*>(at); };
  auto model = [](uint8_t* at) { return reinterpret_cast<format::ModelRecord*>(at); };
  expect_refusal(net, format::kSectionOps, "OPS, record 0", "reserved", [&](uint8_t* at) { op(at)->reserved[5] = 1; });
  expect_refusal(net, format::kSectionModel, "MODEL", "reserved", [&](uint8_t* at) { model(at)->reserved[8] = 1; });
  const uint32_t tensors = format::kSectionTensors, params = format::kSectionParams;
  expect_refusal(net, tensors, "TENSORS, record 1", "reserved", [&](uint8_t* at) { tensor(at)->reserved[1] = 1; });
  expect_refusal(net, tensors, "TENSORS, record 1", "dtype", [&](uint8_t* at) { tensor(at)->dtype = 4; });
  expect_refusal(net, tensors, "TENSORS, record 1", "scale", [&](uint8_t* at) { tensor(at)->scale = 2; });
  expect_refusal(net, tensors, "TENSORS, record 1", "zero_point", [&](uint8_t* at) { tensor(at)->zero_point = 1; });
  expect_refusal(net, tensors, "TENSORS, record 1", "newer library", [&](uint8_t* at) {
    tensor(at)->dtype = format::kElementU8;
    tensor(at)->scale = 0.5f;
    tensor(at)->zero_point = 128;
  });
  expect_refusal(net, tensors, "TENSORS, record 1", "int8 inside the network",
                 [&](uint8_t* at) { tensor(at)->dtype = format::kElementI32; });
  expect_refusal(net, tensors, "OPS, record 0", "expected a tensor of float32",
                 [&](uint8_t* at) { tensor(at)->dtype = format::kElementI8; });
  for (const float bad : {0.0f, -1.0f, __builtin_inff(), __builtin_nanf("")}) {
    expect_refusal(net, tensors, "TENSORS, record 1", "scale", [&](uint8_t* at) {
      tensor(at)->dtype = format::kElementI8;
      tensor(at)->scale = bad;
    });
  }
  const int32_t beyond[][2] = {{1, -1}, {1, 256}, {2, -129}, {2, 128}, {3, 1}};
  for (const auto& pair : beyond) {
    expect_refusal(net, params, "PARAMS, record 0", "zero_point", [&](uint8_t* at) {
      param(at)->dtype = static_cast<uint32_t>(pair[0]);
      param(at)->zero_point = pair[1];
    });
  }
  expect_refusal(net, params, "PARAMS, record 0", "reserved", [&](uint8_t* at) { param(at)->reserved[0] = 1; });
  expect_refusal(net, params, "PARAMS, record 0", "scales", [&](uint8_t* at) { param(at)->scales = 0; });
  expect_refusal(net, params, "PARAMS, record 0", "scale_axis", [&](uint8_t* at) { param(at)->scale_axis = 1; });
  auto integers = [&](uint64_t scales, uint32_t axis) {
    return [=](uint8_t* at) {
      format::ParamRecord* record = reinterpret_cast<format::ParamRecord*>(at);
      record->dtype = format::kElementI8;
      record->scales = scales;
      record->scale_axis = axis;
    };
  };
  expect_refusal(net, params, "PARAMS, record 0", "scales", integers(32, 0));
  expect_refusal(net, params, "PARAMS, record 0", "scales", integers(1u << 20, 0));
  expect_refusal(net, params, "PARAMS, record 0", "scale_axis", integers(64, 4));
  expect_refusal(net, params, "PARAMS, record 0", "frozen dense parameters", integers(64, 3));
  expect_refusal(net, params, "PARAMS, record 0", "frozen dense parameters", integers(format::kNoOffset, 0));
  AlignedBytes bytes(written(net));
  param(bytes.data() + section(bytes.data(), params)->offset)->dtype = format::kElementU8;
  digest_again(bytes.data());
  CHECK(read(&bytes).code == EDGECL_E_BUNDLE_OP);
}

TEST(schedules_of_the_recipe) {
  BundleSource net = residual_net();
  net.rate_schedule = format::kRateCosine;
  net.rate_floor = 0.05f;
  net.removal_share = 0.3f;
  net.removal_stages = 0xe;
  net.removal_score = 1;
  net.rehearse_steps = 20;
  net.rehearse_interval = 100;
  net.preset_name = "sparcl";
  AlignedBytes bytes(written(net));
  Plan plan;
  CHECK(read_plan(&bytes, &plan).ok());
  CHECK(plan.recipe->rate_schedule == 2 && plan.recipe->rate_floor == 0.05f && plan.recipe->removal_share == 0.3f);
  CHECK(plan.recipe->removal_stages == 0xe && plan.recipe->removal_score == 1);
  CHECK(plan.recipe->rehearse_steps == 20 && plan.recipe->rehearse_interval == 100);
  CHECK(strcmp(plan.string(plan.recipe->preset), "sparcl") == 0);
  auto refused = [&](const char* field, auto change) {
    expect_refusal(net, format::kSectionRecipe, "RECIPE", field,
                   [&](uint8_t* at) { change(reinterpret_cast<format::RecipeRecord*>(at)); });
  };
  using R = format::RecipeRecord;
  refused("rate_schedule", [](R* r) { r->rate_schedule = 3; });
  refused("rate_floor", [](R* r) { r->rate_floor = 1.5f; });
  refused("removal_share", [](R* r) { r->removal_share = 1; });
  refused("removal_stages", [](R* r) { r->removal_stages = 0; });
  refused("removal_stages", [](R* r) { r->removal_stages = 3; });
  refused("removal_score", [](R* r) { r->removal_score = 2; });
  refused("rehearse_steps", [](R* r) { r->rehearse_steps = format::kMaxRehearseSteps + 1; });
  refused("rehearse_interval", [](R* r) { r->rehearse_interval = 0; });
  refused("rehearse_interval", [](R* r) { r->rehearse_interval = format::kMaxRehearseInterval + 1; });
  refused("preset", [](R* r) { r->preset.offset = 1u << 30; });
  refused("reserved", [](R* r) { r->reserved[7] = 1; });
}

TEST(notes_and_taps) {
  BundleSource net = residual_net();
  net.notes = "trained on the line in hall 3\nstraße";
  net.taps = {{3, true}, {0, false}};
  AlignedBytes bytes(written(net));
  Plan plan;
  const Status status = read_plan(&bytes, &plan);
  CHECK_MESSAGE(status.ok(), "%s", sentence(status).c_str());
  CHECK(net.notes == plan.notes && plan.taps.n == 2);
  CHECK(plan.taps[0].tensor == 0 && plan.taps[0].flags == 0 && plan.taps[1].tensor == 3 && plan.taps[1].flags == 1);
  auto tap = [](uint8_t* at, uint32_t i) { return reinterpret_cast<format::TapRecord*>(at) + i; };
  const uint32_t taps = format::kSectionTaps, notes = format::kSectionNotes;
  expect_refusal(net, taps, "TAPS, record 1", "tensor", [&](uint8_t* at) { tap(at, 1)->tensor = 0; });
  expect_refusal(net, taps, "TAPS, record 1", "tensor", [&](uint8_t* at) { tap(at, 1)->tensor = 4096; });
  expect_refusal(net, taps, "TAPS, record 1", "forward tensor",
                 [&](uint8_t* at) { tap(at, 1)->tensor = plan.backward[0].output_gradient; });
  expect_refusal(net, taps, "TAPS, record 0", "flags", [&](uint8_t* at) { tap(at, 0)->flags = 2; });
  expect_refusal(net, taps, "TAPS, record 0", "reserved", [&](uint8_t* at) { tap(at, 0)->reserved[0] = 1; });
  const size_t end = net.notes.size();
  expect_refusal(net, notes, "NOTES", "zero byte", [&](uint8_t* at) { at[end] = 'x'; });
  expect_refusal(net, notes, "NOTES", "zero byte", [&](uint8_t* at) { at[0] = 0; });
  expect_refusal(net, notes, "NOTES", "UTF-8", [&](uint8_t* at) { at[0] = 0xff; });
  auto too_long = [&](const BundleSource& source, const char* words) {
    std::string error;
    CHECK_MESSAGE(write_bundle(source, &error).empty() && error.find(words) != std::string::npos, "%s", error.c_str());
  };
  net.notes.assign(format::kMaxNotesBytes, 'n');
  CHECK(!written(net).empty());
  net.notes += 'n';
  too_long(net, "NOTES");
  net.notes.clear();
  net.taps.assign(format::kMaxTapRecords + 1, {0, false});
  too_long(net, "TAPS");
}

// A signature changes neither the name of a bundle nor what it says.
TEST(a_signature_leaves_the_digest_alone) {
  BundleSource net = residual_net();
  net.notes = "signed";
  const std::vector<uint8_t> bare = written(net);
  uint8_t signature[64], hint[16];
  memset(signature, 0xa5, sizeof signature);
  memset(hint, 0x11, sizeof hint);
  std::string error;
  const std::vector<uint8_t> signed_bytes = attach_signature(bare, signature, hint, &error);
  CHECK_MESSAGE(!signed_bytes.empty(), "%s", error.c_str());
  AlignedBytes before(bare), after(signed_bytes);
  Plan a, b;
  CHECK(read_plan(&before, &a).ok());
  const Status status = read_plan(&after, &b);
  CHECK_MESSAGE(status.ok(), "%s", sentence(status).c_str());
  CHECK(a.signature == nullptr && b.signature != nullptr && strcmp(b.notes, "signed") == 0);
  CHECK(memcmp(b.signature->signature, signature, 64) == 0 && memcmp(b.signature->key_hint, hint, 16) == 0);
  CHECK(memcmp(a.digest, b.digest, 32) == 0);
  const std::vector<uint8_t> counted = attach_signature(bare, signature, hint, &error, 0x123456789ull);
  AlignedBytes with_release(counted);
  Plan d;
  CHECK(read_plan(&with_release, &d).ok() && d.signature->release == 0x123456789ull && b.signature->release == 0);
  CHECK(memcmp(a.digest, d.digest, 32) == 0);
  // Another signature takes its place; the bytes are those of signing the bare bundle.
  signature[0] = 0;
  CHECK(attach_signature(signed_bytes, signature, hint, &error) == attach_signature(bare, signature, hint, &error));
  // Everything else is in the digest.
  for (size_t i = 0; i < 3; i++) {
    BundleSource other = net;
    if (i == 0) other.notes = "Signed";
    if (i == 1) other.params[0].values[0] += 1;
    if (i == 2) other.taps = {{0, false}};
    AlignedBytes bytes(written(other));
    Plan c;
    CHECK(read_plan(&bytes, &c).ok() && memcmp(a.digest, c.digest, 32) != 0);
  }
  for (size_t i = 0; i < signed_bytes.size(); i += 7) {  // damage is found in a signed file as in any other
    after.data()[i] ^= 0x10;
    CHECK_MESSAGE(!read(&after).ok(), "a change of byte %zu was accepted", i);
    after.data()[i] ^= 0x10;
  }
  auto signature_of = [&](auto change) {
    AlignedBytes bytes(signed_bytes);
    change(reinterpret_cast<format::SignatureRecord*>(bytes.data() +
                                                      section(bytes.data(), format::kSectionSignature)->offset));
    digest_again(bytes.data());
    return read(&bytes);
  };
  CHECK(strstr(sentence(signature_of([](format::SignatureRecord* r) { r->algorithm = 2; })).c_str(), "SIGNATURE") !=
        nullptr);
  CHECK(strstr(sentence(signature_of([](format::SignatureRecord* r) { r->reserved = 2; })).c_str(), "reserved") !=
        nullptr);
  std::vector<uint8_t> broken = bare;
  broken.back() ^= 1;
  CHECK(attach_signature(broken, signature, nullptr, &error).empty() && !error.empty());
}

TEST(malformed_sources_are_refused) {
  auto refused = [](const BundleSource& source, const char* words) {
    std::string error;
    CHECK_MESSAGE(write_bundle(source, &error).empty() && error.find(words) != std::string::npos,
                  "wanted '%s', got: %s", words, error.c_str());
  };
  BundleSource source = residual_net();
  source.params[0].values.pop_back();
  refused(source, "values");
  source = residual_net();
  source.input_mean.clear();
  refused(source, "mean");
  source = residual_net();
  source.classes.push_back({2, "one"});
  refused(source, "twice");
  source = residual_net();
  source.params[3].trainable = true;  // a running mean
  refused(source, "running statistics");
  source = residual_net();
  source.backward.pop_back();
  refused(source, "BACKWARD");
  source = residual_net();
  source.tensors.clear();
  refused(source, "tensors");
  source = residual_net();
  source.logits_tensor = format::kNone;
  refused(source, "logits_tensor");
  source = residual_net();
  source.ops[0].inputs.assign(9, 0);
  refused(source, "inputs");
  refused(BundleSource(), "expected");
}

// An op beside residual_net's that reads the sparse, trainable weight of its second convolution once more.
static BundleSource with_second_reader() {
  BundleSource source = residual_net();
  SourceTensor output = source.tensors[source.ops[3].output];
  source.tensors.push_back(output);
  SourceOp twin = source.ops[3];
  twin.name = "twin";
  twin.output = static_cast<uint32_t>(source.tensors.size() - 1);
  source.ops.push_back(twin);
  return source;
}

// Structures that move count parameters and lay out ops: both are the same only when nothing idles.
TEST(what_nothing_needs_is_refused) {
  auto refused = [](const BundleSource& source, const char* first, const char* second) {
    std::string error;
    CHECK_MESSAGE(write_bundle(source, &error).empty() && error.find(first) != std::string::npos &&
                      error.find(second) != std::string::npos,
                  "wanted '%s' '%s', got: %s", first, second, error.c_str());
  };
  BundleSource source = with_second_reader();
  CHECK(source.params[source.ops[3].params[0]].sparse && source.params[source.ops[3].params[0]].trainable);
  refused(source, "OPS, record 7", "'twin'");
  source.embedding_tensor = source.ops.back().output;  // needed, though its weight learns in one place only
  std::string error;
  CHECK_MESSAGE(!write_bundle(source, &error).empty(), "%s", error.c_str());
  source.ops.back().params[0] = static_cast<uint32_t>(source.params.size());  // with a frozen weight of its own
  source.params.push_back(source.params[source.ops[3].params[0]]);
  source.params.back().trainable = false;
  CHECK_MESSAGE(!write_bundle(source, &error).empty(), "%s", error.c_str());
  source.embedding_tensor = format::kNone;
  refused(source, "OPS, record 7", "'twin'");
  source.taps = {{source.ops.back().output, false}};
  CHECK_MESSAGE(!write_bundle(source, &error).empty(), "%s", error.c_str());
  source.taps.clear();
  source.ops.pop_back();
  source.tensors.pop_back();
  source.params.back().name = "spare";
  refused(source, "PARAMS", "'spare'");
}

// The checks write nothing outside the scratch memory that they ask for, and refuse less of it.
TEST(checks_keep_to_their_scratch_memory) {
  AlignedBytes bytes(written(all_kinds_net()));
  size_t needed = 0;
  CHECK(bundle_scratch_bytes(bytes.data(), bytes.size(), &needed).ok());
  std::vector<uint8_t> room(needed + 128, 0xa5);
  uint8_t* scratch = room.data() + (64 - reinterpret_cast<uintptr_t>(room.data()) % 64) % 64;
  Plan plan;
  CHECK(read_bundle(bytes.data(), bytes.size(), scratch, needed, &plan).ok());
  for (uint8_t* p = scratch + needed; p < room.data() + room.size(); p++) CHECK(*p == 0xa5);
  CHECK(needed < 4096);
  CHECK(read_bundle(bytes.data(), bytes.size(), scratch, needed - 64, &plan).code == EDGECL_E_ARENA_TOO_SMALL);
  CHECK(read_bundle(bytes.data(), bytes.size(), nullptr, 0, &plan).code == EDGECL_E_ARENA_TOO_SMALL);
  // A table that claims any number of records asks for no more than the limits allow.
  for (uint32_t type : {format::kSectionTensors, format::kSectionParams}) section(bytes.data(), type)->bytes = ~0ull;
  CHECK(bundle_scratch_bytes(bytes.data(), bytes.size(), &needed).ok() && needed < 64 * 1024);
  CHECK(!bundle_scratch_bytes(bytes.data(), 64, &needed).ok());
}

// A section that this version does not know: skipped when optional, refused when required.
TEST(unknown_sections) {
  const std::vector<uint8_t> good = written(residual_net());
  const format::Header* header = reinterpret_cast<const format::Header*>(good.data());
  const uint32_t n = header->n_sections;
  const size_t table_end = sizeof(format::Header) + n * sizeof(format::SectionRecord);
  for (const uint32_t type : {99u, 14u, 15u, 16u})
    for (bool optional : {true, false}) {
      std::vector<uint8_t> bytes(good.begin(), good.begin() + static_cast<long>(table_end));
      bytes.resize(table_end + sizeof(format::SectionRecord));
      bytes.insert(bytes.end(), good.begin() + static_cast<long>(table_end),
                   good.end());  // the table end was 64-byte aligned: still is
      bytes.resize((bytes.size() + 63) / 64 * 64);
      const size_t added = bytes.size();
      bytes.resize(added + 10, 7);
      format::SectionRecord* table = reinterpret_cast<format::SectionRecord*>(bytes.data() + sizeof(format::Header));
      for (uint32_t i = 0; i < n; i++) table[i].offset += sizeof(format::SectionRecord);
      table[n] = {};
      table[n].type = type;
      table[n].flags = optional ? format::kSectionOptional : 0;
      table[n].offset = added;
      table[n].bytes = 10;
      reinterpret_cast<format::Header*>(bytes.data())->n_sections = n + 1;
      reinterpret_cast<format::Header*>(bytes.data())->file_bytes = bytes.size();
      digest_again(bytes.data());
      AlignedBytes aligned(bytes);
      const Status status = read(&aligned);
      CHECK_MESSAGE(optional ? status.ok() : status.code == EDGECL_E_BUNDLE_VERSION, "%s", sentence(status).c_str());
      if (!optional) CHECK(strstr(sentence(status).c_str(), std::to_string(type).c_str()) != nullptr);
      bytes.back() ^= 1;  // its digest is checked all the same
      AlignedBytes damaged(bytes);
      CHECK(read(&damaged).code != EDGECL_OK);
    }
}

TEST(a_large_bundle_opens_fast) {
  NetBuilder net;
  uint32_t x = net.input(64, 1, 1);
  x = net.linear(x, 4096);
  x = net.linear(x, 2700);
  net.finish(net.linear(x, 10), x);
  AlignedBytes bytes(written(net.source));
  timespec begin, end;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  CHECK(read(&bytes).ok());
  clock_gettime(CLOCK_MONOTONIC, &end);
  const double seconds =
      static_cast<double>(end.tv_sec - begin.tv_sec) + 1e-9 * static_cast<double>(end.tv_nsec - begin.tv_nsec);
  printf("     %.1f MB opened in %.1f ms\n", static_cast<double>(bytes.size()) / 1e6, 1e3 * seconds);
}

RUN_TESTS()
