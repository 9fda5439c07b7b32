/* edgecl: learning on the device. This header is the whole C API and its manual (C99; usable from C++).
 * Never here: anything that a caller may not rely on.
 *
 * TWO OBJECTS. An `edgecl_model` is an opened bundle (.ecl): immutable, shareable by any number of threads. An
 * `edgecl_session` is everything that changes (weights that learn, replay buffer, optimiser state, classes, scratch).
 * One thread owns a session at a time.
 *
 * GROUND RULES
 *   Return    Fallible functions return edgecl_status: 0 = success, negative = failure. Outputs are written only on
 * success. Guarantee On failure the object is as it was before the call (same state hash). edgecl_learn checks shapes,
 * labels, inputs, loss and gradients for finiteness before it touches anything that lasts. NULL      Allowed only where
 * a parameter is called optional. Close and destroy accept NULL. Strings   UTF-8, zero-terminated. Returned pointers
 * live as long as the object; edgecl_session_error's until the next call. Numbers   float32 unless said. Rows are
 * samples; arrays are row-major. Units are in the names (_bytes, _us, n_). Structs   Each parameter struct begins with
 * `uint32_t struct_size`, which the caller sets to sizeof(the struct). The library reads and writes the common prefix.
 * A larger struct whose unknown tail is not zero is refused with EDGECL_E_ARGUMENT. Enums     Macros of fixed-width
 * integers; never C enum types, whose size differs between compilers. Threads   A model may be used from any thread
 * once open. A session must not be used by two threads at once; a second concurrent call is refused with EDGECL_E_BUSY
 * and changes nothing. The library starts no threads; hooks run on the calling thread, except the bodies that are
 * handed to `parallel_for`. Memory    Sizes can be asked before anything is allocated. After a session is made nothing
 * allocates. Trust     Bundle and state bytes are hostile until checked; pointers and sizes that the caller gives are
 * trusted. Numerics  Same bundle, seed and sequence of calls: bit-identical outputs and state, for any `n_threads`,
 * SIMD level, compiler and instruction set. The floating-point control word is set for each call and restored after it.
 *   Levels    The SIMD level is chosen when a model is opened: the best one of this CPU, or the one named by the
 * environment variable EDGECL_SIMD (reference, x86-64-v1, x86-64-v3, x86-64-v4, neon) in builds that have an
 * environment.
 */
#ifndef EDGECL_EDGECL_H_
#define EDGECL_EDGECL_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EDGECL_VERSION_MAJOR 0
#define EDGECL_VERSION_MINOR 1
#define EDGECL_VERSION_PATCH 0
#define EDGECL_VERSION_NUMBER 1000 /* major * 1000000 + minor * 1000 + patch */

#if defined(EDGECL_BUILD) && defined(__GNUC__)
#define EDGECL_API __attribute__((visibility("default")))
#else
#define EDGECL_API
#endif
#if defined(__GNUC__)
#define EDGECL_MUST_CHECK __attribute__((warn_unused_result))
#else
#define EDGECL_MUST_CHECK
#endif

