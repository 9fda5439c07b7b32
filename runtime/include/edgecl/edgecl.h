/* edgecl: learning on the device. This header is the whole C API and its manual (C99; usable from C++).
 * Never here: anything that a caller may not rely on. This many lines because a manual is read in one place.
 *
 * CONTENTS
 *   1 ground rules      5 model        9 learning       13 measuring
 *   2 status codes      6 describing  10 classes        14 methods by name, schedules
 *   3 version           7 session     11 data removal  15 merging devices
 *   4 memory and hooks  8 inference   12 state
 *
 * =====================================================================================================================
 * 1. GROUND RULES
 * =====================================================================================================================
 *
 * Two objects. An edgecl_model is an opened bundle (.ecl). It never changes, and any number of threads may share it.
 *   An edgecl_session is everything that changes: weights that learn, replay buffer, classes, scratch memory.
 *
 * Returns. A function that can fail returns an edgecl_status: 0 is success, a negative number a failure. Outputs are
 *   written on success only, unless the function says otherwise.
 *
 * Failures change nothing. After a failed call the session is as it was before: edgecl_state_digest gives the same
 *   hash. edgecl_learn looks at shapes, labels, samples, loss and gradients before it touches anything that lasts.
 *   One exception: edgecl_rehearse takes many steps, and those before the failed one stay done.
 *
 * Sentences. Each failure has a sentence with three parts: what was expected, what was found, what to do. A call on a
 *   session keeps it for edgecl_session_error. Other calls write it into an edgecl_error, which is optional.
 *
 * NULL is allowed only where a parameter is called optional. Close and destroy accept NULL.
 *
 * Strings are UTF-8 and end with a zero byte. A string of a model lives as long as the model. A string of a session
 *   lives until the next call on that session that is not a mere question: copy it.
 *
 * Numbers are float32 unless said otherwise. A row is one sample. Arrays are row-major. Names carry units: _bytes, _us
 *   (microseconds), n_ (a count).
 *
 * Structs grow, and programs built with an older header keep working. Each struct begins with `uint32_t struct_size`;
 *   the caller clears the struct and sets struct_size to its sizeof. The library uses the part that both sides know:
 *     - The caller's struct is shorter: the missing fields have their default, which is zero unless the struct says so.
 *     - The caller's struct is longer: it is accepted if the unknown part is all zero, else E_ARGUMENT.
 *   Elements of arrays have no size field. Their functions take a stride, the caller's sizeof of one element, instead.
 *
 * Enumerations are macros of fixed-width integers, because the size of a C enum differs between compilers.
 *
 * Threads. A model may be used from any thread. A session belongs to one thread at a time: a second call at the same
 *   time, also one from inside a hook, is refused with E_BUSY and changes nothing. edgecl_session_error and
 *   edgecl_session_destroy do not look whether a call is in progress: the caller sees to it. The library starts no
 *   threads. Hooks run on the calling thread, except the bodies that are handed to parallel_for.
 *
 * Memory. Sizes can be asked before anything is allocated. Once a session exists nothing allocates. The library takes
 *   less than 8 KiB of stack on a microcontroller and 16 KiB elsewhere (measured: 3.5 and 11), hooks not counted.
 *
 * Trust. Bytes of bundles and states are hostile until they are checked. Pointers and sizes of the caller are trusted.
 *
 * Same bits. The same bundle, seed and sequence of calls give bit-identical outputs and states, for any n_threads, SIMD
 *   level, compiler and instruction set. Each call sets the floating-point control word and restores it.
 *
 * A whole program is in README.md. */
#ifndef EDGECL_EDGECL_H_
#define EDGECL_EDGECL_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

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

/* =====================================================================================================================
 * 2. STATUS CODES
 * ===================================================================================================================*/

typedef int32_t edgecl_status;

#define EDGECL_OK 0
/* Mistakes in the call. */
#define EDGECL_E_ARGUMENT (-1)    /* NULL, a bad flag, a bad struct size, a value out of its range */
#define EDGECL_E_SHAPE (-2)       /* dimensions of samples do not fit the bundle, or the caller's array is too short */
#define EDGECL_E_DTYPE (-3)       /* an element type that is not accepted here */
#define EDGECL_E_SEQUENCE (-4)    /* the right call at the wrong moment */
#define EDGECL_E_UNSUPPORTED (-5) /* this build, bundle or session has no such part */
#define EDGECL_E_BUSY (-6)        /* a call on this session is in progress */
/* Limits. */
#define EDGECL_E_NO_MEMORY (-20)       /* the allocator refused */
#define EDGECL_E_ARENA_TOO_SMALL (-21) /* the caller's block is smaller than the size function says */
#define EDGECL_E_CAPACITY (-22)        /* the limit of classes or rows is reached; nothing was evicted */
#define EDGECL_E_NOT_FOUND (-23)       /* no such label, name or index */
/* Bundles. */
#define EDGECL_E_BUNDLE_CORRUPT (-30)   /* structure or digest is wrong; the sentence names section and field */
#define EDGECL_E_BUNDLE_VERSION (-31)   /* the format, or a section that must be understood, is not of this library */
#define EDGECL_E_BUNDLE_SIGNATURE (-32) /* the signature that was asked for is missing or not by this key */
#define EDGECL_E_BUNDLE_OP (-33)        /* an operator of the bundle is not in this build; the sentence names it */
/* States. */
#define EDGECL_E_STATE_CORRUPT (-40)  /* structure or digest is wrong */
#define EDGECL_E_STATE_MISMATCH (-41) /* of another bundle, configuration or version; the sentence says which */
/* The world. */
#define EDGECL_E_IO (-50)       /* a file operation failed; the sentence holds the system's own words */
#define EDGECL_E_NUMERIC (-60)  /* NaN, infinity or absurd numbers in samples, loss or gradients */
#define EDGECL_E_INTERNAL (-99) /* our bug; please report it with edgecl_build_info */

/* Status and sentence of a failed call that has no session to keep them. Written on failure only. */
typedef struct edgecl_error {
  uint32_t struct_size;
  edgecl_status status;
  char message[504]; /* cut at its end, never inside a character */
} edgecl_error;

/* "EDGECL_E_SHAPE" for -2. Never NULL: "unknown status" for a number that is none. */
EDGECL_API const char* edgecl_status_name(edgecl_status status);

/* =====================================================================================================================
 * 3. VERSION
 * ===================================================================================================================*/

#define EDGECL_VERSION_MAJOR 0
#define EDGECL_VERSION_MINOR 1
#define EDGECL_VERSION_PATCH 0
#define EDGECL_VERSION_NUMBER 1000 /* major * 1000000 + minor * 1000 + patch */

/* Of the linked library, to compare with EDGECL_VERSION_NUMBER of the header. */
EDGECL_API uint32_t edgecl_version_number(void);
EDGECL_API const char* edgecl_version_string(void);
/* One line: version, compiler, formats, and the kernel levels of this build that run on this CPU. */
EDGECL_API const char* edgecl_build_info(void);
/* Newest formats that this build reads. */
EDGECL_API uint32_t edgecl_bundle_format_version(void);
EDGECL_API uint32_t edgecl_state_format_version(void);

/* =====================================================================================================================
 * 4. MEMORY AND HOOKS
 * ===================================================================================================================*/

/* Where memory comes from. Optional everywhere; without one the C library's aligned_alloc and free serve
 * (builds without a C library then answer E_ARGUMENT). The struct is copied; `user` must outlive what was allocated. */
typedef struct edgecl_allocator {
  uint32_t struct_size;
  /* `bytes` of memory, aligned to `alignment` (a power of two); NULL on failure. Need not be cleared. */
  void* (*allocate)(void* user, size_t bytes, size_t alignment);
  /* `bytes` is what was asked for. */
  void (*release)(void* user, void* memory, size_t bytes);
  void* user; /* handed to both */
} edgecl_allocator;

/* What a session calls. Each hook is optional. The struct is copied; `user` must outlive the session. */
typedef struct edgecl_hooks {
  uint32_t struct_size;
  void* user; /* handed to each hook */
  /* Calls body(context, i) once for each i in 0..n-1, in any order, possibly at once. Returns when all are done.
   * NULL: a plain loop. */
  void (*parallel_for)(void* user, uint32_t n, void (*body)(void* context, uint32_t i), void* context);
  /* Microseconds of a clock that never goes back. NULL: no times in edgecl_stats, and no profile. */
  uint64_t (*now_us)(void* user);
  /* One line. level: 0 debug, 1 information, 2 warning, 3 error. This version logs the sentences of failed calls on a
   * session, at level 2. NULL: silent. */
  void (*log)(void* user, int32_t level, const char* text);
} edgecl_hooks;

/* =====================================================================================================================
 * 5. MODEL: opening and closing a bundle
 * ===================================================================================================================*/

typedef struct edgecl_model edgecl_model;

/* Signatures. This version verifies none: a key or EDGECL_SIGNATURE_REQUIRED fails with E_BUNDLE_SIGNATURE. */
#define EDGECL_SIGNATURE_OPTIONAL 0 /* unsigned bundles are accepted */
#define EDGECL_SIGNATURE_REQUIRED 1 /* a signature by public_key, or the bundle is refused; for a later version */

/* Where the bundle's bytes lie while the model lives. */
#define EDGECL_PLACEMENT_DEFAULT 0  /* files: a copy; memory: in place */
#define EDGECL_PLACEMENT_COPY 1     /* in memory of the model; the source may change or go after the call */
#define EDGECL_PLACEMENT_IN_PLACE 2 /* where they are (flash); a file is mapped read-only */

/* How to open. Optional in each call; NULL means all defaults. */
typedef struct edgecl_open_options {
  uint32_t struct_size;
  uint32_t signature_policy;         /* EDGECL_SIGNATURE_* */
  uint32_t placement;                /* EDGECL_PLACEMENT_* */
  const edgecl_allocator* allocator; /* optional; copied */
  const uint8_t* public_key;         /* optional: the 32 bytes of an Ed25519 key */
  /* Optional: the SIMD level that kernels must have: "reference", "x86-64-v1", "x86-64-v3", "x86-64-v4",
   * "x86-64-v4-vnni", "neon", "neon-dot". NULL: the level that the environment variable EDGECL_SIMD names (in builds that
   * have an environment), else the best one of this CPU. Results do not depend on it. */
  const char* level;
} edgecl_open_options;

