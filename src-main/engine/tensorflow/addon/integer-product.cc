// Products of activations with frozen weights in integers. Compiled once for each level of instructions (STUDIO_INTEGERS names the
// result), without any licence to reorder sums: every level gives the same bits, as does any number of threads.
//
// x is rounded per token and block of 32: x ~ d q, d = max |x| / 127, q = round(x * (127 / max |x|)). Of a block's integer sum
// S = sum q w, y gets scale * (d S), and where the weights have a minimum, minimum * (d sum q); added up in f32, block after block.
#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "buffer.h"
#include "kernels.h"
#include "operand.h"
#include "vector.h"
#ifdef STUDIO_TILES
#include "tile-state.h"
#endif

namespace kernels {
namespace {

#include "blocks.h"
#include "integer-registers.h"
#include "integer-weights.h"

constexpr int kBlock = 32;                   // numbers of a line that share a scale
constexpr int kStrip = 2 * kLanes;           // columns whose sums registers hold for a band of rows
constexpr int kLeft = kBandRows * kBlock;    // a band's numbers in a block
constexpr int kFactors = 3 * kBandRows;      // and its factors: d, kBias d, d sum q of each row
constexpr int64_t kDeep = 24;                // blocks of a strip that lie in L1 together
constexpr int64_t kGroup = 128;              // columns of a thread's task
constexpr int64_t kOwnRows = 512;            // of each thread; in integers what crosses between them is small
/** 1.5 * 2^23: an integer below 2^22 added to its bits is that integer more in floating point. The sums begin with it, which saves converting them. */
constexpr int32_t kBias = 0x4b400000;
constexpr float kBiasValue = 12582912;
/** Blocks with nothing larger count as 0: 127 over it would be no number. */
constexpr float kSmallest = 0x1p-100f;

/** A strip's block in the panel: integers [32 / kTogether, kStrip, kTogether], for each scale where the sums begin and the scales, minima. */
constexpr int64_t kWeightBytes = kBlock * kStrip * sizeof(Right);
constexpr int64_t panelBytes(int format) { return kWeightBytes + (2 * scalesOf(format) + hasMinimum(format)) * kStrip * 4; }

#include "integer-rounding.h"
#include "integer-panel.h"
#include "integer-dots.h"

#ifdef STUDIO_TILES
#include "integer-tiles.h"
#else
#include "integer-band.h"
#endif
#include "low-rank-band.h"

auto kernelFor(int format) {
  if (scalesOf(format) == 2) return bandByStrip<false, 2>;
  return hasMinimum(format) ? bandByStrip<true, 1> : bandByStrip<false, 1>;
}

/** `Integers::product` */
void product(const Rounded& x, const StoredMatrix& w, const LowRank& more, float* y) {
  Bands own(x);
  // many rows are shared out among the threads as in the loops before and after, else columns are, and W is taken apart once
  int64_t chunks = haveOwnRows(x.tokens, kOwnRows) ? threads() : 1;
  int64_t group = chunks > 1 ? kGroup : std::min(kGroup, shares(shares(w.rows, kStrip), threads()) * kStrip), groups = shares(w.rows, group);
  auto kernel = kernelFor(w.format);
  parallelFor(chunks * groups, [&](int64_t task) {
    static thread_local Buffer packed, packedMore;
#ifdef STUDIO_TILES
    Tiles tiles(partsOfBlocks(scalesOf(w.format)));
#endif
    uint8_t* panel = reinterpret_cast<uint8_t*>(packed.need(kDeep * panelBytes(w.format) / 4));
    float* strip = reinterpret_cast<float*>(packedMore.need(more.rank * kStrip));
    int64_t chunk = task / groups, from = own.bands * chunk / chunks, to = own.bands * (chunk + 1) / chunks;
    int64_t left = task % groups * group, right = std::min(w.rows, left + group);
    for (int64_t first = 0; first < own.blocks; first += kDeep)
      for (int64_t column = left; column < right; column += kStrip) {
        int64_t deep = std::min(kDeep, own.blocks - first);
        packStrip(w, column, first, deep, panel);
        bool begins = first == 0, adds = begins && more.rank > 0;
        if (adds) packLowRank(more, w.rows, column, strip);
        for (int64_t i = from; i < to; i++) {
          int64_t row = i * kBandRows, at = i * own.blocks + first;
          float* to = y + row * w.rows + column;
          if (adds) lowRankBand(more.a + row * more.rank, strip, more.rank, to, w.rows, x.tokens - row, w.rows - column);
          kernel(own.q + at * kLeft, own.factors + at * kFactors, panel, deep, to, w.rows, x.tokens - row, w.rows - column, adds || !begins);
        }
      }
  });
}

}  // namespace

extern const Integers STUDIO_INTEGERS;
const Integers STUDIO_INTEGERS = {kBandRows, roundedBytes, round, product, fewTokens, turn};

}  // namespace kernels
