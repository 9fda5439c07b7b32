// What a merge did, as a line of JSON.
// Never here: merging.
#ifndef EDGECL_RUNTIME_RUNNER_MERGE_TEXT_H_
#define EDGECL_RUNTIME_RUNNER_MERGE_TEXT_H_

#include <stddef.h>

#include "edgecl/edgecl.h"

enum { kMergeTextBytes = 256 };
void merge_text(const edgecl_merge_report* report, char text[kMergeTextBytes]);

#endif
