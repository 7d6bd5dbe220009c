// Matrix products on AMX tiles: bf16 operands, f32 sums, f32 operands as high and low parts (amx-tiles.h).
// C [m, n] = A [m, k] B [k, n]; operands may be stored transposed and in either type. Used where cpuid has AMX.
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <memory>

#include "amx-tiles.h"
#include "vector.h"

namespace kernels {
namespace {

#include "blocks.h"

constexpr int64_t kDeepest = 24;              // steps of B that one task holds packed
constexpr int64_t kPanelWords = 224 << 10;    // and how many numbers' worth: with a part of A it fits L2
constexpr int64_t kWidest = 384;              // columns of B that go together
constexpr int64_t kPiece = 12;               // steps of bf16 tiles of two bands of B that lie in L1 together
constexpr int64_t kPassing = 128;             // rows of A that pass by them

/** Two bands of a right operand that is packed in blocks: 32 lines x 32 k of W as stored [line, k], or [k, line] where not `alongDepth`. */
template <int format, bool split>
inline void packWeightTiles(const Operand& o, int64_t line, int64_t k, uint32_t* out, int64_t stride) {
  constexpr BlockFormat f = blockFormat(format);
  constexpr int64_t inBlock = f.weights / 32;
  const uint8_t* data = static_cast<const uint8_t*>(o.view.data);
  int64_t rowBytes = o.stride / f.weights * f.bytes;
  auto read = [&](int64_t row, int64_t column) {
    return weights32<format>(data + row * rowBytes + column / f.weights * f.bytes, static_cast<int>(column / 32 % inBlock));
  };
  __m512i high[2][16], low[2][16];
  if (o.alongDepth) {
    for (int i = 0; i < 32; i++) {
      __m512i &h = high[i / 16][i % 16], &l = low[i / 16][i % 16];
      h = l = _mm512_setzero_si512();
      if (line + i >= o.lines) continue;
      Weights w = read(line + i, k);
      splitPairs(w.first, w.second, h, split ? &l : nullptr);
    }
  } else {
    for (int r = 0; r < 16; r++) {
      Weights even = {_mm512_setzero_ps(), _mm512_setzero_ps()}, odd = even;
      if (k + 2 * r < o.depth) even = read(k + 2 * r, line);
      if (k + 2 * r + 1 < o.depth) odd = read(k + 2 * r + 1, line);
      splitRows(even.first, odd.first, high[0][r], split ? &low[0][r] : nullptr);
      splitRows(even.second, odd.second, high[1][r], split ? &low[1][r] : nullptr);
    }
  }
  for (int band = 0; band < 2; band++) {
    if (o.alongDepth) turn16(high[band]);
    if (o.alongDepth && split) turn16(low[band]);
    uint32_t* tile = out + band * stride;
    for (int i = 0; i < 16; i++) _mm512_store_si512(tile + i * 16, high[band][i]);
    if (!split) continue;
    for (int i = 0; i < 16; i++) _mm512_store_si512(tile + kTileWords + i * 16, low[band][i]);
  }
}

template <int format, bool split>
void packWeights(const Operand& o, int64_t line, int64_t bands, int64_t from, int64_t to, uint32_t* out, int64_t stride) {
  for (int64_t k = from; k < to; k += kStep)
    for (int64_t band = 0; band < bands; band += 2)
      packWeightTiles<format, split>(o, line + band * 16, k, out + band * stride + (k - from) / kStep * (split ? 2 : 1) * kTileWords, stride);
}

/** Tiles of a panel of B: an even number of bands. */
template <bool split>
void packRight(const Operand& o, int64_t line, int64_t bands, int64_t from, int64_t to, uint32_t* out, int64_t stride) {
  switch (o.view.type == Type::packed ? o.view.format : kF32) {
    case kQ4_0: return packWeights<kQ4_0, split>(o, line, bands, from, to, out, stride);
    case kQ4_1: return packWeights<kQ4_1, split>(o, line, bands, from, to, out, stride);
    case kQ5_0: return packWeights<kQ5_0, split>(o, line, bands, from, to, out, stride);
    case kQ5_1: return packWeights<kQ5_1, split>(o, line, bands, from, to, out, stride);
    case kQ8_0: return packWeights<kQ8_0, split>(o, line, bands, from, to, out, stride);
    case kQ4_K: return packWeights<kQ4_K, split>(o, line, bands, from, to, out, stride);
    case kQ5_K: return packWeights<kQ5_K, split>(o, line, bands, from, to, out, stride);
    case kQ6_K: return packWeights<kQ6_K, split>(o, line, bands, from, to, out, stride);
    default: return packBands(o, line, bands, from, to, true, split, out, stride);
  }
}

void writeRows(const float* from, int64_t fromStride, const ProductShape& shape, View add, View out, int64_t row, int64_t rows, int64_t column,
               int64_t columns) {
  const __m512 scale = _mm512_set1_ps(shape.scale);
  for (int64_t i = 0; i < rows; i++) {
    int64_t at = (row + i) * shape.n + column;
    for (int64_t j = 0; j < columns; j += 16) {
      __mmask16 mask = firstOf(columns - j);
      __m512 value = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, from + i * fromStride + j), scale);
      if (add.data) value = _mm512_add_ps(value, load16(add, (shape.addsRow ? column : at) + j, columns - j));
      if (out.type == Type::f32) _mm512_mask_storeu_ps(static_cast<float*>(out.data) + at + j, mask, value);
      else _mm256_mask_storeu_epi16(static_cast<uint16_t*>(out.data) + at + j, mask, (__m256i)_mm512_cvtneps_pbh(value));
    }
  }
}

