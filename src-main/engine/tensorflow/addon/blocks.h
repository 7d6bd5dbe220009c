// GGUF's blocks as they lie in the file, unpacked 32 weights at a time and made (layouts: ggml-common.h, arithmetic: ggml-quants.c of
// llama.cpp). Part of vector.cc.

inline float half(const uint8_t* at) {
  uint16_t h;
  std::memcpy(&h, at, 2);
  return _cvtsh_ss(h);
}
inline void putHalf(uint8_t* at, float f) {
  uint16_t h = _cvtss_sh(f, _MM_FROUND_TO_NEAREST_INT);
  std::memcpy(at, &h, 2);
}

/** 6-bit scale and minimum number `j` of a q4_k or q5_k block */
inline void scaleAndMin(int j, const uint8_t* s, int& scale, int& min) {
  if (j < 4) {
    scale = s[j] & 63;
    min = s[j + 4] & 63;
  } else {
    scale = (s[j + 4] & 15) | ((s[j - 4] >> 6) << 4);
    min = (s[j + 4] >> 4) | ((s[j] >> 6) << 4);
  }
}

#ifdef __AVX512F__
/** 32 weights in registers: the first 16, the others. */
struct Weights {
  __m512 first, second;
};

inline __m512i bytesOf(const uint8_t* at) { return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at))); }
inline __m512 signedBytes(const uint8_t* at) { return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)))); }
/** d * i + m for i from `start` on: a quant's value is looked up in it. */
inline __m512 ramp(float d, float m, float start = 0) {
  const __m512 count = _mm512_set_ps(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  return _mm512_fmadd_ps(_mm512_set1_ps(d), _mm512_add_ps(count, _mm512_set1_ps(start)), _mm512_set1_ps(m));
}
/** 16 quants of five bits, the fifth given by a mask */
inline __m512 fives(__m512i nibbles, __mmask16 fifth, float d, float m) {
  __m512i index = _mm512_and_si512(nibbles, _mm512_set1_epi32(15));
  index = _mm512_mask_or_epi32(index, fifth, index, _mm512_set1_epi32(16));
  return _mm512_permutex2var_ps(ramp(d, m), index, ramp(d, m, 16));
}

/** Weights 32 j to 32 j + 31 of one block. */
template <int format>
inline Weights weights32(const uint8_t* b, int j) {
  if constexpr (format == kQ4_0 || format == kQ4_1) {
    float d = half(b);
    __m512 table = ramp(d, format == kQ4_0 ? -8 * d : half(b + 2));
    __m512i index = bytesOf(b + (format == kQ4_0 ? 2 : 4));  // a look-up sees the lower four bits
    return {_mm512_permutexvar_ps(index, table), _mm512_permutexvar_ps(_mm512_srli_epi32(index, 4), table)};
  } else if constexpr (format == kQ5_0 || format == kQ5_1) {
    constexpr int head = format == kQ5_0 ? 2 : 4;
    float d = half(b), m = format == kQ5_0 ? -16 * d : half(b + 2);
    uint32_t high;
    std::memcpy(&high, b + head, 4);
    __m512i nibbles = bytesOf(b + head + 4);
    return {fives(nibbles, high & 0xffff, d, m), fives(_mm512_srli_epi32(nibbles, 4), high >> 16, d, m)};
  } else if constexpr (format == kQ8_0) {
    __m512 d = _mm512_set1_ps(half(b));
    return {_mm512_mul_ps(signedBytes(b + 2), d), _mm512_mul_ps(signedBytes(b + 18), d)};
  } else if constexpr (format == kQ4_K || format == kQ5_K) {
    int scale, min;
    scaleAndMin(j, b + 4, scale, min);
    float d = half(b) * scale, m = -half(b + 2) * min;
    const uint8_t* low = b + (format == kQ4_K ? 16 : 48) + 32 * (j >> 1);
    __m512i first = _mm512_srli_epi32(bytesOf(low), 4 * (j & 1)), second = _mm512_srli_epi32(bytesOf(low + 16), 4 * (j & 1));
    if constexpr (format == kQ4_K) {
      __m512 table = ramp(d, m);
      return {_mm512_permutexvar_ps(first, table), _mm512_permutexvar_ps(second, table)};
    } else {
      const __m512i bit = _mm512_set1_epi32(1 << j);
      return {fives(first, _mm512_test_epi32_mask(bytesOf(b + 16), bit), d, m), fives(second, _mm512_test_epi32_mask(bytesOf(b + 32), bit), d, m)};
    }
  } else {
    static_assert(format == kQ6_K);
    int n = j >> 2, part = j & 3;
    const uint8_t *low = b + 64 * n + 32 * (part & 1), *high = b + 128 + 32 * n;
    const int8_t* scales = reinterpret_cast<const int8_t*>(b + 192) + 8 * n + 2 * part;
    auto sixteen = [&](int i) {
      __m512i four = _mm512_and_si512(_mm512_srli_epi32(bytesOf(low + i), 4 * (part >> 1)), _mm512_set1_epi32(15));
      __m512i two = _mm512_and_si512(_mm512_srli_epi32(bytesOf(high + i), 2 * part), _mm512_set1_epi32(3));
      float d = half(b + 208) * scales[i / 16];
      __m512 quants = _mm512_cvtepi32_ps(_mm512_or_si512(four, _mm512_slli_epi32(two, 4)));
      return _mm512_fmadd_ps(_mm512_set1_ps(d), quants, _mm512_set1_ps(-32 * d));
    };
    return {sixteen(0), sixteen(16)};
  }
}
template <int format>
inline void unpack32As(const uint8_t* b, int j, float* y) {
  Weights w = weights32<format>(b, j);
  _mm512_storeu_ps(y, w.first);
  _mm512_storeu_ps(y + 16, w.second);
}
inline void unpack32(const uint8_t* b, int format, int j, float* y) {
  switch (format) {
    case kQ4_0: return unpack32As<kQ4_0>(b, j, y);
    case kQ4_1: return unpack32As<kQ4_1>(b, j, y);
    case kQ5_0: return unpack32As<kQ5_0>(b, j, y);
    case kQ5_1: return unpack32As<kQ5_1>(b, j, y);
    case kQ8_0: return unpack32As<kQ8_0>(b, j, y);
    case kQ4_K: return unpack32As<kQ4_K>(b, j, y);
    case kQ5_K: return unpack32As<kQ5_K>(b, j, y);
    case kQ6_K: return unpack32As<kQ6_K>(b, j, y);
  }
}
#else
/** d * q + m of 16 bytes, the lower four bits first */
inline void unpackNibbles(const uint8_t* q, float d, float m, float* y) {
  for (int i = 0; i < 16; i++) y[i] = d * (q[i] & 15) + m;
  for (int i = 0; i < 16; i++) y[i + 16] = d * (q[i] >> 4) + m;
}

/** q5_0 and q5_1: the fifth bits are a word of their own */
inline void unpackFives(const uint8_t* bits, float d, float m, float* y) {
  uint32_t high;
  std::memcpy(&high, bits, 4);
  const uint8_t* low = bits + 4;
  for (int i = 0; i < 16; i++) y[i] = d * static_cast<int>((low[i] & 15) | (high >> i & 1) << 4) + m;
  for (int i = 0; i < 16; i++) y[i + 16] = d * static_cast<int>((low[i] >> 4) | (high >> (i + 16) & 1) << 4) + m;
}

/** Weights 32 j to 32 j + 31 of one block. */
inline void unpack32(const uint8_t* b, int format, int j, float* y) {
  switch (format) {
    case kQ4_0: return unpackNibbles(b + 2, half(b), -8 * half(b), y);
    case kQ4_1: return unpackNibbles(b + 4, half(b), half(b + 2), y);
    case kQ5_0: return unpackFives(b + 2, half(b), -16 * half(b), y);
    case kQ5_1: return unpackFives(b + 4, half(b), half(b + 2), y);
    case kQ8_0: {
      float d = half(b);
      for (int i = 0; i < 32; i++) y[i] = d * static_cast<int8_t>(b[2 + i]);
      return;
    }
    case kQ4_K:
    case kQ5_K: {
      int scale, min, shift = 4 * (j & 1);
      scaleAndMin(j, b + 4, scale, min);
      float d = half(b) * scale, m = half(b + 2) * min;
      const uint8_t *high = b + 16, *low = b + (format == kQ4_K ? 16 : 48) + 32 * (j >> 1);
      if (format == kQ4_K)
        for (int i = 0; i < 32; i++) y[i] = d * (low[i] >> shift & 15) - m;
      else
        for (int i = 0; i < 32; i++) y[i] = d * ((low[i] >> shift & 15) | (high[i] >> j & 1) << 4) - m;
      return;
    }
    case kQ6_K: {
      int n = j >> 2, part = j & 3;
      const uint8_t *low = b + 64 * n + 32 * (part & 1), *high = b + 128 + 32 * n;
      const int8_t* scales = reinterpret_cast<const int8_t*>(b + 192) + 8 * n + 2 * part;
      float d[2] = {half(b + 208) * scales[0], half(b + 208) * scales[1]};
      int shift = 4 * (part >> 1), highShift = 2 * part;
      for (int s = 0; s < 2; s++)
        for (int i = 16 * s; i < 16 * s + 16; i++) y[i] = d[s] * (((low[i] >> shift & 15) | (high[i] >> highShift & 3) << 4) - 32);
      return;
    }
  }
}
#endif

/** f16 to f32, a register at a time: left to compilers it is one after the other */
inline void unpackHalves(const uint8_t* from, int64_t count, float* y) {
  int64_t i = 0;
#ifdef __AVX512F__
  for (; i + 16 <= count; i += 16) _mm512_storeu_ps(y + i, _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + 2 * i))));
