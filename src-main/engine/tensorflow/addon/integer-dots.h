// Products of a few tokens in integers: lanes are rows of W, whose bytes cross memory once and go from their blocks into the dots. The
// same sums in the same order as by panels: a token's numbers do not depend on how many go together. Part of integer-product.cc.

#include "integer-quads.h"

/** Tokens whose sums are in registers together. */
constexpr int kBeside = 4;
static_assert(kFewTokens % kBeside == 0);
/** Blocks of a row that are read one after the other, before the next row's. */
constexpr int64_t kAlong = 48;
/** Weights of a thread's task, where a group of rows has fewer. */
constexpr int64_t kTaskWeights = 32768;

#include "integer-rows.h"

/** A few tokens in integers, [tokens, blocks] each; filled up with tokens of 0. */
struct FewTokens {
  int64_t tokens, blocks;
  /** 32 numbers */
  const int8_t* q;
  /** d, kBias d, d sum q */
  const float* factors;
  /** where the sums of a block, or of its halves, begin */
  const int32_t* begins;
};

/** Where the next piece of each row lies, seen from this one, and its bytes. */
struct Ahead {
  int64_t apart, bytes;
};

/** sums [M] += some blocks of kLanes rows times M tokens, whose blocks from `first` on they meet */
template <int format, int M>
inline void dotPiece(const RowsPiece<format>& w, const FewTokens& x, int64_t token, int64_t first, int64_t count, Ahead ahead, Floats* sums) {
  constexpr BlockFormat f = blockFormat(format);
  constexpr int inBlock = f.weights / kBlock, parts = scalesOf(format);
  Floats own[M];
  for (int t = 0; t < M; t++) own[t] = sums[t];
  for (int64_t b = 0; b < count; b++) {
    Ints low[4], high[4];
    w.fetch(b, count, ahead.apart, ahead.bytes);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) quadsOfBlock<format>(w.rows + i, b / inBlock * f.bytes, static_cast<int>(b % inBlock), low[i], high[i]);
#pragma GCC unroll 4
    for (int t = 0; t < M; t++) {
      int64_t at = (token + t) * x.blocks + first + b;
      const float* factors = x.factors + at * 3;
      Ints q0 = beside(x.q + at * kBlock), q1 = beside(x.q + at * kBlock + 16), dots[parts][4];
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) {
        dots[0][i] = dotOf<format>(Ints{}, low[i], q0);
        if (parts == 1) dots[0][i] = dotOf<format>(dots[0][i], high[i], q1);
        else dots[parts - 1][i] = dotOf<format>(Ints{}, high[i], q1);
      }
      Floats d = all(factors[0]), bias = all(factors[1]);
#pragma GCC unroll 2
      for (int part = 0; part < parts; part++) {
        Sums sum = sumsOfQuads(dots[part]) + x.begins[at * parts + part];
        own[t] = multiplyAdd(multiplySubtract(asFloats(Ints(sum)), d, bias), loadFloats(w.scales[b][part]), own[t]);
      }
      if (hasMinimum(format)) own[t] = multiplyAdd(loadFloats(w.minima[b]), all(factors[2]), own[t]);
    }
  }
  for (int t = 0; t < M; t++) sums[t] = own[t];
}

