// The kernels of the CPU backend: argument structs and the table of functions that each instruction
// set fills in.
//
// Every kernel is single-threaded and allocates nothing; parallel loops sit above. Calls on
// disjoint outputs may run at the same time with their own scratch. All tensors are row-major f32
// in memory unless said; strides count elements, not bytes; no pointer needs more than its
// element's alignment, though 64 bytes is fastest. Nothing is read or written outside the stated
// shapes. Sizes may be 0. Results differ between targets only by rounding.
//
// This header is included by files that are compiled for newer instruction sets, so it defines no
// functions: an inline function emitted there could be the copy that the linker keeps for everyone.
#pragma once

#include <cstddef>
#include <cstdint>

namespace qhx::cpu {

// ---- Packed weights ----
//
// A linear layer's weights W [K, N] (y = x W) are stored in panels of 16 output channels. Panel p
// holds channels 16p … 16p+15; channels past N are zero. The bytes are the same for every target
// and little-endian, so a context binary made on one machine runs on any other. P = ceil(N / 16).
//
//   kF32  float   [P][K][16]
//   kF16  half    [P][K][16]
//   kI8   int8    [P][ceil(K / 4)][16][4]   four adjacent k of a channel; value * scale
//   kI4   byte    [P][ceil(K / 8)][16][4]   eight adjacent k: the first four in the low nibbles,
//                                           the others in the high ones; two's complement -8 … 7;
//                                           value * scale
//
// Values past K are zero.
//
//   scales (kI8, kI4)  float [P][16]        one a channel: group = 0
//                      half  [P][G][16]     or one for each group: group g scales k in
//                                           [g * group, (g + 1) * group), the last may be shorter:
//                                           G = ceil(K / group)
//   bias (any type)    float [P][16]        zero past N; optional
//
// With a 64-byte aligned base every panel of kF32, kI8, kI4, and of kF16 with even K, starts
// 64-byte aligned. pack.h makes these from QNN's layouts. Panels of several layers with the same K
// and group may be concatenated (N of all but the last a multiple of 16).
inline constexpr std::size_t kPanelWidth = 16;

enum class WeightType : std::uint8_t { kF32 = 0, kF16 = 1, kI8 = 2, kI4 = 3 };

struct PackedWeights {
  WeightType type = WeightType::kF32;
  std::size_t n = 0;              // output channels, unpadded
  std::size_t k = 0;              // input channels
  std::size_t group = 0;          // k values that share a scale; 0: one scale a channel
  const void* panels = nullptr;   // as above
  const float* scales = nullptr;  // kI8 and kI4 only; with groups there are group_scales instead
  const std::uint16_t* group_scales = nullptr;
  const float* bias = nullptr;  // or none
};

// ---- Linear and matrix products ----

enum class Activation : std::uint8_t { kNone, kRelu, kSilu, kGeluTanh, kGeluErf };

// y = activation(x W + bias) + residual, accumulated in f32.
struct LinearArgs {
  const PackedWeights* weights = nullptr;
  const float* x = nullptr;  // [M, K]
  std::size_t x_stride = 0;
  float* y = nullptr;  // [M, N]; must not overlap x
  std::size_t y_stride = 0;
  Activation activation = Activation::kNone;
  const float* residual = nullptr;  // [M, N] or none; may be y itself (same stride)
  std::size_t residual_stride = 0;
};

// The part of a product that one call computes: rows [row_begin, row_end) of x and y, panels
// [panel_begin, panel_end) of 16 columns. Up to 4 rows the weights are streamed once (memory
// bound); above that the work is blocked for the caches. Good slices: decode, 4 to 32 panels;
// prefill, all rows by 16 panels, or 16 panels by 120 or more rows.
struct Slice {
  std::size_t row_begin = 0, row_end = 0;
  std::size_t panel_begin = 0, panel_end = 0;
};

// C [M, N] = A [M, K] B, B [K, N] or, transposed, [N, K]. No operand overlaps C.
struct MatmulArgs {
  const float* a = nullptr;
  std::size_t a_stride = 0;
  const float* b = nullptr;
  std::size_t b_stride = 0;
  bool b_transposed = false;
  float* c = nullptr;
  std::size_t c_stride = 0;
  std::size_t n = 0, k = 0;  // M comes from the slice
};

// Rows of activations in integers, for linear_integer: groups of kIntegerGroup along K, each with a
// scale of its own; past K they are zero. quantize writes everything; sizes are those of
// quantized_rows.h.
inline constexpr std::size_t kIntegerGroup = 32;

struct IntegerRows {
  std::size_t k = 0, groups = 0;  // groups = ceil(k / kIntegerGroup)
  int levels = 1;                 // 1: a byte for each value; 2: two, in effect 15 bits or more
  // [M][groups][levels][kIntegerGroup], the high bytes first; of the target that whole_int16 is
  // true for, levels 2 are int16 [M][groups][kIntegerGroup].
  std::int8_t* values = nullptr;
  float* scales = nullptr;  // [M][groups]; NaN where a value of the group is not finite
  // [M][groups][levels] of the values, in units of the scale; the second level's of the high
  // pieces.
  std::int32_t* sums = nullptr;
};

// ---- Attention ----

enum class FloatType : std::uint8_t { kF32, kF16 };

enum class KvType : std::uint8_t { kF32, kF16, kI8 };

// A run of keys and values: row j of k and v is [head_dim] at j * stride. Rows of kI8 stand for
// their integers times k_scales[j] and v_scales[j].
struct KvSegment {
  KvType type = KvType::kF32;
  const void* k = nullptr;
  std::size_t k_stride = 0;
  const void* v = nullptr;
  std::size_t v_stride = 0;
  std::size_t length = 0;           // may be 0
  const float* k_scales = nullptr;  // [length], kI8 only
  const float* v_scales = nullptr;
};

// What attention over more than a few rows may round to bf16, on targets that are faster with it:
// nothing; weights and values, which costs 2^-9 of either; queries and keys, too, which costs as
// much of each score, and of a weight more the larger its score is.
enum class Rounding : std::uint8_t { kNone, kValues, kAll };

// out = softmax(scale * q K^T + mask) V for the query heads that share one key/value head, and a
// block of tokens. Query row (h, t) is at q + h * q_head_stride + t * q_stride, its output
// likewise; it uses mask row t. Columns are those of segment 0 followed by those of segment 1: W of
// them in total. A column whose mask is -30000 or less (f16's lowest included) is masked out: its
// weight is exactly 0, and if that holds for all tokens of this call, its key and value are not
// read, so a nearly empty cache costs little more than reading its mask. A row with every column
// masked out gives what a Softmax makes of it, softmax(scale * (q K^T + mask)) V: the mask is added
// in f32 before the scale, so that it swallows the scores as far as it is large, and -infinity
// everywhere is an even spread. A row with no columns gives zeros.
struct AttentionArgs {
  const float* q = nullptr;
  std::size_t q_stride = 0, q_head_stride = 0;
  float* out = nullptr;  // must not overlap q, keys or values
  std::size_t out_stride = 0, out_head_stride = 0;
  std::size_t heads = 1, tokens = 0, head_dim = 0;
  KvSegment kv[2];
  FloatType mask_type = FloatType::kF32;
  const void* mask = nullptr;  // [tokens, W] added to the scores; or none
  std::size_t mask_stride = 0;
  float scale = 1.0f;
  Rounding rounding = Rounding::kNone;
};

// ---- Rows ----

// rows x width elements, from x to y (which may be the same memory with the same stride).
struct RowsArgs {
  const float* x = nullptr;
  std::size_t x_stride = 0;
  float* y = nullptr;
  std::size_t y_stride = 0;
  std::size_t rows = 0, width = 0;
};

// Rotary embedding of rows of width D (even), after an RMS norm if gamma is given. Row r takes its
// angles from cos + r * angle_stride and sin + r * angle_stride, each [D / 2] (stride 0: the same
// for every row).
//   half:        y[i] = x[i] c[i] - x[i + D/2] s[i],   y[i + D/2] = x[i + D/2] c[i] + x[i] s[i]
//   interleaved: the same with x[2i] and x[2i + 1] for x[i] and x[i + D/2]
struct RopeArgs {
  RowsArgs rows;
  const float* cos = nullptr;
  const float* sin = nullptr;
  std::size_t angle_stride = 0;
  bool interleaved = false;
  const float* gamma = nullptr;  // [D], or none: no norm
  float eps = 0.0f;
};

// ---- Elementwise ----

enum class UnaryOp : std::uint8_t {
  kExp,
  kSigmoid,
  kTanh,
  kSilu,
  kGeluTanh,
  kGeluErf,
  kRelu,
  kNeg,
  kAbs,
  kSqrt,
  kRsqrt,
  kReciprocal
};
// kMin and kMax: if either operand is NaN the result is either of the two.
enum class BinaryOp : std::uint8_t { kAdd, kSub, kMul, kDiv, kMax, kMin };

// ---- Rows of integers ----

// Rows whose largest value is below this count as zeros: their scale stays a normal number.
inline constexpr float kLeastRow = 1e-30f;

// ---- The table ----

struct KernelTable {
  const char* name;  // of the target: "scalar", "avx2" …