/* Checks a whole bundle as opening it does: structure, every digest, every index, and what `options` asks of the
 * signature. `bytes` is aligned to 64. Keeps nothing.
 *   Errors  E_BUNDLE_*, E_NO_MEMORY, E_UNSUPPORTED (the level is not in this build or CPU), E_ARGUMENT.
 *   Cost    O(n_bytes + tensors^2), of at most 4096 tensors; some ten bytes a tensor from the allocator, which it gives
 *           back. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_bundle_verify(const void* bytes, size_t n_bytes,
                                                                const edgecl_open_options* options, edgecl_error* err);

/* Bytes of memory that edgecl_model_init needs for this bundle with these options.
 *   Errors  E_BUNDLE_CORRUPT (no bundle), E_BUNDLE_VERSION, E_BUNDLE_SIGNATURE, E_UNSUPPORTED (the level), E_ARGUMENT.
 *   Cost    O(1): the first 4096 bytes are enough. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_model_size(const void* bytes, size_t n_bytes,
                                                             const edgecl_open_options* options, size_t* model_bytes,
                                                             edgecl_error* err);

/* Opens a bundle inside the caller's `memory` (aligned to 64, at least edgecl_model_size bytes), without an allocator.
 * `memory` must outlive the model; so must `bytes` unless they are copied. `bytes` is aligned to 64 unless copied.
 *   Errors  E_BUNDLE_*, E_ARENA_TOO_SMALL, E_UNSUPPORTED (the level is not in this build or CPU), E_ARGUMENT.
 *   Cost    O(n_bytes + tensors^2), as edgecl_bundle_verify: everything is checked once, here. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_model_init(const void* bytes, size_t n_bytes,
                                                             const edgecl_open_options* options, void* memory,
                                                             size_t memory_bytes, edgecl_model** model,
                                                             edgecl_error* err);

/* The same with memory from the allocator, edgecl_model_size bytes of it. Also E_NO_MEMORY. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_model_open_memory(const void* bytes, size_t n_bytes,
                                                                    const edgecl_open_options* options,
                                                                    edgecl_model** model, edgecl_error* err);

/* Opens the bundle at `path`. By default the file is read into memory of the model, and may be replaced or removed
 * afterwards. With EDGECL_PLACEMENT_IN_PLACE it is mapped, which shares its pages with other processes. A mapped file
 * must not be written or cut while the model lives: the process would read half of each version, or be killed. Replace
 * it by writing a new file beside it and renaming that one over it.
 *   Errors  as edgecl_model_open_memory, and E_IO. Absent from builds without files. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_model_open_file(const char* path, const edgecl_open_options* options,
                                                                  edgecl_model** model, edgecl_error* err);

/* Closes a model and releases what opening took. NULL is fine.
 *   Errors  E_SEQUENCE while sessions live or one is being made: the model stays open.
 *   State   once it has succeeded, start no call with this model. A call that makes a session and began before is
 *           counted, so either it or the close is refused. */
EDGECL_API edgecl_status edgecl_model_close(edgecl_model* model);

/* =====================================================================================================================
 * 6. DESCRIBING a bundle
 * ===================================================================================================================*/

#define EDGECL_F32 0 /* four bytes a number */
#define EDGECL_U8 1  /* one byte a number */

typedef struct edgecl_model_info {
  uint32_t struct_size;
  uint32_t format_version;
  const char* name;
  const char* producer;
  const char* parity_source; /* what the bundle was compared with at export; "" without a comparison */
  const char* notes;         /* free text that the bundle carries; "" without */
  uint64_t bundle_bytes;
  uint8_t digest[32]; /* of the content; names the bundle and ties states to it; a signature does not change it */

  uint32_t input_dtype; /* EDGECL_F32 or EDGECL_U8 */
  uint32_t input_rank;  /* 1..3: dims of one sample */
  uint32_t input_dims[4];
  uint32_t channels_last;  /* 1: the last dim of a sample counts channels; 0: the first */
  uint32_t embedding_dim;  /* numbers that enter the head; 0: the model has no separate head */
  uint64_t input_elements; /* product of the dims */

  uint32_t class_capacity; /* columns of the logits */
  uint32_t n_classes;      /* classes that the bundle ships with */
  uint32_t n_ops;
  uint32_t n_params;
  uint32_t n_trainable_params;
  uint32_t is_signed;

  uint64_t weights_total;     /* scalars, as if every layer were dense */
  uint64_t weights_trainable; /* of these, those that may learn */
  uint64_t weights_stored;    /* scalars in the bundle: of a sparse layer its non-zeros */
  /* Multiply-adds of one sample: as if dense, and with the density stored. Backward counts the gradients that the plan
   * computes, which end at the lowest trainable layer. */
  uint64_t macs_forward, macs_forward_sparse;
  uint64_t macs_backward, macs_backward_sparse;

  uint32_t parity_rows;                  /* samples compared with the source model at export; 0: none */
  float parity_max_abs, parity_mean_abs; /* differences of the logits */
  float parity_reference_abs;            /* largest |logit| of the source */
  uint32_t label_kind;                   /* EDGECL_LABELS_*: what the names of its classes are the text of */
  uint32_t n_exemplars;                  /* samples that it ships for the replay buffer */
} edgecl_model_info;

/* One parameter tensor. */
typedef struct edgecl_param_info {
  uint32_t struct_size;
  const char* name;
  uint32_t rank; /* 1..4 */
  uint32_t dims[4];
  uint32_t trainable;
  uint32_t sparse; /* 1: only non-zeros are stored */
  float density;   /* stored / product of the dims */
  uint64_t stored; /* scalars in the bundle */
} edgecl_param_info;

/* One operator. */
typedef struct edgecl_op_info {
  uint32_t struct_size;
  const char* name;                     /* of the node of the source model */
  const char* kind;                     /* "conv", "depthwise" (one channel a group), "linear", ... */
  uint64_t macs_forward, macs_backward; /* of one row, with the density stored */
  uint64_t weight_bytes;                /* values of all its parameters */
  uint64_t input_bytes, output_bytes;   /* of one row */
  uint32_t sparse, trainable;
  uint64_t index_bytes; /* positions of sparse weights, 2 bytes for each one stored; not in weight_bytes */
} edgecl_op_info;

/* A class: of a bundle (edgecl_model_class) or of a session (edgecl_class_describe). */
typedef struct edgecl_class_info {
  uint32_t struct_size;
  int32_t label;
  const char* name;
  uint64_t samples_seen;   /* rows learned, also before a state was imported; 0 for a bundle */
  uint32_t replay_samples; /* exemplars now in the buffer; 0 for a bundle */
  uint32_t present;        /* 1: can be predicted; 0: never added, or forgotten; 1 for a bundle */
  uint64_t rows_merged;    /* rows of it that other devices learned; samples_seen does not count them */
} edgecl_class_info;

/* Reads a bundle's header alone: fills format_version and bundle_bytes, and zeroes the rest. Checks no digest.
 * `bytes`: the first 4096 bytes are enough.
 *   Errors  E_BUNDLE_CORRUPT (no bundle), E_BUNDLE_VERSION, E_ARGUMENT. Cost O(1). */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_bundle_peek(const void* bytes, size_t n_bytes,
                                                              edgecl_model_info* info, edgecl_error* err);

/* What an open model holds. The only error is E_ARGUMENT. Cost O(operators). */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_model_describe(const edgecl_model* model, edgecl_model_info* info);

/* The kernel level in use: "x86-64-v3", ... "" for NULL. */
EDGECL_API const char* edgecl_model_kernel_level(const edgecl_model* model);

/* Parameter `index` in 0..n_params-1, operator `index` in 0..n_ops-1, class `index` in 0..n_classes-1 of the bundle (in
 * ascending order of labels). E_NOT_FOUND beyond the last. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_model_param(const edgecl_model* model, uint32_t index,
                                                              edgecl_param_info* info);
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_model_op(const edgecl_model* model, uint32_t index,
                                                           edgecl_op_info* info);
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_model_class(const edgecl_model* model, uint32_t index,
                                                              edgecl_class_info* info);

/* External encoders. A bundle may carry a model file of another engine. The samples of such a bundle are the embeddings
 * that the file makes of raw samples; all calls here take embeddings, and the library never reads the file. To make
 * embeddings, give `file` to the engine, which has one input and one output, and for each raw sample:
 *   1. value = (raw * scale - mean[c]) * inv_std[c] in float32, each step rounded; c is the channel. Where
 *      channels_last and file_channels_last differ, channels move to the place where the file has them.
 *   2. Run the file on one sample alone, so that an embedding does not depend on other samples. An input of integers
 *      takes round(value / s) + z, cut off at its range, with the scale s and zero point z that the file says; an output
 *      q of integers means (q - z) * s.
 *   3. The output is [positions][embedding_dim]. The embedding is the mean over positions, summed in double and rounded
 *      once.
 * Compare with probe_outputs once. Engines differ by rounding; where the root mean square of the differences is above half
 * of the standard deviation of all probe_outputs, the engine computes something else. */
#define EDGECL_ENGINE_ONNX 1
#define EDGECL_ENGINE_TFLITE 2

typedef struct edgecl_encoder_info {
  uint32_t struct_size;
  uint32_t engine;      /* EDGECL_ENGINE_*: the format of the file */
  uint32_t input_dtype; /* of a raw sample: EDGECL_F32 or EDGECL_U8 */
  uint32_t input_rank;  /* 1..4: dims of a raw sample */
  uint32_t input_dims[4];
  uint32_t channels_last;      /* 1: the last dim of a raw sample counts channels; 0: the first */
  uint32_t file_channels_last; /* the same of the file's input */
  uint32_t n_channels;
  uint32_t embedding_dim; /* numbers of an embedding, input_dims[0] of the model */
  uint32_t positions;     /* embeddings in one output */
  uint32_t n_probe;       /* rows of probe_outputs */
  float scale;
  uint32_t reserved;
  uint64_t input_elements; /* product of the dims */
  uint64_t file_bytes;
  const float* mean;    /* [n_channels] */
  const float* inv_std; /* [n_channels] */
  const float*
      probe_outputs; /* [n_probe][embedding_dim]: embeddings of the probe, as the exporter's engine made them */
  const void* file;  /* aligned to 64; like the others it lies in the bundle's bytes */
} edgecl_encoder_info;

