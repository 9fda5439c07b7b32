// A routing model in a state: statistics, then held-out rows. What is computed from them is made anew.
// Never here: passes, scores.
#include <string.h>

#include "runtime/adapt/routing.h"
#include "runtime/heads/statistics_state.h"
#include "runtime/state/section_reader.h"
#include "runtime/state/section_writer.h"

namespace edgecl {

uint64_t routing_bytes_max(uint32_t dim, uint32_t columns) {
  StatisticsSize size;
  size.dim = dim;
  size.columns = columns;
  size.moments = Moments::kShared;
  return sums_bytes_max(size) + sizeof(uint64_t) + static_cast<uint64_t>(kHeldRows) * dim * sizeof(int16_t);
}

void write_routing(SectionWriter* out, const RoutingModel& model) {
  write_sums(out, model.statistics, Whose::kOwn);
  out->list(model.held_fill);
  out->bytes(model.held, static_cast<uint64_t>(model.held_fill) * model.statistics.size.dim * sizeof *model.held);
}

Status read_routing(SectionReader* in, RoutingModel* model, bool apply) {
  const uint64_t dim = model->statistics.size.dim;
  EDGECL_RETURN_IF_FAILED(read_sums(in, &model->statistics, apply));
  const uint64_t fill = in->list();
  if (in->failed() || fill > kHeldRows) return in->corrupt("a bad count of held-out rows");
  const uint8_t* const rows = in->bytes(fill * dim * sizeof(int16_t));
  if (rows == nullptr) return in->corrupt("truncated held-out rows");
  if (!apply) return Status();
  memset(model->held, 0, static_cast<uint64_t>(kHeldRows) * dim * sizeof *model->held);
  memcpy(model->held, rows, fill * dim * sizeof(int16_t));
  model->held_fill = static_cast<uint32_t>(fill);
  model->ready = false;
  return Status();
}

}  // namespace edgecl
