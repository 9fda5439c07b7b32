// The check of EXEMPLARS, and the view of it.
// Never here: whether a learn step would take a sample (the session looks when it fills its buffer).
#include <string.h>

#include "runtime/bundle/validate.h"

namespace edgecl {
namespace {

// Numbers at the place of a float array that may be hostile.
Status check_floats(const uint8_t* bytes, uint64_t n, const char* field) {
  for (uint64_t i = 0; i < n; i++) {
    float x;
    memcpy(&x, bytes + i * sizeof x, sizeof x);
    if (!is_finite(x)) return corrupt("EXEMPLARS", format::kNone, field, "expected finite numbers, found another");
  }
  return Status();
}

Status check_classes(const Plan& plan, const Exemplars& view) {
  uint64_t counted = 0;
  uint32_t shipped = 0;  // of plan.classes; both lists ascend
  for (uint32_t i = 0; i < view.classes.n; i++) {
    const format::ExemplarClass& entry = view.classes[i];
    if (i > 0 && entry.label <= view.classes[i - 1].label)
      return corrupt("EXEMPLARS", i, "label", "expected ascending labels, found %u after %u", entry.label,
                     view.classes[i - 1].label);
    while (shipped < plan.classes.n && plan.classes[shipped].label < entry.label) shipped++;
    if (shipped == plan.classes.n || plan.classes[shipped].label != entry.label)
      return corrupt("EXEMPLARS", i, "label", "expected a class of CLASSES, found %u", entry.label);
    if (entry.n < 1 || entry.rows < entry.n || entry.rows > format::kMaxExemplarRows)
      return corrupt("EXEMPLARS", i, "rows",
                     "expected at least as many rows as samples, and a sample, found %llu and %u",
                     static_cast<unsigned long long>(entry.rows), entry.n);
    uint64_t n = 0;
    for (uint32_t k = 0; k < view.n; k++) n += view.labels[k] == entry.label;
    if (n != entry.n)
      return corrupt("EXEMPLARS", i, "n", "expected the number of its labels, %llu, found %u",
                     static_cast<unsigned long long>(n), entry.n);
    counted += n;
  }
  if (counted != view.n)
    return corrupt("EXEMPLARS", format::kNone, "labels", "expected labels of its classes alone, found others");
  return Status();
}

}  // namespace

Status validate_exemplars(const uint8_t* bytes, uint64_t n_bytes, const Plan& plan, Exemplars* out) {
  format::ExemplarsRecord record;
  if (n_bytes < sizeof record)
    return corrupt("EXEMPLARS", format::kNone, "bytes", "expected at least %zu, found %llu", sizeof record,
                   static_cast<unsigned long long>(n_bytes));
  memcpy(&record, bytes, sizeof record);
  const bool bytes_in = plan.input->dtype == format::kInputU8;
  const bool is_i8 = record.dtype == format::kElementI8 && !bytes_in;
  if (!is_i8 && record.dtype != (bytes_in ? format::kElementU8 : format::kElementF32))
    return corrupt("EXEMPLARS", format::kNone, "dtype", "expected that of INPUT, or int8 for floats, found %u",
                   record.dtype);
  if (!all_zero(record.reserved, sizeof record.reserved))
    return corrupt("EXEMPLARS", format::kNone, "reserved", "expected 0, found another number");
  if (record.n < 1 || record.n > format::kMaxExemplars || record.n_classes < 1 || record.n_classes > plan.classes.n)
    return corrupt("EXEMPLARS", format::kNone, "n", "expected 1..%u samples of 1..%u classes, found %u of %u",
                   format::kMaxExemplars, plan.classes.n, record.n, record.n_classes);
  const uint64_t channels = plan.tensors[0].channels;
  const uint64_t row_bytes = tensor_row_floats(plan.tensors[0]) * element_bytes(record.dtype);
  const uint64_t classes_at = sizeof record;
  const uint64_t labels_at = classes_at + record.n_classes * sizeof(format::ExemplarClass);
  const uint64_t scale_at = labels_at + record.n * sizeof(uint32_t);
  const uint64_t samples_at = scale_at + (is_i8 ? 2 * channels * sizeof(float) : 0);
  const uint64_t expected = samples_at + record.n * row_bytes;  // n < 2^17, row_bytes < 2^27
  if (n_bytes != expected)
    return corrupt("EXEMPLARS", format::kNone, "bytes", "expected %llu, found %llu",
                   static_cast<unsigned long long>(expected), static_cast<unsigned long long>(n_bytes));
  out->n = record.n;
  out->dtype = record.dtype;
  out->classes.data = reinterpret_cast<const format::ExemplarClass*>(bytes + classes_at);
  out->classes.n = record.n_classes;
  out->labels = reinterpret_cast<const uint32_t*>(bytes + labels_at);
  out->samples = bytes + samples_at;
  out->row_bytes = row_bytes;
  if (is_i8) {
    out->scale = reinterpret_cast<const float*>(bytes + scale_at);
    out->offset = out->scale + channels;
    EDGECL_RETURN_IF_FAILED(check_floats(bytes + scale_at, 2 * channels, "scale"));
  } else if (!bytes_in) {
    EDGECL_RETURN_IF_FAILED(check_floats(out->samples, record.n * tensor_row_floats(plan.tensors[0]), "samples"));
  }
  return check_classes(plan, *out);
}

}  // namespace edgecl
