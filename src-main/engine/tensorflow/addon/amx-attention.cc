// Attention (attention-mask.h) on AMX tiles: scores, sums and gradients of a block of 64 queries and 64 keys are tile products,
// in bf16 where q, k and v are, else with f32 operands in two parts. Head sizes in steps of 32.
#include <cstring>
#include <vector>

#include "amx-tiles.h"
#include "attention-mask.h"
#include "vector.h"

namespace kernels {
namespace {

/** Where one head of one row lies in a tensor [tokens, heads * size]. */
struct HeadView {
  View view;
  int64_t offset, stride;
  /** `count` tokens from `first` as an operand: tokens are its lines, or its depth where `down` */
  Operand operand(int64_t first, int64_t count, int64_t size, bool down) const {
    int64_t at = offset + first * stride, bytes = view.type == Type::f32 ? 4 : 2;
    View from{static_cast<char*>(view.data) + at * bytes, view.type};
    return down ? Operand{from, size, count, stride, false} : Operand{from, count, size, stride, true};
  }
};

/** Words of a band of 16 lines over some depth. */
template <bool split>
constexpr int64_t bandWords(int64_t depth) {
  return depth / kStep * (split ? 2 : 1) * kTileWords;
}

/** Packs an operand of a block: `lines` and `depth` are padded with zeros to whole tiles. `right`: for the right side of products. */
template <bool split>
void pack(const Operand& o, int64_t lines, int64_t depth, bool right, uint32_t* to) {
  packBands(o, 0, lines / 16, 0, depth, right, split, to, bandWords<split>(depth));
}

/** c [lines, columns] (row stride `columns`) (+)= a b over `depth` */
template <bool split>
void multiply(const uint32_t* a, const uint32_t* b, int64_t lines, int64_t columns, int64_t depth, float* c, bool add) {
  int64_t band = bandWords<split>(depth);
  for (int64_t j = 0; j < columns / 32; j++)
    for (int64_t i = 0; i < lines / 32; i++)
      block<split>(a + 2 * i * band, a + (2 * i + 1) * band, b + 2 * j * band, b + (2 * j + 1) * band, depth / kStep, c + i * 32 * columns + j * 32,
                   columns, add);
}

Operand scores(float* s, bool turned) { return {{s, Type::f32}, kBlock, kBlock, kBlock, !turned}; }

/** Memory of one task, kept per thread. */
struct Workspace {
  Buffer keys, values, keysDown, query, queryDown, upstream, upstreamDown, packed, dKeys, dValues;
};
Workspace& workspace() {
  static thread_local Workspace own;
  return own;
}

/** One piece of one key-value head. */
struct Task {
  Piece piece;
  int keyValueHead, size, blocks, group;
  Task(int64_t index, const std::vector<Piece>& pieces, const AttentionShape& shape)
      : piece(pieces[index / shape.keyValueHeads]), keyValueHead(static_cast<int>(index % shape.keyValueHeads)), size(shape.headSize),
        blocks((piece.keys + kBlock - 1) / kBlock), group(shape.heads / shape.keyValueHeads) {}
  HeadView queries(View view, int head, int heads) const { return of(view, piece.start, head, heads); }
  HeadView keys(View view, int head, int heads) const { return of(view, piece.keyStart, head, heads); }

