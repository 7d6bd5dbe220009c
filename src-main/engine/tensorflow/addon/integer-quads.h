// Blocks of several rows of W side by side in a register: the first 16 weights of each row's 32 in one, the others in the next. Their
// integers come without a sign, offsetOf(format) too large. Part of integer-product.cc.

typedef uint16_t Words __attribute__((vector_size(sizeof(Ints)), may_alias));
typedef int32_t Sums __attribute__((vector_size(sizeof(Ints)), may_alias));

inline __m128i sixteen(const void* at) { return _mm_loadu_si128(static_cast<const __m128i*>(at)); }

/** 16 bytes of every fourth row, and 16 numbers of x beside each of them. */
#ifdef __AVX512F__
inline Ints quads(const uint8_t* const* rows, int64_t at) {
  __m256i low = _mm256_set_m128i(sixteen(rows[4] + at), sixteen(rows[0] + at)), high = _mm256_set_m128i(sixteen(rows[12] + at), sixteen(rows[8] + at));
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}
inline Ints beside(const int8_t* q) { return _mm512_broadcast_i32x4(sixteen(q)); }
inline Ints allBytes(int x) { return _mm512_set1_epi8(static_cast<char>(x)); }
inline Ints dotQuads(Ints sums, Ints w, Ints x) { return _mm512_dpbusd_epi32(sums, w, x); }
inline Ints low32(Ints a, Ints b) { return _mm512_unpacklo_epi32(a, b); }
inline Ints high32(Ints a, Ints b) { return _mm512_unpackhi_epi32(a, b); }
inline Ints low64(Ints a, Ints b) { return _mm512_unpacklo_epi64(a, b); }
inline Ints high64(Ints a, Ints b) { return _mm512_unpackhi_epi64(a, b); }
inline Floats floatsOf(Sums x) { return _mm512_cvtepi32_ps(Ints(x)); }
/** of the lower 16 bits of each lane, as f16 */
inline Floats floatsOfHalves(Sums x) { return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(Ints(x))); }
#else
inline Ints quads(const uint8_t* const* rows, int64_t at) { return _mm256_set_m128i(sixteen(rows[4] + at), sixteen(rows[0] + at)); }
inline Ints beside(const int8_t* q) { return _mm256_broadcastsi128_si256(sixteen(q)); }
inline Ints allBytes(int x) { return all8(x); }
#ifdef __AVXVNNI__
inline Ints dotQuads(Ints sums, Ints w, Ints x) { return _mm256_dpbusd_avx_epi32(sums, w, x); }
#else
inline Ints dotQuads(Ints sums, Ints w, Ints x) { return _mm256_add_epi32(sums, _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), _mm256_set1_epi16(1))); }
#endif
inline Ints low32(Ints a, Ints b) { return _mm256_unpacklo_epi32(a, b); }
inline Ints high32(Ints a, Ints b) { return _mm256_unpackhi_epi32(a, b); }
inline Ints low64(Ints a, Ints b) { return _mm256_unpacklo_epi64(a, b); }
inline Ints high64(Ints a, Ints b) { return _mm256_unpackhi_epi64(a, b); }
inline Floats floatsOf(Sums x) { return _mm256_cvtepi32_ps(Ints(x)); }
inline Floats floatsOfHalves(Sums x) {
  __m256i low = Ints(x & 0xffff);
  return _mm256_cvtph_ps(_mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1)));
}
#endif

/** lane 4 q + i: the sum of quad q of register i */
inline Sums sumsOfQuads(const Ints* s) {
  Ints a = Ints(Sums(low32(s[0], s[1])) + Sums(high32(s[0], s[1]))), b = Ints(Sums(low32(s[2], s[3])) + Sums(high32(s[2], s[3])));
  return Sums(low64(a, b)) + Sums(high64(a, b));
}
/** lane 4 q + i of register k: lane k of quad q of register i */
inline void turnQuads(const Ints* s, Sums* to) {
  Ints a = low32(s[0], s[1]), b = low32(s[2], s[3]), c = high32(s[0], s[1]), d = high32(s[2], s[3]);
  to[0] = Sums(low64(a, b)), to[1] = Sums(high64(a, b)), to[2] = Sums(low64(c, d)), to[3] = Sums(high64(c, d));
}

