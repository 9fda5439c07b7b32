// What the commands on arrays and synthetic samples (info, predict, run) work with.
// Never here: serving, deploying.
#ifndef EDGECL_RUNTIME_RUNNER_RUNNER_H_
#define EDGECL_RUNTIME_RUNNER_RUNNER_H_

#include <stddef.h>
#include <stdint.h>

#include "edgecl/edgecl.h"
#include "npy.h"
#include "options.h"
#include "synthetic.h"
#include "thread_pool.h"

typedef struct Runner {
  Options options;
  edgecl_model* model;
  edgecl_session* session;
  ThreadPool* pool;
  edgecl_model_info info;
  edgecl_session_config config;
  int64_t main_ns;  // when main began
  // Samples: from files, or synthetic.
  NpyArray data, labels;
  Synthetic synthetic;
  int32_t* synthetic_labels;  // labels to draw from
  uint32_t n_synthetic_labels;
  uint64_t next_row;  // of the files; wraps around
  uint8_t* batch_samples;
  int32_t* batch_labels;
  // Measurements.
  int64_t *learn_ns, *predict_ns;
  int64_t first_step_at_ns;  // when the first learn step had ended; 0 = there was none
  uint64_t allocations_after_creation;
  edgecl_learn_report report;
} Runner;

// Each returns an exit code (failures.h); what is not kDone was told on stderr.
int open_bundle(Runner* r);
int create_session(Runner* r);  // as options and recipe say, with the state that --state-in names
int load_data(Runner* r);       // the arrays that --data and --labels name
int session_failed(const Runner* r, const char* what, edgecl_status status);
void release(Runner* r);

// The commands.
int command_info(Runner* r);
int command_methods(void);
int command_predict(Runner* r);
int command_route(Runner* r);
int command_run(Runner* r);

#endif