/* --- status --- */
typedef int32_t edgecl_status;
#define EDGECL_OK 0
#define EDGECL_E_ARGUMENT (-1)          /* NULL, bad flag, bad struct size: a programming error */
#define EDGECL_E_SHAPE (-2)             /* sample or buffer dimensions do not fit the bundle */
#define EDGECL_E_DTYPE (-3)             /* element type not accepted here */
#define EDGECL_E_SEQUENCE (-4)          /* right call, wrong moment (closing a model with live sessions) */
#define EDGECL_E_UNSUPPORTED (-5)       /* compiled out, or this bundle has no such part */
#define EDGECL_E_BUSY (-6)              /* the session is in use by another thread */
#define EDGECL_E_NO_MEMORY (-20)        /* the caller's allocator refused */
#define EDGECL_E_ARENA_TOO_SMALL (-21)  /* ask edgecl_session_sizes and come back */
#define EDGECL_E_CAPACITY (-22)         /* class or batch limit reached; nothing was evicted */
#define EDGECL_E_NOT_FOUND (-23)        /* no such label or name */
#define EDGECL_E_BUNDLE_CORRUPT (-30)   /* structure or digest wrong; the message names section and field */
#define EDGECL_E_BUNDLE_VERSION (-31)   /* format newer than this library */
#define EDGECL_E_BUNDLE_SIGNATURE (-32) /* signature missing or not by this key */
#define EDGECL_E_BUNDLE_OP (-33)        /* an operator of the bundle is not in this build; the message names it */
#define EDGECL_E_STATE_CORRUPT (-40)    /* structure or digest of the state wrong */
#define EDGECL_E_STATE_MISMATCH (-41)   /* state belongs to another bundle or configuration */
#define EDGECL_E_STATE_NONE (-42)       /* storage is blank: first boot */
#define EDGECL_E_IO (-50)       /* a file or storage operation failed; the message holds the system's own words */
#define EDGECL_E_NUMERIC (-60)  /* non-finite input, loss or gradient; weights untouched */
#define EDGECL_E_INTERNAL (-99) /* our bug; please report with edgecl_build_info */

/* Status and sentence of a failed call that has no session to keep it. */
typedef struct edgecl_error {
  uint32_t struct_size;
  edgecl_status status;
  char message[504]; /* expected / found / what to do */
} edgecl_error;

/* --- version and diagnostics --- */
EDGECL_API uint32_t edgecl_version_number(void); /* of the linked library; compare with EDGECL_VERSION_NUMBER */
EDGECL_API const char* edgecl_version_string(void);
EDGECL_API const char* edgecl_build_info(
    void); /* one line: version, compiler, kernel levels compiled in and usable here */
EDGECL_API uint32_t edgecl_bundle_format_version(void); /* newest bundle format that this build reads */
EDGECL_API uint32_t edgecl_state_format_version(void);
EDGECL_API const char* edgecl_status_name(edgecl_status status); /* "EDGECL_E_SHAPE"; never NULL */

/* --- hooks --- */
typedef struct edgecl_allocator { /* optional; NULL = the C library's (E_ARGUMENT in builds without one) */
  uint32_t struct_size;
  void* (*allocate)(void* user, size_t bytes, size_t alignment); /* NULL on failure */
  void (*release)(void* user, void* memory, size_t bytes);
  void* user;
} edgecl_allocator;

typedef struct edgecl_hooks {
  uint32_t struct_size;
  void* user;
  /* Runs body(context, i) once for each i in 0..n-1, in any order, possibly at once; returns when all are done. NULL =
   * a plain loop. */
  void (*parallel_for)(void* user, uint32_t n, void (*body)(void* context, uint32_t i), void* context);
  uint64_t (*now_us)(void* user);                           /* monotonic; needed by the profiler only; NULL = none */
  void (*log)(void* user, int32_t level, const char* text); /* level 0 debug .. 3 error; NULL = silent */
} edgecl_hooks;

/* --- model --- */
typedef struct edgecl_model edgecl_model;
typedef struct edgecl_session edgecl_session;

#define EDGECL_F32 0
#define EDGECL_U8 1

#define EDGECL_METHOD_FINETUNE 0 /* no replay */
#define EDGECL_METHOD_ER 1       /* experience replay: mean cross-entropy over current and replayed rows */
#define EDGECL_METHOD_DERPP                                                                \
  2 /* DER++: + alpha * MSE to stored logits + beta * cross-entropy, two independent draws \
     */
#define EDGECL_METHOD_ER_ACE \
  3 /* ER-ACE: current rows over the classes of the batch only, plus replayed cross-entropy */
#define EDGECL_METHOD_UER \
  4 /* UER: current rows by cosine logits (cosine_scale), replayed rows by ordinary logits; dense head */
#define EDGECL_METHOD_FPF \
  5 /* k-FPF: no replay in a step; edgecl_rehearse fine-tunes the sensitive parameters on the buffer now and then */

