// A band of x by a strip of W^T in vector registers. Part of integer-product.cc.

/** y [kBandRows, kStrip] (+)= a band of x by a strip of W^T over some blocks, for the first rows and columns of it */
template <bool minimum, int parts>
void bandByStrip(const Left* q, const float* factors, const uint8_t* panel, int64_t blocks, float* y, int64_t stride, int64_t rows, int64_t columns, bool add) {
  Floats sums[kBandRows][2];
#pragma GCC unroll 8
  for (int r = 0; r < kBandRows; r++)
    for (int c = 0; c < 2; c++) sums[r][c] = add && r < rows ? loadSome(y + r * stride + c * kLanes, columns - c * kLanes) : Floats{};
  for (int64_t b = 0; b < blocks; b++, q += kLeft, factors += kFactors) {
    const Right* w = reinterpret_cast<const Right*>(panel);
    const uint8_t* more = panel + kWeightBytes;
#pragma GCC unroll 2
    for (int part = 0; part < parts; part++, more += 8 * kStrip) {
      constexpr int steps = kBlock / kTogether / parts;
      Ints own[kBandRows][2];
      Ints begin[2] = {loadInts(more), loadInts(more + 4 * kLanes)};
#pragma GCC unroll 8
      for (int r = 0; r < kBandRows; r++) own[r][0] = begin[0], own[r][1] = begin[1];
#pragma GCC unroll 16
      for (int s = 0; s < steps; s++, w += 2 * kLanes * kTogether) {
        Ints w0 = loadInts(w), w1 = loadInts(w + kLanes * kTogether);
#pragma GCC unroll 8
        for (int r = 0; r < kBandRows; r++) {
          int32_t x;
          std::memcpy(&x, q + r * kBlock + (part * steps + s) * kTogether, 4);
          own[r][0] = dot(own[r][0], x, w0);
          own[r][1] = dot(own[r][1], x, w1);
        }
      }
      const float* scales = reinterpret_cast<const float*>(more) + kStrip;
      Floats s0 = loadFloats(scales), s1 = loadFloats(scales + kLanes);
#pragma GCC unroll 8
      for (int r = 0; r < kBandRows; r++) {
        Floats d = all(factors[r]), bias = all(factors[kBandRows + r]);
        sums[r][0] = multiplyAdd(multiplySubtract(asFloats(own[r][0]), d, bias), s0, sums[r][0]);
        sums[r][1] = multiplyAdd(multiplySubtract(asFloats(own[r][1]), d, bias), s1, sums[r][1]);
      }
    }
    if constexpr (minimum) {
      const float* minima = reinterpret_cast<const float*>(more);
      Floats m0 = loadFloats(minima), m1 = loadFloats(minima + kLanes);
#pragma GCC unroll 8
      for (int r = 0; r < kBandRows; r++) {
        Floats sum = all(factors[2 * kBandRows + r]);
        sums[r][0] = multiplyAdd(m0, sum, sums[r][0]);
        sums[r][1] = multiplyAdd(m1, sum, sums[r][1]);
      }
    }
    panel += kWeightBytes + (2 * parts + minimum) * kStrip * 4;
  }
  for (int r = 0; r < std::min<int64_t>(rows, kBandRows); r++)
    for (int c = 0; c < 2; c++) storeSome(y + r * stride + c * kLanes, columns - c * kLanes, sums[r][c]);
}
