// Attention (attention-mask.h) in vector instructions. Part of vector.cc.

void readHead(View view, int64_t first, int64_t stride, int length, int size, std::vector<float>& to) {
  to.resize(int64_t(length) * size);
  for (int t = 0; t < length; t++) copyRow(view, first + t * stride, size, &to[int64_t(t) * size]);
}
int64_t turn(const std::vector<float>& from, int length, int size, std::vector<float>& to) {
  int64_t padded = (length + kBlock - 1) / kBlock * kBlock;
  to.assign(padded * size, 0);
  for (int t = 0; t < length; t++)
    for (int i = 0; i < size; i++) to[i * padded + t] = from[int64_t(t) * size + i];
  return padded;
}

/** Scores of one block, masked: s [queries, kBlock] */
void scoreBlock(const float* q, const float* kTurned, int64_t padded, int first, int queries, int key, int keys,
                const AttentionShape& shape, float* s) {
  productAny(q, shape.headSize, 1, kTurned + key, padded, s, kBlock, queries, kBlock, shape.headSize, false);
  maskBlock(first, queries, key, keys, shape, s);
}

void attention(View q, View k, View v, const int32_t* segments, View out, float* logSums, const AttentionShape& shape, const Rounded& rounded) {
  int size = shape.headSize, group = shape.heads / shape.keyValueHeads;
  int64_t qStride = int64_t(shape.heads) * size, kStride = int64_t(shape.keyValueHeads) * size;
  std::vector<Piece> pieces = piecesOf(segments, shape);
  parallelFor(pieces.size() * shape.keyValueHeads, [&](int64_t task) {
    auto [start, length, keyStart, ownKeys] = pieces[task / shape.keyValueHeads];
    int kv = static_cast<int>(task % shape.keyValueHeads);
    std::vector<float> keys, values, turned, queries(kBlock * size), sums(kBlock * size), s(kBlock * kBlock);
    readHead(k, keyStart * kStride + kv * size, kStride, ownKeys, size, keys);
    readHead(v, keyStart * kStride + kv * size, kStride, ownKeys, size, values);
    int64_t padded = turn(keys, ownKeys, size, turned);
    for (int head = kv * group; head < (kv + 1) * group; head++)
      for (int first = 0; first < length; first += kBlock) {
        int n = std::min(kBlock, length - first);
        for (int i = 0; i < n; i++) copyRow(q, (start + first + i) * qStride + head * size, size, &queries[i * size]);
        float top[kBlock], total[kBlock];
        std::fill(top, top + kBlock, -INFINITY);
        std::fill(total, total + kBlock, 0.0f);
        std::fill(sums.begin(), sums.end(), 0.0f);
        for (int key = firstKeyBlock(first, shape); key < endOfKeys(first + n, ownKeys, shape); key += kBlock) {
          int m = std::min(kBlock, ownKeys - key);
          scoreBlock(queries.data(), turned.data(), padded, first, n, key, m, shape, s.data());
          for (int i = 0; i < n; i++) {
            float* line = &s[i * kBlock];
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
          productAny(s.data(), kBlock, 1, &values[int64_t(key) * size], size, sums.data(), size, n, size, m, true);
        }
        for (int i = 0; i < n; i++) {
          OutRow to(out, (start + first + i) * qStride + head * size, size);
          for (int d = 0; d < size; d++) to[d] = sums[i * size + d] / total[i];
          logSums[(start + first + i) * shape.heads + head] = top[i] + std::log(total[i]);
        }
        if (rounded.data) integers().round(static_cast<float*>(out.data), start + first, n, head * size, size, rounded);
      }
  });
}

/** p = exp(s - logSum), dp = dOut v^T, ds = p (dp - dOut . out) scale;  dq = ds k, dk = ds^T q, dv = p^T dOut */
void attentionGrad(View q, View k, View v, const int32_t* segments, View out, const float* logSums, View dOut, View dq, View dk, View dv,
                   const AttentionShape& shape) {
  int size = shape.headSize, group = shape.heads / shape.keyValueHeads;
  int64_t qStride = int64_t(shape.heads) * size, kStride = int64_t(shape.keyValueHeads) * size;
  std::vector<Piece> pieces = piecesOf(segments, shape);
  parallelFor(pieces.size() * shape.keyValueHeads, [&](int64_t task) {
    auto [start, length, keyStart, ownKeys] = pieces[task / shape.keyValueHeads];
    int kv = static_cast<int>(task % shape.keyValueHeads);
    std::vector<float> keys, values, kTurned, vTurned, dKeys(int64_t(ownKeys) * size, 0), dValues(int64_t(ownKeys) * size, 0);
    std::vector<float> queries(kBlock * size), upstream(kBlock * size), dQueries(kBlock * size), s(kBlock * kBlock), ds(kBlock * kBlock);
    readHead(k, keyStart * kStride + kv * size, kStride, ownKeys, size, keys);
    readHead(v, keyStart * kStride + kv * size, kStride, ownKeys, size, values);
    int64_t padded = turn(keys, ownKeys, size, kTurned);
    turn(values, ownKeys, size, vTurned);
    for (int head = kv * group; head < (kv + 1) * group; head++)
      for (int first = 0; first < length; first += kBlock) {
        int n = std::min(kBlock, length - first);
        float logSum[kBlock], dot[kBlock];
        for (int i = 0; i < n; i++) {
          int64_t at = (start + first + i) * qStride + head * size;
          Row in(q, at, size), up(dOut, at, size), o(out, at, size);
          float sum = 0;
          for (int d = 0; d < size; d++) {
            queries[i * size + d] = in[d];
            upstream[i * size + d] = up[d];
            sum += up[d] * o[d];
          }
          dot[i] = sum;
          logSum[i] = logSums[(start + first + i) * shape.heads + head];
        }
        std::fill(dQueries.begin(), dQueries.end(), 0.0f);
        for (int key = firstKeyBlock(first, shape); key < endOfKeys(first + n, ownKeys, shape); key += kBlock) {
          int m = std::min(kBlock, ownKeys - key);
          scoreBlock(queries.data(), kTurned.data(), padded, first, n, key, m, shape, s.data());
          productAny(upstream.data(), size, 1, &vTurned[key], padded, ds.data(), kBlock, n, kBlock, size, false);
          for (int i = 0; i < n; i++)
            for (int j = 0; j < kBlock; j++) {
              float p = fastExp(s[i * kBlock + j] - logSum[i]);
              s[i * kBlock + j] = p;
              ds[i * kBlock + j] = p * (ds[i * kBlock + j] - dot[i]) * shape.scale;
            }
          productAny(ds.data(), kBlock, 1, &keys[int64_t(key) * size], size, dQueries.data(), size, n, size, m, true);
          productAny(ds.data(), 1, kBlock, queries.data(), size, &dKeys[int64_t(key) * size], size, m, size, n, true);
          productAny(s.data(), 1, kBlock, upstream.data(), size, &dValues[int64_t(key) * size], size, m, size, n, true);
        }
        for (int i = 0; i < n; i++) {
          OutRow to(dq, (start + first + i) * qStride + head * size, size);
          for (int d = 0; d < size; d++) to[d] = dQueries[i * size + d];
        }
      }
    for (int t = 0; t < ownKeys; t++) {
      OutRow toK(dk, (keyStart + t) * kStride + kv * size, size), toV(dv, (keyStart + t) * kStride + kv * size, size);
      for (int d = 0; d < size; d++) {
        toK[d] = dKeys[int64_t(t) * size + d];
        toV[d] = dValues[int64_t(t) * size + d];
      }
    }
  });
}