/* The encoder that the bundle carries. E_NOT_FOUND without one. Cost O(1). */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_model_encoder(const edgecl_model* model, edgecl_encoder_info* info);
/* Row `row` of the probe, a raw sample of input_elements numbers of input_dtype: bytes of a fixed random sequence, or
 * floats of it such that value (step 1) is spread evenly over -2..2. E_NOT_FOUND without an encoder, or from n_probe on. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_model_encoder_probe(const edgecl_model* model, uint32_t row,
                                                                      void* sample);

/* =====================================================================================================================
 * 7. SESSION: configuration, sizes, making and ending
 * ===================================================================================================================*/

typedef struct edgecl_session edgecl_session;

/* Learning methods: the terms of the loss, and what is replayed. */
#define EDGECL_METHOD_FINETUNE 0 /* no replay */
#define EDGECL_METHOD_ER 1       /* experience replay: mean cross-entropy over current and replayed rows */
#define EDGECL_METHOD_DERPP 2    /* DER++: also alpha * MSE to stored logits + beta * cross-entropy; two draws */
#define EDGECL_METHOD_ER_ACE 3   /* ER-ACE: current rows over the classes of the batch, plus replayed cross-entropy */
#define EDGECL_METHOD_UER 4      /* UER: current rows by cosine logits, replayed rows by ordinary ones; dense head */
#define EDGECL_METHOD_FPF 5      /* k-FPF: no replay in a step; edgecl_rehearse tunes what forgets most */

/* How the structure of sparse layers moves. Structures move in place, inside the room that the bundle planned for each
 * sparse layer. New weights begin at 0, and momentum moves with its weight. A layer's target is the number of weights
 * that the bundle ships for it. Shares are of all positions of the layer unless said otherwise. */
#define EDGECL_STRUCTURE_STATIC 0 /* it does not move */
/* TDM (Wang et al. 2022, "SparCL"): a task begins with structure_inter more weights than the target, at random
 * positions. Every structure_interval steps, structure_updates times, the layer is pruned to structure_intra below the
 * target and grown back to it. One interval later it is pruned to the target and stays so until the next task. What is
 * pruned has the least importance |w| + a * |gradient of current rows| + b * |gradient of replayed rows|, from the step
 * just done. a = b merges both gradients into one, as the released code does. */
#define EDGECL_STRUCTURE_TDM 1
/* SET (Mocanu et al. 2018): every structure_interval steps the smallest structure_intra share of the STORED weights
 * makes room for random ones. The share falls linearly over the structure_updates of a task. */
#define EDGECL_STRUCTURE_SET 2
/* RigL (Evci et al. 2020): the same, grown where the dense gradient of that step is largest. */
#define EDGECL_STRUCTURE_RIGL 3

/* Where TDM's exchanges grow. (The growth at a task's start is always random.) The last two compute the dense weight
 * gradient of each sparse layer once an update. */
#define EDGECL_GROWTH_RANDOM 0
#define EDGECL_GROWTH_GRADIENT 1   /* where the dense gradient of the step is largest */
#define EDGECL_GROWTH_IMPORTANCE 2 /* where a * |g of current rows| + b * |g of replayed rows| is largest */

/* Which weights get a gradient. The others' is not computed and counts as 0. */
#define EDGECL_GRADIENT_ALL 0
/* DGM (SparCL): of each sparse layer the gradient_keep share of stored weights with the largest |gradient|, chosen anew
 * every gradient_interval steps and after each change of structure. */
#define EDGECL_GRADIENT_DGM 1
/* MIGU (Du et al. 2024): from the second task on, of each sparse layer the gradient_keep share of output rows with the
 * largest sum of |output| in the step; every step. */
#define EDGECL_GRADIENT_MIGU 2
/* HFT (Hui et al. 2024): in each task a random gradient_keep share of the weight tensors trains, with their biases;
 * never the head or normalisations. */
#define EDGECL_GRADIENT_HFT 3

/* Who begins a task. */
#define EDGECL_BOUNDARY_CALLER 0 /* edgecl_task_begin alone */
/* Also the drift signal: a Page-Hinkley test (Page 1954) on the loss of the current rows. It alarms when the cumulated
 * rise above the mean + drift_delta exceeds drift_threshold. */
#define EDGECL_BOUNDARY_DRIFT 1

/* How the learning rate goes through a task. */
#define EDGECL_RATE_CONSTANT 0
#define EDGECL_RATE_LINEAR 1 /* down to rate_floor of it */
#define EDGECL_RATE_COSINE 2 /* the same along half a cosine (Loshchilov and Hutter 2017) */

/* Which rows the replay buffer keeps. */
#define EDGECL_REPLAY_RESERVOIR 0 /* a uniform sample of all rows (Vitter 1985) */
/* As many of each class as of the others (Chrysakis and Moens 2020, "Online continual learning from imbalanced data"). A
 * row of a class that never was among the largest takes the place of a random exemplar of a largest one. The others are
 * uniform samples of their own rows. */
#define EDGECL_REPLAY_CLASS_BALANCED 1

/* What makes scores of embeddings. All but GRADIENT and COSINE keep sufficient statistics of the embeddings: counts,
 * class sums, for LDA and ridge second moments, for FeCAM those of each class, as sums of integers. So a learn step is
 * exact: the order of rows does not matter, and rows can be taken back (edgecl_unlearn). The rest of the network stands
 * still, and what serves gradients (method, learning_rate, replay, structures, masks, augmentation) has no effect. The
 * scores are computed at the first prediction after something was learned. They need a bundle whose last layer is dense
 * and linear with a bias. */
#define EDGECL_HEAD_GRADIENT 0 /* the last layers of the network, trained by gradients */
/* Nearest class mean (Mensink et al. 2013). Score: cosine_scale * cosine of embedding and class mean; 16 where
 * cosine_scale is 0. */
#define EDGECL_HEAD_NCM 1
/* The same by distance: log-density of a Gaussian around the mean, as wide in every direction as the classes are on
 * average. */
#define EDGECL_HEAD_NCM_DISTANCE 2
/* Streaming linear discriminant analysis (Hayes and Kanan 2020): Gaussians with one covariance, that within classes,
 * shrunk towards a multiple of the identity: (1 - s) * covariance + s * mean variance * I, s = head_shrinkage or 0.3
 * where that is 0. The learned class frequencies are not used. */
#define EDGECL_HEAD_LDA 3
/* Ridge regression of the classes' indicators with an intercept (Zhuang et al. 2022, "ACIL"; McDonnell et al. 2023,
 * "RanPAC"): penalty s * mean variance of the features * rows, s = head_shrinkage or 0.3 where that is 0. Scores are divided by the variance of what the regression
 * leaves over, which makes a softmax of them meaningful. */
#define EDGECL_HEAD_RIDGE 4
/* Hyperdimensional codes (Kanerva 2009, "Hyperdimensional computing"): of each embedding the signs of hd_bits random
 * projections, of each class a counter a bit. Score: cosine_scale * (1 - 2 * share of the bits that differ from the signs
 * of the class's counters); 16 where cosine_scale is 0. Comparing costs hd_bits / 64 words a class; rows and classes are
 * taken back exactly. Only directions count, so zero should lie near the embeddings, as the exporter sees to with
 * calibration rows. 4 * hd_bits + hd_bits / 8 bytes a class of class_capacity. */
#define EDGECL_HEAD_HD 5
/* Nearest class mean by a Mahalanobis distance of each class's own (Goswami et al. 2023, "FeCAM"). The covariance of a
 * class's rows gets s * its mean variance added to the diagonal, s = head_shrinkage or 1 where that is 0, and becomes the
 * matrix of correlations R. With u and m, embedding and class mean at length 1, the score is -cosine_scale / 2 *
 * (u - m)^T R^-1 (u - m); 16 where cosine_scale is 0. A class whose rows do not differ has the identity for R, and then it
 * is the score of NCM but for a constant. The paper's power transform of 1/2 is feature_root. Classes are forgotten without
 * a bank. About 8 * embedding_dim^2 bytes a class of class_capacity (moments, and a factor of R), which must have at most
 * 2^26 moments in all, else E_UNSUPPORTED; a prediction costs embedding_dim^2 / 2 multiply-adds a class, a solve
 * embedding_dim^3 / 6 for each class that changed. */
#define EDGECL_HEAD_FECAM 6
/* The last layer trained by gradients as in HEAD_GRADIENT, with every method but UER, but scores are cosine_scale * cosine
 * of embedding and column (Gidaris and Komodakis 2018; Hou et al. 2019); 16 where cosine_scale is 0. Its bias is not read
 * and does not learn; columns may be dense or sparse. A forgotten class leaves a column of random signs and length 1 in
 * place of zeros. */
#define EDGECL_HEAD_COSINE 7

/* Novelty scores: how far a sample lies from what was learned; larger is more novel. */
#define EDGECL_NOVELTY_NONE 0      /* in a configuration: energy */
#define EDGECL_NOVELTY_MAX_LOGIT 1 /* minus the largest logit (Hendrycks et al. 2022); any head */
#define EDGECL_NOVELTY_ENERGY 2    /* minus the log-sum-exp of the logits (Liu et al. 2020); any head */
/* Relative Mahalanobis distance (Ren et al. 2021): to the nearest class mean under the covariance within classes, less
 * that to the mean of all under the covariance of all; both shrunk by head_shrinkage as LDA has it. With LDA or ridge, in
 * sessions made with novelty = rmds; class_capacity^2 * 16 + embedding_dim * class_capacity * 4 bytes. */
#define EDGECL_NOVELTY_RMDS 3
/* Distance to the 10th nearest row of the bank, at length 1 (Sun et al. 2022); 2, the largest, in a domain whose bank is
 * empty, as where other devices alone learned. */
#define EDGECL_NOVELTY_KNN 4
/* Minus the largest similarity, 1 - 2 * share of bits that differ, of the code to those of the classes (Wilson et al.
 * 2023, "Hyperdimensional feature fusion"): -1..1, 0 for a random code. With the head hd. */
#define EDGECL_NOVELTY_HD 5
#define EDGECL_NOVELTY_FIT 6 /* `fit` of edgecl_route: how badly the best domain fits; with max_domains above 0 */