typedef struct edgecl_model_info {
  uint32_t struct_size;
  uint32_t format_version;
  const char* name;
  const char* producer;
  uint64_t bundle_bytes;
  uint8_t digest[32];   /* of the bundle's content: names it; a signature does not change it */
  uint32_t input_dtype; /* EDGECL_F32 or EDGECL_U8 */
  uint32_t input_rank;  /* 1..3, dims of one sample */
  uint32_t input_dims[4];
  uint32_t channels_last;
  uint64_t input_elements; /* product of the dims */
  uint32_t embedding_dim;  /* 0: the model has no separate head */
  uint32_t class_capacity; /* columns of the logits */
  uint32_t n_classes;      /* that the bundle ships with */
  uint32_t n_ops, n_params, n_trainable_params;
  uint64_t weights_total, weights_trainable, weights_stored; /* scalars; stored counts a sparse layer's non-zeros */
  uint64_t macs_forward, macs_forward_sparse;   /* multiply-adds per sample: as if dense, and with the stored density */
  uint64_t macs_backward, macs_backward_sparse; /* input and weight gradients that the pruned backward list computes */
  uint32_t parity_rows;                         /* 0: no parity record */
  float parity_max_abs, parity_mean_abs, parity_reference_abs; /* against the source model, at export */
  const char* parity_source;
  uint32_t is_signed;
  const char* notes; /* free text that the bundle carries; empty without */
} edgecl_model_info;

typedef struct edgecl_layer_info { /* one parameter tensor */
  uint32_t struct_size;
  const char* name;
  uint32_t rank;
  uint32_t dims[4];
  uint32_t trainable;
  uint32_t sparse; /* 1: only non-zeros are stored */
  uint64_t stored; /* scalars in the bundle */
  float density;
} edgecl_layer_info;

/* Reads the header alone (the first 4096 bytes are enough): fills format_version and bundle_bytes. O(1), no allocation.
 * Errors: E_BUNDLE_CORRUPT (not a bundle), E_BUNDLE_VERSION. `err` optional. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_bundle_peek(const void* bytes, size_t n_bytes,
                                                              edgecl_model_info* info, edgecl_error* err);
/* Checks structure, every digest and every index; with a key also the Ed25519 signature (this version
 * does not verify one: a key then gives E_BUNDLE_SIGNATURE). O(n_bytes), allocates nothing that a field of the file
 * sized. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_bundle_verify(const void* bytes, size_t n_bytes,
                                                                const uint8_t public_key[32], edgecl_error* err);
/* Bytes that edgecl_model_init needs for this bundle. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_model_size(const void* bytes, size_t n_bytes, size_t* model_bytes,
                                                             edgecl_error* err);
/* Opens in place: verified as above, weights stay where they are (flash, mapped file). `bytes` (64-byte aligned) and
 * `memory` (64-byte aligned, edgecl_model_size bytes) must outlive the model. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_model_init(const void* bytes, size_t n_bytes, void* memory,
                                                             size_t memory_bytes, edgecl_model** model,
                                                             edgecl_error* err);
/* As above with the object from `allocator` (optional). */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_model_open_memory(const void* bytes, size_t n_bytes,
                                                                    const edgecl_allocator* allocator,
                                                                    edgecl_model** model, edgecl_error* err);
