// Products in vector instructions, for processors without AMX: C [m, n] = scale A B [+ add]. A band of rows times a strip of columns
// is summed up in registers over a piece of the depth, whose part of B lies in the caches for all bands. Part of vector.cc.

constexpr int kBandRows = 6;
constexpr int64_t kStrip = kColumnLanes * kLanes;  // columns whose sums registers hold
constexpr int64_t kUnit = 64;                      // columns that are packed together: whole blocks of quantized weights
constexpr int64_t kDepth = 128;                    // numbers of a line that pass by together: a strip of so many lies in L1
constexpr int64_t kDeepest = 12 * kDepth;          // up to so many, what is packed of B has all of its depth
constexpr int64_t kGroup = 128;                    // columns that are packed together, so that they fit L2
constexpr int64_t kPassing = 8 * kBandRows;        // rows of A that pass by them, whose sums stay near

/** Numbers [first, first + count) of a stored row. */
inline void readStored(const Operand& o, int64_t row, int64_t first, int64_t count, float* to) {
  if (o.view.type != Type::packed) return copyRow(o.view, row * o.stride + first, count, to);
  BlockFormat f = blockFormat(o.view.format);
  unpackRow(static_cast<const uint8_t*>(o.view.data) + row * (o.stride / f.weights * f.bytes), o.view.format, first, count, to);
}

/** Some numbers of each line of a band of A: line i's number k is at data[i * line + k * step]. */
struct Band {
  const float* data;
  int64_t line, step;
};

/** Rows [row, row + kBandRows) of A over k [from, from + depth): where they are, or in `copy`, with 0 beyond the last row. */
Band bandOf(const Operand& o, int64_t row, int64_t from, int64_t depth, float* copy) {
  int64_t rows = std::min<int64_t>(kBandRows, o.lines - row);
  if (rows == kBandRows && o.alongDepth && o.view.type == Type::f32) return {static_cast<const float*>(o.view.data) + row * o.stride + from, o.stride, 1};
  if (o.alongDepth) {
    for (int64_t i = 0; i < rows; i++) readStored(o, row + i, from, depth, copy + i * kDepth);
    std::fill(copy + rows * kDepth, copy + kBandRows * kDepth, 0.0f);
    return {copy, kDepth, 1};
  }
  for (int64_t k = 0; k < depth; k++)
    for (int i = 0; i < kBandRows; i++) copy[k * kBandRows + i] = i < rows ? valueAt(o.view, (from + k) * o.stride + row + i) : 0;
  return {copy, 1, kBandRows};
}

/** 16 columns from the lines of B, `apart` from each other: out [depth, 16] with rows `stride` apart. Reads up to whole sixteens of depth. */
inline void turnLines(const float* lines, int64_t apart, int64_t depth, float* out, int64_t stride) {
#ifdef __AVX512F__
  for (int64_t k = 0; k < depth; k += 16) {
    __m512i rows[16];
    for (int i = 0; i < 16; i++) rows[i] = _mm512_loadu_si512(lines + i * apart + k);
    turn16(rows);
    for (int i = 0; i < 16 && k + i < depth; i++) _mm512_storeu_si512(out + (k + i) * stride, rows[i]);
  }
#else
  for (int64_t k = 0; k < depth; k++)
    for (int i = 0; i < 16; i++) out[k * stride + i] = lines[i * apart + k];
#endif
}

/** Columns [column, column + kUnit) of B over k [from, from + depth), strip by strip: out [kUnit / kStrip, depth, kStrip]; 0 beyond the last. */
void packUnit(const Operand& o, int64_t column, int64_t from, int64_t depth, float* out) {
  int64_t columns = std::min(kUnit, o.lines - column);
  if (o.alongDepth) {
    alignas(64) float lines[16 * kDepth];
    for (int64_t first = 0; first < kUnit; first += 16) {
      float* to = out + first / kStrip * depth * kStrip + first % kStrip;
      if (o.view.type == Type::f32 && first + 16 <= columns && depth % 16 == 0) {
        turnLines(static_cast<const float*>(o.view.data) + (column + first) * o.stride + from, o.stride, depth, to, kStrip);
        continue;
      }
      for (int64_t i = 0; i < 16; i++) {
        if (first + i < columns) readStored(o, column + first + i, from, depth, lines + i * kDepth);
        else std::fill(lines + i * kDepth, lines + (i + 1) * kDepth, 0.0f);
      }
      turnLines(lines, kDepth, depth, to, kStrip);
    }
    return;
  }
  if (kStrip == kUnit && columns == kUnit) {
    for (int64_t k = 0; k < depth; k++) readStored(o, from + k, column, columns, out + k * kUnit);
    return;
  }
  alignas(64) float line[kUnit] = {};
  for (int64_t k = 0; k < depth; k++) {
    readStored(o, from + k, column, columns, line);
    for (int64_t first = 0; first < kUnit; first += kStrip) std::memcpy(out + (first * depth + k * kStrip), line + first, kStrip * sizeof(float));
  }
}