#define EDGECL_MAX_THREADS 64

/* What a session is. Start from edgecl_session_config_init, which fills in the recipe of the bundle, then change
 * fields. Fields that a shorter struct lacks have the value of the recipe. Flags are 0 or 1. */
typedef struct edgecl_session_config {
  uint32_t struct_size;

  /* Of this session. */
  uint32_t max_batch;         /* 1..65536: most rows of one step; larger predict batches are cut into such pieces */
  uint32_t n_threads;         /* 1..EDGECL_MAX_THREADS: pieces that work is cut into for parallel_for */
  uint32_t max_classes;       /* 1..class_capacity: labels are 0..max_classes-1 */
  uint32_t predict_only;      /* 1: no memory for learning; learn gives E_UNSUPPORTED */
  uint32_t add_unseen_labels; /* 1: learn adds a label that was never added, if max_classes allows; a forgotten label
                                 stays forgotten until edgecl_class_add */
  uint32_t separate_predict;  /* 1: predictions have activations of their own (more memory); 0: they share those of a
                                 step. Meant for predictions between the pieces of a step; no call of this version
                                 stops inside a step, so it only costs memory yet */
  uint32_t reserved[5];       /* 0 */
  uint64_t seed;              /* names all random choices */

  /* The recipe: how to learn. The fields of a bundle's recipe, in its order. */
  uint32_t method;     /* EDGECL_METHOD_* */
  float learning_rate; /* > 0 */
  float momentum;      /* [0, 1) */
  float weight_decay;
  uint32_t batch_size;      /* rows of a step that the recipe was made for; information only */
  uint32_t replay_batch;    /* rows of one draw, 0..65536 */
  uint32_t replay_capacity; /* exemplars kept; 0 = none */
  float alpha, beta;        /* DER++: weights of the logit term and the label term */
  uint32_t class_mask;      /* 1: cross-entropy of current rows over the classes of the batch (in ER-ACE always so) */
  uint32_t augment_crop;    /* pixels of random crop, 0..127; 0 = off */
  uint32_t augment_flip;    /* 1: random horizontal flip */
  uint32_t latent_replay; /* 1: exemplars are activations (float32) where the frozen lower part ends, and replayed rows
                             pass through the upper part alone; without augmentation */
  float cosine_scale;     /* UER: logits of current rows = scale * cosine; > 0. Heads: above */
  uint32_t structure;     /* EDGECL_STRUCTURE_* */
  uint32_t growth;        /* EDGECL_GROWTH_* */
  uint32_t structure_interval, structure_updates; /* updates: at most 2^24 */
  float structure_inter;                          /* 0..0.5 */
  float structure_intra;                          /* 0..1 */
  float importance_current, importance_replay;    /* a and b of the importance, >= 0 */
  uint32_t gradient_mask;                         /* EDGECL_GRADIENT_* */
  uint32_t gradient_interval;
  float gradient_keep; /* 0..1; above 0 with a gradient_mask */
  uint32_t boundary;   /* EDGECL_BOUNDARY_* */
  float drift_delta, drift_threshold;
  /* Schedules: the caller's loop over a task asks for them (edgecl_schedule_*); a step does not follow them by itself. */
  uint32_t rate_schedule;     /* EDGECL_RATE_* */
  float rate_floor;           /* share of the learning rate that is left at a task's end, 0..1 */
  float removal_share;        /* of a task's examples that data removal takes away in all, [0, 1) */
  uint32_t removal_stages;    /* bit e: a stage after epoch e (1..31) */
  uint32_t removal_score;     /* EDGECL_REMOVAL_* */
  uint32_t rehearse_steps;    /* of one rehearsal */
  uint32_t rehearse_interval; /* learn steps between two rehearsals; 0 = none */
  uint32_t head;              /* EDGECL_HEAD_* */
  uint32_t replay_policy;     /* EDGECL_REPLAY_* */
  /* Of heads that keep statistics. */
  float head_shrinkage;    /* s of LDA, ridge and FeCAM, 0..1; 0: the default of the head */
  float feature_range;     /* embeddings are kept to 1/16383 of it, and saturate beyond; 1e-6..1e6; 0: 64 */
  uint32_t head_bank;      /* rows of embeddings that are kept, the first ones; 0..2^20. With them LDA and ridge can
                            forget a class, and edgecl_unlearn knows what was learned */
  uint32_t novelty;        /* EDGECL_NOVELTY_*: the score that edgecl_decide goes by */
  uint32_t head_merges;    /* other devices that edgecl_merge has room for, 0..65536: the sums of each are kept,
                            class_capacity * (embedding_dim * 8 + 24) bytes and with second moments about
                            embedding_dim^2 * 4 more, with FeCAM for each class; of hd class_capacity * (hd_bits * 4 +
                            24); with max_domains for each domain, and as much as LDA takes for its routing features,
                            and 256 bytes a feature for rows held out. A state goes on with another number, too */
  uint32_t max_domains;    /* domains that the session has room for (edgecl_domain_add); 0: none. 0..64 */
  uint32_t novelty_window; /* samples that edgecl_drift looks at, 1..512; 0: 64 */
  uint32_t hd_bits;        /* of a code of the head hd, a multiple of 64 up to 65536; 0: 4096 */
  uint32_t feature_root;   /* 1: the head fecam counts the square root of each feature, with its sign */
} edgecl_session_config;

/* What a session uses. Optional in each call; NULL means all defaults. */
typedef struct edgecl_session_options {
  uint32_t struct_size;
  const edgecl_allocator* allocator; /* optional; copied; edgecl_session_create alone uses it */
  const edgecl_hooks* hooks;         /* optional; copied */
} edgecl_session_options;

/* Bytes of a session, by what they are for. */
typedef struct edgecl_sizes {
  uint32_t struct_size;
  uint32_t arena_alignment; /* 64 */
  uint64_t arena_bytes;     /* all memory that a session ever uses, the stack apart */
  uint64_t learnable_bytes; /* weights, gradients, optimiser, sparse structure, statistics */
  uint64_t replay_bytes;
  uint64_t learn_bytes;     /* activations and gradients of a learn step */
  uint64_t predict_bytes;   /* activations of a predict; part of learn_bytes unless separate_predict */
  uint64_t scratch_bytes;   /* all threads together */
  uint64_t state_bytes_max; /* the largest edgecl_state_export of this configuration */
} edgecl_sizes;

/* Fills every field: the recipe of the bundle; one thread, seed 0, max_batch the recipe's batch size, max_classes the
 * bundle's capacity, predict_only where nothing of the bundle can learn, and 0 for the rest. This is also how to read a
 * recipe. The only error is E_ARGUMENT. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_session_config_init(const edgecl_model* model,
                                                                      edgecl_session_config* config);

/* Exact sizes of a session on this machine, from bundle and configuration alone.
 *   Errors  E_ARGUMENT (a field out of range), E_CAPACITY (too large for the address space or for the bundle's classes),
 *           E_UNSUPPORTED (the bundle has no part that the configuration asks for).
 *   Cost    O(operators), whatever the batch; no allocation. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_session_sizes(const edgecl_model* model,
                                                                const edgecl_session_config* config,
                                                                edgecl_sizes* sizes, edgecl_error* err);

/* A machine that sizes are asked for. */
typedef struct edgecl_target {
  uint32_t struct_size;
  uint32_t pointer_bytes; /* 8; with "reference" also 4 */
  const char* level;      /* as in edgecl_open_options: what its library runs there */
} edgecl_target;

/* The same for another machine, with a standard build of this library. `target` is optional; NULL: this machine. Also
 * E_ARGUMENT for a level that does not exist, or has no chips of this pointer width. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_session_sizes_for(const edgecl_model* model,
                                                                    const edgecl_session_config* config,
                                                                    const edgecl_target* target, edgecl_sizes* sizes,
                                                                    edgecl_error* err);

/* Makes a session inside the caller's `arena` (aligned to 64, at least arena_bytes of edgecl_session_sizes). The arena
 * must outlive the session. Nothing allocates, now or later.
 *   Errors  as edgecl_session_sizes, E_ARENA_TOO_SMALL, E_SEQUENCE (the model is being closed).
 *   Cost    O(arena_bytes).
 *   State   weights and classes as the bundle ships them, step 0. The buffer holds the exemplars that the bundle ships,
 *           as many as fit, and is empty without. Where it keeps logits or activations, the bundle's network makes them
 *           here: a forward pass an exemplar. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_session_init(edgecl_model* model, const edgecl_session_config* config,
                                                               const edgecl_session_options* options, void* arena,
                                                               size_t arena_bytes, edgecl_session** session,
                                                               edgecl_error* err);

/* The same inside one block from the allocator. Also E_NO_MEMORY. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_session_create(edgecl_model* model,
                                                                 const edgecl_session_config* config,
                                                                 const edgecl_session_options* options,
                                                                 edgecl_session** session, edgecl_error* err);

/* Back to what the bundle shipped and the configuration said; keeps the arena. E_ARGUMENT, E_BUSY. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_session_reset(edgecl_session* session);

/* Overwrites the whole arena, so that nothing learned stays in memory, and releases what create took. NULL is fine. No
 * call may be in progress. */
EDGECL_API void edgecl_session_destroy(edgecl_session* session);

/* The sentence of the last failure on this session, "" before the first. It lives until the next call that fails.
 * E_BUSY leaves it alone: it belongs to the call in progress. */
EDGECL_API const char* edgecl_session_error(const edgecl_session* session);

/* The configuration now in force. Seed and learning rate are those of the state: an import and edgecl_learning_rate_set
 * change them. E_ARGUMENT, E_BUSY. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_session_config_get(const edgecl_session* session,
                                                                     edgecl_session_config* config);

/* Learning rate of the steps to come; finite, > 0 and no subnormal number (E_ARGUMENT); E_BUSY. It is part of the
 * state. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_learning_rate_set(edgecl_session* session, float learning_rate);
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_learning_rate_get(const edgecl_session* session,
                                                                    float* learning_rate);

/* Present values of parameter `index` (0..n_params-1), dense, in the order of its dims: what a sparse one does not store
 * reads 0. Running means and variances are parameters too. `capacity`: floats in `out`, at least the product of the
 * dims.
 *   Errors  E_NOT_FOUND (index), E_SHAPE (capacity; nothing is written), E_ARGUMENT, E_BUSY.
 *   Cost    O(product of the dims). */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_weights_read(const edgecl_session* session, uint32_t index,
                                                               float* out, size_t capacity);

