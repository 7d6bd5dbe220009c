// A product over few numbers, by the bands and strips of the one in integers that adds it: its sums are in the nearest cache when that
// comes for them. Part of integer-product.cc.

/** Columns [column, column + kStrip) of scale b: to [rank, kStrip], 0 beyond the last. */
void packLowRank(const LowRank& more, int64_t columns, int64_t column, float* to) {
  Floats scale = all(more.scale);
  for (int64_t k = 0; k < more.rank; k++)
    for (int c = 0; c < kStrip; c += kLanes) storeFloats(to + k * kStrip + c, scale * loadSome(more.b + k * columns + column + c, columns - column - c));
}

/** y [kBandRows, kStrip] = some rows of a [., rank] by a strip [rank, kStrip], for the first rows and columns of it */
void lowRankBand(const float* a, const float* strip, int64_t rank, float* y, int64_t stride, int64_t rows, int64_t columns) {
  constexpr int together = std::min(kBandRows, 6);  // whose sums registers hold
  rows = std::min<int64_t>(rows, kBandRows);
  for (int64_t first = 0; first < rows; first += together) {
    Floats sums[together][2] = {};
    const float* lines[together];
    for (int r = 0; r < together; r++) lines[r] = a + std::min(first + r, rows - 1) * rank;
    for (int64_t k = 0; k < rank; k++) {
      Floats b0 = loadFloats(strip + k * kStrip), b1 = loadFloats(strip + k * kStrip + kLanes);
#pragma GCC unroll 8
      for (int r = 0; r < together; r++) {
        Floats left = all(lines[r][k]);
        sums[r][0] = multiplyAdd(left, b0, sums[r][0]);
        sums[r][1] = multiplyAdd(left, b1, sums[r][1]);
      }
    }
    for (int r = 0; r < together && first + r < rows; r++)
      for (int c = 0; c < 2; c++) storeSome(y + (first + r) * stride + c * kLanes, columns - c * kLanes, sums[r][c]);
  }
}
