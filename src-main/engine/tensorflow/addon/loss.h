// The loss over the rows that have a label, in equal pieces: no more than [together, vocabulary] logits exist, and rows without a
// label cost nothing.
#pragma once
#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "operation.h"

namespace kernels {

/** Whole bands of rows, and few enough that two threads share out columns: each would unpack all of a packed matrix for rows of its own. */
constexpr int64_t kLossRows = 252;
/** Of a head in integers: beside their logits lie these rounded. */
constexpr int64_t kIntegerLossRows = kLossRows / 2;

/**
 * `logits(x, n, out)`: out [n, vocabulary] of rows x; `back(dlogits, n, out)`: their gradient to x, where it is asked for; after each
 * piece `take(rows, losses, n, gradients)` gets the rows' numbers, -log p(label) of each and their gradients [n, width].
 */
template <class Logits, class Back, class Take>
void overLabels(View x, const int32_t* labels, int64_t rows, int64_t width, int64_t vocabulary, int64_t together, Logits logits, Back back, Take take) {
  std::vector<int64_t> chosen;
  for (int64_t r = 0; r < rows; r++)
    if (labels[r] >= 0) chosen.push_back(r);
  int64_t count = chosen.size(), pieces = std::max<int64_t>(1, (count + together - 1) / together), most = (count + pieces - 1) / pieces;
  std::vector<float> part(most * width), losses(most);
  std::vector<int32_t> partLabels(most);
  std::unique_ptr<float[]> scores(new float[most * vocabulary]);
  size_t bytes = width * (x.type == Type::f32 ? 4 : 2);
  for (int64_t start = 0; start < count; start += most) {
    int64_t n = std::min(most, count - start);
    for (int64_t i = 0; i < n; i++) {
      std::memcpy(reinterpret_cast<char*>(part.data()) + i * bytes, static_cast<char*>(x.data) + chosen[start + i] * bytes, bytes);
      partLabels[i] = labels[chosen[start + i]];
    }
    View scoresView{scores.get(), Type::f32};
    logits(View{part.data(), x.type}, n, scoresView);
    table().crossEntropy(scoresView, partLabels.data(), losses.data(), scoresView, n, vocabulary);
    back(scoresView, n, View{part.data(), Type::f32});
    take(&chosen[start], losses.data(), n, part.data());
  }
}

/** Outputs 0 and 1: the sum of the losses, and its gradient to x. */
template <class Logits, class Back>
void lossAndGradient(Call& c, TF_Tensor* x, TF_Tensor* labels, int64_t vocabulary, int64_t together, Logits logits, Back back) {
  int64_t rows = rowsOf(x), width = last(x);
  need(TF_TensorElementCount(labels) == rows, "loss: shapes do not fit");
  TF_Tensor *total = c.output(0, {}), *dx = c.output(1, shapeOf(x));
  std::memset(f32(dx), 0, rows * width * sizeof(float));
  double sum = 0;
  overLabels(view(x), i32(labels), rows, width, vocabulary, together, logits, back, [&](const int64_t* chosen, const float* losses, int64_t n, const float* d) {
    for (int64_t i = 0; i < n; i++) {
      sum += losses[i];
      std::memcpy(f32(dx) + chosen[i] * width, d + i * width, width * sizeof(float));
    }
  });
  *f32(total) = static_cast<float>(sum);
}

}  // namespace kernels
