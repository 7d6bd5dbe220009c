// Matrix products on AMX tiles: bf16 operands, f32 sums, f32 operands as high and low parts (amx-tiles.h).
// C [m, n] = A [m, k] B [k, n]; operands may be stored transposed and in either type. Used where cpuid has AMX.
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <memory>

#include "amx-tiles.h"

namespace kernels {
namespace {

constexpr int kPanel = 192, kDepth = 2048;  // columns and depth of B that one task holds packed, in L2
constexpr int64_t kRows = 512;               // rows of A that pass by them
constexpr int kPiece = 12;                   // steps of bf16 tiles of one band of B that lie in L1 together

/** packBands for a right operand that is packed in blocks: a small piece at a time is unpacked into f32, which stays in the cache. */
void packBlocks(const Operand& o, int64_t line, int64_t bands, int64_t from, int64_t to, bool split, uint32_t* out, int64_t stride) {
  static thread_local Buffer piece;
  BlockFormat block = blockFormat(o.view.format);
  const uint8_t* data = static_cast<const uint8_t*>(o.view.data);
  int64_t rowBytes = o.stride / block.weights * block.bytes, end = std::min(to, o.depth), lines = std::min(bands * 16, o.lines - line);
  float* values = reinterpret_cast<float*>(piece.need(o.alongDepth ? 16 * (end - from) : 32 * lines));
  const View view{values, Type::f32};
  if (o.alongDepth) {
    for (int64_t band = 0; band < bands; band++) {
      int64_t count = std::max<int64_t>(0, std::min<int64_t>(16, lines - band * 16));
      for (int64_t i = 0; i < count; i++)
        table().unpackRow(data + (line + band * 16 + i) * rowBytes, o.view.format, from, end - from, values + i * (end - from));
      packBands({view, count, end - from, end - from, true}, 0, 1, 0, to - from, true, split, out + band * stride, stride);
    }
    return;
  }
  for (int64_t k = from; k < to; k += kStep) {
    int64_t count = std::min<int64_t>(kStep, end - k);
    for (int64_t i = 0; i < count; i++) table().unpackRow(data + (k + i) * rowBytes, o.view.format, line, lines, values + i * lines);
    packBands({view, lines, count, lines, false}, 0, bands, 0, kStep, true, split, out + (k - from) / kStep * (split ? 2 : 1) * kTileWords, stride);
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
      if (add.data) {
        __m512 other = add.type == Type::f32 ? _mm512_maskz_loadu_ps(mask, static_cast<const float*>(add.data) + at + j)
                                             : _mm512_castsi512_ps(_mm512_slli_epi32(
                                                   _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, static_cast<const uint16_t*>(add.data) + at + j)), 16));
        value = _mm512_add_ps(value, other);
      }
      if (out.type == Type::f32) _mm512_mask_storeu_ps(static_cast<float*>(out.data) + at + j, mask, value);
      else _mm256_mask_storeu_epi16(static_cast<uint16_t*>(out.data) + at + j, mask, (__m256i)_mm512_cvtneps_pbh(value));
    }
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
  int64_t panels = (n + kPanel - 1) / kPanel, chunk = m;
  while ((panels * ((m + chunk - 1) / chunk) < 4 && chunk > 128) || chunk > kRows) chunk = (chunk / 2 + 31) / 32 * 32;
  int64_t chunks = (m + chunk - 1) / chunk;
  parallelFor(panels * chunks, [&](int64_t task) {
    static thread_local Buffer packedB, sumsOf;
    Tiles tiles;
    int64_t column = task / chunks * kPanel, columns = std::min<int64_t>(kPanel, n - column);
    int64_t row = task % chunks * chunk, rows = std::min(chunk, m - row);
    int64_t width = (columns + 31) / 32 * 32, height = (rows + 31) / 32 * 32;
    float* sums = reinterpret_cast<float*>(sumsOf.need(height * width));
    for (int64_t from = 0; from < steps; from += kDepth / kStep) {
      int64_t count = std::min<int64_t>(kDepth / kStep, steps - from), part = count * parts * kTileWords;
      uint32_t* right = packedB.need(width / 16 * part);
      if (b.view.type == Type::packed) packBlocks(b, column, width / 16, from * kStep, (from + count) * kStep, split, right, part);
      else packBands(b, column, width / 16, from * kStep, (from + count) * kStep, true, split, right, part);
      // a piece of two bands of B stays in L1 while all rows of A pass by
      for (int64_t piece = 0; piece < count; piece += kPiece / parts)
        for (int64_t j = 0; j < width / 32; j++)
          for (int64_t i = 0; i < height / 32; i++) {
            int64_t deep = std::min<int64_t>(kPiece / parts, count - piece), skip = piece * parts * kTileWords;
            const uint32_t* a0 = left + (row / 16 + 2 * i) * band + from * parts * kTileWords + skip;
            const uint32_t* b0 = right + 2 * j * part + skip;
            block<split>(a0, a0 + band, b0, b0 + part, deep, sums + i * 32 * width + j * 32, width, from + piece > 0);
          }
    }
    writeRows(sums, width, shape, add, out, row, rows, column, columns);
  });
}

void product(View a, View b, View add, View out, const ProductShape& shape, bool split) {
  int64_t stride = shape.strideA ? shape.strideA : shape.transposeA ? shape.m : shape.k;
  Operand left{a, shape.m, shape.k, stride, !shape.transposeA};
  Operand right{b, shape.n, shape.k, shape.transposeB ? shape.k : shape.n, shape.transposeB};
  if (split && !(a.type == Type::bf16 && b.type == Type::bf16)) productOf<true>(left, right, add, out, shape);
  else productOf<false>(left, right, add, out, shape);
}

}  // namespace

ProductFunction amxProduct() {
  static const ProductFunction function = [] {
    bool has = __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    unsigned int a, b, c, d;
    __asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(7), "c"(0));
    bool tiles = (d >> 22 & 1) && (d >> 24 & 1);  // AMX-BF16 and AMX-TILE
    constexpr int request = 0x1023, tileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    return has && tiles && syscall(SYS_arch_prctl, request, tileData) == 0 ? product : nullptr;
  }();
  return function;
}

}  // namespace kernels
