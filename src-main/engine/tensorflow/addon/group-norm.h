// Group norms of pictures with their channels last, and what mostly stands before and behind them. Part of vector.cc.
#pragma once

/** Pictures in blocks of pixels that stay in a processor's own cache between two looks at them. */
struct PixelBlocks {
  int64_t size, each, all;
  explicit PixelBlocks(const GroupShape& s)
      : size(std::max<int64_t>(1, 16384 / s.channels)), each((s.pixels + size - 1) / size), all(each * s.pictures) {}
  /** body(block, picture, the block's first number, its pixels) */
  template <class F>
  void over(const GroupShape& s, F body) const {
    parallelFor(all, [&](int64_t block) {
      int64_t picture = block / each, first = (block % each) * size;
      body(block, picture, (picture * s.pixels + first) * s.channels, std::min(size, s.pixels - first));
    });
  }
};

/** Sums of each thread's calls: kept, as asking for them at every norm would cost more. */
inline std::vector<float>& normSums(size_t count) {
  thread_local std::vector<float> sums;
  if (sums.size() < count) sums.resize(count);
  return sums;
}

/** u = x + shift:  y = (u - mean) / deviation * weight + bias, then y sigmoid(y) with `silu`. moments [pictures, 2, groups]: mean, 1 / deviation */
void groupNorm(const float* x, const float* shift, const float* weight, const float* bias, float* y, float* moments, const GroupShape& s) {
  const int64_t width = s.channels, own = width / s.groups;
  PixelBlocks blocks(s);
  std::vector<float>& sums = normSums(2 * width * (blocks.all + s.pictures));
  float *of = sums.data(), *lines = of + 2 * width * blocks.all;
  blocks.over(s, [&](int64_t block, int64_t, int64_t start, int64_t pixels) {
    float *mean = of + block * 2 * width, *squares = mean + width;
    std::fill(mean, mean + 2 * width, 0.0f);
    const float* in = x + start;
    for (int64_t p = 0; p < pixels; p++)
      for (int64_t c = 0; c < width; c++) mean[c] += in[p * width + c];
    for (int64_t c = 0; c < width; c++) mean[c] /= pixels;
    // around the mean: the squares' mean less the mean's square loses what is small beside the mean
    for (int64_t p = 0; p < pixels; p++)
      for (int64_t c = 0; c < width; c++) squares[c] += (in[p * width + c] - mean[c]) * (in[p * width + c] - mean[c]);
  });
  parallelFor(s.pictures, [&](int64_t picture) {
    const float* add = shift ? shift + picture * width : nullptr;
    float *scale = lines + picture * 2 * width, *level = scale + width;
    for (int64_t group = 0; group < s.groups; group++) {
      double sum = 0, squares = 0;
      auto overParts = [&](auto f) {
        for (int64_t block = 0; block < blocks.each; block++) {
          const float* part = of + (picture * blocks.each + block) * 2 * width;
          double pixels = std::min(blocks.size, s.pixels - block * blocks.size);
          for (int64_t c = group * own; c < (group + 1) * own; c++) f(pixels, part[c] + (add ? add[c] : 0.0f), part[width + c]);
        }
      };
      overParts([&](double pixels, float mean, float) { sum += pixels * mean; });
      double mean = sum / (s.pixels * own);
      overParts([&](double pixels, float own, float inside) { squares += inside + pixels * (own - mean) * (own - mean); });
      float inverse = 1 / std::sqrt(squares / (s.pixels * own) + s.epsilon);
      moments[(picture * 2) * s.groups + group] = mean;
      moments[(picture * 2 + 1) * s.groups + group] = inverse;
      for (int64_t c = group * own; c < (group + 1) * own; c++) {
        scale[c] = inverse * weight[c];
        // the mean itself is taken away first, as it may be large
        level[c] = static_cast<float>(mean) - (add ? add[c] : 0.0f);
      }
    }
  });
  blocks.over(s, [&](int64_t, int64_t picture, int64_t start, int64_t pixels) {
    const float *scale = lines + picture * 2 * width, *level = scale + width, *in = x + start;
    float* out = y + start;
    for (int64_t p = 0; p < pixels; p++, in += width, out += width) {
      if (s.silu)
        for (int64_t c = 0; c < width; c++) {
          float n = (in[c] - level[c]) * scale[c] + bias[c];
          out[c] = n * sigmoid(n);
        }
      else
        for (int64_t c = 0; c < width; c++) out[c] = (in[c] - level[c]) * scale[c] + bias[c];
    }
  });
}