/* Maps the file read-only and opens it. E_IO when it cannot be read. Absent from builds without files. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_model_open_file(const char* path, const edgecl_allocator* allocator,
                                                                  edgecl_model** model, edgecl_error* err);
/* E_SEQUENCE while sessions live. */
EDGECL_API edgecl_status edgecl_model_close(edgecl_model* model);
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_model_describe(const edgecl_model* model, edgecl_model_info* info);
/* Parameter `index` in 0..n_params-1; E_NOT_FOUND beyond. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_model_layer(const edgecl_model* model, uint32_t index,
                                                              edgecl_layer_info* info);
EDGECL_API const char* edgecl_model_kernel_level(const edgecl_model* model);

/* --- session: configuration and sizes --- */
/* How the structure of sparse layers moves, and which weights get a gradient. All zero: fixed structure, all gradients,
 * task boundaries by edgecl_consolidate. Structures move in place, inside the capacity that the bundle planned for each
 * sparse layer; new weights begin at 0, momentum moves with its weight. A layer's target is the number of weights that
 * the bundle ships for it; shares are of all positions of the layer (dense size) unless said.
 *
 * EDGECL_STRUCTURE_TDM (Wang et al. 2022, "SparCL", task-aware dynamic masking): a task begins with structure_inter
 *   more weights than the target, at random positions; every structure_interval steps, structure_updates times, the
 *   layer is pruned to structure_intra below the target by importance |w| + a * |g of current rows| + b * |g of
 *   replayed rows| and grown back to it; one interval later it is pruned to the target and stays until the next task.
 *   a = b merges both gradients into one, as the released code does; the gradient is that of the step just done.
 * EDGECL_STRUCTURE_SET (Mocanu et al. 2018): every structure_interval steps the structure_intra share of the STORED
 *   weights that is smallest is replaced by random ones; the share falls linearly over the structure_updates of a task.
 * EDGECL_STRUCTURE_RIGL (Evci et al. 2020): the same, grown where the dense gradient of that step is largest. */
#define EDGECL_STRUCTURE_STATIC 0
#define EDGECL_STRUCTURE_TDM 1
#define EDGECL_STRUCTURE_SET 2
#define EDGECL_STRUCTURE_RIGL 3
/* Where TDM's exchanges grow (the growth at a task's start always is random): at random; where the dense gradient of
 * the step is largest; where a * |g current| + b * |g replayed| is largest. The last two compute the dense weight
 * gradient of each sparse layer once an update. */
#define EDGECL_GROWTH_RANDOM 0
#define EDGECL_GROWTH_GRADIENT 1
#define EDGECL_GROWTH_IMPORTANCE 2
/* Which weights get a gradient; the others are not computed, and their gradient counts as 0.
 * DGM (SparCL): of each sparse layer the gradient_keep share of stored weights with the largest |gradient|, chosen
 *   anew every gradient_interval steps and after each change of structure.
 * MIGU (Du et al. 2024): from the second task on, of each sparse layer the gradient_keep share of output rows with the
 *   largest sum of |output| in the step; every step.
 * HFT (Hui et al. 2024): in each task a random gradient_keep share of the weight tensors (with their biases; never the
 *   head or normalisations) trains. */
#define EDGECL_GRADIENT_ALL 0
#define EDGECL_GRADIENT_DGM 1
#define EDGECL_GRADIENT_MIGU 2
#define EDGECL_GRADIENT_HFT 3
/* Who ends a task: edgecl_consolidate alone, or also the drift signal: Page-Hinkley test (Page 1954) on the loss of the
 * current rows; an alarm when its cumulated rise above the mean + drift_delta exceeds drift_threshold. */
#define EDGECL_BOUNDARY_CALLER 0
#define EDGECL_BOUNDARY_DRIFT 1

typedef struct edgecl_sparsity {
  uint32_t structure, growth;
  uint32_t structure_interval, structure_updates;
  float structure_inter, structure_intra;      /* 0..0.5, 0..1 */
  float importance_current, importance_replay; /* a, b >= 0 */
  uint32_t gradient_mask, gradient_interval;
  float gradient_keep; /* (0, 1] */
  uint32_t boundary;
  float drift_delta, drift_threshold;
  uint32_t reserved[2]; /* 0 */
} edgecl_sparsity;

