// Building blocks of vector.cc: bf16 rows, an exponential that vectorises, and a small matrix product in registers.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels.h"

namespace kernels {
namespace {

inline float fromBf16(uint16_t b) {
  uint32_t bits = uint32_t(b) << 16;
  float f;
  std::memcpy(&f, &bits, 4);
  return f;
}
/** to nearest, ties to even; NaN stays NaN only as far as the step needs: a loss that is not finite is reported in f32 */
inline uint16_t toBf16(float f) {
  uint32_t bits;
  std::memcpy(&bits, &f, 4);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

/** e^x to about 2 ulp, branch-free; below -87 it is 0. A loop that calls it instead of taking it in is not vectorised. */
__attribute__((always_inline)) inline float fastExp(float x) {
  float clamped = std::min(std::max(x, -87.0f), 88.0f);
  float n = std::nearbyint(clamped * 1.44269504f);
  float r = clamped - n * 0.693359375f + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  int32_t bits = (static_cast<int32_t>(n) + 127) << 23;
  float scale;
  std::memcpy(&scale, &bits, 4);
  return x < -87.0f ? 0.0f : p * scale;
}

/** A register's floats: a wider type than the processor's would live in memory. `kColumnLanes`: as many of them as six rows of sums leave room for. */
#ifdef __AVX512F__
constexpr int kLanes = 16, kColumnLanes = 4;
#else
constexpr int kLanes = 8, kColumnLanes = 2;
#endif
typedef float Lanes __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));

/** The largest of `start` and n numbers, a register of them at a time: with NaN in mind, compilers look at one after the other. */
inline float largest(const float* x, int64_t n, float start) {
  int64_t i = 0;
  if (n >= kLanes) {
    Lanes top = *reinterpret_cast<const Lanes*>(x);
    for (i = kLanes; i + kLanes <= n; i += kLanes) {
      Lanes next = *reinterpret_cast<const Lanes*>(x + i);
      top = next > top ? next : top;
    }
    for (int lane = 0; lane < kLanes; lane++) start = std::max(start, top[lane]);
  }
  for (; i < n; i++) start = std::max(start, x[i]);
  return start;
}

/** A stretch of a view as f32: itself, or converted into a buffer of its own. */
class Row {
 public:
  Row(View view, int64_t offset, int64_t n) {
    if (view.type == Type::f32) {
      data_ = static_cast<const float*>(view.data) + offset;
      return;
    }
    const uint16_t* from = static_cast<const uint16_t*>(view.data) + offset;
    float* to = n <= kInline ? inline_ : (heap_.resize(n), heap_.data());
    for (int64_t i = 0; i < n; i++) to[i] = fromBf16(from[i]);
    data_ = to;
  }
  const float& operator[](int64_t i) const { return data_[i]; }

 private:
  static constexpr int64_t kInline = 2048;
  const float* data_;
  alignas(64) float inline_[kInline];
  std::vector<float> heap_;
};

/** A stretch to be written: f32 goes straight to its place, bf16 when the row ends. */
class OutRow {
 public:
  OutRow(View view, int64_t offset, int64_t n) : n_(n) {
    if (view.type == Type::f32) {
      data_ = static_cast<float*>(view.data) + offset;
      return;
    }
    to_ = static_cast<uint16_t*>(view.data) + offset;
    data_ = n <= kInline ? inline_ : (heap_.resize(n), heap_.data());
  }
  ~OutRow() {
    if (to_)
      for (int64_t i = 0; i < n_; i++) to_[i] = toBf16(data_[i]);
  }
  float& operator[](int64_t i) { return data_[i]; }