/** x [tokens, depth], for weights of a format. */
template <int format>
FewTokens roundFew(const float* x, int64_t tokens, int64_t depth) {
  static thread_local Buffer integers, numbers;
  constexpr int parts = scalesOf(format);
  int64_t blocks = shares(depth, kBlock), padded = tokens == 1 ? 1 : shares(tokens, kBeside) * kBeside, count = padded * blocks;
  int8_t* q = reinterpret_cast<int8_t*>(integers.need(count * kBlock / 4));
  float* factors = reinterpret_cast<float*>(numbers.need(count * (3 + parts)));
  int32_t* begins = reinterpret_cast<int32_t*>(factors + count * 3);
  for (int64_t at = 0; at < count; at++) {
    int64_t token = at / blocks, first = at % blocks * kBlock, n = token < tokens ? std::min<int64_t>(kBlock, depth - first) : 0;
    alignas(64) float part[kBlock] = {};
    const float* from = x + token * depth + first;
    if (n < kBlock) {
      std::memcpy(part, from, n * sizeof(float));
      from = part;
    }
    Rounded32 rounded = rounded32(from);
    int32_t sum = rounded.sums[0] + rounded.sums[1];
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(q + at * kBlock), rounded.integers);
    factors[at * 3] = rounded.d;
    factors[at * 3 + 1] = kBiasValue * rounded.d;
    factors[at * 3 + 2] = rounded.d * static_cast<float>(sum);
    for (int i = 0; i < parts; i++) begins[at * parts + i] = kBias - offsetOf(format) * (parts == 1 ? sum : rounded.sums[i]);
  }
  return {padded, blocks, q, factors, begins};
}

/** y [tokens, w.rows] = x W^T */
template <int format>
void dots(const float* x, const StoredMatrix& w, float* y, int64_t tokens, int64_t depth) {
  FewTokens few = roundFew<format>(x, tokens, depth);
  constexpr BlockFormat f = blockFormat(format);
  constexpr int inBlock = f.weights / kBlock;
  bool isFloating = blockFormat(w.format).weights == 1;
  int64_t groups = shares(w.rows, kLanes), together = std::max<int64_t>(1, kTaskWeights / (kLanes * few.blocks * kBlock));
  parallelFor(shares(groups, together), [&](int64_t task) {
    static thread_local Buffer buffer;
    RowsPiece<format> piece;
    for (int64_t row = task * together * kLanes; row < std::min(w.rows, (task + 1) * together * kLanes); row += kLanes) {
      Floats sums[kFewTokens] = {};
      for (int64_t first = 0; first < few.blocks; first += kAlong) {
        int64_t count = std::min(kAlong, few.blocks - first);
        if (isFloating) piece.round(w, row, first, count, reinterpret_cast<uint8_t*>(buffer.need(kLanes * kAlong * blockFormat(kQ8_0).bytes / 4)));
        else piece.begin(w, row, first);
        piece.readFactors(count);
        int64_t left = few.blocks - first - count;
        Ahead ahead{left ? kAlong / inBlock * f.bytes : kLanes * w.rowBytes - first / inBlock * f.bytes, std::min(kAlong, left ? left : few.blocks) / inBlock * f.bytes};
        if (isFloating) ahead = {};
        if (few.tokens == 1) dotPiece<format, 1>(piece, few, 0, first, count, ahead, sums);
        else for (int64_t t = 0; t < tokens; t += kBeside) dotPiece<format, kBeside>(piece, few, t, first, count, ahead, sums + t);
      }
      for (int64_t t = 0; t < tokens; t++) storeSome(y + t * w.rows + row, w.rows - row, sums[t]);
    }
  });
}

/** `Integers::fewTokens` */
void fewTokens(const float* x, const StoredMatrix& w, float* y, int64_t tokens, int64_t depth) {
  switch (w.format) {
    case kQ4_0: return dots<kQ4_0>(x, w, y, tokens, depth);
    case kQ4_1: return dots<kQ4_1>(x, w, y, tokens, depth);
    case kQ5_0: return dots<kQ5_0>(x, w, y, tokens, depth);
    case kQ5_1: return dots<kQ5_1>(x, w, y, tokens, depth);
    case kQ4_K: return dots<kQ4_K>(x, w, y, tokens, depth);
    case kQ5_K: return dots<kQ5_K>(x, w, y, tokens, depth);
    case kQ6_K: return dots<kQ6_K>(x, w, y, tokens, depth);
    default: return dots<kQ8_0>(x, w, y, tokens, depth);
  }
}
