// Our own TensorFlow operations: the parts of a decoder's step where a chain of small operations would move the same
// numbers through memory again and again. Registered through TensorFlow's C kernel interface.
#pragma once
#include <algorithm>
#include <cstdint>

namespace kernels {

enum class Type { f32, bf16, packed };

/** A tensor's numbers; rows are read into f32 and written from it. Packed ones (right operands of products only) have a format. */
struct View {
  void* data = nullptr;
  Type type = Type::f32;
  int format = 0;
};

/** GGML's numbers for its types (ggml.h) */
enum Format { kF32 = 0, kF16 = 1, kQ4_0 = 2, kQ4_1 = 3, kQ5_0 = 6, kQ5_1 = 7, kQ8_0 = 8, kQ4_K = 12, kQ5_K = 13, kQ6_K = 14, kBf16 = 30 };

/** Bytes of one block of a format and the weights in it; 0 bytes: not known. */
struct BlockFormat {
  int bytes, weights;
};
constexpr BlockFormat blockFormat(int format) {
  switch (format) {
    case kF32: return {4, 1};
    case kF16: return {2, 1};
    case kBf16: return {2, 1};
    case kQ4_0: return {18, 32};
    case kQ4_1: return {20, 32};
    case kQ5_0: return {22, 32};
    case kQ5_1: return {24, 32};
    case kQ8_0: return {34, 32};
    case kQ4_K: return {144, 256};
    case kQ5_K: return {176, 256};
    case kQ6_K: return {210, 256};
    default: return {0, 1};
  }
}

/** x [tokens, depth] in integers, as products of this level of instructions take it (`Integers::round`); without data: not wanted. */
struct Rounded {
  uint8_t* data = nullptr;
  int64_t tokens = 0, depth = 0;
};

/** Up to so many tokens a product with packed weights unpacks into registers. */
constexpr int64_t kFewTokens = 8;

struct AttentionShape {
  int rows, length, heads, keyValueHeads, headSize, window;
  /** keys a row, which all of its queries see; 0: their own tokens, not those after them */
  int keyLength;
  float scale;
  bool isCausal() const { return keyLength == 0; }
};

/** One layer's keys and values of a sequence: [key and value heads, capacity, headSize] each, f32. */
struct LayerCache {
  float *keys = nullptr, *values = nullptr;
  int64_t capacity = 0;
};
/** `tokens` new ones from `position` on, of which the first `count` are real */
struct CacheShape {
  int64_t position, tokens, count;
  int heads, keyValueHeads, headSize, window;
  float scale;
};

struct GroupShape {
  int64_t pictures, pixels, channels;
  int groups;
  float epsilon;
  bool silu;
};

struct ProductShape {
  int64_t m, k, n;
  bool transposeA, transposeB;
  float scale = 1;
  /** elements from one stored row of a to the next; 0 = rows follow each other */
  int64_t strideA = 0;
  /** add [n] is the same for every row */
  bool addsRow = false;
};
/** A filter's way over pictures: x [pictures, height, width, .] -> [pictures, rows, columns, .]. */
struct ConvolutionShape {
  int64_t pictures, height, width, rows, columns, in, out;
  /** width and height of the filter, pixels a step, and rows of zeros before the first */
  int64_t kernel, stride, before;
  /** from what came out [., out] back to what went in [., in] */
  bool gradient;
};

/** Levels of vector instructions. EFFILORA_INSTRUCTIONS=avx2, avxvnni or avx512 leaves wider ones alone: each can be tested and measured on one machine. */
enum class Level { avx2, avxVnni, avx512, amx };
bool isAllowed(Level level);

/** out = scale a b [+ add, where it has data]; `split`: f32 operands as high and low parts in bf16 */
using ProductFunction = void (*)(View a, View b, View add, View out, const ProductShape& shape, bool split);
/** nullptr where the processor or the system has no AMX */
ProductFunction amxProduct();
/** whether tiles of 8-bit integers are there, too */
bool hasIntegerTiles();
/** on AMX tiles, else in vector instructions, which take f32 operands as they are */
ProductFunction matrixProduct();
/** `Table::attention` and its gradient on AMX tiles: only where amxProduct() is, and for head sizes in steps of 32 */
void amxAttention(View q, View k, View v, const int32_t* segments, View out, float* logSums, const AttentionShape& shape, const Rounded& rounded);
void amxAttentionGrad(View q, View k, View v, const int32_t* segments, View out, const float* logSums, View dOut, View dq, View dk, View dv,
                      const AttentionShape& shape);

/**
 * The loops, compiled once for each level of vector instructions; see vector.cc. Sizes are in elements. `rounded`: what a loop writes goes
 * there in integers, too, while it lies in the nearest cache.
 */
struct Table {
  void (*rmsNorm)(View x, const float* weight, View y, int64_t rows, int64_t width, float epsilon, const Rounded& rounded);
  void (*rmsNormGrad)(View dy, View x, const float* weight, const float* residual, float* dx, int64_t rows, int64_t width, float epsilon);
  void (*layerNorm)(View x, const float* weight, const float* bias, View y, int64_t rows, int64_t width, float epsilon, const Rounded& rounded);
  void (*layerNormGrad)(View dy, View x, const float* weight, float* dx, int64_t rows, int64_t width, float epsilon);
  /** f32; `shift` [pictures, channels] may be absent; see group-norm.h */
  void (*groupNorm)(const float* x, const float* shift, const float* weight, const float* bias, float* y, float* moments, const GroupShape& shape);
  void (*groupNormGrad)(const float* dy, const float* x, const float* shift, const float* weight, const float* bias, const float* moments, float* dx,
                        float* dShift, const GroupShape& shape);
  void (*rotary)(View x, const float* cos, const float* sin, View y, int64_t tokens, int heads, int headSize, float sign);
  /** without `up`, or `dUp`: the activation alone */
  void (*gated)(View gate, View up, View y, int64_t count, int activation, const Rounded& rounded);
  void (*gatedGrad)(View dy, View gate, View up, View dGate, View dUp, int64_t count, int activation, const Rounded& roundedGate, const Rounded& roundedUp);
  void (*attention)(View q, View k, View v, const int32_t* segments, View out, float* logSums, const AttentionShape& shape, const Rounded& rounded);
  void (*attentionGrad)(View q, View k, View v, const int32_t* segments, View out, const float* logSums, View dOut, View dq, View dk, View dv,
                        const AttentionShape& shape);
  void (*crossEntropy)(View logits, const int32_t* labels, float* loss, View dLogits, int64_t rows, int64_t width);
  void (*productAdd)(View y, View a, View b, View out, int64_t rows, int64_t inner, int64_t width, float scale);
  void (*mixture)(const float* mixed, float* out, float* weights, int64_t tokens, int rank, int heads);
  void (*mixtureGrad)(const float* dOut, const float* mixed, const float* weights, float* dMixed, int64_t tokens, int rank, int heads);
  void (*unpackRow)(const uint8_t* row, int format, int64_t first, int64_t count, float* y);
  void (*packRow)(const float* x, int format, int64_t count, uint8_t* row);
  void (*packedDots)(View x, const uint8_t* data, int format, View y, int64_t tokens, int64_t rows, int64_t width);
  void (*cachedAttention)(View q, View k, View v, View out, LayerCache& cache, const CacheShape& shape);
  ProductFunction product;
  /** W [out, kernel * kernel * in] by the filter's places, then channels */
  void (*convolution)(const float* x, View weight, float* out, const ConvolutionShape& shape);
  void (*sum)(const View* terms, int count, View out, int64_t size);
  double (*squares)(const float* g, const float* rows, int64_t blocks, int64_t width);
  void (*sensitivity)(const float* p, const float* g, float* out, int64_t blocks, int64_t width);
  void (*adamw)(const float* p, const float* m, const float* v, const float* g, const float* rows, float scale, float* pOut, float* mOut,
                float* vOut, int64_t blocks, int64_t width, float beta1, float beta2, float epsilon);
};

extern const Table tableAvx512, tableAvx2;
const Table& table();

/** Frozen weights [rows, width] as they lie in memory. */
struct StoredMatrix {
  const uint8_t* data;
  int format;
  int64_t rows, width, rowBytes;
};
/** A product over few numbers that a larger one adds on its way: a [tokens, rank] b [rank, w.rows] in f32, times `scale`; without data: none. */
struct LowRank {
  const float *a = nullptr, *b = nullptr;
  int64_t rank = 0;
  float scale = 1;
};
/** Products in integers, compiled once for each level of instructions; see integer-product.cc. All levels give the same bits. */
struct Integers {
  /** tokens whose integers lie together: what is rounded by one thread in one go is best whole bands of them */
  int bandRows;
  /** of x [tokens, depth] in integers */
  int64_t (*roundedBytes)(int64_t tokens, int64_t depth);
  /** Rounds rows [row, row + rows) of x by token and block of 32, in columns [column, column + columns): whole blocks, or up to the last. */
  void (*round)(const float* x, int64_t row, int64_t rows, int64_t column, int64_t columns, const Rounded& to);
  /** y [tokens, w.rows] = x W^T [+ more], W in the integers of its blocks, else as q8_0 */
  void (*product)(const Rounded& x, const StoredMatrix& w, const LowRank& more, float* y);
  /** the same of up to kFewTokens tokens, x [tokens, depth] as it is */
  void (*fewTokens)(const float* x, const StoredMatrix& w, float* y, int64_t tokens, int64_t depth);
  /** W^T in q8_0: to[i] has input i's weights in blocks of 32 outputs, 0 beyond the last */
  void (*turn)(const StoredMatrix& w, uint8_t* to, int64_t rowBytes);
};
extern const Integers integersAmx, integersAvx512, integersAvxVnni, integersAvx2;
const Integers& integers();

void registerAll();
void setThreads(int count);
/** how many work on a loop */
int threads();

/** How many shares of at most `each` there are. */
inline int64_t shares(int64_t size, int64_t each) { return (size + each - 1) / each; }

/** Calls body(i) for 0 <= i < count on all threads. */
void parallel(int64_t count, void (*body)(void*, int64_t), void* context);
template <class F>
void parallelFor(int64_t count, F body) {
  parallel(count, [](void* context, int64_t i) { (*static_cast<F*>(context))(i); }, &body);
}

/** Calls body(first, count) for each band of rows, on all threads. */
template <class F>
void overBands(int64_t rows, F body) {
  const int64_t band = integers().bandRows;
  parallelFor(shares(rows, band), [&](int64_t i) { body(i * band, std::min(band, rows - i * band)); });
}

/** All of x [to.tokens, to.depth] in integers. */
inline void roundAll(const float* x, const Rounded& to) {
  overBands(to.tokens, [&](int64_t first, int64_t count) { integers().round(x, first, count, 0, to.depth, to); });
}

}  // namespace kernels
