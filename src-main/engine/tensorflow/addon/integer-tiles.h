// A band of x by a strip of W^T on AMX tiles: two tiles of 16 rows by two of 16 columns. What a block's tiles hold goes through L1 to
// the registers that add it up. Part of integer-product.cc.

/** Tiles of so many parts of a block. */
inline TileConfig partsOfBlocks(int parts) {
  TileConfig config;
  config.columns[4] = config.columns[5] = static_cast<uint16_t>(kBlock / parts);
  config.rows[6] = config.rows[7] = static_cast<uint8_t>(kBlock / kTogether / parts);
  return config;
}

constexpr int kTiled = 4;  // parts of blocks whose tiles wait in L1 together: their scales lie in registers

/** As in integer-band.h; the last bits are the same, too. */
template <bool minimum, int parts>
void bandByStrip(const Left* q, const float* factors, const uint8_t* panel, int64_t blocks, float* y, int64_t stride, int64_t rows, int64_t columns, bool add) {
  constexpr int together = kTiled / parts;
  constexpr int64_t bytes = kWeightBytes + (2 * parts + minimum) * kStrip * 4;
  alignas(64) static thread_local int32_t tiled[kTiled][kBandRows][kStrip];
  alignas(64) static thread_local float sums[kBandRows][kStrip];
  int64_t own = std::min<int64_t>(rows, kBandRows);
  for (int64_t r = 0; r < own; r++)
    for (int c = 0; c < 2; c++) _mm512_store_ps(sums[r] + c * kLanes, add ? loadSome(y + r * stride + c * kLanes, columns - c * kLanes) : Floats{});
  for (int64_t b = 0; b < blocks; b += together) {
    int count = static_cast<int>(std::min<int64_t>(together, blocks - b));
    for (int i = 0; i < count * parts; i++) {
      const Left* x = q + (b + i / parts) * kLeft + i % parts * (kBlock / parts);
      const uint8_t* w = panel + (b + i / parts) * bytes + i % parts * (kWeightBytes / parts);
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
      _tile_loadd(4, x, kBlock);
      _tile_loadd(6, w, kStrip * kTogether);
      _tile_dpbssd(0, 4, 6);
      _tile_loadd(7, w + kLanes * kTogether, kStrip * kTogether);
      _tile_dpbssd(1, 4, 7);
      _tile_loadd(5, x + 16 * kBlock, kBlock);
      _tile_dpbssd(2, 5, 6);
      _tile_dpbssd(3, 5, 7);
      _tile_stored(0, tiled[i][0], kStrip * 4);
      _tile_stored(1, tiled[i][0] + kLanes, kStrip * 4);
      _tile_stored(2, tiled[i][16], kStrip * 4);
      _tile_stored(3, tiled[i][16] + kLanes, kStrip * 4);
    }
    Floats scales[kTiled][2], minima[together][2];
    for (int i = 0; i < count * parts; i++) {
      const float* at = reinterpret_cast<const float*>(panel + (b + i / parts) * bytes + kWeightBytes) + (2 * (i % parts) + 1) * kStrip;
      for (int c = 0; c < 2; c++) scales[i][c] = loadFloats(at + c * kLanes);
    }
    if (minimum)
      for (int i = 0; i < count; i++)
        for (int c = 0; c < 2; c++)
          minima[i][c] = loadFloats(reinterpret_cast<const float*>(panel + (b + i) * bytes + kWeightBytes) + 2 * parts * kStrip + c * kLanes);
    auto addUp = [&](int count) __attribute__((always_inline)) {
      for (int64_t r = 0; r < own; r++) {
        Floats sum[2] = {loadFloats(sums[r]), loadFloats(sums[r] + kLanes)};
        for (int i = 0; i < count; i++) {
          const float* f = factors + (b + i) * kFactors + r;
          Floats d = all(f[0]);
          for (int part = 0; part < parts; part++)
            for (int c = 0; c < 2; c++) {
              Floats s = _mm512_cvtepi32_ps(loadInts(tiled[i * parts + part][r] + c * kLanes));
              sum[c] = multiplyAdd(_mm512_mul_ps(s, d), scales[i * parts + part][c], sum[c]);
            }
          if (minimum)
            for (int c = 0; c < 2; c++) sum[c] = multiplyAdd(minima[i][c], all(f[2 * kBandRows]), sum[c]);
        }
        for (int c = 0; c < 2; c++) _mm512_store_ps(sums[r] + c * kLanes, sum[c]);
      }
    };
    if (count == together) addUp(together);
    else addUp(count);
  }
  for (int64_t r = 0; r < own; r++)
    for (int c = 0; c < 2; c++) storeSome(y + r * stride + c * kLanes, columns - c * kLanes, loadFloats(sums[r] + c * kLanes));
}
