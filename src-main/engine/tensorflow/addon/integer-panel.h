// Frozen weights as the instructions of integer-product.cc take them: a strip of columns at a time. Part of it.

/** Blocks [first, first + count) of a stored row: integers one after the other, scales and minima with kStrip between two blocks' ones. */
template <int format>
inline void readLine(const uint8_t* row, int64_t first, int64_t count, int8_t* to, float* scales, float* minima, int64_t next) {
  constexpr BlockFormat f = blockFormat(format);
  constexpr int inBlock = f.weights / kBlock;
  for (int64_t i = first; i < first + count; i++, to += kBlock, scales += next, minima += next) {
    Integers32 w = integers32<format>(row + i / inBlock * f.bytes, static_cast<int>(i % inBlock));
    _mm256_store_si256(reinterpret_cast<__m256i*>(to), w.integers);
    scales[0] = w.scale[0];
    if (scalesOf(format) == 2) scales[2 * kStrip] = w.scale[1];
    if (hasMinimum(format)) minima[0] = w.minimum;
  }
}
inline void roundLine(const StoredMatrix& w, const uint8_t* row, int64_t first, int64_t count, int8_t* to, float* scales, int64_t next) {
  for (int64_t i = first; i < first + count; i++, to += kBlock, scales += next) {
    float values[kBlock];
    int n = static_cast<int>(std::min<int64_t>(kBlock, w.width - i * kBlock));
    unpackRow(row, w.format, i * kBlock, n, values);
    Integers32 rounded = roundedQ8(values, n);
    _mm256_store_si256(reinterpret_cast<__m256i*>(to), rounded.integers);
    scales[0] = rounded.scale[0];
  }
}
inline void readLine(const StoredMatrix& w, int64_t line, int64_t first, int64_t count, int8_t* to, float* scales, float* minima, int64_t next) {
  const uint8_t* row = w.data + line * w.rowBytes;
  switch (w.format) {
    case kQ4_0: return readLine<kQ4_0>(row, first, count, to, scales, minima, next);
    case kQ4_1: return readLine<kQ4_1>(row, first, count, to, scales, minima, next);
    case kQ5_0: return readLine<kQ5_0>(row, first, count, to, scales, minima, next);
    case kQ5_1: return readLine<kQ5_1>(row, first, count, to, scales, minima, next);
    case kQ8_0: return readLine<kQ8_0>(row, first, count, to, scales, minima, next);
    case kQ4_K: return readLine<kQ4_K>(row, first, count, to, scales, minima, next);
    case kQ5_K: return readLine<kQ5_K>(row, first, count, to, scales, minima, next);
    case kQ6_K: return readLine<kQ6_K>(row, first, count, to, scales, minima, next);
    default: return roundLine(w, row, first, count, to, scales, next);
  }
}

/** Lines [kLanes][kDeep * 32] of half a strip into the panel, and where its sums begin. */
void turnLines(const int8_t* lines, int64_t blocks, int half, int parts, uint8_t* panel, int64_t bytes) {
#ifdef __AVX512F__
  for (int64_t b = 0; b < blocks; b += 2) {
    __m512i rows[16];
    for (int i = 0; i < 16; i++) rows[i] = _mm512_load_si512(lines + i * kDeep * kBlock + b * kBlock);
    turn16(rows);
    for (int i = 0; i < 16 && b + i / 8 < blocks; i++) _mm512_store_si512(panel + (b + i / 8) * bytes + (i % 8 * 2 + half) * 64, rows[i]);
  }
#else
  constexpr int steps = kBlock / kTogether;
  for (int64_t b = 0; b < blocks; b++) {
    Right* to = reinterpret_cast<Right*>(panel + b * bytes) + half * kLanes * kTogether;
    for (int i = 0; i < kLanes; i++)
      for (int s = 0; s < steps; s++)
        for (int j = 0; j < kTogether; j++) to[s * kStrip * kTogether + i * kTogether + j] = lines[i * kDeep * kBlock + b * kBlock + s * kTogether + j];
  }
#endif
  constexpr int64_t vector = kLanes * kTogether;
  for (int64_t b = 0; b < blocks; b++)
    for (int part = 0; part < parts; part++) {
      alignas(64) int32_t sums[kLanes] = {};
#if !defined(STUDIO_TILES) && (defined(__AVX512F__) || defined(__AVXVNNI__))
      Ints all{};
      const Right* w = reinterpret_cast<const Right*>(panel + b * bytes) + half * vector;
      int steps = kBlock / kTogether / parts;
      for (int s = part * steps; s < (part + 1) * steps; s++) all = dot(all, 0x01010101, loadInts(w + 2 * s * vector));
      std::memcpy(sums, &all, sizeof(sums));
#endif
      int32_t* to = reinterpret_cast<int32_t*>(panel + b * bytes + kWeightBytes) + 2 * part * kStrip + half * kLanes;
      for (int i = 0; i < kLanes; i++) to[i] = kBias - kOffset * sums[i];
    }
}