typedef struct edgecl_session_config {
  uint32_t struct_size;
  uint32_t
      max_batch; /* most rows of one learn or predict step, >= 1; larger predict batches are cut into such pieces */
  uint32_t n_threads;       /* pieces that work is cut into for parallel_for, 1..64; results do not depend on it */
  uint32_t max_classes;     /* <= the bundle's class capacity */
  uint32_t method;          /* EDGECL_METHOD_* */
  uint32_t replay_capacity; /* exemplars; 0 = none */
  uint32_t replay_batch;    /* rows drawn per draw */
  uint32_t class_mask;   /* 1: cross-entropy of current rows over the classes of the batch only (always so in ER-ACE) */
  uint32_t augment_crop; /* pixels, 0 = off */
  uint32_t augment_flip; /* 0 or 1 */
  uint32_t predict_only; /* 1: no memory for learning; learn gives E_UNSUPPORTED */
  uint32_t add_unseen_labels; /* 1: a label that was not added is added by learn (if capacity allows) */
  float learning_rate, momentum, weight_decay;
  float alpha, beta; /* DER++ */
  uint64_t seed;
  uint32_t latent_replay; /* 1: the buffer keeps activations where the frozen lower part ends (float32) instead of
                             samples, and replayed rows pass through the upper part alone; no augmentation */
  float cosine_scale;     /* UER: logits of current rows = scale * cosine; > 0 */
  edgecl_sparsity sparsity;
  edgecl_hooks hooks;
} edgecl_session_config;

typedef struct edgecl_sizes {
  uint32_t struct_size;
  uint32_t arena_alignment; /* 64 */
  uint64_t arena_bytes;     /* all that a session ever uses */
  uint64_t learnable_bytes; /* weights, gradients, optimiser state, sparse structure, statistics */
  uint64_t replay_bytes;
  uint64_t learn_bytes;     /* activations and gradients of a learn step */
  uint64_t predict_bytes;   /* activations of a predict (shares memory with learn_bytes) */
  uint64_t scratch_bytes;   /* all threads together */
  uint64_t state_bytes_max; /* the largest edgecl_state_export of this configuration */
} edgecl_sizes;

/* Fills every field with the recipe stored in the bundle (n_threads 1, seed 0, max_batch = the recipe's batch size). */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_session_config_init(const edgecl_model* model,
                                                                      edgecl_session_config* config);
/* Exact sizes of a session on this machine, from bundle and configuration alone. O(ops), whatever the batch. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_session_sizes(const edgecl_model* model,
                                                                const edgecl_session_config* config,
                                                                edgecl_sizes* sizes, edgecl_error* err);

/* A machine that sizes are asked for. */
typedef struct edgecl_target {
  uint32_t struct_size;
  uint32_t pointer_bytes; /* 8; with "reference" also 4 */
  const char* level;      /* "reference", "x86-64-v1", "x86-64-v3", "x86-64-v4", "neon": what its library runs there */
} edgecl_target;
/* The same for another machine, with a standard build of this library; NULL: this one. E_ARGUMENT: no such level, or
   one that has no chips of this pointer width. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_session_sizes_for(const edgecl_model* model,
                                                                    const edgecl_session_config* config,
                                                                    const edgecl_target* target, edgecl_sizes* sizes,
                                                                    edgecl_error* err);
/* Builds a session inside the caller's block (64-byte aligned); no allocation now or later. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_session_init(edgecl_model* model, const edgecl_session_config* config,
                                                               void* arena, size_t arena_bytes,
                                                               edgecl_session** session, edgecl_error* err);
/* One allocation of the size above, then the same. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_session_create(edgecl_model* model,
                                                                 const edgecl_session_config* config,
                                                                 const edgecl_allocator* allocator,
                                                                 edgecl_session** session, edgecl_error* err);
/* Back to what the bundle shipped; keeps the arena. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_session_reset(edgecl_session* session);
/* Wipes what was learned and releases what create took. */
EDGECL_API void edgecl_session_destroy(edgecl_session* session);
/* Sentence for the last failure on this session: expected, found, what to do. Empty when none. */
EDGECL_API const char* edgecl_session_error(const edgecl_session* session);
/* Learning rate of the steps to come; > 0, finite. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_session_learning_rate(edgecl_session* session, float learning_rate);

/* --- batches --- */
typedef struct edgecl_batch {
  uint32_t struct_size;
  uint32_t dtype;     /* EDGECL_F32 or EDGECL_U8; must be the bundle's input dtype (E_DTYPE) */
  uint32_t n_samples; /* >= 1 */
  uint32_t reserved;  /* 0 */
  const void* data; /* n_samples consecutive samples, dims as in edgecl_model_info, raw values: the bundle normalises */
  uint64_t elements_per_sample; /* must equal input_elements (E_SHAPE) */
} edgecl_batch;

