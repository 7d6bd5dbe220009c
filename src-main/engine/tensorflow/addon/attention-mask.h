// Attention over packed rows in blocks of queries and keys: no score matrix is ever whole.
// q [rows * length, heads * headSize]; k, v [rows * length, keyValueHeads * headSize]; query i sees key j of its row where both lie
// in one segment, j <= i and i - j < window (0 = any) (Dao et al., arXiv 2205.14135 and 2307.08691).
// With keys [rows * keyLength, ...] every query sees all of its row's.
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels.h"

namespace kernels {
namespace {

/** queries and keys of a block */
constexpr int kBlock = 64;

/** Queries, and the keys that are theirs: a segment of a row sees itself. */
struct Piece {
  int64_t start;
  int length;
  int64_t keyStart;
  int keys;
};

/** The longest first, so that threads end together. */
inline std::vector<Piece> piecesOf(const int32_t* segments, const AttentionShape& shape) {
  std::vector<Piece> pieces;
  if (shape.keyLength != 0) {
    for (int64_t row = 0; row < shape.rows; row++) pieces.push_back({row * shape.length, shape.length, row * shape.keyLength, shape.keyLength});
    return pieces;
  }
  for (int64_t t = 0; t < int64_t(shape.rows) * shape.length; t++) {
    if (t % shape.length == 0 || segments[t] != segments[t - 1]) pieces.push_back({t, 0, t, 0});
    pieces.back().length++;
    pieces.back().keys++;
  }
  std::stable_sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.length > b.length; });
  return pieces;
}

/** Scales the scores s [queries, kBlock] of a block; what a query does not see becomes -infinity. */
inline void maskBlock(int first, int queries, int key, int keys, const AttentionShape& shape, float* s) {
  for (int i = 0; i < queries * kBlock; i++) s[i] *= shape.scale;
  bool inWindow = shape.window == 0 || first + queries - 1 - key < shape.window;
  if (inWindow && keys == kBlock && (!shape.isCausal() || key + kBlock <= first + 1)) return;
  for (int i = 0; i < queries; i++) {
    int query = first + i;
    int last = shape.isCausal() ? std::max(0, std::min(keys, query - key + 1)) : keys;
    int seen = inWindow ? 0 : std::min(last, std::max(0, query - shape.window + 1 - key));
    for (int j = 0; j < seen; j++) s[i * kBlock + j] = -INFINITY;
    for (int j = last; j < kBlock; j++) s[i * kBlock + j] = -INFINITY;
  }
}

/** The first block of keys that any of these queries can see */
inline int firstKeyBlock(int first, const AttentionShape& shape) {
  return (shape.window ? std::max(0, first - shape.window + 1) : 0) / kBlock * kBlock;
}

/** Where the keys end that queries before `end` can see */
inline int endOfKeys(int end, int keys, const AttentionShape& shape) { return shape.isCausal() ? end : keys; }

}  // namespace
}  // namespace kernels