  // Bytes of scratch that linear and matmul need, whatever the shape.
  std::size_t gemm_scratch_bytes;
  // Bytes of scratch that linear_integer needs for this k.
  std::size_t (*integer_scratch_bytes)(std::size_t k);
  // Bytes of scratch that attention needs for this head_dim, whatever the other sizes.
  std::size_t (*attention_scratch_bytes)(std::size_t head_dim);

  // Scratch is 64-byte aligned, need not be initialised, and is dirty afterwards.
  void (*linear)(const LinearArgs& args, const Slice& slice, void* scratch);
  // Rows [row_begin, row_end) of x.
  void (*quantize)(const float* x, std::size_t x_stride, std::size_t row_begin, std::size_t row_end,
                   const IntegerRows& to);
  // linear with quantized x, which args.x then does not give. Weights kI8 or kI4, with one scale a
  // channel or in groups that are multiples of kIntegerGroup. Sums of a group are exact.
  // `levels`: 1 takes the high pieces alone of rows that have two.
  void (*linear_integer)(const LinearArgs& args, const IntegerRows& x, int levels,
                         const Slice& slice, void* scratch);
  int piece_bits;    // of which a level is made: 8, or 7
  bool whole_int16;  // levels 2 are values of 16 bits, no pieces
  // Up to this many rows linear_integer with levels 2 is faster here than linear: with kI8, kI4.
  std::size_t integer_rows_i8, integer_rows_i4;
  void (*matmul)(const MatmulArgs& args, const Slice& slice, void* scratch);
  void (*attention)(const AttentionArgs& args, void* scratch);

