// AMX's tiles of 8-bit integers as plain loops, in the place of the instructions (Intel's manual, volume 2): for processors without them.
#pragma once
#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace emulated {
inline uint8_t config[64];
inline thread_local uint8_t tiles[8][16][64];
inline int rowsOf(int t) { return config[48 + t]; }
inline int columnsOf(int t) { return config[16 + 2 * t] | config[17 + 2 * t] << 8; }
inline void load(int t, const void* from, int64_t stride) {
  std::memset(tiles[t], 0, sizeof(tiles[t]));
  for (int r = 0; r < rowsOf(t); r++) std::memcpy(tiles[t][r], static_cast<const char*>(from) + r * stride, columnsOf(t));
}
inline void store(int t, void* to, int64_t stride) {
  for (int r = 0; r < rowsOf(t); r++) std::memcpy(static_cast<char*>(to) + r * stride, tiles[t][r], columnsOf(t));
}
inline void dot(int c, int a, int b) {
  for (int r = 0; r < rowsOf(c); r++)
    for (int k = 0; k < columnsOf(a) / 4; k++)
      for (int n = 0; n < columnsOf(c) / 4; n++)
        for (int i = 0; i < 4; i++)
          reinterpret_cast<int32_t*>(tiles[c][r])[n] += int8_t(tiles[a][r][4 * k + i]) * int8_t(tiles[b][k][4 * n + i]);
}
}  // namespace emulated

#undef _tile_loadconfig
#undef _tile_storeconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbssd
#define _tile_loadconfig(from) std::memcpy(emulated::config, from, 64)
#define _tile_storeconfig(to) std::memcpy(to, emulated::config, 64)
#define _tile_release() std::memset(emulated::config, 0, 64)
#define _tile_zero(t) std::memset(emulated::tiles[t], 0, 1024)
#define _tile_loadd(t, from, stride) emulated::load(t, from, stride)
#define _tile_stored(t, to, stride) emulated::store(t, to, stride)
#define _tile_dpbssd(c, a, b) emulated::dot(c, a, b)
