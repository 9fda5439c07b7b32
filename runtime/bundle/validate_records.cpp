// Checks of the sections around the network (strings, tensors, input, recipe, classes, parity).
// Never here: the rules of parameters, operators and the backward list (validate_*.cpp).
#include <string.h>

#include "runtime/bundle/validate.h"
#include "runtime/core/recipe.h"
#include "runtime/core/text.h"

namespace edgecl {

bool is_finite(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return (bits & 0x7f800000u) != 0x7f800000u;
}

bool all_zero(const void* bytes, uint64_t n) {
  const uint8_t* p = static_cast<const uint8_t*>(bytes);
  for (uint64_t i = 0; i < n; i++) {
    if (p[i] != 0) return false;
  }
  return true;
}

namespace {

struct StringCheck {
  const Plan& plan;
  uint64_t section_bytes;

  Status operator()(const char* section, uint32_t record, const char* field, format::StringRef ref) const {
    if (ref.bytes > format::kMaxNameBytes) {
      return corrupt(section, record, field, "expected at most %u bytes, found %u", format::kMaxNameBytes, ref.bytes);
    }
    if (ref.offset >= section_bytes || ref.bytes >= section_bytes - ref.offset) {
      return corrupt(section, record, field,
                     "expected text and its zero byte inside STRINGS (%llu bytes), found offset %u, length %u",
                     u64(section_bytes), ref.offset, ref.bytes);
    }
    const uint8_t* text = reinterpret_cast<const uint8_t*>(plan.strings) + ref.offset;
    if (text[ref.bytes] != 0)
      return corrupt(section, record, field, "expected a zero byte behind the text, found %u", text[ref.bytes]);
    if (!valid_utf8(text, ref.bytes))
      return corrupt(section, record, field, "expected UTF-8 without zero bytes, found other bytes");
    return Status();
  }
};

}  // namespace

Status validate_strings(const Plan& plan, const SectionSizes& sizes) {
  const StringCheck check = {plan, sizes.strings};
  EDGECL_RETURN_IF_FAILED(check("MODEL", format::kNone, "name", plan.model->name));
  EDGECL_RETURN_IF_FAILED(check("MODEL", format::kNone, "producer", plan.model->producer));
  for (uint32_t i = 0; i < plan.tensors.n; i++)
    EDGECL_RETURN_IF_FAILED(check("TENSORS", i, "name", plan.tensors[i].name));
  for (uint32_t i = 0; i < plan.ops.n; i++) EDGECL_RETURN_IF_FAILED(check("OPS", i, "name", plan.ops[i].name));
  for (uint32_t i = 0; i < plan.params.n; i++) EDGECL_RETURN_IF_FAILED(check("PARAMS", i, "name", plan.params[i].name));
  for (uint32_t i = 0; i < plan.classes.n; i++)
    EDGECL_RETURN_IF_FAILED(check("CLASSES", i, "name", plan.classes[i].name));
  if (plan.parity != nullptr) EDGECL_RETURN_IF_FAILED(check("PARITY", format::kNone, "source", plan.parity->source));
  return check("RECIPE", format::kNone, "preset", plan.recipe->preset);
}

Status validate_notes(const uint8_t* text, uint64_t bytes) {
  if (text[bytes - 1] == 0 && valid_utf8(text, static_cast<uint32_t>(bytes - 1))) return Status();
  return corrupt("NOTES", format::kNone, "text", "expected UTF-8 that ends with its only zero byte, found other bytes");
}

Status validate_reserved(const Plan& plan) {
  if (!all_zero(plan.model->reserved, sizeof plan.model->reserved))
    return corrupt("MODEL", format::kNone, "reserved", "expected 0, found another number");
  if (plan.model->label_kind >= format::kLabelKinds) {
    return corrupt("MODEL", format::kNone, "label_kind", "expected 0..%u, found %u", format::kLabelKinds - 1,
                   plan.model->label_kind);
  }
  for (uint32_t i = 0; i < plan.ops.n; i++) {
    if (!all_zero(plan.ops[i].reserved, sizeof plan.ops[i].reserved))
      return corrupt("OPS", i, "reserved", "expected 0, found another number");
  }
  return Status();
}

namespace {

// One tensor or parameter: sound fields first, then whether this version computes with them.
Status check_elements(const char* section, uint32_t i, const char* name, uint32_t dtype, float scale,
                      int32_t zero_point) {
  const int32_t lowest[] = {0, 0, -128, 0}, highest[] = {0, 255, 127, 0};
  if (dtype >= format::kElementTypes)
    return corrupt(section, i, "dtype", "expected 0..%u, found %u", format::kElementTypes - 1, dtype);
  if (!is_finite(scale) || !(scale > 0) || (dtype == format::kElementF32 && scale != 1.0f))
    return corrupt(section, i, "scale", "expected a finite number above 0, 1 with float32, found another");
  if (zero_point < lowest[dtype] || zero_point > highest[dtype]) {
    return corrupt(section, i, "zero_point", "expected %d..%d, found %d", static_cast<int>(lowest[dtype]),
                   static_cast<int>(highest[dtype]), static_cast<int>(zero_point));
  }
  if (dtype != format::kElementU8) return Status();
  return failure(EDGECL_E_BUNDLE_OP,
                 "bundle section %s, record %u ('%s'), field dtype: expected float32, int8 or int32, found %u; use a "
                 "newer library",
                 section, i, name, dtype);
}

}  // namespace

Status validate_elements(const Plan& plan, const SectionSizes& sizes) {
  for (uint32_t i = 0; i < plan.tensors.n; i++) {
    const format::TensorRecord& tensor = plan.tensors[i];
    EDGECL_RETURN_IF_FAILED(
        check_elements("TENSORS", i, plan.string(tensor.name), tensor.dtype, tensor.scale, tensor.zero_point));
    if (tensor.dtype == format::kElementI32 || (tensor.dtype != format::kElementF32 && (i == 0 || tensor.flags != 0)))
      return corrupt("TENSORS", i, "dtype", "expected float32, or int8 inside the network, found %u", tensor.dtype);
  }
  for (uint32_t i = 0; i < plan.params.n; i++) {
    const format::ParamRecord& param = plan.params[i];
    if (!all_zero(param.reserved, sizeof param.reserved))
      return corrupt("PARAMS", i, "reserved", "expected 0, found another number");
    const bool none = param.scales == format::kNoOffset;
    if (!none &&
        (param.dtype == format::kElementF32 || param.scales % format::kAlignment != 0 || param.scales >= sizes.data)) {
      return corrupt("PARAMS", i, "scales", "expected none, or beside integers a multiple of 64 in DATA, found %llu",
                     u64(param.scales));
    }
    if (param.scale_axis > (none ? 0u : 3u))
      return corrupt("PARAMS", i, "scale_axis", "expected an axis of dims, 0 without scales, found %u",
                     param.scale_axis);
    EDGECL_RETURN_IF_FAILED(
        check_elements("PARAMS", i, plan.string(param.name), param.dtype, param.scale, param.zero_point));
    if (param.dtype != format::kElementF32 &&
        (param.trainable != 0 || param.storage != format::kStorageDense || !none)) {
      return corrupt("PARAMS", i, "dtype", "expected integers in frozen dense parameters without scales, found others");
    }
  }
  return Status();
}

Status validate_extras(const Plan& plan) {
  const format::SignatureRecord* signature = plan.signature;
  if (signature != nullptr) {
    if (signature->algorithm != format::kSignatureEd25519)
      return corrupt("SIGNATURE", format::kNone, "algorithm", "expected 1, found %u", signature->algorithm);
    if (signature->reserved != 0)
      return corrupt("SIGNATURE", format::kNone, "reserved", "expected 0, found %u", signature->reserved);
  }
  for (uint32_t i = 0; i < plan.taps.n; i++) {
    const format::TapRecord& tap = plan.taps[i];
    if (tap.tensor >= plan.tensors.n || plan.tensors[tap.tensor].flags != 0 ||
        plan.tensors[tap.tensor].dtype != format::kElementF32)
      return corrupt("TAPS", i, "tensor", "expected a forward tensor of floats, found %u", tap.tensor);
    if (i > 0 && tap.tensor <= plan.taps[i - 1].tensor) {
      return corrupt("TAPS", i, "tensor", "expected ascending tensors, found %u after %u", tap.tensor,
                     plan.taps[i - 1].tensor);
    }
    if (tap.flags > format::kTapPooled) return corrupt("TAPS", i, "flags", "expected 0 or 1, found %u", tap.flags);
    if (!all_zero(tap.reserved, sizeof tap.reserved))
      return corrupt("TAPS", i, "reserved", "expected 0, found another number");
  }
  return Status();
}

Status validate_tensors(const Plan& plan) {
  for (uint32_t i = 0; i < plan.tensors.n; i++) {
    const format::TensorRecord& tensor = plan.tensors[i];
    if (tensor.channels < 1 || tensor.channels > format::kMaxChannels) {
      return corrupt("TENSORS", i, "channels", "expected 1..%u, found %u", format::kMaxChannels, tensor.channels);
    }
    if (tensor.height < 1 || tensor.height > format::kMaxDimension) {
      return corrupt("TENSORS", i, "height", "expected 1..%u, found %u", format::kMaxDimension, tensor.height);
    }
    if (tensor.width < 1 || tensor.width > format::kMaxDimension) {
      return corrupt("TENSORS", i, "width", "expected 1..%u, found %u", format::kMaxDimension, tensor.width);
    }
    const uint64_t floats = checked_mul(checked_mul(tensor.channels, tensor.height), tensor.width);
    if (floats > format::kMaxRowFloats) {
      return corrupt("TENSORS", i, "channels", "expected channels * height * width of at most %llu, found %llu",
                     u64(format::kMaxRowFloats), u64(floats));
    }
    if (tensor.flags > format::kTensorGradient)
      return corrupt("TENSORS", i, "flags", "expected 0 or 1, found %u", tensor.flags);
    if (!all_zero(tensor.reserved, sizeof tensor.reserved))
      return corrupt("TENSORS", i, "reserved", "expected 0, found another number");
    if (tensor.alias == format::kNone) continue;
    if (tensor.alias >= i) return corrupt("TENSORS", i, "alias", "expected an earlier tensor, found %u", tensor.alias);
    const format::TensorRecord& root = plan.tensors[tensor.alias];
    if (root.alias != format::kNone)
      return corrupt("TENSORS", i, "alias", "expected a tensor with memory of its own, found %u", tensor.alias);
    if (root.flags != tensor.flags)
      return corrupt("TENSORS", i, "alias", "expected a tensor of the same kind, found %u", tensor.alias);
    if (floats != tensor_row_floats(root)) {
      return corrupt("TENSORS", i, "alias", "expected a tensor of %llu floats per row, found %u with another size",
                     u64(floats), tensor.alias);
    }
  }
  if (plan.tensors[0].flags != 0) return corrupt("TENSORS", 0, "flags", "expected the input, found a gradient");
  return Status();
}

Status validate_input(const Plan& plan) {
  const format::InputRecord& input = *plan.input;
  const format::TensorRecord& tensor = plan.tensors[0];
  if (input.dtype > format::kInputU8)
    return corrupt("INPUT", format::kNone, "dtype", "expected 0 or 1, found %u", input.dtype);
  if (input.channels_last > 1)
    return corrupt("INPUT", format::kNone, "channels_last", "expected 0 or 1, found %u", input.channels_last);
  if (input.rank < 1 || input.rank > 3)
    return corrupt("INPUT", format::kNone, "rank", "expected 1..3, found %u", input.rank);
  for (uint32_t d = input.rank; d < 4; d++) {
    if (input.dims[d] != 0)
      return corrupt("INPUT", format::kNone, "dims", "expected 0 behind the rank, found %u", input.dims[d]);
  }
  const uint32_t channel_axis = input.channels_last != 0 ? input.rank - 1 : 0;
  const uint32_t first_space = input.channels_last != 0 ? 0 : 1;
  bool fits = input.dims[channel_axis] == tensor.channels;
  if (input.rank == 3)
    fits = fits && input.dims[first_space] == tensor.height && input.dims[first_space + 1] == tensor.width;
  if (input.rank == 2)
    fits = fits && checked_mul(tensor.height, tensor.width) == input.dims[first_space] &&
           (tensor.height == 1 || tensor.width == 1);
  if (input.rank == 1) fits = fits && tensor.height == 1 && tensor.width == 1;
  if (!fits)
    return corrupt("INPUT", format::kNone, "dims", "expected the shape of tensor 0 (%u x %u x %u), found another",
                   tensor.channels, tensor.height, tensor.width);
  if (!is_finite(input.scale))
    return corrupt("INPUT", format::kNone, "scale", "expected a finite number, found another");
  for (uint32_t i = 0; i < 3; i++) {
    if (input.reserved[i] != 0)
      return corrupt("INPUT", format::kNone, "reserved", "expected 0, found %u", input.reserved[i]);
  }
  for (uint32_t c = 0; c < tensor.channels; c++) {
    if (!is_finite(plan.input_mean[c])) return corrupt("INPUT", c, "mean", "expected a finite number, found another");
    if (!is_finite(plan.input_inv_std[c]) || !(plan.input_inv_std[c] > 0)) {
      return corrupt("INPUT", c, "inv_std", "expected a finite number above 0, found another");
    }
  }
  if (!all_zero(plan.input_inv_std + tensor.channels, format::kReadSlackBytes)) {
    return corrupt("INPUT", format::kNone, "end", "expected %u zero bytes behind inv_std, found others",
                   format::kReadSlackBytes);
  }
  return Status();
}

Status validate_recipe(const Plan& plan) {
  const format::RecipeRecord& recipe = *plan.recipe;
  Status status = check_recipe(recipe);
  if (!status.ok()) {
    status.code = EDGECL_E_BUNDLE_CORRUPT;
    return status.in_section("RECIPE");
  }
  EDGECL_RETURN_IF_FAILED(check_built(recipe));
  if (recipe.trainable >= sizeof kTrainableNames / sizeof kTrainableNames[0] - 1)
    return corrupt("RECIPE", format::kNone, "trainable", "expected 0..2, found %u", recipe.trainable);
  if (!all_zero(recipe.reserved, sizeof recipe.reserved))
    return corrupt("RECIPE", format::kNone, "reserved", "expected zeros, found others");
  return Status();
}

Status validate_classes(const Plan& plan) {
  if (plan.classes.n > plan.model->class_capacity) {
    return corrupt("CLASSES", format::kNone, "count", "expected at most the class capacity %u, found %u",
                   plan.model->class_capacity, plan.classes.n);
  }
  for (uint32_t i = 0; i < plan.classes.n; i++) {
    const format::ClassRecord& record = plan.classes[i];
    if (record.label >= plan.model->class_capacity) {
      return corrupt("CLASSES", i, "label", "expected a label below the class capacity %u, found %u",
                     plan.model->class_capacity, record.label);
    }
    if (i > 0 && record.label <= plan.classes[i - 1].label) {
      return corrupt("CLASSES", i, "label", "expected ascending labels, found %u after %u", record.label,
                     plan.classes[i - 1].label);
    }
    if (record.name.bytes < 1 || record.name.bytes > format::kMaxClassNameBytes) {
      return corrupt("CLASSES", i, "name", "expected 1..%u bytes, found %u", format::kMaxClassNameBytes,
                     record.name.bytes);
    }
    if (record.flags != 0) return corrupt("CLASSES", i, "flags", "expected 0, found %u", record.flags);
  }
  return Status();
}

Status validate_parity(const Plan& plan) {
  if (plan.parity == nullptr) return Status();
  const format::ParityRecord& parity = *plan.parity;
  if (parity.n_rows == 0) return corrupt("PARITY", format::kNone, "n_rows", "expected at least 1, found 0");
  if (!all_zero(parity.reserved, sizeof parity.reserved))
    return corrupt("PARITY", format::kNone, "reserved", "expected 0, found another number");
  const float values[] = {parity.max_abs_difference, parity.mean_abs_difference, parity.max_abs_reference};
  for (float value : values) {
    if (!is_finite(value) || value < 0)
      return corrupt("PARITY", format::kNone, "differences", "expected finite numbers of at least 0, found another");
  }
  return Status();
}

}  // namespace edgecl