/** Columns [column, column + kStrip) of W^T over some blocks; 0 beyond the last. */
void packStrip(const StoredMatrix& w, int64_t column, int64_t first, int64_t blocks, uint8_t* panel) {
  int64_t bytes = panelBytes(w.format);
  int parts = scalesOf(w.format);
  alignas(64) int8_t lines[kLanes * kDeep * kBlock];
  for (int half = 0; half < 2; half++) {
    for (int i = 0; i < kLanes; i++) {
      int64_t line = column + half * kLanes + i;
      int8_t* to = lines + i * kDeep * kBlock;
      float* scales = reinterpret_cast<float*>(panel + kWeightBytes) + kStrip + half * kLanes + i;
      float* minima = scales + (2 * parts - 1) * kStrip;
      if (line < w.rows) {
        readLine(w, line, first, blocks, to, scales, minima, bytes / 4);
        continue;
      }
      std::memset(to, 0, blocks * kBlock);
      for (int64_t b = 0; b < blocks; b++) {
        for (int part = 0; part < parts; part++) scales[b * bytes / 4 + 2 * part * kStrip] = 0;
        if (hasMinimum(w.format)) minima[b * bytes / 4] = 0;
      }
    }
    turnLines(lines, blocks, half, parts, panel, bytes);
  }
}

/** Numbers [first, first + 32) of a stored row, blocks as one multiplication and addition: the same at every level. */
template <int format>
inline void valuesOf(const uint8_t* row, int64_t first, float* to) {
  constexpr BlockFormat f = blockFormat(format);
  Integers32 w = integers32<format>(row + first / f.weights * f.bytes, static_cast<int>(first % f.weights / kBlock));
  alignas(32) int8_t q[kBlock];
  _mm256_store_si256(reinterpret_cast<__m256i*>(q), w.integers);
  for (int i = 0; i < kBlock; i++) to[i] = std::fma(w.scale[scalesOf(format) == 2 ? i / 16 : 0], static_cast<float>(q[i]), w.minimum);
}
inline void valuesOf(const StoredMatrix& w, int64_t line, int64_t first, float* to) {
  const uint8_t* row = w.data + line * w.rowBytes;
  switch (w.format) {
    case kQ4_0: return valuesOf<kQ4_0>(row, first, to);
    case kQ4_1: return valuesOf<kQ4_1>(row, first, to);
    case kQ5_0: return valuesOf<kQ5_0>(row, first, to);
    case kQ5_1: return valuesOf<kQ5_1>(row, first, to);
    case kQ8_0: return valuesOf<kQ8_0>(row, first, to);
    case kQ4_K: return valuesOf<kQ4_K>(row, first, to);
    case kQ5_K: return valuesOf<kQ5_K>(row, first, to);
    case kQ6_K: return valuesOf<kQ6_K>(row, first, to);
    default: return unpackRow(row, w.format, first, std::min<int64_t>(kBlock, w.width - first), to);
  }
}

/** `Integers::turn` */
void turn(const StoredMatrix& w, uint8_t* to, int64_t rowBytes) {
  constexpr int bytes = blockFormat(kQ8_0).bytes;
  parallelFor((w.width + kBlock - 1) / kBlock, [&](int64_t piece) {
    int64_t first = piece * kBlock, inputs = std::min<int64_t>(kBlock, w.width - first);
    alignas(64) float values[kBlock][kBlock], most[kBlock], inverse[kBlock];
    for (int64_t output = 0; output < w.rows; output += kBlock) {
      int64_t outputs = std::min<int64_t>(kBlock, w.rows - output);
      if (outputs < kBlock || inputs < kBlock) std::memset(values, 0, sizeof(values));
      std::memset(most, 0, sizeof(most));
      for (int64_t r = 0; r < outputs; r++) {
        valuesOf(w, output + r, first, values[r]);
        for (int j = 0; j < kBlock; j++) most[j] = std::max(most[j], std::fabs(values[r][j]));
      }
      uint8_t* block = to + first * rowBytes + output / kBlock * bytes;
      for (int64_t j = 0; j < inputs; j++) {
        uint16_t scale = scaleOfQ8(most[j], inverse[j]);
        std::memcpy(block + j * rowBytes, &scale, 2);
        for (int r = 0; r < kBlock; r++) block[j * rowBytes + 2 + r] = static_cast<uint8_t>(static_cast<int8_t>(std::nearbyint(values[r][j] * inverse[j])));
      }
    }
  });
}
