// What a piece of a few rows of W has beside its integers: scales and minima, a row a lane. Part of integer-product.cc.

/** Up to kAlong blocks of kLanes rows of W. */
template <int format>
struct RowsPiece {
  static constexpr BlockFormat block = blockFormat(format);
  static constexpr int inBlock = block.weights / kBlock;
  const uint8_t* rows[kLanes];
  alignas(64) float scales[kAlong][scalesOf(format)][kLanes], minima[kAlong][kLanes];

  /** Begins in rows `row` to `row` + kLanes - 1 (beyond the last row it is there again), `first` times 32 weights into them. */
  void begin(const StoredMatrix& w, int64_t row, int64_t first) {
    for (int r = 0; r < kLanes; r++) rows[r] = w.data + std::min(row + r, w.rows - 1) * w.rowBytes + first / inBlock * block.bytes;
  }

  /** The same of weights in floating point, rounded into `to` [kLanes, kAlong blocks]. */
  void round(const StoredMatrix& w, int64_t row, int64_t first, int64_t count, uint8_t* to) {
    for (int r = 0; r < kLanes; r++, to += kAlong * block.bytes) {
      const uint8_t* from = w.data + std::min(row + r, w.rows - 1) * w.rowBytes;
      rows[r] = to;
      for (int64_t b = 0; b < count; b++) {
        float values[kBlock];
        int64_t at = (first + b) * kBlock, n = std::min<int64_t>(kBlock, w.width - at);
        unpackRow(from, w.format, at, n, values);
        Integers32 rounded = roundedQ8(values, static_cast<int>(n));
        putHalf(to + b * block.bytes, rounded.scale[0]);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + b * block.bytes + 2), rounded.integers);
      }
    }
  }

  /** Scales and minima of the first `count` blocks. */
  void readFactors(int64_t count) {
    if constexpr (inBlock > 1) {
      for (int64_t b = 0; b < count; b += inBlock) {
        if constexpr (format == kQ6_K) readSixteen(b);
        else readEight(b);
      }
      return;
    }
    for (int r = 0; r < kLanes; r++)
      for (int64_t b = 0; b < count; b++) {
        Integers32 w = integers32<format>(rows[r] + b * block.bytes, 0);
        scales[b][0][r] = w.scale[0];
        if (hasMinimum(format)) minima[b][r] = w.minimum;
      }
  }

  /**
   * Has what lies `apart` bytes behind here brought near, of every row so many bytes: the `part`-th of `parts` pieces of that. In the order
   * in which it lies in memory, and no further than L2: asking L1 for it gave half the speed.
   */
  void fetch(int64_t part, int64_t parts, int64_t apart, int64_t bytes) const {
    for (int64_t r = part * kLanes / parts; r < (part + 1) * kLanes / parts; r++)
      for (int64_t at = 0; at < bytes; at += 64) _mm_prefetch(reinterpret_cast<const char*>(rows[r]) + apart + at, _MM_HINT_T1);
  }

 private:
  /** Scales and minima of q4_k and q5_k: d and the minima's in f16, then 6 bits each in 12 bytes (see scaleAndMin). */
  void readEight(int64_t b) {
    Ints heads[4];
    Sums words[4];
    for (int i = 0; i < 4; i++) heads[i] = quads(rows + i, b / inBlock * block.bytes);
    turnQuads(heads, words);
    Floats d = floatsOfHalves(words[0]), m = -floatsOfHalves(words[0] >> 16);
    for (int j = 0; j < 8; j++) {
      auto byte = [&](int word) { return words[word] >> 8 * (j & 3); };
      Sums scale = j < 4 ? byte(1) & 63 : (byte(3) & 15) | (byte(1) >> 2 & 48), minimum = j < 4 ? byte(2) & 63 : (byte(3) >> 4 & 15) | (byte(2) >> 2 & 48);
      storeFloats(scales[b + j][0], d * floatsOf(scale));
      storeFloats(minima[b + j], m * floatsOf(minimum));
    }
  }
  /** Scales of q6_k: 8 bits each in 16 bytes, then d in f16. */
  void readSixteen(int64_t b) {
    Ints bytes[4];
    Sums words[4];
    for (int i = 0; i < 4; i++) bytes[i] = quads(rows + i, b / inBlock * block.bytes + 192);
    turnQuads(bytes, words);
    alignas(64) float d[kLanes];
    for (int r = 0; r < kLanes; r++) d[r] = half(rows[r] + b / inBlock * block.bytes + 208);
    for (int i = 0; i < 16; i++) storeFloats(scales[b + i / 2][i & 1], loadFloats(d) * floatsOf(words[i / 4] << (24 - 8 * (i & 3)) >> 24));
  }
};
