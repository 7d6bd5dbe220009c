// Activations and their slopes. Part of vector.cc: the compiler makes vectors of these lines.
#pragma once
#include "vector.h"

namespace kernels {
namespace {

struct Activated {
  float value, slope;
};

inline float sigmoid(float x) { return 1 / (1 + fastExp(-x)); }
inline float tanhOf(float x) { return 1 - 2 / (1 + fastExp(2 * x)); }

/** x / (1 + exp(-x)) */
struct Silu {
  static Activated at(float x) {
    float s = sigmoid(x), y = x * s;
    return {y, s + y * (1 - s)};
  }
};

/** x sigmoid(1.702 x) */
struct QuickGelu {
  static Activated at(float x) {
    float s = sigmoid(1.702f * x), y = x * s;
    return {y, s + 1.702f * y * (1 - s)};
  }
};

/** x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) (arXiv 1606.08415) */
struct GeluTanh {
  static Activated at(float x) {
    constexpr float scale = 0.7978845608028654f, cubic = 0.044715f;
    float t = tanhOf(scale * (x + cubic * x * x * x));
    return {0.5f * x * (1 + t), 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * scale * (1 + 3 * cubic * x * x)};
  }
};

/** x / 2 (1 + erf(x / sqrt(2))), erf to 1.5e-7 (Abramowitz and Stegun, 7.1.26) */
struct Gelu {
  static Activated at(float x) {
    float bell = fastExp(-0.5f * x * x), t = 1 / (1 + 0.3275911f * 0.7071067811865476f * std::abs(x));
    float rest = ((((1.061405429f * t - 1.453152027f) * t + 1.421413741f) * t - 0.284496736f) * t + 0.254829592f) * t * bell;
    float share = 0.5f * (x < 0 ? rest : 2 - rest);
    return {x * share, share + x * 0.3989422804014327f * bell};
  }
};

}  // namespace
}  // namespace kernels