/* =====================================================================================================================
 * 8. INFERENCE
 * ===================================================================================================================*/

/* Samples of the caller. */
typedef struct edgecl_batch {
  uint32_t struct_size;
  uint32_t dtype;               /* EDGECL_F32 or EDGECL_U8; must be the bundle's input_dtype (E_DTYPE) */
  uint32_t n_samples;           /* >= 1 */
  uint32_t reserved;            /* 0 */
  const void* data;             /* n_samples samples one behind the other; raw values, the bundle normalises */
  uint64_t elements_per_sample; /* must be the bundle's input_elements (E_SHAPE) */
  /* Optional, of edgecl_learn: n_samples weights 0..1e6 of the rows' cross-entropy (E_ARGUMENT). A row of weight 0 does
   * not enter the buffer. */
  const float* weights;
  const void* reserved_end; /* NULL */
} edgecl_batch;

typedef struct edgecl_prediction {
  int32_t label;     /* column of the largest logit among the classes present; -1 when there is no class yet */
  float probability; /* softmax over the classes present */
  float margin;      /* largest minus second largest logit; 0 with one class */
  uint32_t reserved; /* 0 */
} edgecl_prediction;

/* The four functions below run one forward pass a sample, with running statistics, for any n_samples. A row's result
 * does not depend on the rows beside it.
 *   Errors  E_SHAPE (also: `capacity` is too small), E_DTYPE, E_ARGUMENT, E_BUSY.
 *           E_NUMERIC: a sample is not finite (nothing was written), or a score that the network made of it is not
 *           (results of earlier pieces of max_batch rows may have been written).
 *   Cost    macs_forward_sparse multiply-adds a sample, and at most 2^33 numbers read and written; no allocation.
 *   State   only samples_predicted of edgecl_stats changes. */

/* Most likely class of each sample. out_stride: bytes from one prediction to the next, the caller's
 * sizeof(edgecl_prediction) or more. Fields that lie behind those that caller and library know stay as they are. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_predict(edgecl_session* session, const edgecl_batch* batch,
                                                          edgecl_prediction* out, size_t out_stride);

/* Softmax over the classes present: n_samples x class_capacity; columns without a class read 0. The largest of a row has
 * the bits of edgecl_prediction.probability. `capacity`: floats in `out`. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_probabilities(edgecl_session* session, const edgecl_batch* batch,
                                                                float* out, size_t capacity);

/* Logits: n_samples x class_capacity; columns without a class read minus infinity. `capacity`: floats in `out`. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_logits(edgecl_session* session, const edgecl_batch* batch, float* out,
                                                         size_t capacity);

/* What enters the head: n_samples x embedding_dim. `capacity`: floats in `out`. E_UNSUPPORTED when the model has no
 * separate head. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_embed(edgecl_session* session, const edgecl_batch* batch, float* out,
                                                        size_t capacity);

/* Novelty score of each sample: n_samples floats. `score`: EDGECL_NOVELTY_*; 0: that of the session. `capacity`: floats
 * in `out`.
 *   Errors  as above; E_UNSUPPORTED (the session does not keep what the score needs), E_SEQUENCE (nothing was learned).
 *   Cost    a forward pass a sample, and what the score says; rmds solves a system of embedding_dim unknowns at the first
 *           call after something was learned. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_novelty_scores(edgecl_session* session, const edgecl_batch* batch,
                                                                 uint32_t score, float* out, size_t capacity);

/* Where samples stop to be accepted, and where they begin to be novel. */
typedef struct edgecl_threshold {
  uint32_t struct_size;
  uint32_t score;      /* EDGECL_NOVELTY_* */
  float accept, novel; /* scores up to `accept` are accepted, those above `novel` are novel */
  uint64_t rows;       /* it was made from; 0: there is none */
  uint64_t reserved;   /* 0 */
} edgecl_threshold;

/* Sets the thresholds of a score from the scores of n rows of what was learned, which must not have been learned
 * themselves: of rows like these a share `accepted` is accepted, and 1 - `kept` is called novel. 0.5 <= accepted <= kept
 * < 1, say 0.95 and 0.99. They are part of the state, and hold until they are set anew: do that after much was learned.
 * With those of the session's score the window of edgecl_drift begins anew.
 *   Errors  E_ARGUMENT (shares, n = 0, a score that is not finite, no such score), E_BUSY. Cost O(n). */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_novelty_calibrate(edgecl_session* session, uint32_t score,
                                                                    const float* scores, size_t n, double accepted,
                                                                    double kept);

/* The thresholds of a score; 0: of the session's. E_ARGUMENT, E_BUSY. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_novelty_threshold(const edgecl_session* session, uint32_t score,
                                                                    edgecl_threshold* threshold);

/* Decisions. */
#define EDGECL_ACCEPT 0
#define EDGECL_UNCERTAIN 1 /* between the two thresholds */
#define EDGECL_NOVEL 2

/* Decision for each sample by the session's score: n_samples of EDGECL_ACCEPT and so on. `capacity`: numbers in `out`.
 *   Errors  as edgecl_novelty_scores; E_SEQUENCE also when there are no thresholds. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_decide(edgecl_session* session, const edgecl_batch* batch,
                                                         int32_t* out, size_t capacity);

/* The same, and the samples enter the window that edgecl_drift judges, in their order: for the samples of a stream, each
 * once. It costs no more than edgecl_decide.
 *   Errors  as edgecl_decide. State: the window is part of it. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_observe(edgecl_session* session, const edgecl_batch* batch,
                                                          int32_t* out, size_t capacity);

/* How strange the latest samples of a stream are, taken together. */
typedef struct edgecl_drift_info {
  uint32_t struct_size;
  uint32_t score;          /* EDGECL_NOVELTY_* of the session */
  uint32_t window, filled; /* samples that it looks at, and how many of them were observed so far */
  uint32_t alarm;          /* 1: the stream is not like the held-out rows */
  float unknown;           /* share of the window that is not accepted; 1 - `accepted` is usual */
  float unusual;           /* share above the median of the held-out scores; 0.5 is usual */
  float chance;            /* of a window as strange as this, were the stream like these rows; 1 until it is full */
  uint64_t observed;       /* samples since the thresholds were set */
  uint64_t alarms;         /* times that the alarm rose since then */
} edgecl_drift_info;

/* The alarm. Both shares are compared with what they are in windows of rows like the held-out ones, which is known
 * exactly (beta-binomial; Wilks 1941) for rows that come in any order: shuffled, not a hundred pictures of one thing. The
 * alarm rises when one of the shares is so high that one window in some 30,000 has it by chance, never before the window
 * is full, and falls when both are as high as in one of 16. Few held-out rows make it dull: hand in a hundred or more.
 *   Errors  E_SEQUENCE (no thresholds of the session's score, or of a state that an older version wrote), E_ARGUMENT,
 *           E_BUSY. Cost O(window). */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_drift(const edgecl_session* session, edgecl_drift_info* info);

/* =====================================================================================================================
 * 9. LEARNING
 * ===================================================================================================================*/

/* Three fields are set by the caller: pointers that receive one value a row (optional), and a capacity. What they point
 * to is written on success only. */
typedef struct edgecl_learn_report {
  uint32_t struct_size;
  uint32_t n_replayed;                          /* replayed rows of this step, all draws together */
  float loss;                                   /* the sum of the three below */
  float loss_current, loss_replay, loss_logits; /* terms with their weights */
  uint64_t step;                                /* steps done, this one included */
  uint64_t macs_forward, macs_backward;         /* multiply-adds that this step really did */
  uint32_t* replay_slots;                       /* in: receives the buffer slots drawn, in row order */
  uint32_t replay_slots_capacity;               /* in: numbers in replay_slots; edgecl_replay_rows are enough */
  uint32_t structure_changed;                   /* 1: this step ended with a change of structure */
  uint64_t macs_paper;  /* as the SparCL paper counts: each row forward, the backward pass of current rows alone */
  uint8_t* row_correct; /* in: n_samples flags. 1: the largest logit of the current row, among the classes present and
                           before the update, was its label's */
  float* row_loss;      /* in: n_samples losses of the current rows */
  /* NULL, or a sentence that the user should see. In this version: the first step that brings a class which the bundle
   * does not ship, while nothing of the shipped ones is in the buffer. Also told to the log hook, at level 2. */
  const char* note;
  const void* reserved_end; /* NULL */
} edgecl_learn_report;

/* One update from this batch (n_samples <= max_batch) and the rows that the method replays; then the batch enters the
 * reservoir. labels: n_samples labels in 0..max_classes-1. `report` is optional.
 *   Errors  E_CAPACITY (too many rows, a label beyond max_classes), E_NOT_FOUND (a class that was not added, or was
 *           forgotten), E_NUMERIC (samples, loss or gradients are not finite, a normalised sample or a logit for the
 *           buffer is above 1e12, or a weight could come to exceed 1e9), E_UNSUPPORTED (predict_only), E_SHAPE (samples,
 *           or too few replay_slots), E_DTYPE, E_ARGUMENT (a negative label), E_BUSY.
 *   Cost    forward and backward of n_samples + replayed rows, whatever was learned before; no allocation.
 *   State   on success one step further; on any failure as before, but refused_steps counts it. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_learn(edgecl_session* session, const edgecl_batch* batch,
                                                        const int32_t* labels, edgecl_learn_report* report);

/* Takes rows back out of the statistics of the head, as if they had never been learned: the statistics are, bit for bit,
 * those of the other rows. Samples and labels as they were learned; n_samples <= max_batch; batch->weights is not used.
 * With domains they go out of the selected one, head and routing. What was not learned there is noticed when the class has
 * fewer rows; when the bank holds all rows of the class and not this one; when no rows would have the sums that are left
 * (a class without rows has none, |sum|^2 is at most rows * sum of squares, squares within the classes, with FeCAM within
 * each class, are not negative; of hd a counter is within +-rows, and odd or even as they are); and in a domain when a
 * held-out row is not among those that it keeps, as long as newer ones replaced none. Another row of the same class that
 * lies near those learned leaves sums that rows could have: it is not noticed, and the statistics are wrong afterwards.
 *   Errors  E_UNSUPPORTED (predict_only, or a head that learns by gradients), E_NOT_FOUND (a class that is not present, a
 *           row that was not learned), E_CAPACITY, E_NUMERIC, E_SHAPE, E_DTYPE, E_ARGUMENT, E_BUSY.
 *   Cost    a forward pass a row; with LDA, ridge and FeCAM also O(embedding_dim^2).
 *   State   samples_seen of the classes falls; the class of the last row stays present, and is never predicted. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_unlearn(edgecl_session* session, const edgecl_batch* batch,
                                                          const int32_t* labels);

/* What a head that keeps statistics holds. */
typedef struct edgecl_head_info {
  uint32_t struct_size;
  uint32_t head;      /* EDGECL_HEAD_* */
  uint32_t dim;       /* numbers of an embedding */
  uint32_t bank_rows; /* now in the bank */
  uint64_t rows;      /* learned and not taken back, by all devices */
  uint64_t saturated; /* of their features, those beyond feature_range: choose a wider one if there are many */
  uint64_t bytes;     /* of statistics and weights, all told */
  uint32_t solved;    /* 1: the next prediction need not compute the weights anew */
  uint32_t devices;   /* other devices that were merged */
} edgecl_head_info;

