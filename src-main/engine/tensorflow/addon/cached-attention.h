// Attention of new tokens over a sequence's cache, which takes their keys and values in first. Part of vector.cc.

/** Room for `needed` tokens a head; what is there moves along. */
void grow(LayerCache& cache, int64_t needed, int keyValueHeads, int size) {
  if (needed <= cache.capacity) return;
  int64_t capacity = std::max<int64_t>({needed, 2 * cache.capacity, 256});
  for (float** part : {&cache.keys, &cache.values}) {
    float* larger = static_cast<float*>(std::malloc(capacity * keyValueHeads * size * sizeof(float)));
    if (!larger) throw std::bad_alloc();
    for (int h = 0; h < keyValueHeads && *part; h++)
      std::memcpy(larger + h * capacity * size, *part + h * cache.capacity * size, cache.capacity * size * sizeof(float));
    std::free(*part);
    *part = larger;
  }
  cache.capacity = capacity;
}

/** One query over keys [first, last]: out [size] = softmax(scale q k^T) v */
void attendOne(const float* q, const float* keys, const float* values, int64_t first, int64_t last, int size, float scale, std::vector<float>& s,
               float* out) {
  s.resize(last - first + 1);
  float top = -INFINITY, total = 0;
  for (int64_t j = first; j <= last; j++) {
    float dot = 0;
    for (int d = 0; d < size; d++) dot += q[d] * keys[j * size + d];
    s[j - first] = dot * scale;
    top = std::max(top, s[j - first]);
  }
  for (float& value : s) total += value = fastExp(value - top);
  std::fill(out, out + size, 0.0f);
  for (int64_t j = first; j <= last; j++) {
    float weight = s[j - first] / total;
    for (int d = 0; d < size; d++) out[d] += weight * values[j * size + d];
  }
}

/** Queries of `n` neighbouring tokens of one head, a block of keys at a time. q, out [n, size] */
void attendBlock(const float* q, const float* keys, const float* values, int64_t position, int64_t n, const CacheShape& shape, float* out) {
  int size = shape.headSize;
  std::vector<float> turned(kBlock * size), s(n * kBlock), top(n, -INFINITY), total(n, 0.0f);
  std::fill(out, out + n * size, 0.0f);
  int64_t start = shape.window ? std::max<int64_t>(0, position - shape.window + 1) / kBlock * kBlock : 0;
  for (int64_t key = start; key < position + n; key += kBlock) {
    int64_t count = std::min<int64_t>(kBlock, position + n - key);
    for (int64_t j = 0; j < count; j++)
      for (int d = 0; d < size; d++) turned[d * kBlock + j] = keys[(key + j) * size + d];
    productAny(q, size, 1, turned.data(), kBlock, s.data(), kBlock, n, kBlock, size, false);
    for (int64_t i = 0; i < n; i++) {
      float* line = &s[i * kBlock];
      int64_t query = position + i;
      for (int64_t j = 0; j < kBlock; j++) {
        bool seen = j < count && key + j <= query && (shape.window == 0 || query - key - j < shape.window);
        line[j] = seen ? line[j] * shape.scale : -INFINITY;
      }
      float high = largest(line, kBlock, top[i]), sum = 0;
      if (high == -INFINITY) {
        std::fill(line, line + kBlock, 0.0f);
        continue;
      }
      for (int64_t j = 0; j < kBlock; j++) sum += line[j] = fastExp(line[j] - high);
      float shrink = fastExp(top[i] - high);
      for (int d = 0; d < size; d++) out[i * size + d] *= shrink;
      total[i] = total[i] * shrink + sum;
      top[i] = high;
    }
    productAny(s.data(), kBlock, 1, values + key * size, size, out, size, n, size, count, true);
  }
  for (int64_t i = 0; i < n; i++)
    for (int d = 0; d < size; d++) out[i * size + d] /= total[i];
}

/** q [tokens, heads * size], k and v [tokens, keyValueHeads * size], normed and rotated; rows from `count` on are padding, out is 0 there */
void cachedAttention(View q, View k, View v, View out, LayerCache& cache, const CacheShape& shape) {
  int size = shape.headSize, group = shape.heads / shape.keyValueHeads;
  int64_t qStride = int64_t(shape.heads) * size, kStride = int64_t(shape.keyValueHeads) * size;
  grow(cache, shape.position + shape.count, shape.keyValueHeads, size);
  int64_t pieces = (shape.count + kBlock - 1) / kBlock;
  parallelFor(shape.keyValueHeads, [&](int64_t head) {
    int64_t start = (head * cache.capacity + shape.position) * size;
    for (int64_t t = 0; t < shape.count; t++) {
      copyRow(k, t * kStride + head * size, size, cache.keys + start + t * size);
      copyRow(v, t * kStride + head * size, size, cache.values + start + t * size);
    }
  });
  parallelFor(shape.heads * pieces, [&](int64_t task) {
    int64_t head = task / pieces, first = task % pieces * kBlock, n = std::min<int64_t>(kBlock, shape.count - first);
    const float* keys = cache.keys + head / group * cache.capacity * size;
    const float* values = cache.values + head / group * cache.capacity * size;
    std::vector<float> queries(n * size), result(n * size), scores;
    for (int64_t i = 0; i < n; i++) copyRow(q, (first + i) * qStride + head * size, size, &queries[i * size]);
    if (n > 4) {
      attendBlock(queries.data(), keys, values, shape.position + first, n, shape, result.data());
    } else {
      for (int64_t i = 0; i < n; i++) {
        int64_t last = shape.position + first + i, from = shape.window ? std::max<int64_t>(0, last - shape.window + 1) : 0;
        attendOne(&queries[i * size], keys, values, from, last, size, shape.scale, scores, &result[i * size]);
      }
    }
    for (int64_t i = 0; i < n; i++) {
      OutRow to(out, (first + i) * qStride + head * size, size);
      for (int d = 0; d < size; d++) to[d] = result[i * size + d];
    }
  });
  zero(out, shape.count * qStride, (shape.tokens - shape.count) * qStride);
}
