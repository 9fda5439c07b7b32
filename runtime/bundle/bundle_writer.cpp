// Turns the encoded sections into a file: arena offsets, counts, digests; then reads it back.
// Never here: fields of records (bundle_writer_encode.cpp), checks that the reader does.
#include "runtime/bundle/bundle_writer.h"

#include <string.h>

#include <algorithm>

#include "runtime/bundle/bundle_reader.h"
#include "runtime/bundle/bundle_writer_encode.h"
#include "runtime/bundle/bundle_writer_offsets.h"
#include "runtime/bundle/validate.h"
#include "runtime/core/recipe.h"
#include "runtime/core/sha256.h"

namespace edgecl {
namespace {

template <class T>
Bytes as_bytes(const std::vector<T>& records) {
  Bytes out;
  append(&out, records.data(), records.size() * sizeof(T));
  return out;
}

template <class T>
View<T> view_of(const std::vector<T>& records) {
  View<T> view;
  view.data = records.data();
  view.n = static_cast<uint32_t>(records.size());
  return view;
}

// A Plan over the parts, for the checks and the planner that run before there is a file.
Plan plan_over(const Parts& parts) {
  Plan plan;
  plan.model = &parts.model;
  plan.tensors = view_of(parts.tensors);
  plan.ops = view_of(parts.ops);
  plan.backward = view_of(parts.backward);
  plan.shared = view_of(parts.shared);
  plan.params = view_of(parts.params);
  plan.classes = view_of(parts.classes);
  plan.taps = view_of(parts.taps);
  plan.recipe = &parts.recipe;
  plan.data_section = parts.data.data();
  plan.strings = reinterpret_cast<const char*>(parts.strings.bytes().data());
  return plan;
}

std::string sentence(const Status& status) {
  char message[sizeof(edgecl_error::message)];
  write_message(status, message, sizeof message);
  return message;
}

// Everything that lifetimes and counts rely on.
Status check_before_planning(const Plan& plan, const Parts& parts, const CheckScratch& scratch) {
  const uint32_t counts[] = {plan.tensors.n, plan.ops.n, plan.backward.n, plan.params.n, plan.classes.n};
  const uint32_t limits[] = {format::kMaxTensors, format::kMaxOps, format::kMaxOps, format::kMaxParams,
                             format::kMaxClasses};
  const char* names[] = {"TENSORS", "OPS", "BACKWARD", "PARAMS", "CLASSES"};
  for (int i = 0; i < 5; i++) {
    if (counts[i] > limits[i])
      return corrupt(names[i], format::kNone, "count", "expected at most %u records, found %u", limits[i], counts[i]);
  }
  EDGECL_RETURN_IF_FAILED(validate_strings(plan, {parts.strings.bytes().size(), parts.data.size()}));
  EDGECL_RETURN_IF_FAILED(validate_tensors(plan));
  EDGECL_RETURN_IF_FAILED(validate_elements(plan, {parts.strings.bytes().size(), parts.data.size()}));
  EDGECL_RETURN_IF_FAILED(validate_params(plan, {parts.strings.bytes().size(), parts.data.size()}));
  EDGECL_RETURN_IF_FAILED(validate_ops(plan, scratch));
  EDGECL_RETURN_IF_FAILED(validate_model(plan));
  EDGECL_RETURN_IF_FAILED(validate_use(plan, scratch));
  EDGECL_RETURN_IF_FAILED(validate_backward(plan, scratch));
  return validate_shared(plan, scratch);
}

uint64_t plan_offsets(const Plan& plan, Mode mode, std::vector<format::TensorRecord>* tensors) {
  std::vector<Lifetime> lifetimes(plan.tensors.n);
  tensor_lifetimes(plan, mode, lifetimes.data());
  std::vector<ArenaItem> items;
  std::vector<uint32_t> owners;
  for (uint32_t t = 0; t < plan.tensors.n; t++) {
    if (plan.tensors[t].alias != format::kNone || !lifetimes[t].lives()) continue;
    items.push_back({tensor_arena_floats(plan.tensors[t]), lifetimes[t], 0});
    owners.push_back(t);
  }
  const uint64_t arena = assign_offsets(&items);
  auto offset = [&](uint32_t t) -> uint64_t& {
    return mode == Mode::kLearn ? (*tensors)[t].train_offset : (*tensors)[t].predict_offset;
  };
  for (size_t i = 0; i < items.size(); i++) offset(owners[i]) = items[i].offset;
  for (uint32_t t = 0; t < plan.tensors.n; t++) {
    if (plan.tensors[t].alias != format::kNone && lifetimes[t].lives()) offset(t) = offset(plan.tensors[t].alias);
  }
  return arena;
}

struct Item {
  uint32_t type, flags;
  const uint8_t* bytes;
  size_t n_bytes;
};

Item item_of(uint32_t type, uint32_t flags, const Bytes& bytes) {
  return {type, flags, bytes.data(), bytes.size()};
}

// A file of these sections, which have ascending types.
Bytes assemble(const std::vector<Item>& items) {
  std::vector<format::SectionRecord> table(items.size());
  uint64_t end = sizeof(format::Header) + items.size() * sizeof(format::SectionRecord);
  for (size_t i = 0; i < items.size(); i++) {
    format::SectionRecord& record = table[i];
    record = {};
    record.type = items[i].type;
    record.flags = items[i].flags;
    record.offset = align_up(end);
    record.bytes = items[i].n_bytes;
    sha256(items[i].bytes, items[i].n_bytes, record.sha256);
    end = record.offset + record.bytes;
  }
  format::Header header = {};
  header.magic = format::kMagic;
  header.version = format::kVersion;
  header.file_bytes = end;
  header.n_sections = static_cast<uint32_t>(items.size());
  sha256(table.data(), table.size() * sizeof(format::SectionRecord), header.table_sha256);

  Bytes file;
  file.reserve(end);
  append(&file, &header, sizeof header);
  append(&file, table.data(), table.size() * sizeof(format::SectionRecord));
  for (size_t i = 0; i < items.size(); i++) {
    file.resize(table[i].offset);
    append(&file, items[i].bytes, items[i].n_bytes);
  }
  return file;
}

template <class T>
Bytes one(const T& record) {
  Bytes out;
  append(&out, &record, sizeof record);
  return out;
}

Bytes assemble(const Parts& parts) {
  const Bytes model = one(parts.model), recipe = one(parts.recipe);
  const Bytes tensors = as_bytes(parts.tensors), ops = as_bytes(parts.ops), backward = as_bytes(parts.backward);
  const Bytes params = as_bytes(parts.params), classes = as_bytes(parts.classes);
  const Bytes parity = as_bytes(parts.parity), taps = as_bytes(parts.taps), shared = as_bytes(parts.shared);
  std::vector<Item> items = {
      item_of(format::kSectionStrings, 0, parts.strings.bytes()),
      item_of(format::kSectionModel, 0, model),
      item_of(format::kSectionTensors, 0, tensors),
      item_of(format::kSectionOps, 0, ops),
      item_of(format::kSectionBackward, 0, backward),
      item_of(format::kSectionParams, 0, params),
      item_of(format::kSectionData, 0, parts.data),
      item_of(format::kSectionInput, 0, parts.input),
      item_of(format::kSectionRecipe, 0, recipe),
      item_of(format::kSectionClasses, 0, classes),
  };
  const Item where_present[] = {
      item_of(format::kSectionParity, format::kSectionOptional, parity),
      item_of(format::kSectionTaps, format::kSectionOptional, taps),
      item_of(format::kSectionNotes, format::kSectionOptional, parts.notes),
      item_of(format::kSectionExemplars, format::kSectionOptional, parts.exemplars),
      item_of(format::kSectionEncoder, format::kSectionOptional, parts.encoder),
      item_of(format::kSectionShared, 0, shared),  // who does not know it would lose gradients
  };
  for (const Item& item : where_present) {
    if (item.n_bytes != 0) items.push_back(item);
  }
  return assemble(items);
}

// Aligned memory for the checks.
class Scratch {
 public:
  explicit Scratch(size_t bytes) : room_(bytes + format::kAlignment) {}
  uint8_t* data() {
    const uintptr_t past = reinterpret_cast<uintptr_t>(room_.data()) % format::kAlignment;
    return room_.data() + (format::kAlignment - past) % format::kAlignment;
  }