/* E_UNSUPPORTED (a head that learns by gradients), E_ARGUMENT, E_BUSY. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_head_describe(const edgecl_session* session, edgecl_head_info* info);

/* --- domains ---
 * A session made with max_domains above 0, under a head that keeps statistics, has room for as many domains beside the
 * one frozen encoder: each with parameters of its own where the bundle has some that train below the head (an adaptor),
 * a head of its own, and statistics of the bundle's taps (the embedding where it has none; at most 1024 features) that
 * say which samples are of the domain. After Daniels et al. 2023, "Efficient model adaptation for continual learning at
 * the edge". Class labels and names are common to all. Domain 0 exists from the start and is called "base".
 *
 * Learn steps, edgecl_unlearn and edgecl_class_forget go to the selected domain. Predictions go, sample by sample, to the
 * domain that fits best, once a second domain exists and edgecl_domain_select was not told one. Every fifth row that a
 * domain learns, chosen by its own bits, stays out of its routing statistics and says what fit is usual. Domains are part
 * of the state. */

/* Which domain fits a sample. */
typedef struct edgecl_route_result {
  int32_t domain;
  float fit;        /* Mahalanobis distance to the nearest class of the domain, in deviations from the mean of its
                       held-out rows: below 2 or so is usual */
  int32_t decision; /* EDGECL_ACCEPT, or EDGECL_NOVEL: further off than 95 of 100 held-out rows of the domain */
  uint32_t reserved;
} edgecl_route_result;

/* Best domain of each sample; n_samples records, `out_stride` bytes apart. Cost: the ops in front of the
 * adaptor, and of each domain features^2 / 2 + features * classes multiply-adds a sample; features^3 / 6 more at the first
 * call after it learned something.
 *   Errors  E_UNSUPPORTED (max_domains = 0), E_SEQUENCE (nothing was learned), those of edgecl_predict. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_route(edgecl_session* session, const edgecl_batch* batch,
                                                        edgecl_route_result* out, size_t out_stride);

/* A new domain with the bundle's adaptor and an empty head; its number in *domain. It is not selected. `name`: 1..63
 * bytes. E_UNSUPPORTED, E_CAPACITY (max_domains exist), E_ARGUMENT (a bad name, or one in use), E_BUSY. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_domain_add(edgecl_session* session, const char* name,
                                                             int32_t* domain);

#define EDGECL_DOMAIN_BY_FIT (-1)
/* Learn steps and predictions go to this domain; EDGECL_DOMAIN_BY_FIT: predictions go where they fit, learn steps stay
 * where they were. E_UNSUPPORTED, E_NOT_FOUND, E_BUSY. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_domain_select(edgecl_session* session, int32_t domain);

/* Takes over the parameters below the head that `trainer` has trained, a session of the same model that learns by
 * gradients (head = EDGECL_HEAD_GRADIENT, max_domains = 0, a replay buffer of raw samples); then the domain learns the
 * trainer's exemplars, whose number is in *rows. The domain must not have learned anything yet. The trainer is left alone
 * and may be used for the next domain after edgecl_session_reset.
 *   Errors  E_ARGUMENT (another model), E_SEQUENCE (the domain has rows), E_UNSUPPORTED, E_NOT_FOUND, those of
 *           edgecl_learn; the domain is then empty. E_BUSY: either session. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_domain_adapt(edgecl_session* session, int32_t domain,
                                                               const edgecl_session* trainer, uint32_t* rows);

/* All that a domain learned goes, and its number is free. E_ARGUMENT: domain 0. E_UNSUPPORTED: also where other devices
 * have rows in it, which go with these devices (edgecl_unmerge) or with their newer messages. E_NOT_FOUND, E_BUSY. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_domain_remove(edgecl_session* session, int32_t domain);

/* Sets the thresholds of the score EDGECL_NOVELTY_FIT from the held-out rows of all domains, as edgecl_novelty_calibrate
 * does from scores. With novelty = EDGECL_NOVELTY_FIT edgecl_observe and edgecl_drift then tell when the stream has left
 * all known domains. Call it again after a domain learned. Rows that come from the same people, places or days as those
 * learned are alike; where new ones are to count as known, use edgecl_novelty_calibrate with rows of such.
 *   Errors  E_UNSUPPORTED, E_SEQUENCE (no domain holds rows), E_ARGUMENT (shares), E_NUMERIC, E_BUSY. Cost: features^2 / 2
 *           multiply-adds a held-out row and domain. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_domain_calibrate(edgecl_session* session, double accepted,
                                                                   double kept);

typedef struct edgecl_domain_info {
  uint32_t struct_size;
  uint32_t adapted;  /* 1: its adaptor is not the bundle's any more */
  uint64_t rows;     /* that this device learned and did not take back */
  uint64_t bytes;    /* of one domain, all told */
  uint32_t held;     /* rows that say what fit is usual, at most 128 a device */
  uint32_t features; /* that routing compares */
  uint32_t selected; /* 1: learn steps go here */
  uint32_t by_fit;   /* 1: predictions go where they fit */
  char name[64];
  uint64_t rows_merged; /* rows of it that other devices learned; `rows` does not count them */
} edgecl_domain_info;

/* E_NOT_FOUND (no such domain), E_UNSUPPORTED, E_ARGUMENT, E_BUSY. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_domain_describe(const edgecl_session* session, int32_t domain,
                                                                  edgecl_domain_info* info);

/* Puts rows into the replay buffer without a step, as if they had been learned: they are admitted by the replay policy,
 * and samples_seen of their classes counts them. For a model that learns on over classes that it was shipped with: hand
 * in the data that it was trained on, or a sample of them. With a reservoir the new classes then get the share of the
 * buffer that they have of all rows, with EDGECL_REPLAY_CLASS_BALANCED that of their number. n_samples <= max_batch;
 * labels of classes that are present; batch->weights is not used.
 *   Errors  E_CAPACITY (too many rows), E_NOT_FOUND (a class that is not present), E_UNSUPPORTED (predict_only, or no
 *           buffer), E_NUMERIC, E_SHAPE, E_DTYPE, E_ARGUMENT, E_BUSY.
 *   Cost    O(n_samples); where the buffer keeps logits or activations, also a forward pass a row.
 *   State   nothing but the buffer and its counts. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_remember(edgecl_session* session, const edgecl_batch* batch,
                                                           const int32_t* labels);

/* Begins a task; the one before ends. Structures expand, and gradient masks are chosen anew. A stream without tasks need
 * not call it. A session with predict_only takes it too. E_ARGUMENT, E_BUSY. Cost O(weights of sparse layers). */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_task_begin(edgecl_session* session);

typedef struct edgecl_rehearse_report {
  uint32_t struct_size;
  uint32_t done;   /* steps done */
  float mean_loss; /* over these; 0 when none */
} edgecl_rehearse_report;

/* k-FPF (Zhao et al. 2023, "Does continual learning equally forget all parameters?"): n_steps steps of cross-entropy on
 * replayed rows alone. They update the head, and the scales and shifts of normalisations, and nothing else. Each
 * step draws replay_batch rows afresh. Running means and variances are updated. With an empty buffer nothing happens and
 * `done` is 0.
 * n_steps: at most 2^20. `report` is optional, and also written on E_NUMERIC.
 *   Errors  E_UNSUPPORTED (no buffer, predict_only, or neither head nor normalisations train), E_ARGUMENT, E_BUSY,
 *           E_NUMERIC (as edgecl_learn; the steps before it stay done).
 *   Cost    a step: a forward pass of replay_batch rows, and a backward pass down to the lowest parameter that is
 *           updated, without the weight gradients of other layers.
 *   State   what later learn steps draw does not change. Learning rate, momentum and weight decay are the session's. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_rehearse(edgecl_session* session, uint32_t n_steps,
                                                           edgecl_rehearse_report* report);

/* =====================================================================================================================
 * 10. CLASSES
 * ===================================================================================================================*/

/* Adds a class under the lowest label that was never issued, and writes that label. Its head column is as the bundle
 * ships it. When all were issued, the lowest label of a forgotten class serves again; its column is zero.
 * `name` is optional: 1..63 bytes that no class present has. Without one the class is called by its label, or by its
 * label and a number ("1_2") where another class has that name.
 *   Errors  E_CAPACITY (max_classes are in use), E_ARGUMENT (name), E_UNSUPPORTED (no head), E_BUSY. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_class_add(edgecl_session* session, const char* name, int32_t* label);

/* Forgets a class: zeroes its head column and its part of the optimiser, drops its exemplars and counts. Layers below
 * the head keep what they learned from it. The name is free. The label is free for edgecl_class_add, which takes those
 * never issued first.
 * Heads that keep statistics forget it exactly: they are as if its rows had never been learned. LDA and ridge need all
 * of these in the bank for that (E_UNSUPPORTED; edgecl_unlearn does it with the samples). Where other devices have rows
 * of the class, those of this device go, and the class stays with theirs (rows_merged of edgecl_class_info); with
 * nothing of its own that is E_UNSUPPORTED.
 *   Errors  E_NOT_FOUND, E_UNSUPPORTED (no head, or see above), E_BUSY. Cost O(exemplars + head). */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_class_forget(edgecl_session* session, int32_t label);

