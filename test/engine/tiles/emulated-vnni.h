// AVX-VNNI's dot of four numbers of 8 bits as a plain loop, in the place of the instruction: for processors without it.
#pragma once
#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace emulated {
/** x without a sign, w with one */
inline __m256i dot(__m256i sums, __m256i x, __m256i w) {
  uint8_t a[32];
  int8_t b[32];
  int32_t out[8];
  std::memcpy(a, &x, 32);
  std::memcpy(b, &w, 32);
  std::memcpy(out, &sums, 32);
  for (int i = 0; i < 32; i++) out[i / 4] += a[i] * b[i];
  std::memcpy(&sums, out, 32);
  return sums;
}
}  // namespace emulated

#undef _mm256_dpbusd_avx_epi32
#define _mm256_dpbusd_avx_epi32(sums, x, w) emulated::dot(sums, x, w)
#define __AVXVNNI__ 1
