// The loops of our own operations. Compiled twice, for AVX-512 and for AVX2 (STUDIO_TABLE names the result); the right one
// is taken at run time. All arithmetic is in f32; bf16 is a storage format.
#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "attention-mask.h"
#include "buffer.h"
#include "kernels.h"
#include "operand.h"
#include "vector.h"

#include "activations.h"

namespace kernels {
namespace {

/** Cuts `rows` into pieces of some tens of thousands of elements and runs them on all threads. */
template <class F>
void overRows(int64_t rows, int64_t width, F body) {
  int64_t piece = std::max<int64_t>(1, 32768 / std::max<int64_t>(width, 1));
  parallelFor((rows + piece - 1) / piece, [&](int64_t i) {
    for (int64_t row = i * piece; row < std::min(rows, (i + 1) * piece); row++) body(row);
  });
}

/** Rows [first, first + count) of y in integers. */
inline void roundRows(View y, int64_t first, int64_t count, const Rounded& to) {
  integers().round(static_cast<float*>(y.data), first, count, 0, to.depth, to);
}

/** `overRows`, and where it is wanted, of each band of rows what `body` wrote of y in integers. */
template <class F>
void overRows(int64_t rows, int64_t width, View y, const Rounded& rounded, F body) {
  if (!rounded.data) return overRows(rows, width, body);
  overBands(rows, [&](int64_t first, int64_t count) {
    for (int64_t row = first; row < first + count; row++) body(row);
    roundRows(y, first, count, rounded);
  });
}

void rmsNorm(View x, const float* weight, View y, int64_t rows, int64_t width, float epsilon, const Rounded& rounded) {
  overRows(rows, width, y, rounded, [&](int64_t row) {
    Row in(x, row * width, width);
    OutRow out(y, row * width, width);
    float sum = 0;
    for (int64_t i = 0; i < width; i++) sum += in[i] * in[i];
    float r = 1 / std::sqrt(sum / width + epsilon);
    for (int64_t i = 0; i < width; i++) out[i] = in[i] * r * weight[i];
  });
}

/** y = x r w with r = (mean x^2 + eps)^-1/2:  dx = r (w dy - x r^2 mean(w dy x)) [+ residual] */
void rmsNormGrad(View dy, View x, const float* weight, const float* residual, float* dx, int64_t rows, int64_t width, float epsilon) {
  overRows(rows, width, [&](int64_t row) {
    Row in(x, row * width, width), d(dy, row * width, width);
    float sum = 0, dot = 0;
    for (int64_t i = 0; i < width; i++) {
      sum += in[i] * in[i];
      dot += d[i] * weight[i] * in[i];
    }
    float r = 1 / std::sqrt(sum / width + epsilon), c = dot * r * r / width;
    float* out = dx + row * width;
    if (residual) {
      const float* add = residual + row * width;
      for (int64_t i = 0; i < width; i++) out[i] = add[i] + r * (weight[i] * d[i] - in[i] * c);
    } else {
      for (int64_t i = 0; i < width; i++) out[i] = r * (weight[i] * d[i] - in[i] * c);
    }
  });
}

/** A row's mean and 1 / its deviation. */
struct Spread {
  float mean, scale;
  Spread(Row& row, int64_t width, float epsilon) {
    float sum = 0, squares = 0;
    for (int64_t i = 0; i < width; i++) sum += row[i];
    mean = sum / width;
    for (int64_t i = 0; i < width; i++) squares += (row[i] - mean) * (row[i] - mean);
    scale = 1 / std::sqrt(squares / width + epsilon);
  }
};

/** (x - mean) / deviation * weight + bias */
void layerNorm(View x, const float* weight, const float* bias, View y, int64_t rows, int64_t width, float epsilon, const Rounded& rounded) {
  overRows(rows, width, y, rounded, [&](int64_t row) {
    Row in(x, row * width, width);
    OutRow out(y, row * width, width);
    Spread s(in, width, epsilon);
    for (int64_t i = 0; i < width; i++) out[i] = (in[i] - s.mean) * s.scale * weight[i] + bias[i];
  });
}

/** n = (x - mean) r:  dx = r (w dy - mean(w dy) - n mean(w dy n)) */
void layerNormGrad(View dy, View x, const float* weight, float* dx, int64_t rows, int64_t width, float epsilon) {
  overRows(rows, width, [&](int64_t row) {
    Row in(x, row * width, width), d(dy, row * width, width);
    Spread s(in, width, epsilon);
    float sum = 0, along = 0;
    for (int64_t i = 0; i < width; i++) {
      float g = d[i] * weight[i];
      sum += g;
      along += g * (in[i] - s.mean);
    }
    float level = sum / width, pull = along * s.scale * s.scale / width;
    float* out = dx + row * width;
    for (int64_t i = 0; i < width; i++) out[i] = s.scale * (d[i] * weight[i] - level - (in[i] - s.mean) * pull);
  });
}

/** Rotates the pairs (i, i + half) of every head; sign -1 turns back, which is the gradient. cos, sin: [tokens, half] */
void rotary(View x, const float* cos, const float* sin, View y, int64_t tokens, int heads, int headSize, float sign) {
  int half = headSize / 2;
  int64_t width = int64_t(heads) * headSize;
  overRows(tokens, width, [&](int64_t t) {
    Row in(x, t * width, width);
    OutRow out(y, t * width, width);
    const float *c = cos + t * half, *s = sin + t * half;
    for (int h = 0; h < heads; h++) {
      const float* a = &in[h * headSize];
      float* o = &out[h * headSize];
      for (int i = 0; i < half; i++) {
        float low = a[i], high = a[i + half];
        o[i] = low * c[i] - sign * high * s[i];
        o[i + half] = high * c[i] + sign * low * s[i];
      }
    }
  });
}

template <class F>
void overPieces(int64_t count, F body) {
  constexpr int64_t piece = 2048;
  parallelFor((count + piece - 1) / piece, [&](int64_t i) { body(i * piece, std::min(piece, count - i * piece)); });
}

/** activation(gate), times up where that is given */
template <class Activation>
void gatedBy(View gate, View up, View y, int64_t count, const Rounded& rounded) {
  auto piece = [&](int64_t start, int64_t n) {
    Row g(gate, start, n);
    OutRow out(y, start, n);
    if (up.data) {
      Row u(up, start, n);
      for (int64_t i = 0; i < n; i++) out[i] = Activation::at(g[i]).value * u[i];
    } else {
      for (int64_t i = 0; i < n; i++) out[i] = Activation::at(g[i]).value;
    }
  };
  if (!rounded.data) return overPieces(count, piece);
  overBands(rounded.tokens, [&](int64_t first, int64_t rows) {
    piece(first * rounded.depth, rows * rounded.depth);
    roundRows(y, first, rows, rounded);
  });
}

template <class Activation>
void gatedGradBy(View dy, View gate, View up, View dGate, View dUp, int64_t count, const Rounded& roundedGate, const Rounded& roundedUp) {
  auto piece = [&](int64_t start, int64_t n) {
    Row d(dy, start, n), g(gate, start, n);
    OutRow dg(dGate, start, n);
    if (up.data) {
      Row u(up, start, n);
      OutRow du(dUp, start, n);
      for (int64_t i = 0; i < n; i++) {
        Activated a = Activation::at(g[i]);
        float upstream = d[i];
        du[i] = upstream * a.value;
        dg[i] = upstream * u[i] * a.slope;
      }
    } else {
      for (int64_t i = 0; i < n; i++) dg[i] = d[i] * Activation::at(g[i]).slope;
    }
  };
  if (!roundedGate.data) return overPieces(count, piece);
  overBands(roundedGate.tokens, [&](int64_t first, int64_t rows) {
    piece(first * roundedGate.depth, rows * roundedGate.depth);
    roundRows(dGate, first, rows, roundedGate);
    if (up.data) roundRows(dUp, first, rows, roundedUp);
  });
}

/** The numbers of activations in attributes. */
enum { kSilu, kGeluTanh, kGelu, kQuickGelu };

void gated(View gate, View up, View y, int64_t count, int activation, const Rounded& rounded) {
  switch (activation) {
    case kSilu: return gatedBy<Silu>(gate, up, y, count, rounded);
    case kGeluTanh: return gatedBy<GeluTanh>(gate, up, y, count, rounded);
    case kGelu: return gatedBy<Gelu>(gate, up, y, count, rounded);
    case kQuickGelu: return gatedBy<QuickGelu>(gate, up, y, count, rounded);
  }
}

void gatedGrad(View dy, View gate, View up, View dGate, View dUp, int64_t count, int activation, const Rounded& roundedGate, const Rounded& roundedUp) {
  switch (activation) {
    case kSilu: return gatedGradBy<Silu>(dy, gate, up, dGate, dUp, count, roundedGate, roundedUp);
    case kGeluTanh: return gatedGradBy<GeluTanh>(dy, gate, up, dGate, dUp, count, roundedGate, roundedUp);
    case kGelu: return gatedGradBy<Gelu>(dy, gate, up, dGate, dUp, count, roundedGate, roundedUp);
    case kQuickGelu: return gatedGradBy<QuickGelu>(dy, gate, up, dGate, dUp, count, roundedGate, roundedUp);
  }
}

/** loss[row] = logsumexp(row) - row[label], dLogits = softmax - onehot; a negative label has neither */
void crossEntropy(View logits, const int32_t* labels, float* loss, View dLogits, int64_t rows, int64_t width) {
  parallelFor(rows, [&](int64_t row) {
    constexpr int64_t piece = 4096;
    int32_t label = labels[row];
    if (label < 0 || label >= width) {
      loss[row] = 0;
      zero(dLogits, row * width, width);
      return;
    }
    float top = -INFINITY, sum = 0;
    for (int64_t c = 0; c < width; c += piece) {
      int64_t n = std::min(piece, width - c);
      Row in(logits, row * width + c, n);
      float high = largest(&in[0], n, top);
      float part = 0;
      for (int64_t i = 0; i < n; i++) part += fastExp(in[i] - high);
      sum = sum * fastExp(top - high) + part;
      top = high;
    }
    float target = valueAt(logits, row * width + label), scale = 1 / sum;
    loss[row] = top + std::log(sum) - target;
    for (int64_t c = 0; c < width; c += piece) {
      int64_t n = std::min(piece, width - c);
      Row in(logits, row * width + c, n);
      OutRow out(dLogits, row * width + c, n);
      for (int64_t i = 0; i < n; i++) out[i] = fastExp(in[i] - top) * scale;
      if (label >= c && label < c + n) out[label - c] -= 1;
    }
  });
}

/** out = y + scale * a b,  a [rows, inner] (inner small), b [inner, width]: the sum costs no pass of its own */
void productAdd(View y, View a, View b, View out, int64_t rows, int64_t inner, int64_t width, float scale) {
  std::vector<float> bCopy;
  const float* bf = floats(b, inner * width, bCopy);
  constexpr int64_t panel = 2 * kLanes;
  overRows((rows + 3) / 4, width * 4, [&](int64_t quad) {
    int64_t first = quad * 4, n = std::min<int64_t>(4, rows - first);
    std::vector<float> left(4 * inner, 0);
    for (int64_t r = 0; r < n; r++) {
      Row in(a, (first + r) * inner, inner);
      for (int64_t k = 0; k < inner; k++) left[r * inner + k] = scale * in[k];
    }
    float sums[4 * panel];
    for (int64_t c = 0; c < width; c += panel) {
      int64_t m = std::min(panel, width - c);
      if (m == panel && n == 4) {
        product<4, 2>(left.data(), inner, 1, bf + c, width, sums, panel, inner, false);
      } else {
        for (int64_t r = 0; r < n; r++)
          for (int64_t i = 0; i < m; i++) {
            float sum = 0;
            for (int64_t k = 0; k < inner; k++) sum += left[r * inner + k] * bf[k * width + c + i];
            sums[r * panel + i] = sum;
          }
      }
      for (int64_t r = 0; r < n; r++) addTo(y, out, (first + r) * width + c, sums + r * panel, m);
    }
  });
}

/** mixed [tokens, rank + heads] = (h | router logits) -> out [tokens, heads * rank] = softmax(logits)_j h, weights [tokens, heads] */
void mixture(const float* mixed, float* out, float* weights, int64_t tokens, int rank, int heads) {
  overRows(tokens, heads * rank * 8, [&](int64_t t) {
    const float *h = mixed + t * (rank + heads), *logits = h + rank;
    float *w = weights + t * heads, *o = out + t * heads * rank;
    float top = -INFINITY, sum = 0;
    for (int j = 0; j < heads; j++) top = std::max(top, logits[j]);
    for (int j = 0; j < heads; j++) sum += w[j] = fastExp(logits[j] - top);
    for (int j = 0; j < heads; j++) {
      w[j] /= sum;
      for (int i = 0; i < rank; i++) o[j * rank + i] = w[j] * h[i];
    }
  });
}

void mixtureGrad(const float* dOut, const float* mixed, const float* weights, float* dMixed, int64_t tokens, int rank, int heads) {
  overRows(tokens, heads * rank * 8, [&](int64_t t) {
    const float *h = mixed + t * (rank + heads), *w = weights + t * heads, *d = dOut + t * heads * rank;
    float *dh = dMixed + t * (rank + heads), *dLogits = dh + rank;
    for (int i = 0; i < rank; i++) dh[i] = 0;
    float mean = 0;
    for (int j = 0; j < heads; j++) {
      float dot = 0;
      for (int i = 0; i < rank; i++) {
        dh[i] += w[j] * d[j * rank + i];
        dot += d[j * rank + i] * h[i];
      }
      dLogits[j] = dot;
      mean += w[j] * dot;
    }
    for (int j = 0; j < heads; j++) dLogits[j] = w[j] * (dLogits[j] - mean);
  });
}

void sum(const View* terms, int count, View out, int64_t size) {
  overPieces(size, [&](int64_t start, int64_t n) {
    alignas(64) float total[2048];
    {
      Row first(terms[0], start, n);
      std::memcpy(total, &first[0], n * sizeof(float));
    }
    for (int k = 1; k < count; k++) {
      Row term(terms[k], start, n);
      for (int64_t i = 0; i < n; i++) total[i] += term[i];
    }
    OutRow to(out, start, n);
    for (int64_t i = 0; i < n; i++) to[i] = total[i];
  });
}

#include "attention.h"
#include "blocks.h"
#include "vector-product.h"
#include "winograd.h"
#include "convolution.h"
#include "packed-dots.h"
#include "cached-attention.h"
#include "optimizer.h"
#include "group-norm.h"

}  // namespace

extern const Table STUDIO_TABLE;
const Table STUDIO_TABLE = {
    rmsNorm,    rmsNormGrad, layerNorm, layerNormGrad, groupNorm, groupNormGrad, rotary,      gated,     gatedGrad, attention,  attentionGrad,   crossEntropy, productAdd, mixture,
    mixtureGrad, unpackRow,  packRow,     packedDots, cachedAttention, product, convolution, sum, squares, sensitivity, adamw};

}  // namespace kernels