/** sums [kBandRows, kLanes N] (row stride `stride`) (+)= a [kBandRows, depth] b [depth, kStrip] */
template <int N>
inline void bandByStrip(Band a, const float* b, int64_t depth, float* sums, int64_t stride, bool add) {
  Lanes own[kBandRows][N] = {};
  for (int64_t k = 0; k < depth; k++, a.data += a.step, b += kStrip) {
    Lanes right[N];
    for (int j = 0; j < N; j++) right[j] = *reinterpret_cast<const Lanes*>(b + j * kLanes);
    for (int i = 0; i < kBandRows; i++)
      for (int j = 0; j < N; j++) own[i][j] += a.data[i * a.line] * right[j];
  }
  for (int i = 0; i < kBandRows; i++)
    for (int j = 0; j < N; j++) {
      Lanes& sum = *reinterpret_cast<Lanes*>(sums + i * stride + j * kLanes);
      sum = add ? sum + own[i][j] : own[i][j];
    }
}
inline void bandByStrip(int64_t columns, Band a, const float* b, int64_t depth, float* sums, int64_t stride, bool add) {
  if (columns <= kLanes) return bandByStrip<1>(a, b, depth, sums, stride, add);
  if (columns <= 2 * kLanes) return bandByStrip<2>(a, b, depth, sums, stride, add);
  bandByStrip<kColumnLanes>(a, b, depth, sums, stride, add);
}

/** out = scale sums [+ add] for rows from `row` and columns from `column` on */
void writeSums(const float* sums, int64_t stride, const ProductShape& shape, View add, View out, int64_t row, int64_t rows, int64_t column, int64_t columns) {
  for (int64_t i = 0; i < rows; i++) {
    int64_t at = (row + i) * shape.n + column;
    const float* from = sums + i * stride;
    OutRow to(out, at, columns);
    if (add.data) {
      Row term(add, shape.addsRow ? column : at, columns);
      for (int64_t j = 0; j < columns; j++) to[j] = shape.scale * from[j] + term[j];
    } else {
      for (int64_t j = 0; j < columns; j++) to[j] = shape.scale * from[j];
    }
  }
}

/** One thread's part of a product: some rows by some columns. */
struct ProductPart {
  const Operand &a, &b;
  View add, out;
  const ProductShape& shape;

  void rowsByColumns(int64_t row, int64_t rows, int64_t column, int64_t columns) const {
    static thread_local Buffer packed, summed;
    int64_t width = (columns + kUnit - 1) / kUnit * kUnit;
    bool whole = shape.k <= kDeepest;  // else the sums of all rows wait for the next piece
    int64_t piece = whole ? shape.k : 2 * kDepth;
    float* right = reinterpret_cast<float*>(packed.need(width * piece));
    float* sums = reinterpret_cast<float*>(summed.need((whole ? kPassing : rows + kPassing) * width));
    for (int64_t from = 0; from < shape.k; from += piece) {
      int64_t to = std::min(shape.k, from + piece);
      for (int64_t k = from; k < to; k += kDepth) pack(column, width, k, std::min(kDepth, to - k), right + (k - from) * width);
      for (int64_t top = 0; top < rows; top += kPassing) {
        int64_t passing = std::min(kPassing, rows - top);
        float* own = whole ? sums : sums + top * width;
        for (int64_t k = from; k < to; k += kDepth)
          passBy(row + top, passing, k, std::min(kDepth, to - k), right + (k - from) * width, columns, own, width);
        if (to == shape.k) writeSums(own, width, shape, add, out, row + top, passing, column, columns);
      }
    }
  }

  void pack(int64_t column, int64_t width, int64_t from, int64_t depth, float* right) const {
    for (int64_t i = 0; i < width; i += kUnit) packUnit(b, column + i, from, depth, right + i * depth);
  }

  /** sums [rows, width] (+)= some rows of A by what is packed of B */
  void passBy(int64_t row, int64_t rows, int64_t from, int64_t depth, const float* right, int64_t columns, float* sums, int64_t width) const {
    alignas(64) float copies[kPassing * kDepth];
    Band bands[kPassing / kBandRows];
    int64_t count = (rows + kBandRows - 1) / kBandRows;
    for (int64_t i = 0; i < count; i++) bands[i] = bandOf(a, row + i * kBandRows, from, depth, copies + i * kBandRows * kDepth);
    for (int64_t strip = 0; strip < columns; strip += kStrip)
      for (int64_t i = 0; i < count; i++)
        bandByStrip(std::min(kStrip, columns - strip), bands[i], right + strip * depth, depth, sums + i * kBandRows * width + strip, width, from > 0);
  }
};

/** `Table::product`: many rows are shared out among the threads as in the loops before and after, else columns are. */
void product(View a, View b, View add, View out, const ProductShape& shape, bool) {
  Operand left = leftOperand(a, shape), right = rightOperand(b, shape);
  ProductPart part{left, right, add, out, shape};
  int64_t chunks = haveOwnRows(shape.m) ? threads() : 1;
  int64_t height = shares(shares(shape.m, chunks), kBandRows) * kBandRows;
  // a deep A comes from memory every time it passes by
  int64_t group = shape.k <= kDeepest ? kGroup : 6 * kGroup;
  int64_t most = chunks > 1 ? group : std::min(group, shares(shares(shape.n, kUnit), threads()) * kUnit), groups = shares(shape.n, most);
  parallelFor(chunks * groups, [&](int64_t task) {
    int64_t row = task / groups * height, column = task % groups * most;
    part.rowsByColumns(row, std::min(height, shape.m - row), column, std::min(most, shape.n - column));
  });
}
