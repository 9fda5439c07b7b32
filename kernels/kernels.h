// Every kernel that the runtime may call: argument structs, preconditions and the arithmetic contract.
// Never here: allocation, I/O, status codes, exceptions, standard containers, runtime headers.
#ifndef EDGECL_KERNELS_KERNELS_H_
#define EDGECL_KERNELS_KERNELS_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/activations.h"
#include "kernels/hyperdimensional.h"
#include "kernels/int8.h"
#include "kernels/moments.h"
#include "kernels/recurrent.h"
#include "kernels/tensor.h"
#include "kernels/tokens.h"
#include "kernels/views.h"

// ---------------------------------------------------------------------------------------------------------------
// Memory layout. An activation tensor of `n` batch rows is stored as [G][C][H][W][L] with n = G * L, dense, no halo:
// G groups of L batch lanes, lanes innermost. L = 16 when n is a multiple of 16, else G = 1 and L = n (so nothing is
// ever padded, and batch 1 is plain CHW). Batch row r is group r / L, lane r % L. A plane is the H*W*L floats of one
// (group, channel). Flattening C,H,W is free: it is the same memory. Kernels that need a zero border make it while
// they pack a tile into their scratch memory.
//
// Arithmetic contract (same bits on every level, compiler and thread count):
//  * every multiply-add is one fused operation; add, multiply, divide and square root are the IEEE single ones;
//  * convolution / linear forward and input gradient: each output element is ONE sequential chain, started from the
//    bias (or +0; or, with `accumulate`, from +0 and added to the old value at the end with one addition), of
//    fma(w, x, acc) over k in ascending order: forward k = (input channel, tap row, tap column); input gradient
//    k = (output channel, tap row, tap column). Taps that fall into the border take part with x = +0. A sparse chain
//    visits stored entries only.
//  * weight gradients of convolutions: dY's planes of one output channel, g ascending, are each cut into chunks of 16
//    floats (flat index over H*W*L; lane i of a chunk goes to virtual lane i; a short last chunk of a plane leaves the
//    other lanes alone).
//    The chunks of all planes, numbered through, are grouped into blocks of kGradientChunks (dense) or
//    kSparseGradientChunks (sparse). In a block each virtual lane is one sequential fma chain from +0; then the 16
//    lanes are summed by `the tree`: t[i] += t[i+8] (i<8), then +4, +2, +1. The block sums are added in order, starting
//    from the first block's.
//    A sparse convolution whose dY has 16 or 20 lanes and a height and width that are multiples of 4
//    (sparse_gradient_tiles) takes the floats of a plane by tiles of 4 x 4 positions, row by row, each tile a block:
//    first lanes 0 to 15 of its positions, row by row, one chunk each; then, of 20 lanes, lanes 16 to 19 of its four
//    positions in a row, one chunk for each row.
//  * weight gradients of linear layers (H = W = 1). Dense: a sequential chain over the batch rows, r ascending, from
//    +0. Sparse: as a sparse convolution of one position, so 16 batch rows are one chunk.
//  * bias gradients, with adds in place of fmas: convolutions as the dense weight gradient; dense linear a sequential
//    sum over rows; sparse linear as its weight gradient.
//  * per-channel reductions (normalisation): for every g in order, the plane's H*W*L floats in chunks of 16 into 16
//    virtual lanes (a short last chunk leaves the other lanes alone), then the tree.
//  * sums over the channels of one position of one batch row (L2 and layer normalisation): channel c goes to virtual lane c % 16,
//    each lane one fma chain over ascending c from +0, then the tree.
//  * recurrent layers: chains as kernels/recurrent.h has them; weight and bias gradients are one chain over batch rows
//    and steps;
//  * exp and log are ours (kernels/simd/math.h); so are fused multiply-add and square root where a chip has none
//    (kernels/arithmetic.h);
//  * second moments are integers; their covariance, factor and solutions are in double (kernels/moments.h).
// Work is split by outputs only. Each kernel takes (part, n_parts) and computes its share; calling it for every part in
// 0..n_parts-1, in any order or at once, gives the whole. `scratch` is private to the part, 64-byte aligned, of at
// least the bytes that the matching *_scratch_bytes says, contents undefined. Kernels may READ up to kReadSlack floats
// past the end of a tensor, a parameter or an index array (never use the values); they never write outside.
// ---------------------------------------------------------------------------------------------------------------
namespace edgecl {

constexpr int kVirtualLanes = 16;
constexpr int kGradientChunks =
    128;  // chunks of 16 floats per reduction block of a dense convolution's weight gradient
constexpr int kSparseGradientChunks = 16;  // the same for a sparse convolution (the dY tile then stays in registers)
constexpr int kSparseGradientTile = 4;     // side of a tile of sparse_gradient_tiles, in positions
constexpr int kReadSlack = 64;
constexpr int kMaxTaps = 1024;  // kernel_h * kernel_w

struct ConvShape {
  int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
  int32_t pad_top, pad_left, pad_bottom, pad_right;
  int32_t groups;  // channels in / groups and out / groups are whole; depthwise: groups == channels in
};

// --- dense convolution; weight [O][I/groups][kernel_h][kernel_w] -------------------------------------------------
struct ConvForwardArgs {
  Tensor x, y;
  const float* weight;
  const float* bias;  // [O] or null
  ConvShape shape;
  ActivationSpec activation;  // kNone, kRelu or kClip
};
struct ConvBackwardDataArgs {
  Tensor dy, dx;
  const float* weight;
  ConvShape shape;
  bool accumulate;  // dx += result
};
struct ConvBackwardWeightArgs {
  Tensor x, dy;
  float* dweight;  // overwritten
  float* dbias;    // [O], overwritten, or null
  ConvShape shape;
};
// --- dense linear; weight [I][O] (input-major; the exporter transposes PyTorch's), x [G][I][1][1][L], y
// [G][O][1][1][L] ------------
struct LinearForwardArgs {
  Tensor x, y;
  const float* weight;
  const float* bias;
  ActivationSpec activation;
};
struct LinearBackwardDataArgs {
  Tensor dy, dx;
  const float* weight;
  bool accumulate;
};
struct LinearBackwardWeightArgs {
  Tensor x, dy;
  float* dweight;
  float* dbias;
};

// True where a block of a sparse convolution's weight gradient is a tile of dY (arithmetic contract, above).
EDGECL_ALWAYS_INLINE inline bool sparse_gradient_tiles(const Tensor& dy) {
  return (dy.lanes == 16 || dy.lanes == 20) && dy.height % kSparseGradientTile == 0 &&
         dy.width % kSparseGradientTile == 0;
}

// --- sparse weights of one convolution (groups == 1) or linear layer ------------------------------------------------
// The weight is a matrix of `rows` output channels by channels*taps columns (linear: taps = 1). Input channels are cut
// into blocks of `channel_block`; entries are ordered by (block, row, channel, tap). index = (channel - block *
// channel_block) * taps + tap, channel_block * taps <= 65536. The transposed pattern (for the input gradient) is the
// same structure with rows = input channels, channels = output channels, the tap index NOT flipped (kernels know), and
// `source[k]` = place in the forward value order of its k-th entry.
struct SparsePattern {
  int32_t rows, channels, taps, channel_block, n_blocks;
  uint32_t nnz;
  const uint32_t*
      row_start;  // [n_blocks * rows + 1], entries of (block b, row r) are row_start[b*rows+r] .. row_start[b*rows+r+1]
  const uint16_t* index;   // [nnz]
  const uint32_t* source;  // [nnz], transposed pattern only, else null
};
struct SparseConvForwardArgs {
  Tensor x, y;
  SparsePattern pattern;
  const float* value;  // [nnz]
  const float* bias;
  ConvShape shape;
  ActivationSpec activation;
};
struct SparseConvBackwardDataArgs {
  Tensor dy, dx;
  SparsePattern transposed;
  const float* value;  // [nnz] in the TRANSPOSED order (gathered by sparse_gather)
  ConvShape shape;
  bool accumulate;
};
struct SparseConvBackwardWeightArgs {
  Tensor x, dy;
  SparsePattern pattern;
  const uint8_t* selected;  // [nnz] 1 = compute, 0 = write +0 and skip the work; null = all
  float* dvalue;            // [nnz]
  float* dbias;
  ConvShape shape;
};
struct SparseLinearForwardArgs {
  Tensor x, y;
  SparsePattern pattern;
  const float* value;
  const float* bias;
  ActivationSpec activation;
};
struct SparseLinearBackwardDataArgs {
  Tensor dy, dx;
  SparsePattern transposed;
  const float* value;  // transposed order
  bool accumulate;
};
struct SparseLinearBackwardWeightArgs {
  Tensor x, dy;
  SparsePattern pattern;
  const uint8_t* selected;
  float* dvalue;
  float* dbias;
};

// --- normalisation ---------------------------------------------------------------------------------------------------
// y = activation(gamma * (x - mean) * rstd + beta [+ residual]); computed as z = fma(x, a, b), a = gamma * rstd,
// b = fma(-mean, a, beta); then z + residual, then the activation. rstd = 1 / sqrt(var + eps).
struct BatchNormForwardArgs {
  Tensor x, y;
  const float *gamma, *beta;  // [C]
  const float *mean, *rstd;   // frozen: given ([C]); train: null
  float *batch_mean,
      *batch_rstd;  // train: written (biased variance, two passes: sum of x, then sum of (x-mean)^2); frozen: null
  float* batch_var_unbiased;  // train: written, for the running statistics (variance * n/(n-1), n = 1: variance);
                              // frozen: null
  float eps;
  const float* residual;  // tensor like y, or null
  ActivationSpec activation;
};
struct BatchNormBackwardArgs {
  Tensor x, y, dy, dx;  // dx.data may be null (not wanted); y is needed for the activation only
  const float* gamma;
  const float* beta;         // that of a forward pass without a residual, or null: y follows from x and may stay unread
  const float *mean, *rstd;  // those used by the forward pass
  float *dgamma, *dbeta;     // overwritten, or null
  bool frozen;               // statistics were constants: dx = dz * gamma * rstd
  bool accumulate_dx;
  float* dresidual;  // gradient of the residual input (= dz), or null
  bool accumulate_residual;
  ActivationSpec activation;
};
struct GroupNormForwardArgs {  // statistics per (row, group of channels/n_groups channels)
  Tensor x, y;
  const float *gamma, *beta;
  int32_t n_groups;
  float eps;
  float *mean, *rstd;  // written, [n_groups][G][L] (group of channels, batch row)
  ActivationSpec activation;
};
struct GroupNormBackwardArgs {
  Tensor x, y, dy, dx;
  const float* gamma;
  int32_t n_groups;
  const float *mean, *rstd;
  float *dgamma, *dbeta;
  bool accumulate_dx;
  ActivationSpec activation;
};

// y = x * r with r = 1 / max(norm, eps), norm = sqrt(sum of x * x over the channels): of every position (h, w) of every
// batch row by itself. Finite rows give finite results, zeros give zeros; a norm that is NaN stays NaN.
struct L2NormalizeForwardArgs {
  Tensor x, y;
  float eps;  // a normal number, so that 1 / eps is finite
};
// dx = (dy - y * (y . dy)) * r, and dx = dy * r where norm < eps. Norm, y and r are computed again from x; the dot
// product is r * (sum of dy * x).
struct L2NormalizeBackwardArgs {
  Tensor x, dy, dx;
  float eps;
  bool accumulate;
};

// --- pointwise
// ------------------------------------------------------------------------------------------------------------
struct ActivationForwardArgs {
  const float* x;
  float* y;  // may be x
  int64_t n;
  ActivationSpec activation;
};
struct ActivationBackwardArgs {
  const float *x, *y;  // the one that activation_gradient_reads_output does not name may be null
  const float* dy;
  float* dx;  // may be dy
  int64_t n;
  bool accumulate;
  ActivationSpec activation;
};
enum class BinaryOp : int32_t { kAdd = 0, kMul = 1 };
// b is broadcast: element (g, c, h, w, l) of a meets b[g*stride_g + c*stride_c + h*stride_h + w*stride_w + l*stride_l].
struct BinaryArgs {
  Tensor a, y;  // y like a
  const float* b;
  int64_t stride_g, stride_c, stride_h, stride_w, stride_l;
  BinaryOp op;
  ActivationSpec activation;
};
// da = dy (add) or dy * b (mul); db = sum over the broadcast axes of dy or dy * a, in row-major (g,c,h,w,l) order of a,
// one sequential chain per element of b. Strides as above. da.data / db may be null. Activation was undone by the
// caller.
struct BinaryBackwardArgs {
  Tensor a, dy, da;
  const float* b;
  float* db;
  int64_t n_b;  // elements of db
  int64_t stride_g, stride_c, stride_h, stride_w, stride_l;
  BinaryOp op;
  bool accumulate_a, accumulate_b;
};
struct AccumulateArgs {  // y += x, or y = x
  const float* x;
  float* y;
  int64_t n;
  bool accumulate;
};
struct ConcatArgs {  // along channels; inputs share groups, height, width, lanes
  Tensor inputs[kMaxInputs];
  int32_t n_inputs;
  Tensor y;
};
struct ConcatBackwardArgs {
  Tensor dinputs[kMaxInputs];  // data null = not wanted
  bool accumulate[kMaxInputs];
  int32_t n_inputs;
  Tensor dy;
};

// y = x > 0 ? x : slope[c] * x.
struct PreluForwardArgs {
  Tensor x, y;
  const float* slope;  // [C]
};
// dx = x > 0 ? dy : slope[c] * dy; dslope[c] = sum of dy * x where x is not above 0 (else of +0), as per-channel
// reductions sum, one fma each.
struct PreluBackwardArgs {
  Tensor x, dy, dx;  // dx.data may be null
  const float* slope;
  float* dslope;  // overwritten, or null
  bool accumulate;
};
// y = a > b ? a : b (maximum) or a < b ? a : b.
struct ExtremumForwardArgs {
  const float *a, *b;
  float* y;
  int64_t n;
  bool maximum;
};
// The chosen one gets dy, of two equals each dy / 2 (as PyTorch), the other +0.
struct ExtremumBackwardArgs {
  const float *a, *b, *dy;
  float *da, *db;  // either may be null
  int64_t n;
  bool maximum, accumulate_a, accumulate_b;
};

// --- pooling
// --------------------------------------------------------------------------------------------------------------------
struct PoolArgs {
  Tensor x, y;
  ConvShape shape;  // groups unused; the window may hang over any border (ceil mode)
  bool
      count_include_pad;  // average: divide by the window cells inside the PADDED input, else by those inside the input
};
struct PoolBackwardArgs {
  Tensor x, y, dy, dx;  // max: the first maximum of the window (row-major) takes the gradient; average: x, y unused
  ConvShape shape;
  bool count_include_pad;
  bool accumulate;
};
struct GlobalPoolArgs {  // y [G][C][1][1][L]: sequential chain over h, w per lane; average divides by H*W at the end
  Tensor x, y;
};
struct GlobalPoolBackwardArgs {
  Tensor dy, dx;
  bool accumulate;
};

// --- input, loss, update
// ---------------------------------------------------------------------------------------------------------- Rows
// arrive as n images of [C][H][W] (channels_last: [H][W][C]), uint8 or float32. value = (raw * scale - mean[c]) *
// inv_std[c], three rounded steps. crop_y/crop_x/flip (null = none) are per row: out(h, w) = in(h + crop_y, w' +
// crop_x), w' = flip ? W-1-w : w, cells outside the image are raw 0.
struct InputArgs {
  const void* const* rows;  // one pointer per batch row
  bool is_u8, channels_last;
  Tensor y;
  float scale;
  const float *mean, *inv_std;  // [C]
  const int8_t *crop_y, *crop_x;
  const uint8_t* flip;
};
// Softmax cross-entropy of the batch rows [row_begin, row_end): loss_row[r] = weight * (log(sum exp(z - max)) -
// (z[label] - max)) and dlogits = weight * (softmax - onehot), over classes with allowed[c] != 0; the others get
// gradient +0. Sums run over c ascending.
struct CrossEntropyArgs {
  Tensor logits, dlogits;
  const int32_t* labels;   // [rows]
  const uint8_t* allowed;  // [C]
  int32_t row_begin, row_end;
  float weight;
  float* loss_row;  // [rows], overwritten for these rows
};
// Mean squared error to stored logits: d = z - target[r][c]; loss_row[r] = weight * sum_c d*d, dlogits = 2 * weight * d
// over c with allowed[c].
struct LogitsMseArgs {
  Tensor logits, dlogits;
  const float* const* target;  // [rows] pointers to [C]
  const uint8_t* allowed;
  int32_t row_begin, row_end;
  float weight;
  float* loss_row;
};
// PyTorch's SGD: g += weight_decay * w; v = momentum * v + g (velocity null: v = g); w -= lr * v. Each step one fma.
struct SgdArgs {
  float *weight, *velocity;
  const float* gradient;
  int64_t n;
  float lr, momentum, weight_decay;
};

// --- int8 (memory and arithmetic: int8.h)
// ------------------------------------------------------------------------------------------------------------------
struct Int8ConvArgs {  // int8_conv: groups 1. int8_depthwise: groups == channels of x and of y
  Int8Tensor x, y;
  const int8_t* weight;
  const int32_t* table;  // [kInt8Rows][y.channels up to a multiple of kInt8Channels]
  ConvShape shape;
  int32_t lo, hi;  // of y, -128..127
};
// y = clamp(requantize(A + B, 2) + y.zero_point, lo, hi), A = requantize((a - a.zero_point) * 2^20, 0), B of b with 1.
struct Int8AddArgs {
  Int8Tensor a, b, y;               // of one shape
  int32_t multiplier[3], shift[3];  // shift at most 0
  int32_t lo, hi;
};
// y = clamp(requantize(start + sum of x over height and width) + offset, -128, 127). TensorFlow Lite's MEAN: start takes
// the zero points of the cells away, offset is that of y.
struct Int8MeanArgs {
  Int8Tensor x, y;  // y of height and width 1
  int32_t multiplier, shift;
  int32_t offset;  // at most 2^24 in magnitude
  int32_t start;
};
// Over windows; cells outside of x take no part, and a window without any gives lo or 0. x and y have one scale and zero
// point.
// Maximum: y = clamp(largest x, lo, hi). Average: y = clamp(sum / cells, lo, hi), rounded to the nearest, ties away from
// zero: TensorFlow Lite's MAX_POOL_2D and AVERAGE_POOL_2D.
struct Int8PoolArgs {
  Int8Tensor x, y;
  ConvShape shape;
  int32_t lo, hi;
};
// The border of floats. stored = clamp(round(x / scale) + zero_point, -128, 127), ties away from zero; NaN is -128.
struct Int8QuantizeArgs {
  Tensor x;
  Int8Tensor y;
  float scale;
};
struct Int8DequantizeArgs {  // y = (stored - zero_point) * scale
  Int8Tensor x;
  Tensor y;
  float scale;
};

// --- the table
// ---------------------------------------------------------------------------------------------------------------------
// X(name, Args): one line per kernel; drives the dispatch table, the bit-equality tests and the kernel bench.
// Those whose work is in registers and caches: built for every level.
#define EDGECL_TILED_KERNEL_LIST(X)                                \
  X(conv_forward, ConvForwardArgs)                                 \
  X(conv_backward_data, ConvBackwardDataArgs)                      \
  X(conv_backward_weight, ConvBackwardWeightArgs)                  \
  X(linear_forward, LinearForwardArgs)                             \
  X(linear_backward_data, LinearBackwardDataArgs)                  \
  X(linear_backward_weight, LinearBackwardWeightArgs)              \
  X(sparse_conv_forward, SparseConvForwardArgs)                    \
  X(sparse_conv_backward_data, SparseConvBackwardDataArgs)         \
  X(sparse_conv_backward_weight, SparseConvBackwardWeightArgs)     \
  X(sparse_linear_forward, SparseLinearForwardArgs)                \
  X(sparse_linear_backward_data, SparseLinearBackwardDataArgs)     \
  X(sparse_linear_backward_weight, SparseLinearBackwardWeightArgs) \
  X(moments_to_covariance, MomentsToCovarianceArgs)                \
  X(cholesky_factor, CholeskyFactorArgs)                           \
  X(cholesky_solve, CholeskySolveArgs)                             \
  X(hd_encode, HdEncodeArgs)                                       \
  X(hd_hamming, HdHammingArgs)                                     \
  X(recurrent_forward, RecurrentForwardArgs)                       \
  X(recurrent_steps_backward, RecurrentStepsBackwardArgs)          \
  X(recurrent_data_backward, RecurrentDataBackwardArgs)            \
  X(recurrent_weight_backward, RecurrentWeightBackwardArgs)        \
  X(int8_add, Int8AddArgs)                                         \
  X(matmul, MatmulArgs)                                            \
  X(softmax_forward, SoftmaxForwardArgs)                           \
  X(softmax_backward, SoftmaxBackwardArgs)                         \
  X(activation_forward, ActivationForwardArgs)                     \
  X(activation_backward, ActivationBackwardArgs)
// Those that gain from dot products of bytes: built once more for levels that have them (x86-64-v4-vnni, neon-dot),
// which take all other kernels of the level below. x86-64-v4 takes those of v3.
#define EDGECL_DOT_KERNEL_LIST(X) \
  X(int8_conv, Int8ConvArgs)      \
  X(int8_depthwise, Int8ConvArgs)
// Those that the vector extension of Cortex-M (Helium) speeds up; firmware for a core that has it takes them of kernels/mve.
#define EDGECL_MVE_KERNEL_LIST(X) \
  X(int8_conv, Int8ConvArgs)      \
  X(int8_depthwise, Int8ConvArgs) \
  X(int8_add, Int8AddArgs)        \
  X(int8_mean, Int8MeanArgs)      \
  X(int8_quantize, Int8QuantizeArgs)
// Those that wait for memory: a level may take the ones of the level below it, which have the same bits.
#define EDGECL_STREAMED_KERNEL_LIST(X)                       \
  X(batch_norm_forward, BatchNormForwardArgs)                \
  X(batch_norm_backward, BatchNormBackwardArgs)              \
  X(group_norm_forward, GroupNormForwardArgs)                \
  X(group_norm_backward, GroupNormBackwardArgs)              \
  X(l2_normalize_forward, L2NormalizeForwardArgs)            \
  X(l2_normalize_backward, L2NormalizeBackwardArgs)          \
  X(layer_norm_forward, LayerNormForwardArgs)                \
  X(layer_norm_backward_data, LayerNormBackwardDataArgs)     \
  X(layer_norm_backward_weight, LayerNormBackwardWeightArgs) \
  X(binary_forward, BinaryArgs)                              \
  X(binary_backward, BinaryBackwardArgs)                     \
  X(accumulate, AccumulateArgs)                              \
  X(concat_forward, ConcatArgs)                              \
  X(concat_backward, ConcatBackwardArgs)                     \
  X(prelu_forward, PreluForwardArgs)                         \
  X(prelu_backward, PreluBackwardArgs)                       \
  X(extremum_forward, ExtremumForwardArgs)                   \
  X(extremum_backward, ExtremumBackwardArgs)                 \
  X(strided_forward, StridedForwardArgs)                     \
  X(strided_backward, StridedBackwardArgs)                   \
  X(place_forward, PlaceForwardArgs)                         \
  X(place_backward, PlaceBackwardArgs)                       \
  X(reduce_forward, ReduceForwardArgs)                       \
  X(reduce_backward, ReduceBackwardArgs)                     \
  X(max_pool_forward, PoolArgs)                              \
  X(max_pool_backward, PoolBackwardArgs)                     \
  X(average_pool_forward, PoolArgs)                          \
  X(average_pool_backward, PoolBackwardArgs)                 \
  X(global_average_pool_forward, GlobalPoolArgs)             \
  X(global_average_pool_backward, GlobalPoolBackwardArgs)    \
  X(input_normalize, InputArgs)                              \
  X(cross_entropy, CrossEntropyArgs)                         \
  X(logits_mse, LogitsMseArgs)                               \
  X(sgd_update, SgdArgs)                                     \
  X(quantize_rows, QuantizeRowsArgs)                         \
  X(sum_row, SumRowArgs)                                     \
  X(moments_update, MomentsUpdateArgs)                       \
  X(hd_bundle_majority, HdBundleArgs)                        \
  X(hd_accumulate, HdAccumulateArgs)                         \
  X(hd_signs, HdSignsArgs)                                   \
  X(int8_mean, Int8MeanArgs)                                 \
  X(int8_max_pool, Int8PoolArgs)                             \
  X(int8_average_pool, Int8PoolArgs)                         \
  X(int8_quantize, Int8QuantizeArgs)                         \
  X(int8_dequantize, Int8DequantizeArgs)
#define EDGECL_KERNEL_LIST(X) \
  EDGECL_TILED_KERNEL_LIST(X) \
  EDGECL_DOT_KERNEL_LIST(X)   \
  EDGECL_STREAMED_KERNEL_LIST(X)

// What the plans of a level's kernels, and so their scratch memory, depend on (kernels/plan/vector_shape.h).
struct VectorShape {
  int32_t floats;                    // of a native vector; 1: the scalar reference
  int32_t sparse_tile, sparse_rows;  // accumulators of a sparse tile and its rows
};

// Scratch memory of a level's kernels, on any machine: shapes in, bytes out. Pointers in the arguments are compared
// with null at most.
struct ScratchTable {
  const char* level;  // "reference", "x86-64-v1", "x86-64-v3", "x86-64-v4", "x86-64-v4-vnni", "neon", "neon-dot"
  VectorShape tiled, streamed;  // of the kernels of each list
#define EDGECL_SCRATCH_FIELD(name, Args) uint64_t name##_scratch_bytes(const Args& args) const;
  EDGECL_KERNEL_LIST(EDGECL_SCRATCH_FIELD)
#undef EDGECL_SCRATCH_FIELD
};
// The named level as a standard build for its machine has it (as this build has it, where it does); null for a name
// that is none.
const ScratchTable* scratch_table(const char* level);

// The numbers of batch rows to ask a ScratchTable about: the most that a kernel needs for any number of rows up to
// max_rows is the most that it needs for one of these. Ascending from next_row_count(0, max_rows) on; 0: no more.
// Every number up to 160, then eight from one power of two to the next.
uint32_t next_row_count(uint32_t rows, uint32_t max_rows);

#if defined(EDGECL_REFERENCE_ONLY)
#define EDGECL_KERNEL_DECLARATION(name, Args) void name(const Args& args, int part, int n_parts, void* scratch);
namespace reference {
EDGECL_KERNEL_LIST(EDGECL_KERNEL_DECLARATION)
}
// What a namespace does not declare it takes of the one before it.
namespace dsp {
using namespace reference;
EDGECL_DOT_KERNEL_LIST(EDGECL_KERNEL_DECLARATION)
}  // namespace dsp
namespace mve {
using namespace dsp;
#if defined(EDGECL_HAS_MVE)
EDGECL_MVE_KERNEL_LIST(EDGECL_KERNEL_DECLARATION)
#endif
}  // namespace mve
#undef EDGECL_KERNEL_DECLARATION
// Firmware has one level: its kernels are constants, so that a link takes those alone that something calls.
#define EDGECL_KERNEL_FIELD(name, Args) static constexpr void (*name)(const Args&, int, int, void*) = mve::name;
#else
#define EDGECL_KERNEL_FIELD(name, Args) void (*name)(const Args& args, int part, int n_parts, void* scratch);
#endif
struct KernelTable : ScratchTable {
  EDGECL_KERNEL_LIST(EDGECL_KERNEL_FIELD)
};
#undef EDGECL_KERNEL_FIELD

// The best level of this CPU, or the named one; null when the name is unknown or this CPU or build lacks it.
const KernelTable* kernel_table(const char* level_or_null);
// All levels that this build has AND this CPU can run; returns how many, writes at most `capacity`.
int kernel_levels(const char** names, int capacity);

// Small plain helpers without a SIMD form (kernels/sparse/format.cpp).
// Channel block that all levels use for a sparse layer; a function of the shape alone, so that state is portable.
int32_t sparse_channel_block(int32_t channels, int32_t taps);
// Builds the blocked pattern from ascending flat positions (row * channels * taps + channel * taps + tap). order[k] =
// place of the k-th flat position in the blocked order. Arrays as in SparsePattern.
void sparse_build(const uint32_t* flat, uint32_t nnz, int32_t rows, int32_t channels, int32_t taps, uint32_t* row_start,
                  uint16_t* index, uint32_t* order);
// Builds the transposed pattern of `forward`; writes row_start, index and source.
void sparse_transpose(const SparsePattern& forward, uint32_t* row_start, uint16_t* index, uint32_t* source);
// out[k] = value[source[k]].
void sparse_gather(const float* value, const uint32_t* source, uint32_t nnz, float* out);
// 1 when every float is finite.
bool all_finite(const float* x, int64_t n);

}  // namespace edgecl

#endif  // EDGECL_KERNELS_KERNELS_H_