/* Describes label 0..max_classes-1, present or not. E_NOT_FOUND beyond. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_class_describe(const edgecl_session* session, int32_t label,
                                                                 edgecl_class_info* info);

/* Weight of a class in the cross-entropy of its rows, current and replayed: 0..1e6, 1 unless it was set. It is part of
 * the state. E_NOT_FOUND (no such class is present), E_UNSUPPORTED (a head that keeps statistics), E_ARGUMENT, E_BUSY. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_class_weight_set(edgecl_session* session, int32_t label,
                                                                   float weight);
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_class_weight_get(const edgecl_session* session, int32_t label,
                                                                   float* weight);

/* What the labels of the application are, of which class names are the text. It is part of the state, so that another
 * program that loads it can hand out labels of the same kind; the library itself makes no use of it. */
#define EDGECL_LABELS_UNKNOWN 0
#define EDGECL_LABELS_TEXT 1
#define EDGECL_LABELS_BOOL 2 /* "0" and "1" */
#define EDGECL_LABELS_INTEGER 3
#define EDGECL_LABELS_REAL 4 /* integers that a program keeps as real numbers: "3" is 3.0 */

/* EDGECL_LABELS_*; a bundle may ship it. E_ARGUMENT, E_BUSY. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_label_kind_set(edgecl_session* session, uint32_t kind);
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_label_kind_get(const edgecl_session* session, uint32_t* kind);

/* Label of the class of that name that is present. E_NOT_FOUND when there is none. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_class_find(const edgecl_session* session, const char* name,
                                                             int32_t* label);

/* =====================================================================================================================
 * 11. DATA REMOVAL (SparCL's dynamic data removal)
 *
 * Of a task that is learned for several epochs, the examples that are never wrong need no more epochs. The caller
 * numbers the examples of the task 0..n_examples-1 and hands in row_correct and row_loss of each learn step. Now and
 * then it calls a stage, which removes some; then it learns those that are kept. (SparCL's script: a stage after every
 * fifth of the first 20 of 50 epochs, 30 % of the examples in all.)
 *
 * A table belongs to one task and one thread. It is no part of a session's state, takes 12 bytes an example, and
 * allocates nothing. Replay buffers are not touched.
 * ===================================================================================================================*/

typedef struct edgecl_removal edgecl_removal;

/* Scores; the lowest are removed first. An example that was not shown since the last stage has the highest. */
#define EDGECL_REMOVAL_MISCLASSIFIED 0 /* times it was wrong since the last stage; for few epochs */
/* Times it turned from right to wrong (Toneva et al. 2019), as in SparCL's released code; the highest when it was never
 * right. */
#define EDGECL_REMOVAL_FORGETTING 1

/* Bytes that edgecl_removal_init needs: 12 an example and a fixed part. */
EDGECL_API size_t edgecl_removal_size(uint32_t n_examples);

/* Makes a table in the caller's block (aligned to 8), which it lives in until the caller takes the block back.
 * n_examples: 1..2^28. score: EDGECL_REMOVAL_*. E_ARGUMENT, E_ARENA_TOO_SMALL. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_removal_init(uint32_t n_examples, uint32_t score, void* memory,
                                                               size_t memory_bytes, edgecl_removal** removal,
                                                               edgecl_error* err);

/* Records n presentations: ids, flags of edgecl_learn_report.row_correct and losses of row_loss, n of each.
 * E_ARGUMENT (an id out of range or removed, a loss that is not finite): nothing is recorded. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_removal_record(edgecl_removal* removal, const uint32_t* ids,
                                                                 const uint8_t* correct, const float* loss, uint32_t n,
                                                                 edgecl_error* err);

/* Removes the n_remove examples of the lowest score; ties go by the lowest mean loss, then by the lowest id. Then clears
 * what was recorded. E_ARGUMENT unless n_remove is below edgecl_removal_count. Cost O(n_examples). */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_removal_stage(edgecl_removal* removal, uint32_t n_remove,
                                                                edgecl_error* err);

/* Examples that are kept: how many (0 for NULL), and their ids in ascending order. E_SHAPE when `capacity` (numbers in
 * `ids`) is below the count; E_ARGUMENT. */
EDGECL_API uint32_t edgecl_removal_count(const edgecl_removal* removal);
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_removal_kept(const edgecl_removal* removal, uint32_t* ids,
                                                               uint32_t capacity, edgecl_error* err);

/* =====================================================================================================================
 * 12. STATE: everything that a session learned
 *
 * A state is self-contained and little-endian, and is tied to the bundle's digest. It ends with a SHA-256 (32 bytes) of
 * its header and table, which hold the digest of each section, so that it stands for all of it. A state holds weights,
 * momentum, statistics, classes, exemplars, counters, seed and learning rate.
 * ===================================================================================================================*/

/* Bytes that an export needs now. E_ARGUMENT, E_BUSY. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_state_size(const edgecl_session* session, size_t* bytes);

/* Writes the state into `buffer` of `capacity` bytes, and how many it took. To survive a power cut write a new file
 * beside the old one, flush it to the disk, and rename it over the old one.
 *   Errors  E_SHAPE (capacity; nothing is written), E_ARGUMENT, E_BUSY. Cost O(state). */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_state_export(const edgecl_session* session, void* buffer,
                                                               size_t capacity, size_t* written);

/* Takes over a state, all of it or nothing.
 *   Errors  E_STATE_CORRUPT, E_STATE_MISMATCH (another bundle; a configuration that differs in max_classes or in a field
 *           of the recipe, but for learning_rate and batch_size; or a version that this library does not read: the
 *           sentence says which), E_ARGUMENT, E_BUSY.
 *   State   samples_predicted, refused_steps and times are no part of a state and stay.
 *   Cost    O(n_bytes), twice: everything is checked before anything is written. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_state_import(edgecl_session* session, const void* bytes,
                                                               size_t n_bytes);

/* The configuration that a state of this model was made under, to make a session that goes on as it learned: the recipe
 * in force, max_classes, seed, learning rate, and max_batch; the rest as edgecl_session_config_init fills it.
 *   Errors  E_STATE_CORRUPT, E_STATE_MISMATCH (another bundle), E_ARGUMENT. Cost O(n_bytes): every digest is checked. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_session_config_from_state(const edgecl_model* model,
                                                                            const void* bytes, size_t n_bytes,
                                                                            edgecl_session_config* config,
                                                                            edgecl_error* err);

/* What a state took along to another bundle, and what it did not. */
typedef struct edgecl_migration {
  uint32_t struct_size;
  uint32_t n_params;         /* trained parameters that came along */
  uint32_t n_renamed;        /* of these, those that have another name in the new bundle */
  uint32_t n_frozen_changed; /* frozen parameters that are other values there: the new bundle's hold */
  uint32_t n_classes_left;   /* classes that the new bundle ships and the state does not have: they are gone */
} edgecl_migration;

/* Makes a state of the model `from` a state of the model `to`, for a model that was exported again: the k-th trained
 * parameter of one is the k-th of the other, and they agree in storage and shape, as do the normalisations that follow
 * the batch. `out`: n_bytes, which may not be those of `bytes`. Whether a session of `to` takes it is seen by
 * edgecl_state_import: recipe, buffer and classes must fit as always. `migration` is optional.
 *   Errors  E_STATE_CORRUPT, E_STATE_MISMATCH (not of `from`, or other trained shapes), E_SHAPE (capacity), E_ARGUMENT.
 *           `out` holds nothing of use then.
 *   Cost    O(n_bytes + frozen weights). */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_state_migrate(const edgecl_model* from, const edgecl_model* to,
                                                                const void* bytes, size_t n_bytes, void* out,
                                                                size_t capacity, edgecl_migration* migration,
                                                                edgecl_error* err);

/* The SHA-256 that an export would end with; needs no buffer. E_ARGUMENT, E_BUSY. Cost O(state). */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_state_digest(const edgecl_session* session, uint8_t digest[32]);

/* =====================================================================================================================
 * 13. MEASURING
 * ===================================================================================================================*/

typedef struct edgecl_stats {
  uint32_t struct_size;
  uint32_t n_classes; /* present */
  uint64_t steps;     /* rehearsals count neither here nor in samples_learned */
  uint64_t samples_learned, samples_predicted;
  uint64_t samples_seen; /* by the reservoir */
  uint32_t replay_fill, replay_capacity;
  uint64_t arena_bytes;
  uint64_t macs_learn;       /* multiply-adds of all learn steps and rehearsals */
  uint64_t macs_learn_dense; /* of the same steps, as if every layer were dense */
  uint64_t refused_steps;
  uint64_t tasks;                        /* begun so far, by edgecl_task_begin or the drift signal */
  uint64_t macs_paper, macs_paper_dense; /* as the SparCL paper counts (edgecl_learn_report), and the same if dense */
  uint64_t structure_updates;            /* changes of structure, all sparse layers together */
  uint64_t weights_dropped, weights_grown;
  uint64_t weights_stored;         /* scalars of trainable parameters now */
  uint64_t weights_trainable;      /* of these, those that get a gradient in an ordinary step */
  uint64_t structure_us, learn_us; /* time in changes of structure; in learn calls and rehearsals; 0 without now_us */
  uint64_t steps_in_task;
} edgecl_stats;

/* Counts of the session so far. E_ARGUMENT, E_BUSY. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_session_stats(const edgecl_session* session, edgecl_stats* stats);

/* Parts of a call that are no operator; their macs are 0. */
#define EDGECL_EVENT_INPUT 0xffffffffu  /* samples checked and normalised */
#define EDGECL_EVENT_LOSS 0xfffffffeu   /* losses and the gradients of the scores */
#define EDGECL_EVENT_UPDATE 0xfffffffdu /* the checks before the commit, and the commit */
#define EDGECL_EVENT_REPLAY 0xfffffffcu /* rows drawn, or the buffer written */

typedef struct edgecl_profile_event {
  uint32_t op;               /* index of the operator, or EDGECL_EVENT_* */
  uint32_t pass;             /* 0 forward, 1 backward */
  uint64_t begin_us, end_us; /* by now_us */
  uint64_t macs;             /* multiply-adds done */
} edgecl_profile_event;

