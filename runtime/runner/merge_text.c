// The numbers of a report.
// Never here: where they are printed.
#include "merge_text.h"

#include <inttypes.h>
#include <stdio.h>

void merge_text(const edgecl_merge_report* report, char text[kMergeTextBytes]) {
  snprintf(text, kMergeTextBytes,
           "{\"devices\": %" PRIu32 ", \"new\": %" PRIu32 ", \"newer\": %" PRIu32 ", \"known\": %" PRIu32
           ", \"classes_added\": %" PRIu32 ", \"classes_gone\": %" PRIu32 ", \"rows\": %" PRIu64 "}",
           report->n_devices, report->n_new, report->n_newer, report->n_known, report->n_classes_added,
           report->n_classes_gone, report->rows);
}
