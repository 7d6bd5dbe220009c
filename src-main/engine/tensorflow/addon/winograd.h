// Convolutions by 3x3 filters that leave the size as it is, with a quarter of the multiplications: the filter and a tile of 6 x 6 pixels are
// both taken to 36 points, where filtering is one product a point over the channels, and its 4 x 4 results are taken back from there
// (F(4x4, 3x3): A. Lavin and S. Gray, arXiv 1509.09308, section 4.2). Part of vector.cc.

constexpr int kTile = 4, kSeen = 6, kPoints = kSeen * kSeen;
constexpr int64_t kFilterDepth = 64;             // numbers of a pixel for which a unit's filters are at their points together, so that they fit L2
constexpr int64_t kPointBytes = int64_t(12) << 20;  // of tiles at their points that pass by one set of filters
constexpr int64_t kApart = 2 * kLanes;            // between two points' numbers: at a distance of pages they would push each other out of L1
constexpr int64_t kFilterWork = 24;              // what taking one filter to its points costs, in rows of its products

/** B^T d: one line of a tile, at six points */
template <class T>
inline void tileAtPoints(const T* d, int64_t step, T* out, int64_t to) {
  T d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step], d5 = d[5 * step];
  T a = d4 - 4 * d2, b = d3 - 4 * d1, c = d4 - d2, e = 2 * (d3 - d1);
  out[0] = 4 * d0 - 5 * d2 + d4, out[to] = a + b, out[2 * to] = a - b;
  out[3 * to] = c + e, out[4 * to] = c - e, out[5 * to] = 4 * d1 - 5 * d3 + d5;
}
/** G g: one line of a filter, at six points */
template <class T>
inline void filterAtPoints(const T* g, int64_t step, T* out, int64_t to) {
  T g0 = g[0], g1 = g[step], g2 = g[2 * step], sum = (g0 + g2) * (-1.0f / 6), middle = g1 * (1.0f / 6);
  T far = g0 * (1.0f / 24) + g2 * (1.0f / 6), half = g1 * (1.0f / 12);
  out[0] = g0 * 0.25f, out[to] = sum - middle, out[2 * to] = sum + middle, out[3 * to] = far + half, out[4 * to] = far - half, out[5 * to] = g2;
}
/** A^T m: four results of a line of six points */
template <class T>
inline void fromPoints(const T* m, int64_t step, T* out, int64_t to) {
  T m1 = m[step], m2 = m[2 * step], m3 = m[3 * step], m4 = m[4 * step];
  T a = m1 + m2, b = m1 - m2, c = m3 + m4, d = m3 - m4;
  out[0] = m[0] + a + c, out[to] = b + 2 * d, out[2 * to] = a + 4 * c, out[3 * to] = b + 8 * d + m[5 * step];
}

inline Lanes* lanes(float* x) { return reinterpret_cast<Lanes*>(x); }
inline const Lanes* lanes(const float* x) { return reinterpret_cast<const Lanes*>(x); }

/** One way over pictures. Tiles are counted by picture, line and column; six of them are a band of each of the 36 products. */
struct Winograd {
  const float* x;
  View weight;
  float* out;
  const ConvolutionShape& s;
  int64_t depth, columns, line, across, down;  // numbers of a pixel of x and of the result, and from tile to tile; tiles a line and a column

  Winograd(const float* x, View weight, float* out, const ConvolutionShape& s)
      : x(x), weight(weight), out(out), s(s), depth(s.gradient ? s.out : s.in), columns(s.gradient ? s.in : s.out), line(depth + kLanes),
        across(shares(s.width, kTile)), down(shares(s.height, kTile)) {}

  int64_t tiles() const { return s.pictures * down * across; }

  /** Whether it is possible, and less work than filtering place by place. */
  static bool pays(const ConvolutionShape& s) {
    int64_t depth = s.gradient ? s.out : s.in;
    if (s.kernel != 3 || s.stride != 1 || s.before != 1 || s.rows != s.height || s.columns != s.width || depth % kLanes != 0) return false;
    auto bands = [](int64_t rows) { return shares(rows, kBandRows) * kBandRows; };
    int64_t tiles = s.pictures * shares(s.height, kTile) * shares(s.width, kTile);
    return kPoints * (bands(tiles) + kFilterWork) < 9 * bands(s.pictures * s.height * s.width);
  }

  struct Place {
    int64_t picture, top, left;  // of the tile's first result, pixels
  };
  Place place(int64_t tile) const { return {tile / (across * down), tile / across % down * kTile, tile % across * kTile}; }

  /** Of a band of tiles, at its points: to [point, kBandRows, depth]; 0 beside the pictures and beyond the last tile */
  void takeBand(int64_t first, int64_t end, float* to) const {
    alignas(64) Lanes seen[kPoints], half[kPoints];
    for (int64_t i = 0; i < kBandRows; i++) {
      if (first + i >= end) {
        for (int p = 0; p < kPoints; p++) std::memset(to + (p * kBandRows + i) * line, 0, depth * sizeof(float));
        continue;
      }
      auto [picture, top, left] = place(first + i);
      for (int64_t c = 0; c < depth; c += kLanes) {
        for (int y = 0; y < kSeen; y++)
          for (int z = 0; z < kSeen; z++) {
            int64_t row = top + y - 1, at = left + z - 1;
            bool inside = row >= 0 && row < s.height && at >= 0 && at < s.width;
            seen[y * kSeen + z] = inside ? *lanes(x + ((picture * s.height + row) * s.width + at) * depth + c) : Lanes{};
          }
        for (int z = 0; z < kSeen; z++) tileAtPoints(seen + z, kSeen, half + z, kSeen);
        int64_t next = kBandRows * line;
        for (int y = 0; y < kSeen; y++) tileAtPoints(half + y * kSeen, 1, lanes(to + y * kSeen * next + i * line + c), next / kLanes);
      }
    }
  }

