// Products of a few tokens with frozen weights W [rows, width] that stay packed, y = x W^T: each row of W is unpacked into registers
// and multiplied at once, so that its bytes cross memory once and nothing else does. Part of vector.cc.

#ifdef __AVX512F__
/** Bytes before their use at which blocks are asked for: memory's own prefetchers alone gave half the speed. */
constexpr int64_t kAhead = 4096;

template <int format, int M>
inline void dotBlocks(const uint8_t* row, int64_t width, const float* x, int64_t stride, float* sums) {
  constexpr BlockFormat f = blockFormat(format);
  __m512 even[M], odd[M];
  for (int t = 0; t < M; t++) even[t] = odd[t] = _mm512_setzero_ps();
  for (int64_t i = 0; i < width; i += f.weights, row += f.bytes) {
    for (int ahead = 0; ahead < f.bytes; ahead += 64) _mm_prefetch(reinterpret_cast<const char*>(row) + kAhead + ahead, _MM_HINT_T0);
    for (int j = 0; j < f.weights / 32; j++) {
      Weights w = weights32<format>(row, j);
      const float* at = x + i + 32 * j;
      for (int t = 0; t < M; t++) {
        even[t] = _mm512_fmadd_ps(w.first, _mm512_loadu_ps(at + t * stride), even[t]);
        odd[t] = _mm512_fmadd_ps(w.second, _mm512_loadu_ps(at + t * stride + 16), odd[t]);
      }
    }
  }
  for (int t = 0; t < M; t++) sums[t] = _mm512_reduce_add_ps(_mm512_add_ps(even[t], odd[t]));
}
/** Blocks go from memory through registers into the sums; false: a format without blocks. */
template <int M>
inline bool dotFast(const uint8_t* row, int format, int64_t width, const float* x, int64_t stride, float* sums) {
  switch (format) {
    case kQ4_0: return dotBlocks<kQ4_0, M>(row, width, x, stride, sums), true;
    case kQ4_1: return dotBlocks<kQ4_1, M>(row, width, x, stride, sums), true;
    case kQ5_0: return dotBlocks<kQ5_0, M>(row, width, x, stride, sums), true;
    case kQ5_1: return dotBlocks<kQ5_1, M>(row, width, x, stride, sums), true;
    case kQ8_0: return dotBlocks<kQ8_0, M>(row, width, x, stride, sums), true;
    case kQ4_K: return dotBlocks<kQ4_K, M>(row, width, x, stride, sums), true;
    case kQ5_K: return dotBlocks<kQ5_K, M>(row, width, x, stride, sums), true;
    case kQ6_K: return dotBlocks<kQ6_K, M>(row, width, x, stride, sums), true;
    default: return false;
  }
}
#else
template <int M>
inline bool dotFast(const uint8_t*, int, int64_t, const float*, int64_t, float*) {
  return false;
}
#endif

/** One row of W times M tokens. */
template <int M>
inline void dotRow(const uint8_t* row, int format, int64_t width, const float* x, int64_t stride, float* sums) {
  if (dotFast<M>(row, format, width, x, stride, sums)) return;
  constexpr int64_t piece = 256;
  alignas(64) float weights[piece];
  for (int t = 0; t < M; t++) sums[t] = 0;
  for (int64_t i = 0; i < width; i += piece) {
    int64_t n = std::min(piece, width - i);
    unpackRow(row, format, i, n, weights);
    for (int t = 0; t < M; t++) {
      float sum = 0;
      for (int64_t k = 0; k < n; k++) sum += weights[k] * x[t * stride + i + k];
      sums[t] += sum;
    }
  }
}

struct Matrix {
  const uint8_t* data;
  int format;
  int64_t rows, width, rowBytes;
  const uint8_t* row(int64_t i) const { return data + i * rowBytes; }
};

inline void put(View view, int64_t i, float value) {
  if (view.type == Type::f32) static_cast<float*>(view.data)[i] = value;
  else static_cast<uint16_t*>(view.data)[i] = toBf16(value);
}

/** y = x W^T for a few tokens */
void dots(const float* x, const Matrix& w, View y, int64_t tokens) {
  overRows(w.rows, w.width, [&](int64_t row) {
    float sums[8];
    for (int64_t t = 0; t < tokens;) {
      const float* from = x + t * w.width;
      int64_t left = tokens - t;
      int n = left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
      if (n == 8) dotRow<8>(w.row(row), w.format, w.width, from, w.width, sums);
      else if (n == 4) dotRow<4>(w.row(row), w.format, w.width, from, w.width, sums);
      else if (n == 2) dotRow<2>(w.row(row), w.format, w.width, from, w.width, sums);
      else dotRow<1>(w.row(row), w.format, w.width, from, w.width, sums);
      for (int i = 0; i < n; i++) put(y, (t + i) * w.rows + row, sums[i]);
      t += n;
    }
  });
}

/** y [tokens, rows] = x W^T for a few tokens */
void packedDots(View x, const uint8_t* data, int format, View y, int64_t tokens, int64_t rows, int64_t width) {
  BlockFormat f = blockFormat(format);
  Matrix w{data, format, rows, width, width / f.weights * f.bytes};
  std::vector<float> copy;
  dots(floats(x, tokens * width, copy), w, y, tokens);
}