/**
 * g: dy through the activation, r = 1 / deviation, v = u - mean:  dx = r (g w - mean(g w) - v r^2 mean(g w v)), means over a group.
 * dShift [pictures, channels]: dx summed over the pixels
 */
void groupNormGrad(const float* dy, const float* x, const float* shift, const float* weight, const float* bias, const float* moments, float* dx,
                   float* dShift, const GroupShape& s) {
  const int64_t width = s.channels, own = width / s.groups;
  PixelBlocks blocks(s);
  // of each block: sums of g, g v and v; of each picture: its level, scale, mean(g w) and r^2 mean(g w v) by channels
  std::vector<float>& sums = normSums(width * (3 * blocks.all + 5 * s.pictures));
  float *of = sums.data(), *lines = of + 3 * width * blocks.all;
  for (int64_t picture = 0; picture < s.pictures; picture++) {
    float *level = lines + picture * 5 * width, *scale = level + width, *inverse = scale + width;
    for (int64_t c = 0; c < width; c++) {
      int64_t group = c / own;
      level[c] = moments[picture * 2 * s.groups + group] - (shift ? shift[picture * width + c] : 0.0f);
      inverse[c] = moments[(picture * 2 + 1) * s.groups + group];
      scale[c] = inverse[c] * weight[c];
    }
  }
  blocks.over(s, [&](int64_t block, int64_t picture, int64_t start, int64_t pixels) {
    const float *level = lines + picture * 5 * width, *scale = level + width, *in = x + start, *d = dy + start;
    float *plain = of + block * 3 * width, *along = plain + width, *values = along + width;
    std::fill(plain, plain + 3 * width, 0.0f);
    auto add = [&](auto slopeOf) {
      for (int64_t p = 0; p < pixels; p++)
        for (int64_t c = 0; c < width; c++) {
          float v = in[p * width + c] - level[c], g = d[p * width + c] * slopeOf(v * scale[c] + bias[c]);
          plain[c] += g;
          along[c] += g * v;
          values[c] += v;
        }
    };
    if (s.silu) add([](float n) { return Silu::at(n).slope; });
    else add([](float) { return 1.0f; });
  });
  parallelFor(s.pictures, [&](int64_t picture) {
    float *level = lines + picture * 5 * width, *inverse = level + 2 * width, *mean = inverse + width, *pull = mean + width;
    const float* part = of + picture * blocks.each * 3 * width;
    for (int64_t block = 1; block < blocks.each; block++)
      for (int64_t i = 0; i < 3 * width; i++) const_cast<float*>(part)[i] += part[block * 3 * width + i];
    for (int64_t group = 0; group < s.groups; group++) {
      double sum = 0, along = 0;
      for (int64_t c = group * own; c < (group + 1) * own; c++) {
        sum += part[c] * weight[c];
        along += part[width + c] * weight[c];
      }
      double count = s.pixels * own;
      for (int64_t c = group * own; c < (group + 1) * own; c++) {
        float r = inverse[c];
        mean[c] = sum / count;
        pull[c] = along / count * r * r;
        dShift[picture * width + c] = r * (part[c] * weight[c] - s.pixels * mean[c] - part[2 * width + c] * pull[c]);
      }
    }
  });
  blocks.over(s, [&](int64_t, int64_t picture, int64_t start, int64_t pixels) {
    const float *level = lines + picture * 5 * width, *scale = level + width, *inverse = scale + width, *mean = inverse + width, *pull = mean + width;
    const float *in = x + start, *d = dy + start;
    float* out = dx + start;
    auto write = [&](auto slopeOf) {
      for (int64_t p = 0; p < pixels; p++)
        for (int64_t c = 0; c < width; c++) {
          float v = in[p * width + c] - level[c], g = d[p * width + c] * slopeOf(v * scale[c] + bias[c]);
          out[p * width + c] = g * scale[c] - inverse[c] * (mean[c] + v * pull[c]);
        }
    };
    if (s.silu) write([](float n) { return Silu::at(n).slope; });
    else write([](float) { return 1.0f; });
  });
}