 private:
  HeadView of(View view, int64_t first, int head, int heads) const { return {view, first * heads * size + int64_t(head) * size, int64_t(heads) * size}; }
};

/** Packs every block of a head's keys, or values, block after block. */
template <bool split>
const uint32_t* packAll(const HeadView& head, const Task& task, bool down, Buffer& buffer) {
  int64_t words = kBlock / 16 * bandWords<split>(task.size);  // as much either way: 64 * size numbers
  uint32_t* to = buffer.need(task.blocks * words);
  for (int b = 0; b < task.blocks; b++) {
    int64_t count = std::min(kBlock, task.piece.keys - b * kBlock);
    pack<split>(head.operand(b * kBlock, count, task.size, down), down ? task.size : kBlock, down ? kBlock : task.size, true, to + b * words);
  }
  return to;
}

/** One block's exponentials in place, on top of what the earlier blocks have summed up. */
void softmaxBlock(float* s, int queries, int size, float* top, float* total, float* sums) {
  for (int i = 0; i < queries; i++) {
    float* line = s + i * kBlock;
    float high = largest(line, kBlock, top[i]);
    if (high == -INFINITY) {
      std::fill(line, line + kBlock, 0.0f);
      continue;
    }
    float sum = 0;
    for (int j = 0; j < kBlock; j++) sum += line[j] = fastExp(line[j] - high);
    if (high > top[i]) {
      float shrink = fastExp(top[i] - high);
      total[i] *= shrink;
      for (int d = 0; d < size; d++) sums[i * size + d] *= shrink;
      top[i] = high;
    }
    total[i] += sum;
  }
}

template <bool split>
void attentionOf(View q, View k, View v, const int32_t* segments, View out, float* logSums, const AttentionShape& shape, const Rounded& rounded) {
  std::vector<Piece> pieces = piecesOf(segments, shape);
  parallelFor(pieces.size() * shape.keyValueHeads, [&](int64_t index) {
    Tiles tiles;
    Task task(index, pieces, shape);
    Workspace& own = workspace();
    int size = task.size;
    int64_t words = kBlock / 16 * bandWords<split>(size);
    const uint32_t* keys = packAll<split>(task.keys(k, task.keyValueHead, shape.keyValueHeads), task, false, own.keys);
    const uint32_t* values = packAll<split>(task.keys(v, task.keyValueHead, shape.keyValueHeads), task, true, own.values);
    uint32_t *query = own.query.need(words), *packed = own.packed.need(kBlock / 16 * bandWords<split>(kBlock));
    alignas(64) float s[kBlock * kBlock], top[kBlock], total[kBlock];
    std::vector<float> sums(int64_t(kBlock) * size);
    for (int head = task.keyValueHead * task.group; head < (task.keyValueHead + 1) * task.group; head++)
      for (int first = 0; first < task.piece.length; first += kBlock) {
        int n = std::min(kBlock, task.piece.length - first);
        pack<split>(task.queries(q, head, shape.heads).operand(first, n, size, false), kBlock, size, false, query);
        std::fill(top, top + kBlock, -INFINITY);
        std::fill(total, total + kBlock, 0.0f);
        std::fill(sums.begin(), sums.end(), 0.0f);
        for (int key = firstKeyBlock(first, shape); key < endOfKeys(first + n, task.piece.keys, shape); key += kBlock) {
          multiply<split>(query, keys + key / kBlock * words, kBlock, kBlock, size, s, false);
          maskBlock(first, n, key, std::min(kBlock, task.piece.keys - key), shape, s);
          softmaxBlock(s, n, size, top, total, sums.data());
          pack<split>(scores(s, false), kBlock, kBlock, false, packed);
          multiply<split>(packed, values + key / kBlock * words, kBlock, size, kBlock, sums.data(), true);
        }
        for (int i = 0; i < n; i++) {
          int64_t token = task.piece.start + first + i;
          OutRow to(out, (token * shape.heads + head) * size, size);
          for (int d = 0; d < size; d++) to[d] = sums[i * size + d] / total[i];
          logSums[token * shape.heads + head] = top[i] + std::log(total[i]);
        }
        if (rounded.data) integers().round(static_cast<float*>(out.data), task.piece.start + first, n, head * size, size, rounded);
      }
  });
}

/** p = exp(s - logSum), ds = p (dp - dOut . out) scale, in the places of s and dp; rows beyond the queries are 0. */
void gradientBlock(float* s, float* dp, int queries, const float* logSum, const float* dot, float scale) {
  for (int i = 0; i < queries; i++)
    for (int j = i * kBlock; j < (i + 1) * kBlock; j++) {
      s[j] = fastExp(s[j] - logSum[i]);
      dp[j] = s[j] * (dp[j] - dot[i]) * scale;
    }
  std::fill(s + queries * kBlock, s + kBlock * kBlock, 0.0f);
  std::fill(dp + queries * kBlock, dp + kBlock * kBlock, 0.0f);
}

/** dp = dOut v^T;  dq = ds k, dk = ds^T q, dv = p^T dOut */
template <bool split>
void attentionGradOf(View q, View k, View v, const int32_t* segments, View out, const float* logSums, View dOut, View dq, View dk, View dv,
                     const AttentionShape& shape) {
  std::vector<Piece> pieces = piecesOf(segments, shape);
  parallelFor(pieces.size() * shape.keyValueHeads, [&](int64_t index) {
    Tiles tiles;
    Task task(index, pieces, shape);
    Workspace& own = workspace();
    int size = task.size;
    int64_t words = kBlock / 16 * bandWords<split>(size), rows = int64_t(task.blocks) * kBlock * size;
    HeadView key = task.keys(k, task.keyValueHead, shape.keyValueHeads), value = task.keys(v, task.keyValueHead, shape.keyValueHeads);
    const uint32_t *keys = packAll<split>(key, task, false, own.keys), *keysDown = packAll<split>(key, task, true, own.keysDown);
    const uint32_t* values = packAll<split>(value, task, false, own.values);
    uint32_t *query = own.query.need(words), *queryDown = own.queryDown.need(words), *packed = own.packed.need(kBlock / 16 * bandWords<split>(kBlock));
    uint32_t *upstream = own.upstream.need(words), *upstreamDown = own.upstreamDown.need(words);
    float *dKeys = reinterpret_cast<float*>(own.dKeys.need(rows)), *dValues = reinterpret_cast<float*>(own.dValues.need(rows));
    std::memset(dKeys, 0, rows * sizeof(float));
    std::memset(dValues, 0, rows * sizeof(float));
    alignas(64) float s[kBlock * kBlock], ds[kBlock * kBlock], logSum[kBlock], dot[kBlock];
    std::vector<float> dQueries(int64_t(kBlock) * size);
    for (int head = task.keyValueHead * task.group; head < (task.keyValueHead + 1) * task.group; head++)
      for (int first = 0; first < task.piece.length; first += kBlock) {
        int n = std::min(kBlock, task.piece.length - first);
        HeadView queries = task.queries(q, head, shape.heads), up = task.queries(dOut, head, shape.heads);
        pack<split>(queries.operand(first, n, size, false), kBlock, size, false, query);
        pack<split>(queries.operand(first, n, size, true), size, kBlock, true, queryDown);
        pack<split>(up.operand(first, n, size, false), kBlock, size, false, upstream);
        pack<split>(up.operand(first, n, size, true), size, kBlock, true, upstreamDown);
        for (int i = 0; i < n; i++) {
          int64_t token = task.piece.start + first + i, at = (token * shape.heads + head) * size;
          Row u(dOut, at, size), o(out, at, size);
          float sum = 0;
          for (int d = 0; d < size; d++) sum += u[d] * o[d];
          dot[i] = sum;
          logSum[i] = logSums[token * shape.heads + head];
        }
        std::fill(dQueries.begin(), dQueries.end(), 0.0f);
        for (int from = firstKeyBlock(first, shape); from < endOfKeys(first + n, task.piece.keys, shape); from += kBlock) {
          int64_t at = from / kBlock * words;
          multiply<split>(query, keys + at, kBlock, kBlock, size, s, false);
          maskBlock(first, n, from, std::min(kBlock, task.piece.keys - from), shape, s);
          multiply<split>(upstream, values + at, kBlock, kBlock, size, ds, false);
          gradientBlock(s, ds, n, logSum, dot, shape.scale);
          pack<split>(scores(ds, false), kBlock, kBlock, false, packed);
          multiply<split>(packed, keysDown + at, kBlock, size, kBlock, dQueries.data(), true);
          pack<split>(scores(ds, true), kBlock, kBlock, false, packed);
          multiply<split>(packed, queryDown, kBlock, size, kBlock, dKeys + int64_t(from) * size, true);
          pack<split>(scores(s, true), kBlock, kBlock, false, packed);
          multiply<split>(packed, upstreamDown, kBlock, size, kBlock, dValues + int64_t(from) * size, true);
        }
        for (int i = 0; i < n; i++) {
          OutRow to(dq, ((task.piece.start + first + i) * shape.heads + head) * size, size);
          for (int d = 0; d < size; d++) to[d] = dQueries[i * size + d];
        }
      }
    for (int t = 0; t < task.piece.keys; t++) {
      int64_t at = ((task.piece.keyStart + t) * shape.keyValueHeads + task.keyValueHead) * size;
      OutRow toK(dk, at, size), toV(dv, at, size);
      for (int d = 0; d < size; d++) {
        toK[d] = dKeys[int64_t(t) * size + d];
        toV[d] = dValues[int64_t(t) * size + d];
      }
    }
  });
}

bool inBf16(View q, View k, View v) { return q.type == Type::bf16 && k.type == Type::bf16 && v.type == Type::bf16; }

}  // namespace

void amxAttention(View q, View k, View v, const int32_t* segments, View out, float* logSums, const AttentionShape& shape, const Rounded& rounded) {
  (inBf16(q, k, v) ? attentionOf<false> : attentionOf<true>)(q, k, v, segments, out, logSums, shape, rounded);
}

void amxAttentionGrad(View q, View k, View v, const int32_t* segments, View out, const float* logSums, View dOut, View dq, View dk, View dv,
                      const AttentionShape& shape) {
  (inBf16(q, k, v) ? attentionGradOf<false> : attentionGradOf<true>)(q, k, v, segments, out, logSums, dOut, dq, dk, dv, shape);
}

}  // namespace kernels
