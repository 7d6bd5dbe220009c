// x in integers, by token and block of 32: x ~ d q, d = max |x| / 127. Part of integer-product.cc.

/** The largest magnitude of 32 numbers, by their bits: what is no number is the largest. */
inline float largestOf(const float* x) {
#ifdef __AVX512F__
  const __m512i sign = _mm512_set1_epi32(0x7fffffff);
  __m512i a = _mm512_and_si512(_mm512_loadu_si512(x), sign), b = _mm512_and_si512(_mm512_loadu_si512(x + 16), sign);
  a = _mm512_max_epi32(a, b);
  __m256i most = _mm256_max_epi32(_mm512_castsi512_si256(a), _mm512_extracti64x4_epi64(a, 1));
#else
  const __m256i sign = _mm256_set1_epi32(0x7fffffff);
  auto magnitude = [&](int i) { return _mm256_and_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i)), sign); };
  __m256i most = _mm256_max_epi32(_mm256_max_epi32(magnitude(0), magnitude(8)), _mm256_max_epi32(magnitude(16), magnitude(24)));
#endif
  __m128i m = _mm_max_epi32(_mm256_castsi256_si128(most), _mm256_extracti128_si256(most, 1));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
  return _mm_cvtss_f32(_mm_castsi128_ps(m));
}

/** 32 numbers times `inverse`, rounded half to even */
inline __m256i rounded(const float* x, float inverse) {
#ifdef __AVX512F__
  __m512 by = _mm512_set1_ps(inverse);
  __m128i low = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x), by)));
  __m128i high = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + 16), by)));
  return _mm256_set_m128i(high, low);
#else
  auto eight = [&](int i) { return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i), _mm256_set1_ps(inverse))); };
  __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(eight(0), eight(8)), _mm256_packs_epi32(eight(16), eight(24)));
  return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
#endif
}

/** The scale of numbers of this largest magnitude in q8_0, and what makes integers of them. */
inline uint16_t scaleOfQ8(float most, float& inverse) {
  float d = most / 127;
  inverse = d == 0 ? 0 : 1 / d;
  return _cvtss_sh(d, _MM_FROUND_TO_NEAREST_INT);
}

/** Weights that lie in floating point, as q8_0: up to 32 numbers, 0 beyond them. */
inline Integers32 roundedQ8(const float* x, int count) {
  alignas(64) float part[kBlock] = {};
  if (count < kBlock) {
    std::memcpy(part, x, count * sizeof(float));
    x = part;
  }
  float inverse, scale = _cvtsh_ss(scaleOfQ8(largestOf(x), inverse));
  return {rounded(x, inverse), {scale, 0}, 0};
}

/** 32 numbers as d times integers, and these 128 larger without a sign. */
struct Rounded32 {
  __m256i integers, shifted;
  float d;
  /** of the first 16 integers, and of the others */
  int32_t sums[2];
};
inline Rounded32 rounded32(const float* x) {
  float most = largestOf(x), d = 0, inverse = 0;
  if (!(most < kSmallest)) {
    inverse = 127 / most;
    // without its last two bits: kBiasValue times d is exact then
    uint32_t bits;
    float scale = most / 127;
    std::memcpy(&bits, &scale, 4);
    bits &= ~3u;
    std::memcpy(&d, &bits, 4);
    if (!(most <= 3.4e38f)) d = NAN;
  }
  __m256i integers = rounded(x, inverse), shifted = _mm256_xor_si256(integers, all8(-128));
  __m256i sums = _mm256_sad_epu8(shifted, _mm256_setzero_si256());
  auto sumOf = [](__m128i two) { return static_cast<int32_t>(_mm_cvtsi128_si64(two) + _mm_extract_epi64(two, 1)) - 128 * kBlock / 2; };
  return {integers, shifted, d, {sumOf(_mm256_castsi256_si128(sums)), sumOf(_mm256_extracti128_si256(sums, 1))}};
}

/** 32 numbers of row `row` of a band: their integers, and the row's factors. */
inline void roundBlock(const float* x, int row, Left* q, float* factors) {
  auto [integers, shifted, d, halves] = rounded32(x);
  int32_t sum = halves[0] + halves[1];
  factors[row] = d;
  factors[kBandRows + row] = kBiasValue * d;
  factors[2 * kBandRows + row] = d * static_cast<float>(sum);
  Left* to = q + row * kBlock;
  if constexpr (sizeof(Left) == 1) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), kOffset ? shifted : integers);
  } else {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_cvtepi8_epi16(_mm256_castsi256_si128(integers)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 16), _mm256_cvtepi8_epi16(_mm256_extracti128_si256(integers, 1)));
  }
}

/** The bands of x: integers [bands, blocks, kBandRows, 32], then factors [bands, blocks, kFactors]. */
struct Bands {
  int64_t blocks, bands;
  Left* q;
  float* factors;
  Bands(const Rounded& x) : blocks(shares(x.depth, kBlock)), bands(shares(x.tokens, kBandRows)), q(reinterpret_cast<Left*>(x.data)) {
    factors = reinterpret_cast<float*>(q + bands * blocks * kLeft);
  }
};

/** `Integers::roundedBytes` */
int64_t roundedBytes(int64_t tokens, int64_t depth) {
  return shares(tokens, kBandRows) * shares(depth, kBlock) * int64_t(kLeft * sizeof(Left) + kFactors * sizeof(float));
}

/** `Integers::round`; beyond the last row and the last number are zeros */
void round(const float* x, int64_t row, int64_t rows, int64_t column, int64_t columns, const Rounded& to) {
  Bands bands(to);
  int64_t end = row + rows == to.tokens ? bands.bands * kBandRows : row + rows;
  for (int64_t b = column / kBlock; b < shares(column + columns, kBlock); b++)
    for (int64_t i = row; i < end; i++) {
      alignas(64) float part[kBlock] = {};
      const float* from = x + i * to.depth + b * kBlock;
      int64_t count = i < to.tokens ? std::min<int64_t>(kBlock, to.depth - b * kBlock) : 0, at = i / kBandRows * bands.blocks + b;
      if (count < kBlock) {
        std::memcpy(part, from, count * sizeof(float));
        from = part;
      }
      roundBlock(from, static_cast<int>(i % kBandRows), bands.q + at * kLeft, bands.factors + at * kFactors);
    }
}
