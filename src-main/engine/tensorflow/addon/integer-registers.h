// What a level of instructions has for products in integers: how many numbers of a line one instruction adds up into a lane, and in which
// type the factors wait for it. Part of integer-product.cc.

#ifdef __AVX512F__
typedef __m512i Ints;
typedef __m512 Floats;
typedef int8_t Right;
constexpr int kTogether = 4;
#ifdef STUDIO_TILES
constexpr int kBandRows = 32;
constexpr int kOffset = 0;
typedef int8_t Left;
#else
constexpr int kBandRows = 6;
constexpr int kOffset = 128;  // of x, which the instruction takes without a sign
typedef uint8_t Left;
inline Ints dot(Ints sums, int32_t x, Ints w) { return _mm512_dpbusd_epi32(sums, _mm512_set1_epi32(x), w); }
#endif

inline Ints loadInts(const void* at) { return _mm512_load_si512(at); }
inline Floats loadFloats(const float* at) { return _mm512_load_ps(at); }
inline void storeFloats(float* at, Floats x) { _mm512_store_ps(at, x); }
inline Floats all(float x) { return _mm512_set1_ps(x); }
inline Floats asFloats(Ints x) { return _mm512_castsi512_ps(x); }
inline Floats multiplyAdd(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
inline Floats multiplySubtract(Floats a, Floats b, Floats c) { return _mm512_fmsub_ps(a, b, c); }

/** the first `count` lanes of a row of y */
inline Floats loadSome(const float* at, int64_t count) { return _mm512_maskz_loadu_ps(count >= 16 ? 0xffff : (1u << std::max<int64_t>(count, 0)) - 1, at); }
inline void storeSome(float* at, int64_t count, Floats x) { _mm512_mask_storeu_ps(at, count >= 16 ? 0xffff : (1u << std::max<int64_t>(count, 0)) - 1, x); }
#else
typedef __m256i Ints;
typedef __m256 Floats;
#ifdef __AVXVNNI__
constexpr int kBandRows = 4, kTogether = 4;
constexpr int kOffset = 128;
typedef uint8_t Left;
typedef int8_t Right;
inline Ints dot(Ints sums, int32_t x, Ints w) { return _mm256_dpbusd_avx_epi32(sums, _mm256_set1_epi32(x), w); }
#else
// two products of 16 bits a lane: those of 8 bits would lose what exceeds 16
constexpr int kBandRows = 4, kTogether = 2;
constexpr int kOffset = 0;
typedef int16_t Left;
typedef int16_t Right;
inline Ints dot(Ints sums, int32_t x, Ints w) { return _mm256_add_epi32(sums, _mm256_madd_epi16(_mm256_set1_epi32(x), w)); }
#endif
inline Ints loadInts(const void* at) { return _mm256_load_si256(static_cast<const __m256i*>(at)); }
inline Floats loadFloats(const float* at) { return _mm256_load_ps(at); }
inline void storeFloats(float* at, Floats x) { _mm256_store_ps(at, x); }
inline Floats all(float x) { return _mm256_set1_ps(x); }
inline Floats asFloats(Ints x) { return _mm256_castsi256_ps(x); }
inline Floats multiplyAdd(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
inline Floats multiplySubtract(Floats a, Floats b, Floats c) { return _mm256_fmsub_ps(a, b, c); }

inline __m256i firstLanes(int64_t count) { return _mm256_cmpgt_epi32(_mm256_set1_epi32(int(std::clamp<int64_t>(count, 0, 8))), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)); }
inline Floats loadSome(const float* at, int64_t count) { return _mm256_maskload_ps(at, firstLanes(count)); }
inline void storeSome(float* at, int64_t count, Floats x) { _mm256_maskstore_ps(at, firstLanes(count), x); }
#endif