 private:
  static constexpr int64_t kInline = 2048;
  int64_t n_;
  float* data_;
  uint16_t* to_ = nullptr;
  alignas(64) float inline_[kInline];
  std::vector<float> heap_;
};

inline float valueAt(View view, int64_t i) {
  return view.type == Type::f32 ? static_cast<const float*>(view.data)[i] : fromBf16(static_cast<const uint16_t*>(view.data)[i]);
}
inline void copyRow(View view, int64_t offset, int64_t n, float* to) {
  if (view.type == Type::f32) {
    std::memcpy(to, static_cast<const float*>(view.data) + offset, n * sizeof(float));
  } else {
    const uint16_t* from = static_cast<const uint16_t*>(view.data) + offset;
    for (int64_t i = 0; i < n; i++) to[i] = fromBf16(from[i]);
  }
}
inline void zero(View view, int64_t offset, int64_t n) {
  int size = view.type == Type::f32 ? 4 : 2;
  std::memset(static_cast<char*>(view.data) + offset * size, 0, n * size);
}
inline const float* floats(View view, int64_t n, std::vector<float>& copy) {
  if (view.type == Type::f32) return static_cast<const float*>(view.data);
  copy.resize(n);
  for (int64_t i = 0; i < n; i++) copy[i] = valueAt(view, i);
  return copy.data();
}
/** to[offset + i] = from[offset + i] + sums[i] */
inline void addTo(View from, View to, int64_t offset, const float* sums, int64_t n) {
  if (from.type == Type::f32 && to.type == Type::f32) {
    const float* a = static_cast<const float*>(from.data) + offset;
    float* b = static_cast<float*>(to.data) + offset;
    for (int64_t i = 0; i < n; i++) b[i] = a[i] + sums[i];
  } else if (from.type == Type::bf16 && to.type == Type::bf16) {
    const uint16_t* a = static_cast<const uint16_t*>(from.data) + offset;
    uint16_t* b = static_cast<uint16_t*>(to.data) + offset;
    for (int64_t i = 0; i < n; i++) b[i] = toBf16(fromBf16(a[i]) + sums[i]);
  } else {
    Row a(from, offset, n);
    OutRow b(to, offset, n);
    for (int64_t i = 0; i < n; i++) b[i] = a[i] + sums[i];
  }
}

/** C [M, kLanes N] (+)= A B over `inner`, all in registers. A at a[m * aRow + k * aColumn], B rows contiguous. */
template <int M, int N>
inline void product(const float* a, int64_t aRow, int64_t aColumn, const float* b, int64_t bRow, float* c, int64_t cRow, int64_t inner, bool add) {
  Lanes sums[M][N];
  for (int m = 0; m < M; m++)
    for (int n = 0; n < N; n++) sums[m][n] = add ? *reinterpret_cast<const Lanes*>(c + m * cRow + n * kLanes) : Lanes{};
  for (int64_t k = 0; k < inner; k++) {
    Lanes right[N];
    for (int n = 0; n < N; n++) right[n] = *reinterpret_cast<const Lanes*>(b + k * bRow + n * kLanes);
    for (int m = 0; m < M; m++) {
      float left = a[m * aRow + k * aColumn];
      for (int n = 0; n < N; n++) sums[m][n] += left * right[n];
    }
  }
  for (int m = 0; m < M; m++)
    for (int n = 0; n < N; n++) *reinterpret_cast<Lanes*>(c + m * cRow + n * kLanes) = sums[m][n];
}

/** The last `own` of kLanes columns, those before them being done: C [M, own] (+)= A B. */
template <int M>
inline void lastColumns(const float* a, int64_t aRow, int64_t aColumn, const float* b, int64_t bRow, float* c, int64_t cRow, int64_t inner, bool add,
                        int64_t own) {
  Lanes sums[M] = {};
  for (int64_t k = 0; k < inner; k++) {
    Lanes right = *reinterpret_cast<const Lanes*>(b + k * bRow);
    for (int m = 0; m < M; m++) sums[m] += a[m * aRow + k * aColumn] * right;
  }
  for (int m = 0; m < M; m++)
    for (int64_t lane = kLanes - own; lane < kLanes; lane++) c[m * cRow + lane] = (add ? c[m * cRow + lane] : 0) + sums[m][lane];
}

/** The same for any size: C [m, n] (+)= A B. */
inline void productAny(const float* a, int64_t aRow, int64_t aColumn, const float* b, int64_t bRow, float* c, int64_t cRow, int64_t m, int64_t n,
                       int64_t inner, bool add) {
  int64_t column = 0;
  constexpr int wide = kColumnLanes * kLanes;
  for (; column + wide <= n; column += wide) {
    int64_t row = 0;
    for (; row + 6 <= m; row += 6)
      product<6, kColumnLanes>(a + row * aRow, aRow, aColumn, b + column, bRow, c + row * cRow + column, cRow, inner, add);
    for (; row + 2 <= m; row += 2)
      product<2, kColumnLanes>(a + row * aRow, aRow, aColumn, b + column, bRow, c + row * cRow + column, cRow, inner, add);
    for (; row < m; row++) product<1, kColumnLanes>(a + row * aRow, aRow, aColumn, b + column, bRow, c + row * cRow + column, cRow, inner, add);
  }
  for (; column + kLanes <= n; column += kLanes) {
    int64_t row = 0;
    for (; row + 8 <= m; row += 8)
      product<8, 1>(a + row * aRow, aRow, aColumn, b + column, bRow, c + row * cRow + column, cRow, inner, add);
    for (; row < m; row++) product<1, 1>(a + row * aRow, aRow, aColumn, b + column, bRow, c + row * cRow + column, cRow, inner, add);
  }
  if (column < n && n >= kLanes) {
    int64_t row = 0, own = n - column;
    for (column = n - kLanes; row + 8 <= m; row += 8)
      lastColumns<8>(a + row * aRow, aRow, aColumn, b + column, bRow, c + row * cRow + column, cRow, inner, add, own);
    for (; row < m; row++) lastColumns<1>(a + row * aRow, aRow, aColumn, b + column, bRow, c + row * cRow + column, cRow, inner, add, own);
    return;
  }
  for (; column < n; column++)
    for (int64_t row = 0; row < m; row++) {
      float sum = add ? c[row * cRow + column] : 0;
      for (int64_t k = 0; k < inner; k++) sum += a[row * aRow + k * aColumn] * b[k * bRow + column];
      c[row * cRow + column] = sum;
    }
}

}  // namespace
}  // namespace kernels
