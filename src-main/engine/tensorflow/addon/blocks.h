// GGUF's blocks as they lie in the file, unpacked row by row (layouts: ggml-common.h and ggml-quants.c of llama.cpp). Part of vector.cc.

inline float half(const uint8_t* at) {
  uint16_t h;
  std::memcpy(&h, at, 2);
  uint32_t sign = uint32_t(h & 0x8000) << 16, exponent = (h >> 10) & 31, fraction = h & 1023;
  if (exponent == 0) return (sign ? -1.0f : 1.0f) * fraction * 5.9604644775390625e-8f;
  uint32_t bits = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | fraction << 13;
  float f;
  std::memcpy(&f, &bits, 4);
  return f;
}

/** 6-bit scale and minimum number `j` of a q4_k or q5_k block */
inline void scaleAndMin(int j, const uint8_t* s, int& scale, int& min) {
  if (j < 4) {
    scale = s[j] & 63;
    min = s[j + 4] & 63;
  } else {
    scale = (s[j + 4] & 15) | ((s[j - 4] >> 6) << 4);
    min = (s[j + 4] >> 4) | ((s[j] >> 6) << 4);
  }
}

void unpack(const uint8_t* b, int format, float* y) {
  switch (format) {
    case 2: {  // q4_0
      float d = half(b);
      for (int i = 0; i < 16; i++) {
        y[i] = d * ((b[2 + i] & 15) - 8);
        y[i + 16] = d * ((b[2 + i] >> 4) - 8);
      }
      return;
    }
    case 3: {  // q4_1
      float d = half(b), m = half(b + 2);
      for (int i = 0; i < 16; i++) {
        y[i] = d * (b[4 + i] & 15) + m;
        y[i + 16] = d * (b[4 + i] >> 4) + m;
      }
      return;
    }
    case 6:    // q5_0
    case 7: {  // q5_1
      int offset = format == 6 ? 2 : 4;
      float d = half(b), m = format == 6 ? -16 * d : half(b + 2);
      uint32_t high;
      std::memcpy(&high, b + offset, 4);
      const uint8_t* low = b + offset + 4;
      for (int i = 0; i < 16; i++) {
        y[i] = d * ((low[i] & 15) | ((high >> i & 1) << 4)) + m;
        y[i + 16] = d * ((low[i] >> 4) | ((high >> (i + 16) & 1) << 4)) + m;
      }
      return;
    }
    case 8: {  // q8_0
      float d = half(b);
      for (int i = 0; i < 32; i++) y[i] = d * static_cast<int8_t>(b[2 + i]);
      return;
    }
    case 12:    // q4_k
    case 13: {  // q5_k
      float d = half(b), dMin = half(b + 2);
      const uint8_t *scales = b + 4, *high = b + 16, *low = format == 12 ? b + 16 : b + 48;
      for (int j = 0; j < 8; j += 2, low += 32, y += 64) {
        int s1, m1, s2, m2;
        scaleAndMin(j, scales, s1, m1);
        scaleAndMin(j + 1, scales, s2, m2);
        for (int i = 0; i < 32; i++) {
          int h1 = format == 13 && (high[i] >> j & 1) ? 16 : 0, h2 = format == 13 && (high[i] >> (j + 1) & 1) ? 16 : 0;
          y[i] = d * s1 * ((low[i] & 15) + h1) - dMin * m1;
          y[i + 32] = d * s2 * ((low[i] >> 4) + h2) - dMin * m2;
        }
      }
      return;
    }
    case 14: {  // q6_k
      const uint8_t *low = b, *high = b + 128;
      const int8_t* scales = reinterpret_cast<const int8_t*>(b + 192);
      float d = half(b + 208);
      for (int n = 0; n < 2; n++, y += 128, low += 64, high += 32, scales += 8)
        for (int i = 0; i < 32; i++) {
          int s = i / 16;
          y[i] = d * scales[s] * (int((low[i] & 15) | ((high[i] & 3) << 4)) - 32);
          y[i + 32] = d * scales[s + 2] * (int((low[i + 32] & 15) | ((high[i] >> 2 & 3) << 4)) - 32);
          y[i + 64] = d * scales[s + 4] * (int((low[i] >> 4) | ((high[i] >> 4 & 3) << 4)) - 32);
          y[i + 96] = d * scales[s + 6] * (int((low[i + 32] >> 4) | ((high[i] >> 6 & 3) << 4)) - 32);
        }
      return;
    }
  }
}

void dequantize(const uint8_t* blocks, int format, View out, int64_t rows, int64_t width) {
  BlockFormat f = blockFormat(format);
  int64_t perRow = width / f.weights;
  overRows(rows, width, [&](int64_t row) {
    OutRow to(out, row * width, width);
    const uint8_t* from = blocks + row * perRow * f.bytes;
    for (int64_t b = 0; b < perRow; b++) unpack(from + b * f.bytes, format, &to[b * f.weights]);
  });
}