/* --- inference --- */
typedef struct edgecl_prediction {
  int32_t label;     /* column of the largest logit among the classes present; -1 when there is no class yet */
  float probability; /* softmax over the classes present */
  float margin;      /* largest minus second largest logit; 0 with one class */
  uint32_t reserved;
} edgecl_prediction;

/* One forward pass per sample, running statistics. Any n_samples. out_stride: bytes from one prediction to the next (>=
 * sizeof). E_NUMERIC: an input is not finite (nothing was written), or a score that the network made of it is not (here
 * and in the two functions below: results of earlier pieces of max_batch rows may have been written). */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_predict(edgecl_session* session, const edgecl_batch* batch,
                                                          edgecl_prediction* out, size_t out_stride);
/* Class scores, n_samples x class_capacity; columns without a class read minus infinity. capacity: floats in `out`. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_logits(edgecl_session* session, const edgecl_batch* batch, float* out,
                                                         size_t capacity);
/* Input of the head, n_samples x embedding_dim. E_UNSUPPORTED when the model has no separate head. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_embed(edgecl_session* session, const edgecl_batch* batch, float* out,
                                                        size_t capacity);

/* --- learning --- */
typedef struct edgecl_learn_report {
  uint32_t struct_size;
  uint32_t n_replayed;                          /* replayed rows of this step, all draws */
  float loss;                                   /* total */
  float loss_current, loss_replay, loss_logits; /* weighted terms; total = their sum */
  uint64_t step;                                /* steps done, this one included */
  uint64_t macs_forward, macs_backward;         /* multiply-adds that this step really did */
  uint32_t* replay_slots;                       /* in, optional: receives the buffer slots drawn, in row order */
  uint32_t replay_slots_capacity;
  uint32_t structure_changed; /* 1: this step ended with a change of structure */
  uint64_t macs_paper;        /* as the SparCL paper counts: each row forward, the backward of current rows alone */
  uint8_t* row_correct; /* in, optional: n_samples flags, 1 = the current row's largest logit (classes present, before
                           the update, training statistics) was its label's */
  float* row_loss;      /* in, optional: n_samples losses of the current rows */
} edgecl_learn_report;

/* Exactly one update from this batch (n_samples <= max_batch) plus the replay rows that the recipe draws; then the
 * batch enters the reservoir. labels[i] in 0..max_classes-1. Cost does not depend on history. `report` optional.
 * Errors: E_CAPACITY (batch too large, label beyond capacity), E_NOT_FOUND (class not added), E_NUMERIC (input, loss or
 * gradient not finite, a normalised input above 1e12, or an update that could bring a weight beyond 1e9); state
 * unchanged on each. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_learn(edgecl_session* session, const edgecl_batch* batch,
                                                        const int32_t* labels, edgecl_learn_report* report);

typedef struct edgecl_consolidate_report {
  uint32_t struct_size;
  uint32_t remaining; /* slices still to do; 0 = done */
  uint32_t done;      /* slices done by this call */
  uint32_t reserved;
} edgecl_consolidate_report;

