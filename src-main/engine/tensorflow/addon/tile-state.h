// What AMX's tiles are: a thread's state.
#pragma once
#include <immintrin.h>

#include <cstdint>

namespace kernels {
namespace {

struct alignas(64) TileConfig {
  uint8_t palette = 1, start = 0, reserved[14] = {};
  uint16_t columns[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

/** oneDNN uses tiles, too: what was there comes back. */
class Tiles {
 public:
  explicit Tiles(const TileConfig& config = {}) {
    _tile_storeconfig(&before_);
    _tile_loadconfig(&config);
  }
  ~Tiles() {
    if (before_.palette) _tile_loadconfig(&before_);
    else _tile_release();
  }

 private:
  TileConfig before_;
};

}  // namespace
}  // namespace kernels
