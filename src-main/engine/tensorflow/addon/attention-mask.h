// Causal attention over packed rows in blocks of queries and keys: no score matrix is ever whole.
// q [rows * length, heads * headSize]; k, v [rows * length, keyValueHeads * headSize]; query i sees key j of its row where
// j <= i, i - j < window (0 = any) and both lie in one segment (Dao et al., arXiv 2205.14135 and 2307.08691).
#pragma once
#include <algorithm>
#include <cmath>

#include "kernels.h"

namespace kernels {
namespace {

/** queries and keys of a block */
constexpr int kBlock = 64;

/** Scales the scores s [queries, kBlock] of a block; what a query does not see becomes -infinity. */
inline void maskBlock(const int32_t* segments, int first, int queries, int key, int keys, const AttentionShape& shape, float* s) {
  for (int i = 0; i < queries * kBlock; i++) s[i] *= shape.scale;
  // segments stand one after the other: equal ends mean one segment between them
  bool oneSegment = segments[key] == segments[first + queries - 1];
  bool inWindow = shape.window == 0 || first + queries - 1 - key < shape.window;
  if (oneSegment && inWindow && keys == kBlock && key + kBlock <= first + 1) return;
  for (int i = 0; i < queries; i++) {
    int query = first + i;
    int last = std::min(keys, query - key + 1);
    for (int j = std::max(0, last); j < kBlock; j++) s[i * kBlock + j] = -INFINITY;
    if (oneSegment && inWindow) continue;
    for (int j = 0; j < last; j++) {
      int other = key + j;
      if (segments[other] != segments[query] || (shape.window != 0 && query - other >= shape.window)) s[i * kBlock + j] = -INFINITY;
    }
  }
}

/** The first block of keys that any of these queries can see */
inline int firstKeyBlock(const int32_t* segments, int first, const AttentionShape& shape) {
  int key = shape.window ? std::max(0, first - shape.window + 1) : 0;
  // segments stand one after the other, so nothing before the first query's segment is seen
  while (key < first && segments[key] != segments[first]) key++;
  return key / kBlock * kBlock;
}

}  // namespace
}  // namespace kernels
