// A factor of a product, whichever way it is stored.
#pragma once
#ifdef __AVX512F__
#include <immintrin.h>
#endif

#include "kernels.h"

namespace kernels {
namespace {

/** An operand as [line, k]: lines are rows of A or columns of B. */
struct Operand {
  View view;
  int64_t lines, depth, stride;
  bool alongDepth;  // k is contiguous in memory
};
inline Operand leftOperand(View a, const ProductShape& shape) {
  int64_t stride = shape.strideA ? shape.strideA : shape.transposeA ? shape.m : shape.k;
  return {a, shape.m, shape.k, stride, !shape.transposeA};
}
inline Operand rightOperand(View b, const ProductShape& shape) { return {b, shape.n, shape.k, shape.transposeB ? shape.k : shape.n, shape.transposeB}; }

/** Whether every thread has rows of a product of m for itself, `each` at least, as in the loops before and after; it then unpacks B for itself. */
inline bool haveOwnRows(int64_t m, int64_t each = 128) { return m >= each * threads(); }

#ifdef __AVX512F__
/** 16 rows of 16 dwords turned into 16 columns. */
inline void turn16(__m512i r[16]) {
  __m512i t[16];
  for (int i = 0; i < 8; i++) {
    t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
  for (int i = 0; i < 4; i++) {
    r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
  for (int i = 0; i < 4; i++) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0x88);
    t[4 + i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0xdd);
    t[8 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0x88);
    t[12 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0xdd);
  }
  for (int i = 0; i < 4; i++) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0x88);
    r[8 + i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0xdd);
    r[4 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0x88);
    r[12 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0xdd);
  }
}
#endif

}  // namespace
}  // namespace kernels