/* Ends a task: end-of-task work in bounded slices, called until `remaining` is 0. What this version does at a boundary
 * (structures expand for the next task, gradient masks are chosen anew) is one slice, so `remaining` is 0 at once.
 * max_slices 0 = all. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_consolidate(edgecl_session* session, uint32_t max_slices,
                                                              edgecl_consolidate_report* report);

/* k-FPF (Zhao et al. 2023, "Does continual learning equally forget all parameters?"): n_steps steps of cross-entropy on
 * replayed rows alone that update only the parameters that forget most: the head, and the scales and shifts of
 * normalisations. Each step draws replay_batch rows afresh; batch statistics follow. With an empty buffer nothing
 * happens and `done` is 0. `report` optional; also written on E_NUMERIC. The steps are random by themselves (they do
 * not change what later learn steps draw); learning rate, momentum and weight decay are the session's. n_steps at most
 * 2^20. Cost: a forward pass, and a backward pass without the weight gradients of the other layers, down to the lowest
 * parameter that is updated (with a head alone, that of the head). Errors: E_UNSUPPORTED (no buffer, predict-only,
 * neither head nor normalisations train), E_ARGUMENT, E_NUMERIC (as edgecl_learn; steps before it stay done). */
typedef struct edgecl_rehearse_report {
  uint32_t struct_size;
  uint32_t done;
  float mean_loss;
  uint32_t reserved;
} edgecl_rehearse_report;
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_rehearse(edgecl_session* session, uint32_t n_steps,
                                                           edgecl_rehearse_report* report);

/* Dynamic data removal (SparCL): of a task that is learned for several epochs, the examples that are never wrong need
 * no more epochs. The caller numbers the examples of the task 0..n_examples-1, hands in row_correct and row_loss of
 * each learn step, and calls a stage now and then (in SparCL's script after every fifth of the first 20 of 50 epochs,
 * 30 % of the examples in all); then learns those that are kept. Replay buffers are not touched. A table belongs to one
 * task and one thread, is no part of a session's state, takes 12 bytes an example and allocates nothing. score
 * EDGECL_REMOVAL_MISCLASSIFIED: times the example was wrong since the last stage; for few epochs. score
 * EDGECL_REMOVAL_FORGETTING: times it turned from right to wrong (Toneva et al. 2019), as in SparCL's released code: an
 * example that was never right has the highest score. An example that was not shown since the last stage has the
 * highest score. `err` optional everywhere. */
typedef struct edgecl_removal edgecl_removal;
#define EDGECL_REMOVAL_MISCLASSIFIED 0
#define EDGECL_REMOVAL_FORGETTING 1
/* Bytes that edgecl_removal_init needs. */
EDGECL_API size_t edgecl_removal_size(uint32_t n_examples);
/* Builds a table in the caller's block (aligned to 8), which it lives in until the caller takes the block back.
 * n_examples in 1..2^28. E_ARGUMENT, E_ARENA_TOO_SMALL. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_removal_init(uint32_t n_examples, uint32_t score, void* memory,
                                                               size_t memory_bytes, edgecl_removal** removal,
                                                               edgecl_error* err);
/* n presentations. E_ARGUMENT (an id out of range or removed, a loss that is not finite): nothing is recorded. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_removal_record(edgecl_removal* removal, const uint32_t* ids,
                                                                 const uint8_t* correct, const float* loss, uint32_t n,
                                                                 edgecl_error* err);
/* Removes the n_remove examples of the lowest score; ties by lowest mean loss, then lowest id. What was recorded is
 * then cleared. E_ARGUMENT unless n_remove is below edgecl_removal_count. O(n_examples). */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_removal_stage(edgecl_removal* removal, uint32_t n_remove,
                                                                edgecl_error* err);
/* Ids of the examples that are kept, ascending. E_ARGUMENT when capacity is below edgecl_removal_count. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_removal_kept(const edgecl_removal* removal, uint32_t* ids,
                                                               uint32_t capacity, edgecl_error* err);
EDGECL_API uint32_t edgecl_removal_count(const edgecl_removal* removal); /* examples kept; 0 for NULL */

typedef struct edgecl_class_info {
  uint32_t struct_size;
  int32_t label;
  const char* name;
  uint64_t samples_seen;   /* learned since the session began */
  uint32_t replay_samples; /* exemplars now in the buffer */
  uint32_t present;        /* 0: never added, or removed */
} edgecl_class_info;