#else
  for (; i + 8 <= count; i += 8) _mm256_storeu_ps(y + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 2 * i))));
#endif
  for (; i < count; i++) y[i] = half(from + 2 * i);
}

/** Weights [first, first + count) of a stored row; of blocks, multiples of 32. */
void unpackRow(const uint8_t* row, int format, int64_t first, int64_t count, float* y) {
  if (format == kF32) {
    std::memcpy(y, row + 4 * first, 4 * count);
  } else if (format == kBf16) {
    const uint16_t* from = reinterpret_cast<const uint16_t*>(row) + first;
    for (int64_t i = 0; i < count; i++) y[i] = fromBf16(from[i]);
  } else if (format == kF16) {
    unpackHalves(row + 2 * first, count, y);
  } else {
    BlockFormat f = blockFormat(format);
    for (int64_t i = first; i < first + count; i += 32, y += 32)
      unpack32(row + i / f.weights * f.bytes, format, static_cast<int>(i % f.weights / 32), y);
  }
}

/** f32 [count] into a row of q8_0, q4_0, bf16 or f32 (quantize_row_q8_0_ref and quantize_row_q4_0_ref) */
void packRow(const float* x, int format, int64_t count, uint8_t* row) {
  if (format == kF32) std::memcpy(row, x, 4 * count);
  if (format == kBf16)
    for (int64_t i = 0; i < count; i++) reinterpret_cast<uint16_t*>(row)[i] = toBf16(x[i]);
  if (format != kQ8_0 && format != kQ4_0) return;
  for (int64_t b = 0; b < count / 32; b++, x += 32, row += blockFormat(format).bytes) {
    float most = 0;
    for (int i = 0; i < 32; i++)
      if (std::fabs(x[i]) > std::fabs(most)) most = x[i];
    float d = format == kQ8_0 ? std::fabs(most) / 127 : most / -8, inverse = d == 0 ? 0 : 1 / d;
    putHalf(row, d);
    if (format == kQ8_0) {
      for (int i = 0; i < 32; i++) row[2 + i] = static_cast<uint8_t>(static_cast<int8_t>(std::round(x[i] * inverse)));
    } else {
      auto nibble = [&](float value) { return std::min(15, static_cast<int>(value * inverse + 8.5f)); };
      for (int i = 0; i < 16; i++) row[2 + i] = static_cast<uint8_t>(nibble(x[i]) | nibble(x[i + 16]) << 4);
    }
  }
}
