// The integers of GGUF's blocks, 32 weights at a time: weight = scale * integer + minimum. Part of integer-product.cc.

/** Whether a format's blocks have a minimum, and how many scales 32 weights have. */
constexpr bool hasMinimum(int format) { return format == kQ4_1 || format == kQ5_1 || format == kQ4_K || format == kQ5_K; }
constexpr int scalesOf(int format) { return format == kQ6_K ? 2 : 1; }

/** 32 weights: their integers, the scale of each half, and the minimum. */
struct Integers32 {
  __m256i integers;
  float scale[2], minimum;
};

inline __m256i bytes32(const uint8_t* at) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)); }
inline __m256i all8(int x) { return _mm256_set1_epi8(static_cast<char>(x)); }
/** 16 bytes as 32 of four bits: the lower ones first */
inline __m256i nibbles(const uint8_t* at) {
  __m128i q = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
  return _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(q, 4), q), all8(15));
}
/** bits [shift, shift + width) of each byte */
inline __m256i bitsOf(const uint8_t* at, int shift, int width) {
  return _mm256_and_si256(_mm256_srl_epi16(bytes32(at), _mm_cvtsi32_si128(shift)), all8((1 << width) - 1));
}
/** 16 in each byte whose bit of a word is set */
inline __m256i fifths(const uint8_t* word) {
  int32_t bits;
  std::memcpy(&bits, word, 4);
  const __m256i byteOf = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
  const __m256i bitOf = _mm256_set1_epi64x(int64_t(0x8040201008040201));
  __m256i mine = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32(bits), byteOf), bitOf);
  return _mm256_and_si256(_mm256_cmpeq_epi8(mine, bitOf), all8(16));
}

/** Weights 32 j to 32 j + 31 of one block. */
template <int format>
inline Integers32 integers32(const uint8_t* b, int j) {
  if constexpr (format == kQ4_0) {
    return {_mm256_sub_epi8(nibbles(b + 2), all8(8)), {half(b), 0}, 0};
  } else if constexpr (format == kQ4_1) {
    return {nibbles(b + 4), {half(b), 0}, half(b + 2)};
  } else if constexpr (format == kQ5_0) {
    return {_mm256_sub_epi8(_mm256_or_si256(nibbles(b + 6), fifths(b + 2)), all8(16)), {half(b), 0}, 0};
  } else if constexpr (format == kQ5_1) {
    return {_mm256_or_si256(nibbles(b + 8), fifths(b + 4)), {half(b), 0}, half(b + 2)};
  } else if constexpr (format == kQ8_0) {
    return {bytes32(b + 2), {half(b), 0}, 0};
  } else if constexpr (format == kQ4_K || format == kQ5_K) {
    int scale, min;
    scaleAndMin(j, b + 4, scale, min);
    __m256i q = bitsOf(b + (format == kQ4_K ? 16 : 48) + 32 * (j >> 1), 4 * (j & 1), 4);
    if (format == kQ5_K) q = _mm256_or_si256(q, _mm256_slli_epi16(bitsOf(b + 16, j, 1), 4));
    return {q, {half(b) * scale, 0}, -half(b + 2) * min};
  } else {
    static_assert(format == kQ6_K);
    int n = j >> 2, part = j & 3;
    __m256i low = bitsOf(b + 64 * n + 32 * (part & 1), 4 * (part >> 1), 4), high = bitsOf(b + 128 + 32 * n, 2 * part, 2);
    const int8_t* scales = reinterpret_cast<const int8_t*>(b + 192) + 8 * n + 2 * part;
    float d = half(b + 208);
    return {_mm256_sub_epi8(_mm256_or_si256(low, _mm256_slli_epi16(high, 4)), all8(32)), {d * scales[0], d * scales[1]}, 0};
  }
}
