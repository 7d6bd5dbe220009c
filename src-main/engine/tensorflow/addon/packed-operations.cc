// Operations on what lies in our own memory (residents.h): weights and sequences come as numbers.
#include "operations.h"

#include "buffer.h"
#include "loss.h"
#include "residents.h"

namespace kernels {
namespace {

std::shared_ptr<PackedMatrix> matrix(TF_Tensor* number) { return packedMatrix(i32(number)[0]); }

/** y [tokens, rows] = x W^T, or with `gradient` y [tokens, width] = x W; `bias` [rows] is added where it has data */
void productWith(View x, const PackedMatrix& w, View y, int64_t tokens, bool gradient, bool split, View bias = {}) {
  if (!gradient && !bias.data && tokens <= kFewTokens) return table().packedDots(x, w.data, w.format, y, tokens, w.rows, w.width);
  ProductShape shape{tokens, gradient ? w.rows : w.width, gradient ? w.width : w.rows, false, !gradient};
  shape.addsRow = true;
  matrixProduct()(x, w.view(), bias, y, shape, split);
}

/** Output i: x W^T, or x W with `gradient` */
TF_Tensor* productOutput(Call& c, int i, TF_Tensor* x, const PackedMatrix& w, bool gradient) {
  need(last(x) == (gradient ? w.rows : w.width), "product with a packed matrix: shapes do not fit");
  auto shape = shapeOf(x);
  shape.back() = gradient ? w.width : w.rows;
  return c.output(i, shape);
}

void product(Call& c) {
  TF_Tensor* x = c.input(0);
  auto w = matrix(c.input(1));
  bool gradient = c.attributes.ints[0] != 0, split = c.attributes.ints[1] != 0;
  productWith(view(x), *w, view(productOutput(c, 0, x, *w, gradient)), rowsOf(x), gradient, split);
}

/** y = x W^T + bias */
void linear(Call& c) {
  TF_Tensor *x = c.input(0), *bias = c.input(2);
  auto w = matrix(c.input(1));
  need(TF_TensorElementCount(bias) == w->rows, "packed linear: shapes do not fit");
  productWith(view(x), *w, view(productOutput(c, 0, x, *w, false)), rowsOf(x), false, c.attributes.ints[0] != 0, view(bias));
}

/** y [pictures, rows, columns, out] of x [pictures, height, width, in], or back */
void convolution(Call& c) {
  TF_Tensor* x = c.input(0);
  auto w = matrix(c.input(1));
  const auto& i = c.attributes.ints;
  bool gradient = i[5] != 0;
  ConvolutionShape s{};
  s.pictures = TF_Dim(x, 0), s.height = TF_Dim(x, 1), s.width = TF_Dim(x, 2);
  s.kernel = i[0], s.stride = i[1], s.before = i[2], s.rows = i[3], s.columns = i[4], s.gradient = gradient;
  s.in = w->width / (s.kernel * s.kernel), s.out = w->rows;
  need(w->width % (s.kernel * s.kernel) == 0 && last(x) == (gradient ? s.out : s.in), "convolution: shapes do not fit");
  TF_Tensor* y = c.output(0, {s.pictures, s.rows, s.columns, gradient ? s.in : s.out});
  table().convolution(f32(x), w->view(), f32(y), s);
}

StoredMatrix factor(PackedMatrix& w, bool gradient) { return gradient ? w.turned().stored() : w.stored(); }

/** The product with the two factors in integers: x rounded by token and block, W as its blocks have it, W^T in a copy of its own. */
void integerProduct(const float* x, PackedMatrix& w, float* y, int64_t tokens, bool gradient) {
  StoredMatrix stored = factor(w, gradient);
  int64_t depth = gradient ? w.rows : w.width;
  if (tokens <= kFewTokens) return integers().fewTokens(x, stored, y, tokens, depth);
  static thread_local Buffer buffer;
  Rounded rounded{reinterpret_cast<uint8_t*>(buffer.need(integers().roundedBytes(tokens, depth) / 4)), tokens, depth};
  roundAll(x, rounded);
  integers().product(rounded, stored, {}, y);
}

void integerProduct(Call& c) {
  TF_Tensor* x = c.input(0);
  auto w = matrix(c.input(1));
  bool gradient = c.attributes.ints[0] != 0;
  integerProduct(f32(x), *w, f32(productOutput(c, 0, x, *w, gradient)), rowsOf(x), gradient);
}

/** Products of several matrices with the same few tokens: one operation, as each costs as much as a small product does. */
template <int count>
void integerProducts(Call& c) {
  TF_Tensor* x = c.input(0);
  for (int i = 0; i < count; i++) {
    auto w = matrix(c.input(1 + i));
    integerProduct(f32(x), *w, f32(productOutput(c, i, x, *w, false)), rowsOf(x), false);
  }
}

/** The same of what is rounded already [+ scale a b]. */
void roundedProduct(Call& c) {
  TF_Tensor *x = c.input(0), *rounded = c.input(2);
  auto w = matrix(c.input(1));
  bool gradient = c.attributes.ints[0] != 0;
  TF_Tensor* out = productOutput(c, 0, x, *w, gradient);
  int64_t tokens = rowsOf(x), depth = last(x), columns = last(out);
  float* y = f32(out);
  LowRank more;
  if (c.inputs() == 5) {
    TF_Tensor *a = c.input(3), *b = c.input(4);
    need(rowsOf(a) == tokens && rowsOf(b) == last(a) && last(b) == columns, "integer product: what it adds does not fit");
    more = {f32(a), f32(b), last(a), c.attributes.floats[0]};
  }
  bool few = tokens <= kFewTokens, apart = more.a && (few || amxProduct());  // tiles multiply f32 faster than registers
  if (few) {
    integers().fewTokens(f32(x), factor(*w, gradient), y, tokens, depth);
  } else {
    need(TF_TensorElementCount(rounded) == integers().roundedBytes(tokens, depth), "integer product: what is rounded does not fit");
    integers().product({static_cast<uint8_t*>(TF_TensorData(rounded)), tokens, depth}, factor(*w, gradient), apart ? LowRank{} : more, y);
  }
  if (!apart) return;
  View a{const_cast<float*>(more.a)}, b{const_cast<float*>(more.b)}, sum{y};
  matrixProduct()(a, b, sum, sum, {tokens, more.rank, columns, false, false, more.scale}, true);
}

/** x in integers, for the products that take it */
void rounded(Call& c) {
  TF_Tensor* x = c.input(0);
  Rounded to = roundedOutput(c, 0, rowsOf(x), last(x));
  if (to.data) roundAll(f32(x), to);
}

/** W[ids] in f32 */
void rows(Call& c) {
  TF_Tensor* ids = c.input(0);
  auto w = matrix(c.input(1));
  int64_t count = TF_TensorElementCount(ids);
  TF_Tensor* out = c.output(0, {count, w->width});
  for (int64_t i = 0; i < count; i++) {
    need(i32(ids)[i] >= 0 && i32(ids)[i] < w->rows, "packed rows: an index is out of range");
    table().unpackRow(w->data + i32(ids)[i] * w->rowBytes, w->format, 0, w->width, f32(out) + i * w->width);
  }
}

void unpack(Call& c) {
  auto w = matrix(c.input(0));
  TF_Tensor* out = c.output(0, {w->rows, w->width});
  parallelFor(w->rows, [&](int64_t i) { table().unpackRow(w->data + i * w->rowBytes, w->format, 0, w->width, f32(out) + i * w->width); });
}

void loss(Call& c) {
  TF_Tensor *x = c.input(0), *labels = c.input(2);
  auto w = matrix(c.input(1));
  bool split = c.attributes.ints[0] != 0, areIntegers = c.attributes.ints[1] != 0;
  need(last(x) == w->width && (!areIntegers || view(x).type == Type::f32), "loss: shapes do not fit");
  auto product = [&](View from, int64_t n, View to, bool gradient) {
    if (!areIntegers) return productWith(from, *w, to, n, gradient, split);
    integerProduct(static_cast<float*>(from.data), *w, static_cast<float*>(to.data), n, gradient);
  };
  lossAndGradient(
      c, x, labels, w->rows, areIntegers ? kIntegerLossRows : kLossRows, [&](View part, int64_t n, View out) { product(part, n, out, false); },
      [&](View scores, int64_t n, View out) { product(scores, n, out, true); });
}

/** log softmax(x W^T)[label] of each row; 0 where the label is negative */
void logProbabilities(Call& c) {
  TF_Tensor *x = c.input(0), *labels = c.input(2);
  auto w = matrix(c.input(1));
  bool split = c.attributes.ints[0] != 0;
  need(last(x) == w->width && TF_TensorElementCount(labels) == rowsOf(x), "log probabilities: shapes do not fit");
  TF_Tensor* out = c.output(0, {rowsOf(x)});
  std::memset(f32(out), 0, rowsOf(x) * sizeof(float));
  overLabels(
      view(x), i32(labels), rowsOf(x), last(x), w->rows, kLossRows, [&](View part, int64_t n, View to) { productWith(part, *w, to, n, false, split); },
      [](View, int64_t, View) {},
      [&](const int64_t* chosen, const float* losses, int64_t n, const float*) {
        for (int64_t i = 0; i < n; i++) f32(out)[chosen[i]] = -losses[i];
      });
}

/** place: number of the sequence, position of the first token, tokens that are no padding */
void attend(Call& c) {
  TF_Tensor *q = c.input(0), *k = c.input(1), *v = c.input(2), *place = c.input(3), *layer = c.input(4);
  auto sequence = sequenceCache(i32(place)[0]);
  const auto& i = c.attributes.ints;
  CacheShape shape{i32(place)[1], rowsOf(q), i32(place)[2], static_cast<int>(i[0]), static_cast<int>(i[1]), static_cast<int>(last(q) / i[0]),
                   static_cast<int>(i[2]), c.attributes.floats[0]};
  int32_t number = i32(layer)[0];
  need(TF_TensorElementCount(place) == 3 && number >= 0 && number < static_cast<int32_t>(sequence->layers.size()) && shape.position >= 0 &&
           shape.count >= 0 && shape.count <= shape.tokens && rowsOf(k) == shape.tokens && last(k) == int64_t(shape.keyValueHeads) * shape.headSize,
       "cached attention: shapes do not fit");
  table().cachedAttention(view(q), view(k), view(v), view(c.output(0, shapeOf(q))), sequence->layers[number], shape);
}

}  // namespace

const std::vector<Operation>& packedOperations() {
  static const std::vector<Operation> list = {
      {"StudioPackedProduct", {"x: T", "weight: int32"}, {"y: U"}, {"T", "U"}, {"gradient", "split"}, {}, {-1}, product},
      {"StudioPackedLinear", {"x: T", "weight: int32", "bias: float"}, {"y: U"}, {"T", "U"}, {"split"}, {}, {-1}, linear},
      {"StudioConvolution", {"x: float", "weight: int32"}, {"y: float"}, {},
       {"kernel", "stride", "before", "rows", "columns", "gradient"}, {}, {-1}, convolution},
      {"StudioIntegerProduct", {"x: float", "weight: int32"}, {"y: float"}, {}, {"gradient"}, {}, {-1}, integerProduct},
      {"StudioIntegerProduct2", {"x: float", "w0: int32", "w1: int32"}, {"y0: float", "y1: float"}, {}, {}, {}, {-1, -1}, integerProducts<2>},
      {"StudioIntegerProduct3", {"x: float", "w0: int32", "w1: int32", "w2: int32"}, {"y0: float", "y1: float", "y2: float"}, {}, {}, {},
       {-1, -1, -1}, integerProducts<3>},
      {"StudioRoundedProduct", {"x: float", "weight: int32", "rounded: uint8"}, {"y: float"}, {}, {"gradient"}, {}, {-1}, roundedProduct},
      {"StudioRoundedProductAdd", {"x: float", "weight: int32", "rounded: uint8", "a: float", "b: float"}, {"y: float"}, {}, {"gradient"}, {"scale"},
       {-1}, roundedProduct},
      {"StudioRounded", {"x: float"}, {"rounded: uint8"}, {}, {}, {}, {-1}, rounded},
      {"StudioPackedRows", {"ids: int32", "weight: int32"}, {"rows: float"}, {}, {}, {}, {-1}, rows},
      {"StudioUnpack", {"weight: int32"}, {"values: float"}, {}, {}, {}, {-1}, unpack},
      {"StudioPackedLoss", {"x: T", "weight: int32", "labels: int32"}, {"loss: float", "dx: float"}, {"T"}, {"split", "integers"}, {}, {-1, 0}, loss},
      {"StudioLogProbabilities", {"x: T", "weight: int32", "labels: int32"}, {"values: float"}, {"T"}, {"split"}, {}, {2}, logProbabilities},
      {"StudioCachedAttention", {"q: T", "k: U", "v: V", "place: int32", "layer: int32"}, {"out: W"}, {"T", "U", "V", "W"},
       {"heads", "key_value_heads", "window"}, {"scale"}, {0}, attend},
  };
  return list;
}

}  // namespace kernels
