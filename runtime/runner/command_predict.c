// The command `predict`: a line for each row of an array.
// Never here: measurements.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "failures.h"
#include "runner.h"

int command_predict(Runner* r) {
  int code = create_session(r);
  if (code == kDone) code = load_data(r);
  if (code != kDone) return code;
  edgecl_prediction* out = r->data.rows > UINT32_MAX ? NULL : malloc(r->data.rows * sizeof *out);
  if (out == NULL) return no_memory("predict");
  const edgecl_batch batch = {
      sizeof batch, r->info.input_dtype, (uint32_t)r->data.rows, 0, r->data.data, r->info.input_elements, NULL, NULL};
  const edgecl_status status = edgecl_predict(r->session, &batch, out, sizeof *out);
  for (uint64_t i = 0; status == EDGECL_OK && i < r->data.rows; i++) {
    printf("{\"row\": %" PRIu64 ", \"label\": %" PRId32 ", \"probability\": %.6f, \"margin\": %.6f}\n", i, out[i].label,
           (double)out[i].probability, (double)out[i].margin);
  }
  free(out);
  return status == EDGECL_OK ? kDone : session_failed(r, "predict", status);
}