/* From now on the times of operators go into the caller's array, which must live until edgecl_profile_stop. capacity:
 * elements; event_stride: bytes from one to the next, as in edgecl_predict. A full array drops events and counts them.
 *   Errors  E_UNSUPPORTED (no now_us hook), E_SEQUENCE (a profile is being taken), E_ARGUMENT, E_BUSY. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_profile_start(edgecl_session* session, edgecl_profile_event* events,
                                                                size_t event_stride, size_t capacity);

/* Ends the profile: events written, and events dropped. E_SEQUENCE when none is being taken; E_ARGUMENT, E_BUSY. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_profile_stop(edgecl_session* session, size_t* n_events,
                                                               size_t* n_dropped);

/* =====================================================================================================================
 * 14. METHODS BY NAME, AND SCHEDULES
 *
 * A preset is a method as users name it ("er", "sparcl-derpp"): a set of values for the recipe. Each EDGECL_METHOD_* is
 * a preset by its own name. Schedules say what a loop over a task's examples has to do and when; such a loop is the
 * caller's. These functions only look at the recipe of `config`. Fields that a shorter struct lacks count as 0.
 * ===================================================================================================================*/

/* What bundle and stream must have. */
#define EDGECL_NEEDS_REPLAY 1     /* a replay buffer */
#define EDGECL_NEEDS_SPARSE 2     /* sparse layers that train */
#define EDGECL_NEEDS_BOUNDARIES 4 /* ends of tasks, told or detected */
#define EDGECL_NEEDS_TAIL 8       /* a frozen lower part */
#define EDGECL_NEEDS_HEAD 16      /* a last layer that is dense and linear with a bias, and an embedding below it */

typedef struct edgecl_preset_info {
  uint32_t struct_size;
  uint32_t needs;       /* bits: EDGECL_NEEDS_* */
  const char* name;     /* for edgecl_session_config_preset; lives as long as the library */
  const char* title;    /* the method in words */
  const char* source;   /* authors and year; "-" without */
  const char* compared; /* what its results were compared with */
} edgecl_preset_info;

/* How many there are, and one of them: `index` in 0..count-1. E_NOT_FOUND beyond, E_ARGUMENT. */
EDGECL_API uint32_t edgecl_preset_count(void);
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_preset_describe(uint32_t index, edgecl_preset_info* info);

/* Sets the fields that belong to the method of that name ("-" and "_" are the same); the others stay as they are.
 *   Errors  E_NOT_FOUND (no such name), E_ARGUMENT (also: the struct is too short for what the method sets). */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_session_config_preset(edgecl_session_config* config, const char* name,
                                                                        edgecl_error* err);

/* Most rows that a learn step of this recipe draws from the buffer: room for replay_slots of edgecl_learn_report.
 * E_ARGUMENT: a field of the recipe out of range. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_replay_rows(const edgecl_session_config* config, uint32_t* n_rows,
                                                              edgecl_error* err);

/* Learning rate by rate_schedule when the share `done` of a task has been learned (0..1; less counts as 0, more as 1):
 * config->learning_rate, or a part of it. For edgecl_learning_rate_set. E_ARGUMENT as above. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_schedule_rate(const edgecl_session_config* config, double done,
                                                                float* learning_rate, edgecl_error* err);

/* Examples for edgecl_removal_stage after `epoch` (from 1) of a task that began with n_examples: after each epoch of
 * removal_stages an equal part of removal_share, to the nearest number but never all that are left; else 0.
 * E_ARGUMENT as above. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_schedule_removal(const edgecl_session_config* config,
                                                                   uint32_t n_examples, uint32_t epoch,
                                                                   uint32_t* n_remove, edgecl_error* err);

/* Steps for edgecl_rehearse when a task has had so many learn steps (steps_in_task of edgecl_stats): rehearse_steps
 * after each rehearse_interval steps; else 0. E_ARGUMENT as above. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_schedule_rehearsal(const edgecl_session_config* config,
                                                                     uint64_t steps_in_task, uint32_t* n_steps,
                                                                     edgecl_error* err);

/* =====================================================================================================================
 * 15. MERGING DEVICES: the union of what they learned, exactly
 *
 * For heads that keep statistics, hd among them. Devices that run one bundle send each other messages of what they contributed: learned
 * and not taken back, since the bundle as it was shipped. A session keeps the newest contribution of each device beside
 * its own, so messages may come in any order, repeatedly, late or never. Sessions that have the same contributions have
 * the same sums, bit for bit those of one session that learned all rows; and what a device takes back (edgecl_unlearn,
 * edgecl_class_forget, edgecl_domain_remove, edgecl_session_reset) is gone wherever its newer message arrives. Classes are matched by name, as
 * columns may differ; a name that is new to a session becomes a class of it. Banks of rows, thresholds, labels' weights
 * and counters stay with their device.
 *
 * Domains are matched by name, too: sums of head and routing add in each; a name that is new to a session becomes a domain
 * of it, with the adaptor of the message, while max_domains has room, and goes with the last row of other devices. The rows
 * that a domain held out are those of all devices, in the order of their numbers. Adaptors are weights that gradients
 * trained and cannot be added, and sums of two adaptors are sums of different features: where rows that come and rows
 * that stay have different ones (bit by bit), the whole message is refused. So a domain whose adaptor was trained on the
 * device needs a name of its own; one that was trained before and shipped in a state may have the same name everywhere.
 *
 * Devices that begin with a state that another one learned: import it, then call edgecl_device_set. What is in it is then
 * the part of the device that learned it, and counts once, however many devices began with it.
 *
 * Each device needs a number of its own. Two with one number, or a device that goes on from a state older than what it
 * has sent, are noticed where contributions differ that should be one; not always. So give a session that begins anew a
 * new number, or versions above all that it sent before (a clock).
 * ===================================================================================================================*/

/* From now on the session is `device` (not 0; part of the state), and what it learns is that device's contribution, with
 * versions of at least `version` (0: those that follow). What was learned before a number was set belongs to the device
 * too. What was learned as another device stays as a contribution of that one, and the bank begins anew.
 *   Errors  E_ARGUMENT, E_CAPACITY (no room for the other device: head_merges), E_UNSUPPORTED (a head that learns by
 *           gradients, or predict_only), E_BUSY.
 *   Cost    O(1); with another device before it O(class_capacity * embedding_dim + embedding_dim^2), times devices. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_device_set(edgecl_session* session, uint64_t device,
                                                             uint64_t version);

typedef struct edgecl_device_info {
  uint32_t struct_size;
  uint32_t n_classes; /* that it has rows of */
  uint64_t device;    /* 0: not set */
  uint64_t version;   /* of its contribution; 0: it has made none */
  uint64_t rows;
} edgecl_device_info;

/* Index 0: this device. Then those that were merged, 1..devices of edgecl_head_info, in no particular order.
 *   Errors  E_NOT_FOUND (index), E_UNSUPPORTED (a head that learns by gradients), E_ARGUMENT, E_BUSY. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_device_describe(const edgecl_session* session, uint32_t index,
                                                                  edgecl_device_info* info);

/* What a message holds. */
#define EDGECL_DELTA_OWN 0 /* the contribution of this device */
#define EDGECL_DELTA_ALL 1 /* and those that were merged here, as this device knows them: others can pass them on */

/* Bytes of a message now: what it holds, not head_merges.
 *   Errors  E_SEQUENCE (no device was set; a session that learned nothing itself can hand on what it merged all the
 *           same), E_UNSUPPORTED (as above), E_ARGUMENT, E_BUSY. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_delta_size(const edgecl_session* session, uint32_t which,
                                                             size_t* bytes);

/* Writes a message into `buffer` of `capacity` bytes, and how many it took. It is tied to the bundle's digest and
 * protected by SHA-256, as a state is, against damage; who may send one is the transport's to see to.
 *   Errors  E_SHAPE (capacity; nothing is written), and as edgecl_delta_size.
 *   Cost    O(message * devices that were merged). */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_delta_export(const edgecl_session* session, uint32_t which,
                                                               void* buffer, size_t capacity, size_t* written);

typedef struct edgecl_merge_report {
  uint32_t struct_size;
  uint32_t n_devices; /* whose contributions are in the message */
  uint32_t n_new;     /* of these: devices that were not known */
  uint32_t n_newer;   /* versions that took the place of older ones */
  uint32_t n_known;   /* versions that are as old as those known, or older: nothing was done */
  uint32_t n_classes_added;
  uint32_t n_classes_gone;    /* that only other devices had, and none has rows of any more */
  uint32_t reserved;          /* 0 */
  uint64_t rows_before, rows; /* of all devices */
  uint32_t n_domains_added;   /* names that the session did not know */
  uint32_t n_domains_gone;    /* that only other devices had, and none has rows of any more */
} edgecl_merge_report;

/* Takes over what is newer in a message, all of it or nothing. `report` is optional.
 *   Errors  E_STATE_CORRUPT; E_STATE_MISMATCH (another bundle, head, feature_range, feature_root, hd_bits or kind of
 *           labels; domains on one side alone; another adaptor of a domain; two contributions of one device and version
 *           that differ; one of this device that is newer than itself); E_CAPACITY (devices: head_merges; classes:
 *           max_classes; domains: max_domains; 2^29 rows of a head, so that no counter of hd overflows); E_UNSUPPORTED
 *           (head_merges = 0, predict_only, or a head that learns by gradients: weights are not averaged); E_ARGUMENT,
 *           E_BUSY.
 *   Cost    O(n_bytes), twice, and for each newer contribution O(class_capacity * embedding_dim + embedding_dim^2), with
 *           FeCAM embedding_dim^2 for each class, with domains times max_domains. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_merge(edgecl_session* session, const void* bytes, size_t n_bytes,
                                                        edgecl_merge_report* report);

/* Takes a device's contribution out, as if it had never been merged, and frees its place. A message that holds it brings
 * it back. E_NOT_FOUND (not merged here), E_UNSUPPORTED, E_BUSY. */
EDGECL_API EDGECL_MUST_CHECK edgecl_status edgecl_unmerge(edgecl_session* session, uint64_t device);

#ifdef __cplusplus
}
#endif
#endif /* EDGECL_EDGECL_H_ */
