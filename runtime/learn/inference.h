// Forward passes that change nothing: class scores, predictions, embeddings.
// Never here: learning.
#ifndef EDGECL_RUNTIME_LEARN_INFERENCE_H_
#define EDGECL_RUNTIME_LEARN_INFERENCE_H_

#include <stddef.h>
#include <stdint.h>

#include "runtime/learn/batch.h"

namespace edgecl {

struct Prediction {
  int32_t label;      // -1: no class is present
  float probability;  // softmax over the classes present
  float margin;       // largest minus second largest logit; 0 with one class
};

// Receives the result of one row.
using PredictionSink = void (*)(void* context, uint64_t row, const Prediction& prediction);

// All take any number of rows, in pieces of max_batch, and compute each row by itself: a row's result does not depend
// on the batch it came in. E_NUMERIC when a score of the network is not finite; results of earlier rows are then
// written already.
Status predict_rows(Session* session, const Batch& batch, void* context, PredictionSink sink);
// out [n][columns]: softmax over the classes present, whose largest is Prediction::probability bit for bit; 0 in columns
// without a class.
Status probability_rows(Session* session, const Batch& batch, float* out);
// out [n][columns]: minus infinity in columns without a class.
Status logits_rows(Session* session, const Batch& batch, float* out);
// out [n][embedding]. E_UNSUPPORTED when the model has no separate head.
Status embed_rows(Session* session, const Batch& batch, float* out);

// Receives the score of one row.
using NoveltySink = void (*)(void* context, uint64_t row, float score);
// A novelty score of each row, larger is more novel: kNovelty*, or 0 for that of the recipe, or energy where it names
// none. kNoveltyFit is Route::fit, whichever domain is selected. E_UNSUPPORTED: the session does not keep what the score
// needs. E_ARGUMENT: no such score. E_SEQUENCE: nothing was learned yet.
Status novelty_rows(Session* session, const Batch& batch, uint32_t kind, void* context, NoveltySink sink);
// The number that 0 stands for. E_ARGUMENT as above.
Status resolve_novelty(const Session& session, uint32_t* kind);
// The score that decisions go by.
uint32_t own_novelty(const Session& session);
// Of the session's own score: its window begins anew.
void set_threshold(Session* session, uint32_t kind, const Threshold& threshold);

// Floats of one embedding; 0 without a separate head.
uint64_t embedding_size(const Plan& plan);

// Where a sample belongs.
struct Route {
  int32_t domain;
  float fit;     // deviations from what the domain's held-out rows score; smaller fits better
  bool unknown;  // further off than kHeldQuantile of them
};
using RouteSink = void (*)(void* context, uint64_t row, const Route& route);
// E_UNSUPPORTED (no domains), E_SEQUENCE (no domain has rows), E_NUMERIC, and those of check_batch.
Status routed_rows(Session* session, const Batch& batch, void* context, RouteSink sink);
// Whether predictions look for the domain that fits: several exist, one has rows, and none is pinned.
bool routes_by_fit(const Session& session);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_INFERENCE_H_
