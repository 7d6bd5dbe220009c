// Building blocks of AMX products: operands packed into tiles of bf16, and 32 x 32 sums in f32. An f32 product is three of them
// (x = high + low in bf16, the product of the two low parts left out), which leaves an error of about 2^-17 of each term: the
// rounding of an f32 sum of this length is not smaller. For sources compiled for Sapphire Rapids.
#pragma once
#include <immintrin.h>

#include <algorithm>

#include "buffer.h"
#include "operand.h"
#include "tile-state.h"

namespace kernels {
namespace {

constexpr int kTile = 16, kStep = 32;         // rows of a tile; bf16 numbers in one of its rows
constexpr int64_t kTileWords = kTile * kTile;  // 1 KiB: 16 rows of 16 pairs

inline __m512i pack2(__m512 first, __m512 second) { return (__m512i)_mm512_cvtne2ps_pbh(second, first); }
inline __m512 widenLow(__m512i pairs) { return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)); }
inline __m512 widenHigh(__m512i pairs) { return _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(int(0xffff0000)))); }
inline __mmask16 firstOf(int64_t n) { return n >= 16 ? __mmask16(0xffff) : n <= 0 ? __mmask16(0) : __mmask16((1u << n) - 1); }

/** 32 numbers of one line as 16 pairs in bf16; `low` gets what bf16 leaves over. */
inline void splitPairs(__m512 first, __m512 second, __m512i& high, __m512i* low) {
  high = pack2(first, second);
  if (!low) return;
  // the packed halves, back in f32
  __m512 a = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(high)), 16));
  __m512 b = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(high, 1)), 16));
  *low = pack2(_mm512_sub_ps(first, a), _mm512_sub_ps(second, b));
}

/** The same of 16 lines whose k and k + 1 lie in two rows. */
inline void splitRows(__m512 even, __m512 odd, __m512i& high, __m512i* low) {
  const __m512i interleave = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  high = _mm512_permutexvar_epi16(interleave, pack2(even, odd));
  if (low) *low = _mm512_permutexvar_epi16(interleave, pack2(_mm512_sub_ps(even, widenLow(high)), _mm512_sub_ps(odd, widenHigh(high))));
}

/** The first `count` of 16 numbers from `at` on, the others 0. */
inline __m512 load16(View view, int64_t at, int64_t count) {
  if (view.type == Type::f32) return _mm512_maskz_loadu_ps(firstOf(count), static_cast<const float*>(view.data) + at);
  __m256i halves = _mm256_maskz_loadu_epi16(firstOf(count), static_cast<const uint16_t*>(view.data) + at);
  if (view.type == Type::packed) return _mm512_cvtph_ps(halves);  // f16: the one format without blocks
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

/** One tile of lines [line, line + 16) x k [k, k + 32), as 16 lines of 16 pairs; `low` gets what bf16 leaves over of f32. */
inline void readTile(const Operand& o, int64_t line, int64_t k, __m512i high[16], __m512i* low) {
  int64_t lines = std::min<int64_t>(16, o.lines - line), depth = std::min<int64_t>(32, o.depth - k);
  if (o.alongDepth) {
    for (int i = 0; i < 16; i++) {
      if (i >= lines) {
        high[i] = _mm512_setzero_si512();
        if (low) low[i] = high[i];
      } else if (int64_t at = (line + i) * o.stride + k; o.view.type == Type::bf16) {
        high[i] = _mm512_maskz_loadu_epi16(depth >= 32 ? ~__mmask32(0) : (__mmask32(1) << depth) - 1, static_cast<const uint16_t*>(o.view.data) + at);
        if (low) low[i] = _mm512_setzero_si512();
      } else {
        splitPairs(load16(o.view, at, depth), load16(o.view, at + 16, depth - 16), high[i], low ? low + i : nullptr);
      }
    }
    return;
  }
  // k runs over rows in memory: pairs of rows are interleaved, which gives the tile turned
  for (int r = 0; r < 16; r++) {
    __m512 rows[2];
    for (int p = 0; p < 2; p++)
      rows[p] = 2 * r + p < depth ? load16(o.view, (k + 2 * r + p) * o.stride + line, lines) : _mm512_setzero_ps();
    splitRows(rows[0], rows[1], high[r], low ? low + r : nullptr);
  }
}

/**
 * Tiles of `bands` bands of 16 lines over k [from, to), band after band `stride` words apart; `turned` (for B) or line by line
 * (for A); low tiles follow each high one. Neighbouring bands are read together: they are neighbours in memory where k is not.
 */
void packBands(const Operand& o, int64_t line, int64_t bands, int64_t from, int64_t to, bool turned, bool split, uint32_t* out, int64_t stride) {
  __m512i high[16], low[16];
  for (int64_t k = from; k < to; k += kStep)
    for (int64_t band = 0; band < bands; band++) {
      uint32_t* tile = out + band * stride + (k - from) / kStep * (split ? 2 : 1) * kTileWords;
      readTile(o, line + band * 16, k, high, split ? low : nullptr);
      if (turned == o.alongDepth) {
        turn16(high);
        if (split) turn16(low);
      }
      for (int i = 0; i < 16; i++) _mm512_store_si512(tile + i * 16, high[i]);
      if (!split) continue;
      for (int i = 0; i < 16; i++) _mm512_store_si512(tile + kTileWords + i * 16, low[i]);
    }
}

/** c [32, 32] (row stride in floats) (+)= two bands of A times two bands of B over `steps` tiles of depth */
template <bool split>
inline void block(const uint32_t* a0, const uint32_t* a1, const uint32_t* b0, const uint32_t* b1, int64_t steps, float* c, int64_t stride, bool add) {
  float* c1 = c + 16 * stride;
  if (add) {
    _tile_loadd(0, c, stride * 4);
    _tile_loadd(1, c + 16, stride * 4);
    _tile_loadd(2, c1, stride * 4);
    _tile_loadd(3, c1 + 16, stride * 4);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  constexpr int64_t next = split ? 2 * kTileWords : kTileWords;
  for (int64_t s = 0; s < steps; s++, a0 += next, a1 += next, b0 += next, b1 += next) {
    _tile_loadd(4, a0, 64);
    _tile_loadd(6, b0, 64);
    _tile_loadd(5, a1, 64);
    _tile_loadd(7, b1, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(3, 5, 7);
    if constexpr (split) {
      _tile_loadd(6, b0 + kTileWords, 64);
      _tile_loadd(7, b1 + kTileWords, 64);
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(3, 5, 7);
      _tile_loadd(4, a0 + kTileWords, 64);
      _tile_loadd(5, a1 + kTileWords, 64);
      _tile_loadd(6, b0, 64);
      _tile_loadd(7, b1, 64);
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_stored(0, c, stride * 4);
  _tile_stored(1, c + 16, stride * 4);
  _tile_stored(2, c1, stride * 4);
  _tile_stored(3, c1 + 16, stride * 4);
}

}  // namespace
}  // namespace kernels
