// The table of presets.
// Never here: defaults of a bundle (the exporter's).
#include "runtime/learn/presets.h"

#include <string.h>

#include "runtime/core/recipe.h"

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

const char kLosses[] = "losses of every step against the same recipe in PyTorch";
const char kAccuracy[] = "accuracy over seeds against a PyTorch transcription of the released code";
const char kRule[] = "structure rule against a plain transcription";
const char kWang[] = "Wang et al. 2022", kMocanu[] = "Mocanu et al. 2018", kEvci[] = "Evci et al. 2020";
constexpr uint32_t kMoves = kNeedsReplay | kNeedsSparse | kNeedsBoundaries;

const Preset kPresets[] = {
    {"finetune", "plain SGD on the stream", "-", kLosses, 0, {kStatic, kFinetune}},
    {"er", "experience replay", "Chaudhry et al. 2019", kLosses, kNeedsReplay, {kStatic, kEr}},
    {"derpp", "DER++, replay of logits and labels", "Buzzega et al. 2020", kLosses, kNeedsReplay, {kStatic, kDerpp}},
    {"er_ace", "ER with asymmetric cross-entropy", "Caccia et al. 2022", kLosses, kNeedsReplay, {kStatic, kErAce}},
    {"uer", "unbiased ER: current rows by cosine logits", "Lin et al. 2023", kLosses, kNeedsReplay, {kStatic, kUer}},
    {"fpf",
     "k-FPF: sensitive parameters fine-tuned on the buffer now and then",
     "Zhao et al. 2023",
     kLosses,
     kNeedsReplay,
     {kStatic, kFpf}},
    {"sharp",
     "latent replay of hidden activations, as in SHARP",
     "Gurbuz et al. 2023",
     kLosses,
     kNeedsReplay | kNeedsTail,
     {kStatic, kLatent}},
    {"sparcl-er", "SparCL on ER with the class mask", kWang, kAccuracy, kMoves, {kSparcl, kErAce}},
    {"sparcl-derpp", "SparCL on DER++ with the class mask", kWang, kAccuracy, kMoves, {kSparcl, kMaskedDerpp}},
    {"static-er",
     "fixed structure, ER with the class mask",
     "-",
     kLosses,
     kNeedsReplay | kNeedsSparse,
     {kStatic, kErAce}},
    {"static-derpp",
     "fixed structure, DER++ with the class mask",
     "-",
     kLosses,
     kNeedsReplay | kNeedsSparse,
     {kStatic, kMaskedDerpp}},
    {"set-er",
     "sparse evolutionary training on ER with the class mask",
     kMocanu,
     kRule,
     kMoves,
     {kReplace, kSet, kErAce}},
    {"set-derpp",
     "sparse evolutionary training on DER++ with the class mask",
     kMocanu,
     kRule,
     kMoves,
     {kReplace, kSet, kMaskedDerpp}},
    {"rigl-er", "RigL on ER with the class mask", kEvci, kRule, kMoves, {kReplace, kRigl, kErAce}},
    {"rigl-derpp", "RigL on DER++ with the class mask", kEvci, kRule, kMoves, {kReplace, kRigl, kMaskedDerpp}},
};

bool same_name(const char* a, const char* b) {
  for (; *a && *b; a++, b++) {
    if ((*a == '-' ? '_' : *a) != (*b == '-' ? '_' : *b)) return false;
  }
  return *a == *b;
}

}  // namespace

uint32_t preset_count() {
  return sizeof kPresets / sizeof kPresets[0];
}

const Preset& preset(uint32_t index) {
  return kPresets[index];
}

const Preset* find_preset(const char* name) {
  for (const Preset& preset : kPresets) {
    if (same_name(preset.name, name)) return &preset;
  }
  return nullptr;
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
  const Preset* found = find_preset(name);
  if (found == nullptr) {
    return failure(EDGECL_E_NOT_FOUND,
                   "expected the name of a preset; found \"%.64s\"; ask edgecl_preset_describe for those there are",
                   name);
  }
  apply_preset(*found, recipe);
  return Status();
}

}  // namespace edgecl