 private:
  Bytes room_;
};

// Empty when the reader accepts the file; else its sentence, whose strings lie in the copy that ends here.
std::string read_back(const Bytes& file) {
  Bytes room(file.size() + format::kAlignment);
  const size_t skip =
      (format::kAlignment - reinterpret_cast<uintptr_t>(room.data()) % format::kAlignment) % format::kAlignment;
  memcpy(room.data() + skip, file.data(), file.size());
  size_t scratch_bytes = 0;
  const Status measured = bundle_scratch_bytes(file.data(), file.size(), &scratch_bytes);
  if (!measured.ok()) return sentence(measured);
  Scratch scratch(scratch_bytes);
  Plan plan;
  return sentence(read_bundle(room.data() + skip, file.size(), scratch.data(), scratch_bytes, &plan));
}

uint32_t index_of(const std::string& name, const std::vector<const char*>& names) {
  for (size_t i = 0; i < names.size(); i++) {
    if (name == names[i]) return static_cast<uint32_t>(i);
  }
  return format::kNone;
}

}  // namespace

uint32_t op_kind_from_name(const std::string& name) {
  for (uint32_t kind = 1; kind <= format::kOpKinds; kind++) {
    if (name == op_kind_name(kind)) return kind;
  }
  return format::kNone;
}

uint32_t activation_from_name(const std::string& name) {
#define EDGECL_NAME(constant, number, name) #name,
  return index_of(name, {EDGECL_ACTIVATION_LIST(EDGECL_NAME)});
#undef EDGECL_NAME
}

uint32_t value_from_name(const char* const* names, const std::string& name) {
  for (uint32_t i = 0; names[i] != nullptr; i++) {
    if (name == names[i]) return i;
  }
  return format::kNone;
}

std::vector<uint8_t> write_bundle(const BundleSource& source, std::string* error) {
  *error = check_lengths(source);
  if (!error->empty()) return {};
  Parts parts;
  encode_parts(source, &parts);

  const Plan plan = plan_over(parts);
  Arena measuring;
  take_check_scratch(&measuring, plan.tensors.n, plan.params.n);
  Scratch scratch(measuring.used());
  Arena arena(scratch.data(), measuring.used());
  Status status = check_before_planning(plan, parts, take_check_scratch(&arena, plan.tensors.n, plan.params.n));
  if (status.ok()) {
    parts.model.train_floats_per_row = plan_offsets(plan, Mode::kLearn, &parts.tensors);
    parts.model.predict_floats_per_row = plan_offsets(plan, Mode::kPredict, &parts.tensors);
    parts.model.macs_forward = plan_macs_forward(plan, false);
    parts.model.macs_forward_sparse = plan_macs_forward(plan, true);
    parts.model.macs_backward = plan_macs_backward(plan, false);
    parts.model.macs_backward_sparse = plan_macs_backward(plan, true);
    std::vector<uint8_t> file = assemble(parts);
    Bytes().swap(parts.data);  // weights may be most of the memory, and the check takes a copy
    *error = read_back(file);
    if (error->empty()) return file;
    return {};
  }
  *error = sentence(status);
  return {};
}

std::vector<uint8_t> attach_signature(const std::vector<uint8_t>& bundle, const uint8_t signature[64],
                                      const uint8_t* key_hint, std::string* error, uint64_t release) {
  *error = read_back(bundle);
  if (!error->empty()) return {};
  format::SignatureRecord record = {};
  record.algorithm = format::kSignatureEd25519;
  record.release = release;
  memcpy(record.signature, signature, sizeof record.signature);
  if (key_hint != nullptr) memcpy(record.key_hint, key_hint, sizeof record.key_hint);

  format::Header header;
  memcpy(&header, bundle.data(), sizeof header);
  const Bytes signed_part = one(record);
  std::vector<Item> items = {item_of(format::kSectionSignature, format::kSectionOptional, signed_part)};
  for (uint32_t i = 0; i < header.n_sections; i++) {
    format::SectionRecord section;
    memcpy(&section, bundle.data() + sizeof header + i * sizeof section, sizeof section);
    if (section.type == format::kSectionSignature) continue;
    items.push_back({section.type, section.flags, bundle.data() + section.offset, section.bytes});
  }
  std::sort(items.begin(), items.end(), [](const Item& a, const Item& b) { return a.type < b.type; });
  return assemble(items);
}

}  // namespace edgecl