/** Whether weights of 8 bits keep their sign: without VNNI sums of two products would exceed 16 bits else. */
#if defined(__AVX512F__) || defined(__AVXVNNI__)
constexpr bool kSigned8 = false;
template <int format>
inline Ints dotOf(Ints sums, Ints w, Ints x) { return dotQuads(sums, w, x); }
#else
constexpr bool kSigned8 = true;
template <int format>
inline Ints dotOf(Ints sums, Ints w, Ints x) {
  return format == kQ8_0 ? dotQuads(sums, _mm256_abs_epi8(w), _mm256_sign_epi8(x, w)) : dotQuads(sums, w, x);
}
#endif

constexpr int offsetOf(int format) {
  switch (format) {
    case kQ4_0: return 8;
    case kQ5_0: return 16;
    case kQ6_K: return 32;
    case kQ8_0: return kSigned8 ? 0 : 128;
    default: return 0;
  }
}

/** bits [shift, shift + width) of each byte */
inline Ints bitsOfQuads(Ints x, int shift, int width) { return Ints(Words(x) >> shift) & allBytes((1 << width) - 1); }

/** 16 in each byte whose bit is set in the 16 bits of its row */
inline Ints fifthsOfQuads(const uint8_t* const* rows, int64_t at) {
  uint64_t all = 0;
  for (int q = 0; q < kLanes / 4; q++) {
    uint16_t word;
    std::memcpy(&word, rows[4 * q] + at, 2);
    all |= uint64_t(word) << 16 * q;
  }
#ifdef __AVX512F__
  return _mm512_maskz_set1_epi8(all, 16);
#else
  return fifths(reinterpret_cast<const uint8_t*>(&all));
#endif
}

/** Weights 32 j to 32 j + 31 of a block, `at` bytes behind where every fourth of the rows begins. */
template <int format>
inline void quadsOfBlock(const uint8_t* const* rows, int64_t at, int j, Ints& first, Ints& others) {
  if constexpr (format == kQ4_0 || format == kQ4_1 || format == kQ5_0 || format == kQ5_1) {
    constexpr int head = format == kQ4_0 || format == kQ5_0 ? 2 : 4;
    constexpr bool five = format == kQ5_0 || format == kQ5_1;
    Ints q = quads(rows, at + head + 4 * five);
    first = bitsOfQuads(q, 0, 4), others = bitsOfQuads(q, 4, 4);
    if constexpr (five) first |= fifthsOfQuads(rows, at + head), others |= fifthsOfQuads(rows, at + head + 2);
  } else if constexpr (format == kQ8_0) {
    first = quads(rows, at + 2), others = quads(rows, at + 18);
    if constexpr (!kSigned8) first ^= allBytes(-128), others ^= allBytes(-128);
  } else if constexpr (format == kQ4_K || format == kQ5_K) {
    int64_t low = at + (format == kQ4_K ? 16 : 48) + 32 * (j >> 1);
    first = bitsOfQuads(quads(rows, low), 4 * (j & 1), 4), others = bitsOfQuads(quads(rows, low + 16), 4 * (j & 1), 4);
    if constexpr (format == kQ5_K) {
      first |= Ints(Words(bitsOfQuads(quads(rows, at + 16), j, 1)) << 4);
      others |= Ints(Words(bitsOfQuads(quads(rows, at + 32), j, 1)) << 4);
    }
  } else {
    static_assert(format == kQ6_K);
    int n = j >> 2, part = j & 3;
    int64_t low = at + 64 * n + 32 * (part & 1), high = at + 128 + 32 * n;
    auto half = [&](int i) {
      return bitsOfQuads(quads(rows, low + i), 4 * (part >> 1), 4) | Ints(Words(bitsOfQuads(quads(rows, high + i), 2 * part, 2)) << 4);
    };
    first = half(0), others = half(16);
  }
}