/** How the columns, rows and depth of a product are shared out. */
struct Shares {
  int64_t deep, depths, width, panels, height, chunks;
  Shares(int64_t m, int64_t n, int64_t steps, int64_t parts) {
    depths = shares(steps, kDeepest);
    deep = shares(steps, depths);
    int64_t most = std::min(kWidest, std::max<int64_t>(32, kPanelWords / (deep * kStep * parts / 2) / 32 * 32));
    bool byRows = haveOwnRows(m);
    // without, every thread has as many columns to do, or else as many rows
    panels = byRows ? shares(n, most) : std::min(shares(n, 32), shares(shares(n, most), threads()) * threads());
    width = shares(shares(n, panels), 32) * 32;
    panels = shares(n, width);
    chunks = byRows ? threads() : std::min(shares(m, 32), shares(threads(), panels));
    height = shares(shares(m, chunks), 32) * 32;
    chunks = shares(m, height);
  }
};

/** c (row stride `width`) (+)= `pairs` pairs of bands of A times one of B over `deep` steps: a piece of B at a time stays in L1. */
template <bool split>
inline void passBy(const uint32_t* a, int64_t band, int64_t pairs, const uint32_t* b, int64_t part, int64_t deep, float* c, int64_t width, bool add) {
  constexpr int64_t parts = split ? 2 : 1, steps = kPiece / parts;
  for (int64_t piece = 0; piece < deep; piece += steps)
    for (int64_t i = 0; i < pairs; i++) {
      const uint32_t *a0 = a + 2 * i * band + piece * parts * kTileWords, *b0 = b + piece * parts * kTileWords;
      block<split>(a0, a0 + band, b0, b0 + part, std::min(steps, deep - piece), c + i * 32 * width, width, add || piece > 0);
    }
}

template <bool split>
void productOf(const Operand& a, const Operand& b, View add, View out, const ProductShape& shape) {
  constexpr int64_t parts = split ? 2 : 1;
  static thread_local Buffer packedA;
  int64_t m = shape.m, n = shape.n, steps = (shape.k + kStep - 1) / kStep;
  int64_t bands = (m + 31) / 32 * 2, band = steps * parts * kTileWords;
  uint32_t* left = packedA.need(bands * band);
  parallelFor(bands, [&](int64_t i) { packBands(a, i * 16, 1, 0, steps * kStep, false, split, left + i * band, band); });
  const Shares share(m, n, steps, parts);
  parallelFor(share.panels * share.chunks, [&](int64_t task) {
    static thread_local Buffer packedB, sumsOf;
    Tiles tiles;
    int64_t column = task % share.panels * share.width, columns = std::min(share.width, n - column), width = (columns + 31) / 32 * 32;
    int64_t row = task / share.panels * share.height, rows = std::min(share.height, m - row);
    bool whole = share.depths == 1;
    float* sums = reinterpret_cast<float*>(sumsOf.need((whole ? kPassing : (rows + 31) / 32 * 32) * width));
    for (int64_t from = 0; from < steps; from += share.deep) {
      int64_t deep = std::min(share.deep, steps - from), part = deep * parts * kTileWords;
      uint32_t* right = packedB.need(width / 16 * part);
      packRight<split>(b, column, width / 16, from * kStep, (from + deep) * kStep, right, part);
      for (int64_t top = 0; top < rows; top += kPassing) {
        int64_t passing = std::min(kPassing, rows - top);
        const uint32_t* lines = left + (row + top) / 16 * band + from * parts * kTileWords;
        float* to = whole ? sums : sums + top * width;
        for (int64_t j = 0; j < width; j += 32) passBy<split>(lines, band, (passing + 31) / 32, right + j / 16 * part, part, deep, to + j, width, from > 0);
        if (from + deep == steps) writeRows(to, width, shape, add, out, row + top, passing, column, columns);
      }
    }
  });
}

void tileProduct(View a, View b, View add, View out, const ProductShape& shape, bool split) {
  Operand left = leftOperand(a, shape), right = rightOperand(b, shape);
  if (split && !(a.type == Type::bf16 && b.type == Type::bf16)) productOf<true>(left, right, add, out, shape);
  else productOf<false>(left, right, add, out, shape);
}

}  // namespace

ProductFunction amxProduct() {
  static const ProductFunction function = [] {
    bool has = isAllowed(Level::amx) && __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    unsigned int a, b, c, d;
    __asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(7), "c"(0));
    bool tiles = (d >> 22 & 1) && (d >> 24 & 1);  // AMX-BF16 and AMX-TILE
    constexpr int request = 0x1023, tileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    return has && tiles && syscall(SYS_arch_prctl, request, tileData) == 0 ? tileProduct : nullptr;
  }();
  return function;
}

bool hasIntegerTiles() {
  static const bool has = [] {
    unsigned int a, b, c, d;
    __asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(7), "c"(0));
    return amxProduct() != nullptr && (d >> 25 & 1);  // AMX-INT8
  }();
  return has;
}

}  // namespace kernels