  /** A unit's filters at their points, for some numbers of a pixel: to [point, kUnit / kStrip, piece, kStrip]. The way back turns them round. */
  void takeFilters(int64_t column, int64_t from, int64_t piece, float* places, float* to) const {
    int64_t stored = 9 * s.in, size = kUnit * piece, apart = size + kApart;
    for (int64_t i = 0; i < 9; i++) {
      if (s.gradient) packUnit({weight, i * s.in + s.in, depth, stored, false}, i * s.in + column, from, piece, places + (8 - i) * apart);
      else packUnit({weight, columns, stored, stored, true}, column, i * depth + from, piece, places + i * apart);
    }
    for (int64_t k = 0; k < size; k += kLanes) {
      Lanes half[3 * kSeen];
      for (int z = 0; z < 3; z++) filterAtPoints(lanes(places + z * apart + k), 3 * apart / kLanes, half + z, 3);
      for (int y = 0; y < kSeen; y++) filterAtPoints(half + y * 3, 1, lanes(to + y * kSeen * apart + k), apart / kLanes);
    }
  }

  /** Results of some bands from their sums [band, point, kBandRows, kUnit] */
  void giveBack(int64_t first, int64_t end, int64_t column, const float* sums) const {
    int64_t width = std::min(kUnit, columns - column);
    for (int64_t tile = first; tile < end; tile++) {
      auto [picture, top, left] = place(tile);
      const float* own = sums + ((tile - first) / kBandRows * kPoints * kBandRows + (tile - first) % kBandRows) * kUnit;
      int64_t lines = std::min<int64_t>(kTile, s.height - top), pixels = std::min<int64_t>(kTile, s.width - left);
      for (int64_t c = 0; c < width; c += kLanes) {
        Lanes half[kTile * kSeen], y[kTile * kTile];
        constexpr int64_t next = kBandRows * kUnit;
        for (int z = 0; z < kSeen; z++) fromPoints(lanes(own + z * next + c), kSeen * next / kLanes, half + z, kSeen);
        for (int i = 0; i < kTile; i++) fromPoints(half + i * kSeen, 1, y + i * kTile, 1);
        size_t bytes = std::min<int64_t>(kLanes, width - c) * sizeof(float);
        for (int64_t i = 0; i < lines; i++)
          for (int64_t j = 0; j < pixels; j++)
            std::memcpy(out + ((picture * s.height + top + i) * s.width + left + j) * columns + column + c, y + i * kTile + j, bytes);
      }
    }
  }

  /** One thread's part: the tiles [first, end), of which `bands` are at their points, by a unit of columns */
  void part(int64_t first, int64_t end, const float* bands, int64_t column) const {
    static thread_local Buffer packed, transformed, summed;
    float* places = reinterpret_cast<float*>(packed.need(9 * (kUnit * kFilterDepth + kApart)));
    float* filters = reinterpret_cast<float*>(transformed.need(kPoints * (kUnit * kFilterDepth + kApart)));
    int64_t count = shares(end - first, kBandRows), width = std::min(kUnit, columns - column);
    float* sums = reinterpret_cast<float*>(summed.need(count * kPoints * kBandRows * kUnit));
    for (int64_t from = 0; from < depth; from += kFilterDepth) {
      int64_t piece = std::min(kFilterDepth, depth - from);
      takeFilters(column, from, piece, places, filters);
      for (int64_t p = 0; p < kPoints; p++)
        for (int64_t strip = 0; strip < width; strip += kStrip)
          for (int64_t i = 0; i < count; i++) {
            int64_t at = (i * kPoints + p) * kBandRows;
            bandByStrip(std::min(kStrip, width - strip), {bands + at * line + from, line, 1}, filters + p * (kUnit * piece + kApart) + strip * piece, piece,
                        sums + at * kUnit + strip, kUnit, from > 0);
          }
    }
    giveBack(first, end, column, sums);
  }

  void run() const {
    static thread_local Buffer pointed;
    constexpr int64_t floats = kPoints * kBandRows;
    int64_t most = std::max<int64_t>(4, kPointBytes / 4 / (floats * line)), bands = shares(tiles(), kBandRows);
    int64_t chunk = shares(bands, shares(bands, most)), units = shares(columns, kUnit);
    float* points = reinterpret_cast<float*>(pointed.need(chunk * floats * line));
    for (int64_t begin = 0; begin < bands; begin += chunk) {
      int64_t end = std::min(bands, begin + chunk);
      parallelFor(end - begin, [&](int64_t i) { takeBand((begin + i) * kBandRows, tiles(), points + i * floats * line); });
      // few columns: every thread has tiles of its own, too, and takes the filters to their points for itself
      int64_t each = units % threads() == 0 || units >= 4 * threads() ? end - begin : shares(end - begin, threads());
      int64_t parts = shares(end - begin, each);
      parallelFor(parts * units, [&](int64_t task) {
        int64_t from = task % parts * each, to = std::min(end - begin, from + each);
        part((begin + from) * kBandRows, std::min(tiles(), (begin + to) * kBandRows), points + from * floats * line, task / parts * kUnit);
      });
    }
  }
};
