// The table of presets.
// Never here: defaults of a bundle (the exporter's), the texts of a method (methods/method_<name>.cpp).
#include "runtime/learn/presets.h"

#include <string.h>

#include "runtime/heads/head.h"
#include "runtime/learn/methods/method.h"

namespace edgecl {
namespace {

using namespace format;
using Word = RecipeWord;

const PresetSetting kStatic[] = {
    {Word::structure, kStructureStatic}, {Word::gradient_mask, kGradientAll}, {Word::head, kHeadGradient}, kPresetEnd};
// SparCL's released schedule in stream form: every K steps, eight exchanges of 1 % of a layer, then one last pruning;
// gradients of the 80 % largest, chosen every 30 steps; 30 % of a task's examples go after its first epochs.
const PresetSetting kSparcl[] = {{Word::structure, kStructureTdm},
                                 {Word::growth, kGrowthRandom},
                                 {Word::structure_interval, 100},
                                 {Word::structure_updates, 8},
                                 {Word::structure_inter, 0.01f},
                                 {Word::structure_intra, 0.01f},
                                 {Word::importance_current, 0.5f},
                                 {Word::importance_replay, 0.5f},
                                 {Word::gradient_mask, kGradientDgm},
                                 {Word::gradient_interval, 30},
                                 {Word::gradient_keep, 0.8f},
                                 {Word::removal_share, 0.3f},
                                 {Word::removal_stages, 1u << 1 | 1u << 2 | 1u << 3},
                                 {Word::removal_score, kRemovalMisclassified},
                                 {Word::head, kHeadGradient},
                                 kPresetEnd};
#define REPLACING(structure_rule)                                          \
  {{Word::structure, structure_rule}, {Word::structure_interval, 100},     \
   {Word::structure_updates, 8},      {Word::structure_intra, 0.3f},       \
   {Word::structure_inter, 0},        {Word::gradient_mask, kGradientAll}, \
   {Word::head, kHeadGradient},       kPresetEnd}
const PresetSetting kSet[] = REPLACING(kStructureSet), kRigl[] = REPLACING(kStructureRigl);
#undef REPLACING
const PresetSetting kMasked[] = {{Word::class_mask, 1}, kPresetEnd};
const PresetSetting kLatent[] = {
    {Word::latent_replay, 1}, {Word::augment_crop, 0}, {Word::augment_flip, 0}, kPresetEnd};

// A head that keeps statistics: nothing of the gradients' recipe is in use, so it is neutral.
#define STATISTICS(number)               \
  {{Word::head, number},                 \
   {Word::structure, kStructureStatic},  \
   {Word::gradient_mask, kGradientAll},  \
   {Word::augment_crop, 0},              \
   {Word::augment_flip, 0},              \
   {Word::latent_replay, 0},             \
   {Word::removal_share, 0},             \
   {Word::rate_schedule, kRateConstant}, \
   {Word::rehearse_steps, 0},            \
   {Word::boundary, kBoundaryCaller},    \
   kPresetEnd}
const PresetSetting kNcm[] = STATISTICS(kHeadNcm), kNcmDistance[] = STATISTICS(kHeadNcmDistance),
                    kLda[] = STATISTICS(kHeadLda), kRidge[] = STATISTICS(kHeadRidge), kHd[] = STATISTICS(kHeadHd),
                    kFecam[] = STATISTICS(kHeadFecam);
#undef STATISTICS

const char kClosed[] = "class scores against the same formula in scikit-learn or NumPy";
const char kAccuracy[] = "accuracy over seeds against a PyTorch transcription of the released code";
const char kRule[] = "structure rule against a plain transcription";
const char kWang[] = "Wang et al. 2022", kMocanu[] = "Mocanu et al. 2018", kEvci[] = "Evci et al. 2020";
constexpr uint32_t kFixed = kNeedsReplay | kNeedsSparse, kMoves = kFixed | kNeedsBoundaries;

const Preset kPresets[] = {
    {"sharp",
     "latent replay of hidden activations, as in SHARP",
     "Gurbuz et al. 2023",
     kComparedLosses,
     kNeedsReplay | kNeedsTail,
     kMethodEr,
     {kStatic, kLatent}},
    {"sparcl-er", "SparCL on ER with the class mask", kWang, kAccuracy, kMoves, kMethodErAce, {kSparcl}},
    {"sparcl-derpp", "SparCL on DER++ with the class mask", kWang, kAccuracy, kMoves, kMethodDerpp, {kSparcl, kMasked}},
    {"static-er", "fixed structure, ER with the class mask", "-", kComparedLosses, kFixed, kMethodErAce, {kStatic}},
    {"static-derpp",
     "fixed structure, DER++ with the class mask",
     "-",
     kComparedLosses,
     kFixed,
     kMethodDerpp,
     {kStatic, kMasked}},
    {"set-er", "sparse evolutionary training on ER with the class mask", kMocanu, kRule, kMoves, kMethodErAce, {kSet}},
    {"set-derpp",
     "sparse evolutionary training on DER++ with the class mask",
     kMocanu,
     kRule,
     kMoves,
     kMethodDerpp,
     {kSet, kMasked}},
    {"ncm", "nearest class mean by cosine", "Mensink et al. 2013", kClosed, kNeedsHead, kMethodFinetune, {kNcm}},
    {"ncm-distance",
     "nearest class mean by distance",
     "Mensink et al. 2013",
     kClosed,
     kNeedsHead,
     kMethodFinetune,
     {kNcmDistance}},
    {"lda",
     "streaming linear discriminant analysis",
     "Hayes and Kanan 2020",
     kClosed,
     kNeedsHead,
     kMethodFinetune,
     {kLda}},
    {"ridge", "ridge regression of the classes", "Zhuang et al. 2022", kClosed, kNeedsHead, kMethodFinetune, {kRidge}},
    {"hd",
     "hyperdimensional codes: signs of a random projection, counted by class",
     "Kanerva 2009",
     kClosed,
     kNeedsHead,
     kMethodFinetune,
     {kHd}},
    {"fecam",
     "nearest class mean by the covariance of each class",
     "Goswami et al. 2023",
     kClosed,
     kNeedsHead,
     kMethodFinetune,
     {kFecam}},
    {"rigl-er", "RigL on ER with the class mask", kEvci, kRule, kMoves, kMethodErAce, {kRigl}},
    {"rigl-derpp", "RigL on DER++ with the class mask", kEvci, kRule, kMoves, kMethodDerpp, {kRigl, kMasked}},
};

constexpr uint32_t kMethods[] = {
#define METHOD(constant, number, name, rule) constant,
#include "runtime/core/methods.def"
#undef METHOD
};
constexpr uint32_t kOfMethods = sizeof kMethods / sizeof kMethods[0];

bool same_name(const char* a, const char* b) {
  for (; *a && *b; a++, b++) {
    if ((*a == '-' ? '_' : *a) != (*b == '-' ? '_' : *b)) return false;
  }
  return *a == *b;
}

}  // namespace

const char kComparedLosses[] = "losses of every step against the same recipe in PyTorch";

uint32_t preset_count() {
  return kOfMethods + sizeof kPresets / sizeof kPresets[0];
}

Preset preset(uint32_t index) {
  if (index >= kOfMethods) return kPresets[index - kOfMethods];
  const edgecl::Method& m = method_rule(kMethods[index]);
  return {kMethodNames[index], m.title, m.source, m.compared, m.needs, kMethods[index], {kStatic, m.settings}};
}

void apply_preset(const Preset& preset, RecipeRecord* recipe) {
  uint8_t* words = reinterpret_cast<uint8_t*>(recipe);
  recipe->method = preset.method;
  for (const PresetSetting* part : preset.parts) {
    for (; part && part->word != kPresetEnd.word; part++) {
      const uint32_t at = static_cast<uint32_t>(part->word), whole = static_cast<uint32_t>(part->value);
      const bool is_number = recipe_fields()[at].kind == RecipeField::kNumber;
      memcpy(words + sizeof(uint32_t) * at, is_number ? static_cast<const void*>(&part->value) : &whole, sizeof whole);
    }
  }
}

Status apply_preset(const char* name, RecipeRecord* recipe) {
  for (uint32_t i = 0; i < preset_count(); i++) {
    const Preset found = preset(i);
    if (!same_name(found.name, name)) continue;
    apply_preset(found, recipe);
    return Status();
  }
  return failure(EDGECL_E_NOT_FOUND,
                 "expected the name of a method; found \"%.64s\"; edgecl_preset_describe names those that there are",
                 name);
}

}  // namespace edgecl
