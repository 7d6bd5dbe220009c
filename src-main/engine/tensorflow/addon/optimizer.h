// What the optimizer does to tensors of `blocks` blocks of `width` numbers. Part of vector.cc.
// rows [blocks, 4]: step size (0 = frozen: nothing moves), 1 / bias correction 1, 1 / bias correction 2, decay factor of the weight.

/** Calls body(block, start, count) for pieces of every block on all threads. */
template <class F>
void overBlocks(int64_t blocks, int64_t width, F body) {
  constexpr int64_t piece = 16384;
  int64_t pieces = (width + piece - 1) / piece;
  parallelFor(blocks * pieces, [&](int64_t task) {
    int64_t block = task / pieces, start = block * width + task % pieces * piece;
    body(task, block, start, std::min(piece, (block + 1) * width - start));
  });
}
inline int64_t piecesOf(int64_t blocks, int64_t width) { return blocks * ((width + 16383) / 16384); }

/** Sum of the squares of g in the blocks that move. */
double squares(const float* g, const float* rows, int64_t blocks, int64_t width) {
  std::vector<double> parts(piecesOf(blocks, width), 0.0);
  overBlocks(blocks, width, [&](int64_t task, int64_t block, int64_t start, int64_t n) {
    if (rows[block * 4] == 0) return;
    float sum = 0;
    for (int64_t i = start; i < start + n; i++) sum += g[i] * g[i];
    parts[task] = sum;
  });
  double sum = 0;
  for (double part : parts) sum += part;
  return sum;
}

/** out [blocks] = mean of |p g| over each block */
void sensitivity(const float* p, const float* g, float* out, int64_t blocks, int64_t width) {
  std::vector<double> parts(piecesOf(blocks, width), 0.0);
  overBlocks(blocks, width, [&](int64_t task, int64_t, int64_t start, int64_t n) {
    float sum = 0;
    for (int64_t i = start; i < start + n; i++) sum += std::fabs(p[i] * g[i]);
    parts[task] = sum;
  });
  int64_t pieces = parts.size() / blocks;
  for (int64_t block = 0; block < blocks; block++) {
    double sum = 0;
    for (int64_t i = 0; i < pieces; i++) sum += parts[block * pieces + i];
    out[block] = static_cast<float>(sum / width);
  }
}

/** AdamW (arXiv 1711.05101) on `scale` g; where pOut is p (and so for m and v) a frozen block is not even read. */
void adamw(const float* p, const float* m, const float* v, const float* g, const float* rows, float scale, float* pOut, float* mOut, float* vOut,
           int64_t blocks, int64_t width, float beta1, float beta2, float epsilon) {
  overBlocks(blocks, width, [&](int64_t, int64_t block, int64_t start, int64_t n) {
    const float* row = rows + block * 4;
    float rate = row[0], c1 = row[1], c2 = row[2], keep = row[3];
    if (rate == 0) {
      if (pOut != p) std::memcpy(pOut + start, p + start, n * sizeof(float));
      if (mOut != m) std::memcpy(mOut + start, m + start, n * sizeof(float));
      if (vOut != v) std::memcpy(vOut + start, v + start, n * sizeof(float));
      return;
    }
    for (int64_t i = start; i < start + n; i++) {
      float grad = scale * g[i], m1 = beta1 * m[i] + (1 - beta1) * grad, v1 = beta2 * v[i] + (1 - beta2) * grad * grad;
      mOut[i] = m1;
      vOut[i] = v1;
      pOut[i] = p[i] * keep - rate * (m1 * c1) / (std::sqrt(v1 * c2) + epsilon);
    }
  });
}