  // y = x / sqrt(mean(x^2) + eps) * gamma
  void (*rms_norm)(const RowsArgs& args, const float* gamma, float eps);
  // y = (x - mean) / sqrt(variance + eps) * gamma + beta; gamma and beta may be null (1 and 0)
  void (*layer_norm)(const RowsArgs& args, const float* gamma, const float* beta, float eps);
  // y = softmax(beta * x), the largest subtracted first
  void (*softmax)(const RowsArgs& args, float beta);
  void (*rope)(const RopeArgs& args);

  // y may be x, a or b; otherwise no overlap. Errors against exact arithmetic: see each function in
  // math-inl.h.
  void (*unary)(UnaryOp op, const float* x, float* y, std::size_t n);
  // A step is 1, or 0 to use the operand's first element throughout.
  void (*binary)(BinaryOp op, const float* a, std::size_t a_step, const float* b,
                 std::size_t b_step, float* y, std::size_t n);
  // y = silu(gate) * up
  void (*silu_mul)(const float* gate, const float* up, float* y, std::size_t n);

  // Round to nearest even, infinities and NaN kept: bit-equal to base/f16.h (NaN payloads aside).
  void (*f16_to_f32)(const std::uint16_t* from, float* to, std::size_t n);
  void (*f32_to_f16)(const float* from, std::uint16_t* to, std::size_t n);

  // A row as integers of -127 … 127 times one scale: scale = max(largest |x|, kLeastRow) / 127,
  // values = x / scale, rounded to even; zeros and a scale of NaN where x has a value that is not
  // finite. n > 0. Bit-equal on all targets.
  void (*quantize_row)(const float* x, std::size_t n, std::int8_t* values, float* scale);

  // to [columns, rows] = from [rows, columns] transposed; no overlap.
  void (*transpose)(const float* from, std::size_t from_stride, float* to, std::size_t to_stride,
                    std::size_t rows, std::size_t columns);
  // Index of the first largest element; NaN is never the largest. n > 0; all NaN gives 0.
  std::size_t (*argmax)(const float* x, std::size_t n);
};

}  // namespace qhx::cpu