/* Reserves the lowest free label never issued; its head column is as the bundle ships it. `name` optional (then the
 * decimal label), at most 63 bytes, unique. E_CAPACITY at max_classes. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_class_add(edgecl_session* session, const char* name, int32_t* label);
/* Unlearns: zeroes the head column and its optimiser state, drops exemplars and counts; the label is never issued
 * again. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_class_remove(edgecl_session* session, int32_t label);
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_class_describe(const edgecl_session* session, int32_t label,
                                                                 edgecl_class_info* info);
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_class_find(const edgecl_session* session, const char* name,
                                                             int32_t* label);

/* --- state --- */
/* Bytes that an export needs now. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_state_size(const edgecl_session* session, size_t* bytes);
/* Self-contained, little-endian, with a SHA-256 over all of it (its last 32 bytes), tied to the bundle's digest. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_state_export(edgecl_session* session, void* buffer, size_t capacity,
                                                               size_t* written);
/* All or nothing. E_STATE_CORRUPT, E_STATE_MISMATCH (other bundle, or a configuration whose shapes differ). */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_state_import(edgecl_session* session, const void* bytes,
                                                               size_t n_bytes);
/* SHA-256 of what an export would hold; no buffer needed. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_state_digest(edgecl_session* session, uint8_t digest[32]);

/* --- measuring --- */
typedef struct edgecl_stats {
  uint32_t struct_size;
  uint32_t n_classes;
  uint64_t steps, samples_learned, samples_predicted, samples_seen; /* seen: by the reservoir */
  uint32_t replay_fill, replay_capacity;
  uint64_t arena_bytes;
  uint64_t macs_learn;       /* multiply-adds of all learn steps so far */
  uint64_t macs_learn_dense; /* the same steps, as if every layer were dense */
  uint64_t refused_steps;
  uint64_t tasks;                        /* boundaries so far: edgecl_consolidate, or the drift signal */
  uint64_t macs_paper, macs_paper_dense; /* as the SparCL paper counts (edgecl_learn_report), and the same if dense */
  uint64_t structure_updates;            /* changes of structure of all sparse layers together */
  uint64_t weights_dropped, weights_grown;
  uint64_t weights_stored;         /* scalars of trainable parameters now */
  uint64_t weights_trainable;      /* of these, those that get a gradient in an ordinary step */
  uint64_t structure_us, learn_us; /* time in changes of structure, and in learn calls as a whole; 0 without now_us */
  uint64_t steps_in_task;
} edgecl_stats;
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_session_stats(const edgecl_session* session, edgecl_stats* stats);

typedef struct edgecl_profile_event {
  uint32_t op;   /* index in the bundle's op list; 0xffffffff: input, 0xfffffffe: loss, 0xfffffffd: update, 0xfffffffc:
                    replay */
  uint32_t pass; /* 0 forward, 1 backward */
  uint64_t begin_us, end_us;
  uint64_t macs;
} edgecl_profile_event;
/* Per-operator times into the caller's array; needs the now_us hook (E_UNSUPPORTED). A full array drops and counts. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_profile_start(edgecl_session* session, edgecl_profile_event* events,
                                                                size_t capacity);
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_profile_stop(edgecl_session* session, size_t* n_events,
                                                               size_t* n_dropped);

typedef struct edgecl_op_info {
  uint32_t struct_size;
  const char* name; /* of the source node */
  const char* kind; /* "conv", "depthwise" (one channel a group), "linear", ... */
  uint64_t macs_forward,
      macs_backward; /* per row, with the stored density; backward counts dX and dW that the plan computes */
  uint64_t weight_bytes, input_bytes, output_bytes; /* values of all parameters; per row for activations */
  uint32_t sparse, trainable;
  uint64_t index_bytes; /* positions of sparse weights, 2 bytes for each stored one; not in weight_bytes */
} edgecl_op_info;
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_model_op(const edgecl_model* model, uint32_t index,
                                                           edgecl_op_info* info);

#ifdef __cplusplus
}
#endif
#endif /* EDGECL_EDGECL_H_ */
