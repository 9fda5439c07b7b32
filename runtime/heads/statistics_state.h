// Statistics in a state.
// Never here: the frame of a state.
#ifndef EDGECL_RUNTIME_HEADS_STATISTICS_STATE_H_
#define EDGECL_RUNTIME_HEADS_STATISTICS_STATE_H_

#include "runtime/heads/head.h"
#include "runtime/heads/statistics.h"

namespace edgecl {

class SectionReader;
class SectionWriter;

// Form and limits: runtime/state/FORMAT.md, section HEAD. read_sums gets the bytes twice: with apply false it checks
// everything and stores nothing.
uint64_t sums_bytes_max(const StatisticsSize& size);
void write_sums(SectionWriter* out, const Statistics& statistics, Whose whose);
Status read_sums(SectionReader* in, Statistics* statistics, bool apply);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_HEADS_STATISTICS_STATE_H_
