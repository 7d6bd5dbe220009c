// Our own TensorFlow operations: the parts of a decoder's step where a chain of small operations would move the same
// numbers through memory again and again. Registered through TensorFlow's C kernel interface.
#pragma once
#include <cstdint>

namespace kernels {

enum class Type { f32, bf16 };

/** A tensor's numbers, of either type; rows are read into f32 and written from it. */
struct View {
  void* data = nullptr;
  Type type = Type::f32;
};

struct AttentionShape {
  int rows, length, heads, keyValueHeads, headSize, window;
  float scale;
};

struct ProductShape {
  int64_t m, k, n;
  bool transposeA, transposeB;
  float scale = 1;
  /** elements from one stored row of a to the next; 0 = rows follow each other */
  int64_t strideA = 0;
};
/** out = scale a b [+ add, where it has data]; `split`: f32 operands as high and low parts in bf16 */
using ProductFunction = void (*)(View a, View b, View add, View out, const ProductShape& shape, bool split);
/** nullptr where the processor or the system has no AMX */
ProductFunction amxProduct();

/** The loops, compiled once for each level of vector instructions; see vector.cc. Sizes are in elements. */
struct Table {
  void (*rmsNorm)(View x, const float* weight, View y, int64_t rows, int64_t width, float epsilon);
  void (*rmsNormGrad)(View dy, View x, const float* weight, const float* residual, float* dx, int64_t rows, int64_t width, float epsilon);
  void (*rotary)(View x, const float* cos, const float* sin, View y, int64_t tokens, int heads, int headSize, float sign);
  void (*gated)(View gate, View up, View y, int64_t count, int activation);
  void (*gatedGrad)(View dy, View gate, View up, View dGate, View dUp, int64_t count, int activation);
  void (*attention)(View q, View k, View v, const int32_t* segments, View out, float* logSums, const AttentionShape& shape);
  void (*attentionGrad)(View q, View k, View v, const int32_t* segments, View out, const float* logSums, View dOut, View dq, View dk, View dv,
                        const AttentionShape& shape);
  void (*crossEntropy)(View logits, const int32_t* labels, float* loss, View dLogits, int64_t rows, int64_t width);
  void (*productAdd)(View y, View a, View b, View out, int64_t rows, int64_t inner, int64_t width, float scale);
  void (*mixture)(const float* mixed, float* out, float* weights, int64_t tokens, int rank, int heads);
  void (*mixtureGrad)(const float* dOut, const float* mixed, const float* weights, float* dMixed, int64_t tokens, int rank, int heads);
  void (*dequantize)(const uint8_t* blocks, int format, View out, int64_t rows, int64_t width);
  void (*blockProduct)(const float* a, View b, const float* active, float* out, int64_t tokens, int blocks, int rank, int64_t width);
  void (*sum)(const View* terms, int count, View out, int64_t size);
  void (*adamw)(const float* p, const float* m, const float* v, const float* g, const float* rows, float* pOut, float* mOut, float* vOut,
                int64_t blocks, int64_t width, float beta1, float beta2, float epsilon);
};

/** Bytes of one block of a GGUF type and the weights in it; 0 bytes: not known. */
struct BlockFormat {
  int bytes, weights;
};
BlockFormat blockFormat(int format);

extern const Table tableAvx512, tableAvx2;
const Table& table();

void registerAll();
void setThreads(int count);

/** Calls body(i) for 0 <= i < count on all threads. */
void parallel(int64_t count, void (*body)(void*, int64_t), void* context);
template <class F>
void parallelFor(int64_t count, F body) {
  parallel(count, [](void* context, int64_t i) { (*static_cast<F*>(context))(i); }, &body);
}

}  // namespace kernels
