// Memory, learning, scores and state of the head of hyperdimensional codes.
// Never here: statistics of embeddings (statistics.cpp).
#include "runtime/heads/hd_head.h"

#include <string.h>

#include "runtime/core/encoder.h"
#include "runtime/heads/statistics_head.h"
#include "runtime/state/section_reader.h"
#include "runtime/state/section_writer.h"

namespace edgecl {
namespace {

constexpr float kDefaultScoreScale = 16;

uint32_t bits_of(const format::RecipeRecord& recipe) {
  return recipe.hd_bits == 0 ? kDefaultHdBits : recipe.hd_bits;
}

uint64_t dim_of(const Plan& plan) {
  return tensor_row_floats(plan.tensors[plan.model->embedding_tensor]);
}

uint32_t bits_of(const HdHead& head) {
  return head.sums.size.dim;
}

int32_t* counters_of(const HdHead& head, uint32_t label) {
  return head.sums.counters + static_cast<uint64_t>(label) * bits_of(head);
}

HdEncodeArgs encode_args(const HeadMemory& memory) {
  return {
      memory.hd->features, 1, static_cast<int32_t>(memory.dim), kHdSeed, 0, static_cast<int32_t>(bits_of(*memory.hd)),
      memory.hd->code};
}

// The kernels run on one thread: a row is a few microseconds of work.
// An embedding [dim] into head.code; how many features lie beyond the range.
int32_t encode_row(const HeadMemory& memory, const Net& net, const float* embedding) {
  const HdHead& head = *memory.hd;
  int32_t saturated = 0;
  net.env.kernels->quantize_rows(
      {embedding, head.features, &saturated, 1, static_cast<int32_t>(memory.dim), head.sums.scale}, 0, 1, nullptr);
  net.env.kernels->hd_encode(encode_args(memory), 0, 1, net.work.scratch);
  return saturated;
}

void count_row(const HeadMemory& memory, const Net& net, const float* embedding, int32_t label, bool subtract) {
  HdHead* const head = memory.hd;
  ClassCounts* const counts = &head->sums.classes[label];
  const int32_t saturated = encode_row(memory, net, embedding);
  counts->n += subtract ? -1 : 1;
  counts->saturated = modular_sum(counts->saturated, subtract ? -saturated : saturated);
  net.env.kernels->hd_accumulate(
      {head->code, 1, static_cast<int32_t>(bits_of(*head)), counters_of(*head, static_cast<uint32_t>(label)), subtract},
      0, 1, net.work.scratch);
  head->changed[label] = 1;
}

// Whether there can be n codes that give the own counters of a class: each counter is within +-n, and even where n is.
bool can_be_counters(const Statistics& s, uint32_t label) {
  const ClassCounts own = own_counts(s, label);
  bool can_be = own.n != 0 || own.saturated == 0;
  for (uint32_t i = 0; can_be && i < s.size.dim; i++) {
    const int64_t x = own_sum(s, label, i);
    can_be = x <= own.n && x >= -own.n && ((x ^ own.n) & 1) == 0;
  }
  return can_be;
}

void lay_out(Arena* arena, const Plan& plan, const format::RecipeRecord& recipe, Weights*, HeadMemory* memory) {
  arena->begin_region("head");
  HdHead* const own = arena->take<HdHead>(1);
  const uint64_t dim = dim_of(plan), columns = plan.model->class_capacity;
  HdHead head;
  Statistics* const sums = &head.sums;
  sums->size.dim = bits_of(recipe);
  sums->size.columns = static_cast<uint32_t>(columns);
  sums->size.parts = recipe.head_merges;
  sums->size.counters = true;
  head.words = bits_of(recipe) / 64;
  sums->scale =
      static_cast<float>(kQuantizedLimit) / (recipe.feature_range > 0 ? recipe.feature_range : kDefaultFeatureRange);
  head.score_scale = recipe.cosine_scale > 0 ? recipe.cosine_scale : kDefaultScoreScale;
  sums->classes = arena->take<ClassCounts>(columns);
  sums->counters = arena->take<int32_t>(columns * bits_of(recipe));
  lay_out_parts(arena, recipe.head_merges, sums);
  sums->parts.devices = lay_out_devices(arena, recipe.head_merges);
  head.exemplars = arena->take<uint64_t>(columns * head.words);
  head.changed = arena->take<uint8_t>(columns);
  sums->row = arena->take<float>(dim + kReadSlack);
  head.features = arena->take<int16_t>(dim + kReadSlack);
  head.code = arena->take<uint64_t>(head.words);
  head.distance = arena->take<int32_t>(columns);
  if (arena->measuring() || arena->exhausted()) return;
  *own = head;
  memory->hd = own;
}

uint64_t scratch_bytes(const Plan& plan, const format::RecipeRecord& recipe, const ScratchTable& kernels) {
  const int32_t dim = static_cast<int32_t>(dim_of(plan)), bits = static_cast<int32_t>(bits_of(recipe));
  const int32_t columns = static_cast<int32_t>(plan.model->class_capacity);
  const uint64_t needs[] = {
      kernels.quantize_rows_scratch_bytes({nullptr, nullptr, nullptr, 1, dim, 1}),
      kernels.hd_encode_scratch_bytes({nullptr, 1, dim, kHdSeed, 0, bits, nullptr}),
      kernels.hd_accumulate_scratch_bytes({nullptr, 1, bits, nullptr, false}),
      kernels.hd_signs_scratch_bytes({nullptr, 1, bits, kHdSeed, nullptr}),
      kernels.hd_hamming_scratch_bytes({nullptr, nullptr, 1, columns, bits, nullptr}),
  };
  uint64_t most = 0;
  for (const uint64_t need : needs) most = need > most ? need : most;
  return most;
}

void reset(const HeadMemory& memory) {
  HdHead* const head = memory.hd;
  Statistics* const sums = &head->sums;
  memset(static_cast<void*>(sums->classes), 0, memory.columns * sizeof *sums->classes);
  memset(sums->counters, 0, static_cast<uint64_t>(memory.columns) * bits_of(*head) * sizeof *sums->counters);
  clear_parts(sums);
  memset(head->changed, 1, memory.columns);
  memset(head->exemplars, 0, static_cast<uint64_t>(memory.columns) * head->words * sizeof *head->exemplars);
}

Status prepare(const HeadMemory& memory, const Net& net) {
  HdHead* const head = memory.hd;
  for (uint32_t c = 0; c < memory.columns; c++) {
    if (!head->changed[c]) continue;
    net.env.kernels->hd_signs({counters_of(*head, c), 1, static_cast<int32_t>(bits_of(*head)), kHdSeed,
                               head->exemplars + static_cast<uint64_t>(c) * head->words},
                              0, 1, net.work.scratch);
    head->changed[c] = 0;
  }
  return Status();
}

// score_scale * (1 - 2 * distance / bits), a product rounded once; kNoScore for a class without a row.
void score(const HeadMemory& memory, const Net& net, uint32_t rows, Mode mode, const LayerProbe*) {
  const HdHead& head = *memory.hd;
  const Tensor embedding = plan_tensor(net, net.plan.model->embedding_tensor, rows, mode);
  const Tensor logits = plan_tensor(net, net.plan.model->logits_tensor, rows, mode);
  const int32_t bits = static_cast<int32_t>(bits_of(head));
  for (uint32_t r = 0; r < rows; r++) {
    gather_row(embedding, r, head.sums.row);
    encode_row(memory, net, head.sums.row);
    net.env.kernels->hd_hamming(
        {head.code, head.exemplars, 1, static_cast<int32_t>(memory.columns), bits, head.distance}, 0, 1,
        net.work.scratch);
    for (uint32_t c = 0; c < memory.columns; c++) {
      const float similarity = static_cast<float>(bits - 2 * head.distance[c]) / static_cast<float>(bits);
      *tensor_place(logits, r, static_cast<int32_t>(c), 0) =
          head.sums.classes[c].n > 0 ? head.score_scale * similarity : kNoScore;
    }
  }
}

Status check_learn(const HeadMemory& memory, uint32_t n) {
  if (memory.hd->sums.n_rows() + n <= kMaxStatisticRows) return Status();
  return failure(EDGECL_E_CAPACITY,
                 "expected at most %lld rows in the counters of a head; found more; reset the session",
                 static_cast<long long>(kMaxStatisticRows));
}

void learn_rows(const HeadMemory& memory, const Net& net, const float* embeddings, const int32_t* labels, uint32_t n) {
  for (uint32_t r = 0; r < n; r++)
    count_row(memory, net, embeddings + static_cast<uint64_t>(r) * memory.dim, labels[r], false);
  next_version(memory.hd->sums.parts.devices);
}

Status unlearn_rows(const HeadMemory& memory, const Net& net, const float* embeddings, const int32_t* labels,
                    uint32_t n) {
  for (uint32_t r = 0; r < n; r++) {
    int64_t of_class = 0;
    for (uint32_t i = 0; i <= r; i++) of_class += labels[i] == labels[r];
    if (own_rows(memory.hd->sums, static_cast<uint32_t>(labels[r])) < of_class) return never_learned(r);
  }
  const auto count_rows = [&](bool subtract) {
    for (uint32_t r = 0; r < n; r++)
      count_row(memory, net, embeddings + static_cast<uint64_t>(r) * memory.dim, labels[r], subtract);
  };
  count_rows(true);
  uint32_t odd = 0;
  while (odd < n && can_be_counters(memory.hd->sums, static_cast<uint32_t>(labels[odd]))) odd++;
  if (odd < n) {
    count_rows(false);
    // Counters that were odd before, which a state may bring, are not these rows' fault.
    if (can_be_counters(memory.hd->sums, static_cast<uint32_t>(labels[odd])))
      return impossible_sums(static_cast<uint32_t>(labels[odd]));
    count_rows(true);
  }
  // A class without rows has no counters: a state would not hold them either.
  for (uint32_t r = 0; r < n; r++) {
    const uint32_t label = static_cast<uint32_t>(labels[r]);
    if (own_rows(memory.hd->sums, label) == 0) clear_own(label, &memory.hd->sums);
  }
  next_version(memory.hd->sums.parts.devices);
  return Status();
}

Status check_forget(const HeadMemory& memory, uint32_t label) {
  return check_class_known(memory.hd->sums, label);
}

void forget_class(const HeadMemory& memory, const Net&, uint32_t label) {
  clear_own(label, &memory.hd->sums);
  memory.hd->changed[label] = 1;
  next_version(memory.hd->sums.parts.devices);
}

void merged(const HeadMemory& memory) {
  memset(memory.hd->changed, 1, memory.columns);
}

HeadSummary summary(const HeadMemory& memory) {
  HeadSummary summary = {static_cast<uint64_t>(memory.hd->sums.n_rows()), 0, 0, memory.hd->sums.parts.fill(), true};
  int64_t saturated = 0;
  for (uint32_t c = 0; c < memory.columns; c++) {
    saturated = modular_sum(saturated, memory.hd->sums.classes[c].saturated);
    summary.solved = summary.solved && memory.hd->changed[c] == 0;
  }
  summary.saturated = saturated > 0 ? static_cast<uint64_t>(saturated) : 0;
  return summary;
}

// --- section HEAD ---

constexpr uint64_t kHeaderBytes = 16, kClassBytes = 24;

uint64_t section_bytes_max(const Plan& plan, const format::RecipeRecord& recipe) {
  return kHeaderBytes + plan.model->class_capacity * (kClassBytes + bits_of(recipe) * sizeof(int32_t));
}

// dim, scale, how many classes, bits; each class with rows: label, rows, saturated, counters.
void write_state(SectionWriter* out, const HeadMemory& memory, Whose whose) {
  const HdHead& head = *memory.hd;
  const bool all = whose == Whose::kAll || head.sums.parts.fill() == 0;
  uint32_t n_classes = 0;
  for (uint32_t c = 0; c < memory.columns; c++)
    n_classes += (all ? head.sums.classes[c].n : own_rows(head.sums, c)) > 0;
  out->u32(memory.dim);
  out->floats(&head.sums.scale, 1);
  out->u32(n_classes);
  out->u32(bits_of(head));
  for (uint32_t c = 0; c < memory.columns; c++) {
    const ClassCounts counts = all ? head.sums.classes[c] : own_counts(head.sums, c);
    if (counts.n == 0) continue;
    out->u64(c);
    out->u64(static_cast<uint64_t>(counts.n));
    out->u64(static_cast<uint64_t>(counts.saturated));
    if (all) out->bytes(counters_of(head, c), bits_of(head) * sizeof(int32_t));
    for (uint32_t i = 0; !all && i < bits_of(head); i++) out->u32(static_cast<uint32_t>(own_sum(head.sums, c, i)));
  }
}

// No counter is checked against its rows: whoever took back what was never learned has odd ones, which must come in as
// they went out.
Status read_state(SectionReader* in, const HeadMemory& memory, bool apply) {
  HdHead* const head = memory.hd;
  const uint32_t dim = in->u32();
  float scale = 0;
  const bool sound_scale = in->floats(1, kQuantizedLimit * 1e9f, &scale) && scale == head->sums.scale;
  const uint32_t n_classes = in->u32(), bits = in->u32();
  if (in->failed() || dim != memory.dim || !sound_scale || bits != bits_of(*head))
    return in->corrupt("features or codes of another kind");
  if (n_classes > memory.columns) return in->corrupt("more classes than fit");
  if (apply) reset(memory);
  int64_t rows = 0;
  uint64_t next = 0;
  for (uint32_t k = 0; k < n_classes; k++) {
    const uint64_t label = in->u64();
    const int64_t n = static_cast<int64_t>(in->u64()), saturated = static_cast<int64_t>(in->u64());
    const uint8_t* const counters = in->bytes(bits_of(*head) * sizeof(int32_t));
    if (counters == nullptr) return in->corrupt("a truncated class");
    if (label >= memory.columns || label < next) return in->corrupt("classes out of order or range");
    if (n < 1 || n > kMaxStatisticRows) return in->corrupt("a bad count");
    next = label + 1;
    rows += n;
    if (!apply) continue;
    head->sums.classes[label] = {n, 0, saturated};
    memcpy(counters_of(*head, static_cast<uint32_t>(label)), counters, bits_of(*head) * sizeof(int32_t));
  }
  if (rows > kMaxStatisticRows) return in->corrupt("too many rows");
  return Status();
}

void section_rows(SectionReader in, const StatisticsSize& size, uint32_t* rows) {
  memset(rows, 0, size.columns * sizeof *rows);
  in.u32();
  in.u32();
  const uint32_t n_classes = in.u32();
  const uint64_t bits = in.u32();
  for (uint32_t k = 0; k < n_classes; k++) {
    const uint64_t label = in.u64();
    rows[label] = static_cast<uint32_t>(in.u64());
    in.u64();
    in.bytes(bits * sizeof(int32_t));
  }
}

constexpr HeadKind kind() {
  HeadKind kind = {};
  kind.name = "hd";
  kind.check = statistics_head::check;
  kind.lay_out = lay_out;
  kind.scratch_bytes = scratch_bytes;
  kind.reset = reset;
  kind.prepare = prepare;
  kind.score = score;
  kind.check_learn = check_learn;
  kind.learn_rows = learn_rows;
  kind.unlearn_rows = unlearn_rows;
  kind.check_forget = check_forget;
  kind.forget_class = forget_class;
  kind.merged = merged;
  kind.section_bytes_max = section_bytes_max;
  kind.write_state = write_state;
  kind.read_state = read_state;
  kind.section_rows = section_rows;
  kind.summary = summary;
  return kind;
}

}  // namespace

const HeadKind kHdHead = kind();

}  // namespace edgecl
