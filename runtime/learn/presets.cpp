// The table of presets.
// Never here: defaults of a bundle (the exporter's).
#include "runtime/learn/presets.h"

#include <string.h>

#include "runtime/core/recipe.h"
#include "runtime/core/text.h"

namespace edgecl {
namespace {

using namespace format;

constexpr PresetSetting kEnd = {kRecipeFields, 0};

// A number and no name: names would be pointers, each with a relocation, in a table that many programs never read.
#define AT(field) offsetof(RecipeRecord, field) / sizeof(uint32_t)

const PresetSetting kStatic[] = {{AT(structure), kStructureStatic}, {AT(gradient_mask), kGradientAll}, kEnd};
// SparCL's released schedule in stream form: every K steps, eight exchanges of 1 % of a layer, then one last pruning;
// gradients of the 80 % largest, chosen every 30 steps.
const PresetSetting kSparcl[] = {
    {AT(structure), kStructureTdm}, {AT(growth), kGrowthRandom},   {AT(structure_interval), 100},
    {AT(structure_updates), 8},     {AT(structure_inter), 0.01f},  {AT(structure_intra), 0.01f},
    {AT(importance_current), 0.5f}, {AT(importance_replay), 0.5f}, {AT(gradient_mask), kGradientDgm},
    {AT(gradient_interval), 30},    {AT(gradient_keep), 0.8f},     kEnd};
const PresetSetting kReplace[] = {{AT(structure_interval), 100},     {AT(structure_updates), 8},
                                  {AT(structure_intra), 0.3f},       {AT(structure_inter), 0},
                                  {AT(gradient_mask), kGradientAll}, kEnd};
const PresetSetting kSet[] = {{AT(structure), kStructureSet}, kEnd};
const PresetSetting kRigl[] = {{AT(structure), kStructureRigl}, kEnd};

const PresetSetting kFinetune[] = {{AT(method), kMethodFinetune}, kEnd};
const PresetSetting kEr[] = {{AT(method), kMethodEr}, kEnd};
const PresetSetting kErAce[] = {{AT(method), kMethodErAce}, kEnd};
const PresetSetting kDerpp[] = {{AT(method), kMethodDerpp}, kEnd};
const PresetSetting kMaskedDerpp[] = {{AT(method), kMethodDerpp}, {AT(class_mask), 1}, kEnd};
const PresetSetting kUer[] = {{AT(method), kMethodUer}, {AT(cosine_scale), 16}, kEnd};
const PresetSetting kFpf[] = {{AT(method), kMethodFpf}, kEnd};
const PresetSetting kLatent[] = {
    {AT(method), kMethodEr}, {AT(latent_replay), 1}, {AT(augment_crop), 0}, {AT(augment_flip), 0}, kEnd};

#undef AT

// Texts one behind the other, in place of pointers that a shared library would have to relocate: the order of the enums
// and of kRows is theirs.
enum Part : uint8_t {
  kNoPart,
  kPStatic,
  kPSparcl,
  kPReplace,
  kPSet,
  kPRigl,
  kPFinetune,
  kPEr,
  kPErAce,
  kPDerpp,
  kPMaskedDerpp,
  kPUer,
  kPFpf,
  kPLatent
};
const PresetSetting* part_of(uint8_t part) {
  static const PresetSetting* const parts[] = {nullptr, kStatic, kSparcl, kReplace,     kSet, kRigl, kFinetune,
                                               kEr,     kErAce,  kDerpp,  kMaskedDerpp, kUer, kFpf,  kLatent};
  return parts[part];
}

enum Source : uint8_t { kNobody, kChaudhry, kBuzzega, kCaccia, kLin, kZhao, kGurbuz, kWang, kMocanu, kEvci };
constexpr char kSources[] =
    "-\0"
    "Chaudhry et al. 2019\0"
    "Buzzega et al. 2020\0"
    "Caccia et al. 2022\0"
    "Lin et al. 2023\0"
    "Zhao et al. 2023\0"
    "Gurbuz et al. 2023\0"
    "Wang et al. 2022\0"
    "Mocanu et al. 2018\0"
    "Evci et al. 2020";

enum Compared : uint8_t { kLosses, kAccuracy, kRule };
constexpr char kComparisons[] =
    "losses of every step against the same recipe in PyTorch\0"
    "accuracy over seeds against a PyTorch transcription of the released code\0"
    "structure rule against a plain transcription";

// Name and title of each.
constexpr char kNames[] =
    "finetune\0plain SGD on the stream\0"
    "er\0experience replay\0"
    "derpp\0DER++, replay of logits and labels\0"
    "er_ace\0ER with asymmetric cross-entropy\0"
    "uer\0unbiased ER: current rows by cosine logits\0"
    "fpf\0k-FPF: sensitive parameters fine-tuned on the buffer now and then\0"
    "sharp\0latent replay of hidden activations, as in SHARP\0"
    "sparcl-er\0SparCL on ER with the class mask\0"
    "sparcl-derpp\0SparCL on DER++ with the class mask\0"
    "static-er\0fixed structure, ER with the class mask\0"
    "static-derpp\0fixed structure, DER++ with the class mask\0"
    "set-er\0sparse evolutionary training on ER with the class mask\0"
    "set-derpp\0sparse evolutionary training on DER++ with the class mask\0"
    "rigl-er\0RigL on ER with the class mask\0"
    "rigl-derpp\0RigL on DER++ with the class mask";

constexpr uint8_t kSparse = kNeedsReplay | kNeedsSparse, kMoves = kSparse | kNeedsBoundaries;
struct Row {
  Source source;
  Compared compared;
  uint8_t needs;
  Part parts[3];
};
constexpr Row kRows[] = {
    {kNobody, kLosses, 0, {kPStatic, kPFinetune}},
    {kChaudhry, kLosses, kNeedsReplay, {kPStatic, kPEr}},
    {kBuzzega, kLosses, kNeedsReplay, {kPStatic, kPDerpp}},
    {kCaccia, kLosses, kNeedsReplay, {kPStatic, kPErAce}},
    {kLin, kLosses, kNeedsReplay, {kPStatic, kPUer}},
    {kZhao, kLosses, kNeedsReplay, {kPStatic, kPFpf}},
    {kGurbuz, kLosses, kNeedsReplay | kNeedsTail, {kPStatic, kPLatent}},
    {kWang, kAccuracy, kMoves, {kPSparcl, kPErAce}},
    {kWang, kAccuracy, kMoves, {kPSparcl, kPMaskedDerpp}},
    {kNobody, kLosses, kSparse, {kPStatic, kPErAce}},
    {kNobody, kLosses, kSparse, {kPStatic, kPMaskedDerpp}},
    {kMocanu, kRule, kMoves, {kPReplace, kPSet, kPErAce}},
    {kMocanu, kRule, kMoves, {kPReplace, kPSet, kPMaskedDerpp}},
    {kEvci, kRule, kMoves, {kPReplace, kPRigl, kPErAce}},
    {kEvci, kRule, kMoves, {kPReplace, kPRigl, kPMaskedDerpp}},
};
constexpr uint32_t kPresets = sizeof kRows / sizeof kRows[0];

// The n-th of texts that lie one behind the other.
const char* text_at(const char* texts, uint32_t n) {
  for (; n > 0; n--) texts += text_length(texts) + 1;
  return texts;
}

bool same_name(const char* a, const char* b) {
  for (; *a && *b; a++, b++) {
    if ((*a == '-' ? '_' : *a) != (*b == '-' ? '_' : *b)) return false;
  }
  return *a == *b;
}

}  // namespace

uint32_t preset_count() {
  return kPresets;
}

Preset preset(uint32_t index) {
  const Row& row = kRows[index];
  const char* name = text_at(kNames, 2 * index);
  return {name,
          text_at(name, 1),
          text_at(kSources, row.source),
          text_at(kComparisons, row.compared),
          row.needs,
          {part_of(row.parts[0]), part_of(row.parts[1]), part_of(row.parts[2])}};
}

uint32_t find_preset(const char* name) {
  for (uint32_t i = 0; i < kPresets; i++) {
    if (same_name(text_at(kNames, 2 * i), name)) return i;
  }
  return kNone;
}

void apply_preset(const Preset& preset, RecipeRecord* recipe) {
  uint8_t* words = reinterpret_cast<uint8_t*>(recipe);
  for (const PresetSetting* part : preset.parts) {
    for (; part && part->word < kRecipeFields; part++) {
      uint8_t* word = words + sizeof(uint32_t) * part->word;
      const uint32_t whole = static_cast<uint32_t>(part->value);
      if (recipe_fields()[part->word].kind == RecipeField::kNumber) {
        memcpy(word, &part->value, sizeof part->value);
      } else {
        memcpy(word, &whole, sizeof whole);
      }
    }
  }
}

Status apply_preset(const char* name, RecipeRecord* recipe) {
  const uint32_t found = find_preset(name);
  if (found == kNone) {
    return failure(EDGECL_E_NOT_FOUND,
                   "expected the name of a preset; found \"%.64s\"; ask edgecl_preset_describe for those there are",
                   name);
  }
  apply_preset(preset(found), recipe);
  return Status();
}

}  // namespace edgecl
