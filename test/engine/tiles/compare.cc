// Prints every format whose products in integers on (emulated) tiles, or by (emulated) AVX-VNNI, have other bits than in AVX2's registers,
// or are no numbers. One token and seven go from their blocks into the sums, more by panels.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "kernels.h"

using namespace kernels;

int main() {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  const uint16_t small = 0x2001;  // in f16: a scale
  for (int format : {kQ4_0, kQ4_1, kQ5_0, kQ5_1, kQ8_0, kQ4_K, kQ5_K, kQ6_K, kF32})
    for (int64_t tokens : {1, 7, 33, 70}) {
      int64_t rows = 75, width = format == kF32 ? 90 : 1280;
      BlockFormat f = blockFormat(format);
      int64_t rowBytes = width / f.weights * f.bytes;
      std::vector<uint8_t> data(rows * rowBytes);
      for (auto& byte : data) byte = static_cast<uint8_t>(random());
      for (int64_t at = 0; at < rows * rowBytes; at += f.bytes) {
        if (format == kF32) {
          float value = normal(random);
          std::memcpy(&data[at], &value, 4);
          continue;
        }
        std::memcpy(&data[at + (format == kQ6_K ? 208 : 0)], &small, 2);
        if (format == kQ4_1 || format == kQ5_1 || format == kQ4_K || format == kQ5_K) std::memcpy(&data[at + 2], &small, 2);
      }
      std::vector<float> x(tokens * width), tiled(tokens * rows), vnni(tokens * rows), plain(tokens * rows);
      for (auto& value : x) value = normal(random);
      const int64_t rank = 5;  // of a product over few numbers that is added
      std::vector<float> more(rank * std::max(tokens, rows));
      for (auto& value : more) value = normal(random);
      StoredMatrix w{data.data(), format, rows, width, rowBytes};
      auto multiply = [&](const Integers& by, std::vector<float>& y) {
        if (tokens <= kFewTokens) return by.fewTokens(x.data(), w, y.data(), tokens, width);
        std::vector<uint8_t> in(by.roundedBytes(tokens, width));
        // in pieces, as the heads of attention are: rows that end amid a band, columns that end with a block
        Rounded rounded{in.data(), tokens, width};
        for (int64_t row = 0; row < tokens; row += 20)
          for (int64_t column = 0; column < width; column += 64)
            by.round(x.data(), row, std::min<int64_t>(20, tokens - row), column, std::min<int64_t>(64, width - column), rounded);
        by.product(rounded, w, {more.data(), more.data(), rank, 0.5f}, y.data());
      };
      multiply(integersAmx, tiled);
      multiply(integersAvxVnni, vnni);
      multiply(integersAvx2, plain);
      auto isPlain = [&](const std::vector<float>& y) { return std::memcmp(y.data(), plain.data(), y.size() * 4) == 0; };
      bool isSame = isPlain(tiled) && isPlain(vnni), isNumber = true;
      for (float value : tiled) isNumber &= std::isfinite(value);
      if (!isSame || !isNumber) std::printf("format %d, %d tokens\n", format, int(tokens));
    }
  std::printf("compared\n");
}
