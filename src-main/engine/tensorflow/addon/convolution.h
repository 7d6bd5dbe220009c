// Convolutions of pictures with frozen filters, as products whose left operand is what the filter sees: no patch of it is ever written.
// y [places, out] = what the filter sees at each place, by its places and channels, times W^T; its gradient goes the same way round. Part of vector.cc.

constexpr int64_t kConvolvedRows = 56 * kBandRows;  // places that pass by what is packed of W, so that their sums stay in L2
constexpr int64_t kConvolvedColumns = 6 * kGroup;

/** One thread's part: some places by some columns. */
struct ConvolutionPart {
  const float* x;
  View weight, out;
  const ConvolutionShape& s;
  int64_t depth, stored;  // numbers of a pixel of x, and of a stored row of W
  ProductShape product;

  /** Where the filter's place (ky, kx) lies for row `row` of the result; nullptr: beside the picture */
  const float* seen(int64_t row, int64_t ky, int64_t kx) const {
    int64_t column = row % s.columns, line = row / s.columns % s.rows, picture = row / (s.columns * s.rows);
    int64_t i, j;
    if (s.gradient) {
      i = line + s.before - ky, j = column + s.before - kx;
      if (i % s.stride != 0 || j % s.stride != 0) return nullptr;
      i /= s.stride, j /= s.stride;
    } else {
      i = line * s.stride + ky - s.before, j = column * s.stride + kx - s.before;
    }
    if (i < 0 || j < 0 || i >= s.height || j >= s.width) return nullptr;
    return x + ((picture * s.height + i) * s.width + j) * depth;
  }

  void rowsByColumns(int64_t row, int64_t rows, int64_t column, int64_t columns) const {
    static thread_local Buffer packed, summed;
    int64_t width = (columns + kUnit - 1) / kUnit * kUnit, padded = (rows + kBandRows - 1) / kBandRows * kBandRows;
    float* right = reinterpret_cast<float*>(packed.need(width * kDepth));
    float* sums = reinterpret_cast<float*>(summed.need(padded * width));
    bool add = false;
    for (int64_t ky = 0; ky < s.kernel; ky++)
      for (int64_t kx = 0; kx < s.kernel; kx++)
        for (int64_t from = 0; from < depth; from += kDepth) {
          int64_t piece = std::min(kDepth, depth - from), place = ky * s.kernel + kx;
          for (int64_t i = 0; i < width; i += kUnit) pack(place, column + i, from, piece, right + i * piece);
          for (int64_t top = 0; top < rows; top += kPassing)
            passBy(row + top, std::min(kPassing, rows - top), ky, kx, from, piece, right, columns, sums + top * width, width, add);
          add = true;
        }
    writeSums(sums, width, product, {}, out, row, rows, column, columns);
  }

  /** Columns [column, column + kUnit) of one place of the filter: of W^T, or of W for the gradient. */
  void pack(int64_t place, int64_t column, int64_t from, int64_t piece, float* to) const {
    if (s.gradient) return packUnit({weight, place * s.in + product.n, depth, stored, false}, place * s.in + column, from, piece, to);
    packUnit({weight, product.n, stored, stored, true}, column, place * depth + from, piece, to);
  }

  /** sums [rows, width] (+)= what some rows see at one place of the filter by what is packed of it */
  void passBy(int64_t row, int64_t rows, int64_t ky, int64_t kx, int64_t from, int64_t piece, const float* right, int64_t columns, float* sums,
              int64_t width, bool add) const {
    alignas(64) float copies[kPassing * kDepth];
    for (int64_t i = 0; i < (rows + kBandRows - 1) / kBandRows * kBandRows; i++) {
      const float* pixel = i < rows ? seen(row + i, ky, kx) : nullptr;
      if (pixel) std::memcpy(copies + i * kDepth, pixel + from, piece * sizeof(float));
      else std::memset(copies + i * kDepth, 0, piece * sizeof(float));
    }
    for (int64_t strip = 0; strip < columns; strip += kStrip)
      for (int64_t i = 0; i < rows; i += kBandRows)
        bandByStrip(std::min(kStrip, columns - strip), {copies + i * kDepth, kDepth, 1}, right + strip * piece, piece, sums + i * width + strip, width, add);
  }
};

void convolution(const float* x, View weight, float* out, const ConvolutionShape& s) {
  if (Winograd::pays(s)) return Winograd(x, weight, out, s).run();
  int64_t depth = s.gradient ? s.out : s.in, stored = s.kernel * s.kernel * s.in;
  ProductShape product{s.pictures * s.rows * s.columns, 0, s.gradient ? s.in : s.out, false, false};
  ConvolutionPart part{x, weight, {out, Type::f32}, s, depth, stored, product};
  int64_t most = haveOwnRows(product.m) ? kConvolvedColumns : std::min(kConvolvedColumns, shares(shares(product.n, kUnit), threads()) * kUnit);
  int64_t groups = shares(product.n, most);
  // as many chunks of places as there are threads, or a multiple of that
  int64_t chunks = haveOwnRows(product.m) ? shares(shares(product.m, kConvolvedRows), threads()) * threads() : shares(product.m, kConvolvedRows);
  int64_t height = shares(shares(product.m, chunks), kBandRows) * kBandRows;
  chunks = shares(product.m, height);
  parallelFor(chunks * groups, [&](int64_t task) {
    int64_t row = task / groups * height, column = task % groups * most;
    part.rowsByColumns(row, std::min(height, product.m - row), column, std::min(most, product.n - column));
  });
}
