// The operations of a step: names, attributes, shapes, and the way from TensorFlow's tensors to our loops.
#include <cstdlib>
#include <cstring>
#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "loss.h"
#include "operations.h"

namespace kernels {

bool isAllowed(Level level) {
  static const std::string widest = std::getenv("EFFILORA_INSTRUCTIONS") ? std::getenv("EFFILORA_INSTRUCTIONS") : "";
  return level <= (widest == "avx2" ? Level::avx2 : widest == "avxvnni" ? Level::avxVnni : widest == "avx512" ? Level::avx512 : Level::amx);
}

const Table& table() {
  static const Table& chosen = isAllowed(Level::avx512) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") ? tableAvx512 : tableAvx2;
  return chosen;
}

const Integers& integers() {
  static const Integers& chosen = [] () -> const Integers& {
    if (hasIntegerTiles()) return integersAmx;
    bool wide = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    if (isAllowed(Level::avx512) && wide && __builtin_cpu_supports("avx512vnni")) return integersAvx512;
    return isAllowed(Level::avxVnni) && __builtin_cpu_supports("avxvnni") ? integersAvxVnni : integersAvx2;
  }();
  return chosen;
}

ProductFunction matrixProduct() { return amxProduct() ? amxProduct() : table().product; }

namespace {

bool onTiles(const AttentionShape& shape) { return amxProduct() && shape.headSize % 32 == 0; }

AttentionShape attentionShape(Call& c, TF_Tensor* q, TF_Tensor* k) {
  const auto& i = c.attributes.ints;
  int64_t length = i[0] ? i[0] : std::max<int64_t>(1, rowsOf(q));  // 0: all tokens are one row
  AttentionShape s{static_cast<int>(rowsOf(q) / length), static_cast<int>(length), static_cast<int>(i[1]),
                   static_cast<int>(i[2]), static_cast<int>(last(q) / i[1]), static_cast<int>(i[3]), static_cast<int>(i[4]), c.attributes.floats[0]};
  int64_t keys = s.keyLength ? int64_t(s.rows) * s.keyLength : rowsOf(q);
  need(last(q) == int64_t(s.heads) * s.headSize && last(k) == int64_t(s.keyValueHeads) * s.headSize && rowsOf(k) == keys && (s.isCausal() || !s.window),
       "attention: shapes do not fit");
  return s;
}

GroupShape groupShape(Call& c, TF_Tensor* x, TF_Tensor* weight, TF_Tensor* bias) {
  int64_t pictures = TF_Dim(x, 0), channels = last(x), groups = c.attributes.ints[0];
  need(TF_TensorElementCount(weight) == channels && TF_TensorElementCount(bias) == channels && channels % groups == 0, "groupNorm: shapes do not fit");
  return {pictures, rowsOf(x) / std::max<int64_t>(1, pictures), channels, static_cast<int>(groups), c.attributes.floats[0], c.attributes.ints[1] != 0};
}

/** A single number stands for none. */
const float* shiftOf(TF_Tensor* shift, const GroupShape& s) {
  bool isThere = TF_TensorElementCount(shift) == s.pictures * s.channels;
  need(isThere || TF_TensorElementCount(shift) == 1, "groupNorm: shapes do not fit");
  return isThere ? f32(shift) : nullptr;
}

void sum(Call& c) {
  std::vector<View> terms;
  TF_Tensor* out = c.inPlace(0, 0);
  TF_Tensor* first = c.input(0);
  for (int i = 0; i < c.inputs(); i++) {
    TF_Tensor* term = i == 0 ? first : c.input(i);
    need(TF_TensorElementCount(term) == TF_TensorElementCount(first), "sum: shapes do not fit");
    terms.push_back(view(term));
  }
  table().sum(terms.data(), static_cast<int>(terms.size()), view(out), TF_TensorElementCount(first));
}

/** out [blocks * rank, width] = a^T b; blocks with active = 0 cost nothing and are 0, neighbouring active ones are one product. */
void blockProduct(TF_Tensor* a, TF_Tensor* b, const float* active, int blocks, TF_Tensor* out) {
  int64_t rank = last(a) / blocks, width = last(b);
  for (int first = 0; first < blocks;) {
    int next = first;
    while (next < blocks && (active[next] != 0) == (active[first] != 0)) next++;
    float* to = f32(out) + first * rank * width;
    ProductShape shape{(next - first) * rank, rowsOf(a), width, true, false, 1, last(a)};
    if (active[first] != 0) matrixProduct()({f32(a) + first * rank, Type::f32}, view(b), {}, {to, Type::f32}, shape, true);
    else std::memset(to, 0, shape.m * width * sizeof(float));
    first = next;
  }
}

void loss(Call& c) {
  bool transposed = c.attributes.ints[0] != 0, split = c.attributes.ints[1] != 0;
  TF_Tensor *x = c.input(0), *weight = c.input(1), *labels = c.input(2);
  int64_t width = last(x), vocabulary = TF_Dim(weight, transposed ? 0 : 1);
  need(TF_Dim(weight, transposed ? 1 : 0) == width, "loss: shapes do not fit");
  View w = view(weight);
  lossAndGradient(
      c, x, labels, vocabulary, kLossRows,
      [&](View part, int64_t n, View out) { matrixProduct()(part, w, {}, out, {n, width, vocabulary, false, transposed}, split); },
      [&](View scores, int64_t n, View out) { matrixProduct()(scores, w, {}, out, {n, vocabulary, width, false, !transposed}, split); });
}

void adamw(Call& c, float* pOut, float* mOut, float* vOut) {
  TF_Tensor *p = c.input(0), *m = c.input(1), *v = c.input(2), *g = c.input(3), *rows = c.input(4);
  int64_t blocks = rowsOf(rows), count = TF_TensorElementCount(p);
  need(last(rows) == 4 && count % blocks == 0 && TF_TensorElementCount(g) == count, "adamw: shapes do not fit");
  const auto& f = c.attributes.floats;
  // torch.nn.utils.clip_grad_norm_: min(1, clip / (norm + 1e-6))
  float scale = f[3] > 0 ? std::min(1.0f, f[3] / (*f32(c.input(5)) + 1e-6f)) : 1.0f;
  table().adamw(f32(p), f32(m), f32(v), f32(g), f32(rows), scale, pOut, mOut, vOut, blocks, count / blocks, f[0], f[1], f[2]);
}

void product(Call& c) {
  const auto& i = c.attributes.ints;
  bool adds = c.inputs() == 3;
  TF_Tensor* out = adds ? c.inPlace(0, 2) : nullptr;
  TF_Tensor *a = c.input(0), *b = c.input(1);
  ProductShape s{};
  s.transposeA = i[0] != 0;
  s.transposeB = i[1] != 0;
  s.m = TF_Dim(a, s.transposeA ? 1 : 0);
  s.k = TF_Dim(a, s.transposeA ? 0 : 1);
  s.n = TF_Dim(b, s.transposeB ? 0 : 1);
  need(TF_Dim(b, s.transposeB ? 1 : 0) == s.k, "product: shapes do not fit");
  View add;
  if (adds) {
    need(TF_TensorElementCount(out) == s.m * s.n, "product: the sum's shape does not fit");
    add = view(c.input(2));
  } else {
    out = c.output(0, {s.m, s.n});
  }
  s.scale = c.attributes.floats[0];
  matrixProduct()(view(a), view(b), add, view(out), s, i[2] != 0);
}

void rmsNorm(Call& c) {
  TF_Tensor *x = c.input(0), *w = c.input(1), *y = c.output(0, shapeOf(x));
  table().rmsNorm(view(x), f32(w), view(y), rowsOf(x), last(x), c.attributes.floats[0], roundedOutput(c, 1, rowsOf(x), last(x)));
}

void layerNorm(Call& c) {
  TF_Tensor *x = c.input(0), *w = c.input(1), *b = c.input(2), *y = c.output(0, shapeOf(x));
  need(TF_TensorElementCount(w) == last(x) && TF_TensorElementCount(b) == last(x), "layerNorm: shapes do not fit");
  table().layerNorm(view(x), f32(w), f32(b), view(y), rowsOf(x), last(x), c.attributes.floats[0], roundedOutput(c, 1, rowsOf(x), last(x)));
}

void gated(Call& c) {
  TF_Tensor *g = c.input(0), *u = c.input(1), *y = c.output(0, shapeOf(g));
  Rounded rounded = roundedOutput(c, 1, rowsOf(g), last(g));
  table().gated(view(g), view(u), view(y), TF_TensorElementCount(g), static_cast<int>(c.attributes.ints[0]), rounded);
}

void gatedGrad(Call& c) {
  TF_Tensor *dy = c.input(0), *g = c.input(1), *u = c.input(2), *dg = c.output(0, shapeOf(g)), *du = c.output(1, shapeOf(g));
  Rounded ofGate = roundedOutput(c, 2, rowsOf(g), last(g)), ofUp = roundedOutput(c, 3, rowsOf(g), last(g));
  int activation = static_cast<int>(c.attributes.ints[0]);
  table().gatedGrad(view(dy), view(g), view(u), view(dg), view(du), TF_TensorElementCount(g), activation, ofGate, ofUp);
}

void activation(Call& c) {
  TF_Tensor *x = c.input(0), *y = c.output(0, shapeOf(x));
  Rounded rounded = roundedOutput(c, 1, rowsOf(x), last(x));
  table().gated(view(x), {}, view(y), TF_TensorElementCount(x), static_cast<int>(c.attributes.ints[0]), rounded);
}

void activationGrad(Call& c) {
  TF_Tensor *dy = c.input(0), *x = c.input(1), *dx = c.output(0, shapeOf(x));
  Rounded rounded = roundedOutput(c, 1, rowsOf(x), last(x));
  table().gatedGrad(view(dy), view(x), {}, view(dx), {}, TF_TensorElementCount(x), static_cast<int>(c.attributes.ints[0]), rounded, {});
}

void attention(Call& c) {
  TF_Tensor *q = c.input(0), *k = c.input(1), *v = c.input(2), *s = c.input(3);
  AttentionShape shape = attentionShape(c, q, k);
  TF_Tensor *out = c.output(0, shapeOf(q)), *sums = c.output(1, {rowsOf(q), shape.heads});
  Rounded rounded = roundedOutput(c, 2, rowsOf(q), last(q));
  bool haveBlocks = shape.headSize % 32 == 0;  // else a head ends amid numbers that are rounded together
  auto function = onTiles(shape) ? amxAttention : table().attention;
  function(view(q), view(k), view(v), i32(s), view(out), f32(sums), shape, haveBlocks ? rounded : Rounded{});
  if (rounded.data && !haveBlocks) roundAll(f32(out), rounded);
}

}  // namespace

const std::vector<Operation>& stepOperations() {
  static const std::vector<Operation> list = {
      {"StudioRmsNorm", {"x: T", "weight: float"}, {"y: U"}, {"T", "U"}, {}, {"epsilon"}, {0}, rmsNorm},
      {"StudioRmsNormRounded", {"x: T", "weight: float"}, {"y: U", "rounded: uint8"}, {"T", "U"}, {}, {"epsilon"}, {0, -1}, rmsNorm},
      {"StudioRmsNormGrad", {"dy: T", "x: U", "weight: float"}, {"dx: float"}, {"T", "U"}, {}, {"epsilon"}, {1}, [](Call& c) {
         TF_Tensor *dy = c.input(0), *x = c.input(1), *w = c.input(2), *dx = c.output(0, shapeOf(x));
         table().rmsNormGrad(view(dy), view(x), f32(w), nullptr, f32(dx), rowsOf(x), last(x), c.attributes.floats[0]);
       }},
      {"StudioLayerNorm", {"x: T", "weight: float", "bias: float"}, {"y: U"}, {"T", "U"}, {}, {"epsilon"}, {0}, layerNorm},
      {"StudioLayerNormRounded", {"x: T", "weight: float", "bias: float"}, {"y: U", "rounded: uint8"}, {"T", "U"}, {}, {"epsilon"}, {0, -1}, layerNorm},
      {"StudioLayerNormGrad", {"dy: T", "x: U", "weight: float"}, {"dx: float"}, {"T", "U"}, {}, {"epsilon"}, {1}, [](Call& c) {
         TF_Tensor *dy = c.input(0), *x = c.input(1), *w = c.input(2), *dx = c.output(0, shapeOf(x));
         table().layerNormGrad(view(dy), view(x), f32(w), f32(dx), rowsOf(x), last(x), c.attributes.floats[0]);
       }},
      {"StudioGroupNorm", {"x: float", "shift: float", "weight: float", "bias: float"}, {"y: float", "moments: float"}, {}, {"groups", "silu"}, {"epsilon"},
       {0, -1}, [](Call& c) {
         TF_Tensor *x = c.input(0), *shift = c.input(1), *w = c.input(2), *b = c.input(3);
         GroupShape s = groupShape(c, x, w, b);
         TF_Tensor *y = c.output(0, shapeOf(x)), *moments = c.output(1, {s.pictures, 2, s.groups});
         table().groupNorm(f32(x), shiftOf(shift, s), f32(w), f32(b), f32(y), f32(moments), s);
       }},
      {"StudioGroupNormGrad", {"dy: float", "x: float", "shift: float", "weight: float", "bias: float", "moments: float"}, {"dx: float", "dshift: float"}, {},
       {"groups", "silu"}, {"epsilon"}, {1, -1}, [](Call& c) {
         TF_Tensor *dy = c.input(0), *x = c.input(1), *shift = c.input(2), *w = c.input(3), *b = c.input(4), *moments = c.input(5);
         GroupShape s = groupShape(c, x, w, b);
         TF_Tensor *dx = c.output(0, shapeOf(x)), *dShift = c.output(1, {s.pictures, s.channels});
         table().groupNormGrad(f32(dy), f32(x), shiftOf(shift, s), f32(w), f32(b), f32(moments), f32(dx), f32(dShift), s);
       }},
      {"StudioRotary", {"x: T", "cos: float", "sin: float"}, {"y: U"}, {"T", "U"}, {"heads"}, {"sign"}, {0}, [](Call& c) {
         TF_Tensor *x = c.input(0), *cos = c.input(1), *sin = c.input(2), *y = c.output(0, shapeOf(x));
         int heads = static_cast<int>(c.attributes.ints[0]);
         need(last(cos) * 2 * heads == last(x) && rowsOf(cos) == rowsOf(x), "rotary: shapes do not fit");
         table().rotary(view(x), f32(cos), f32(sin), view(y), rowsOf(x), heads, static_cast<int>(last(x) / heads), c.attributes.floats[0]);
       }},
      {"StudioGated", {"gate: T", "up: U"}, {"y: V"}, {"T", "U", "V"}, {"activation"}, {}, {0}, gated},
      {"StudioGatedRounded", {"gate: T", "up: U"}, {"y: V", "rounded: uint8"}, {"T", "U", "V"}, {"activation"}, {}, {0, -1}, gated},
      {"StudioGatedGrad", {"dy: T", "gate: U", "up: V"}, {"dgate: W", "dup: W"}, {"T", "U", "V", "W"}, {"activation"}, {}, {1, 1}, gatedGrad},
      {"StudioGatedGradRounded", {"dy: T", "gate: U", "up: V"}, {"dgate: W", "dup: W", "rounded_dgate: uint8", "rounded_dup: uint8"},
       {"T", "U", "V", "W"}, {"activation"}, {}, {1, 1, -1, -1}, gatedGrad},
      {"StudioActivation", {"x: T"}, {"y: U"}, {"T", "U"}, {"activation"}, {}, {0}, activation},
      {"StudioActivationRounded", {"x: T"}, {"y: U", "rounded: uint8"}, {"T", "U"}, {"activation"}, {}, {0, -1}, activation},
      {"StudioActivationGrad", {"dy: T", "x: U"}, {"dx: V"}, {"T", "U", "V"}, {"activation"}, {}, {1}, activationGrad},
      {"StudioActivationGradRounded", {"dy: T", "x: U"}, {"dx: V", "rounded: uint8"}, {"T", "U", "V"}, {"activation"}, {}, {1, -1}, activationGrad},
      {"StudioAttention", {"q: T", "k: U", "v: V", "segments: int32"}, {"out: W", "log_sums: float"}, {"T", "U", "V", "W"},
       {"length", "heads", "key_value_heads", "window", "key_length"}, {"scale"}, {0, -1}, attention},
      {"StudioAttentionRounded", {"q: T", "k: U", "v: V", "segments: int32"}, {"out: W", "log_sums: float", "rounded: uint8"}, {"T", "U", "V", "W"},
       {"length", "heads", "key_value_heads", "window", "key_length"}, {"scale"}, {0, -1, -1}, attention},
      {"StudioAttentionGrad", {"q: T", "k: U", "v: V", "segments: int32", "out: W", "log_sums: float", "dout: X"}, {"dq: Y", "dk: Y", "dv: Y"},
       {"T", "U", "V", "W", "X", "Y"}, {"length", "heads", "key_value_heads", "window", "key_length"}, {"scale"}, {0, 1, 2}, [](Call& c) {
         TF_Tensor *q = c.input(0), *k = c.input(1), *v = c.input(2), *s = c.input(3), *out = c.input(4), *sums = c.input(5), *dOut = c.input(6);
         TF_Tensor *dq = c.output(0, shapeOf(q)), *dk = c.output(1, shapeOf(k)), *dv = c.output(2, shapeOf(v));
         AttentionShape shape = attentionShape(c, q, k);
         (onTiles(shape) ? amxAttentionGrad : table().attentionGrad)(view(q), view(k), view(v), i32(s), view(out), f32(sums), view(dOut), view(dq),
                                                                     view(dk), view(dv), shape);
       }},
      {"StudioProductAdd", {"y: T", "a: U", "b: V"}, {"out: W"}, {"T", "U", "V", "W"}, {}, {"scale"}, {0}, [](Call& c) {
         TF_Tensor* out = c.inPlace(0, 0);
         TF_Tensor *y = c.input(0), *a = c.input(1), *b = c.input(2);
         need(rowsOf(y) == rowsOf(a) && last(a) == rowsOf(b) && last(b) == last(y), "productAdd: shapes do not fit");
         table().productAdd(view(y), view(a), view(b), view(out), rowsOf(y), last(a), last(y), c.attributes.floats[0]);
       }},
      {"StudioProduct", {"a: T", "b: U"}, {"y: W"}, {"T", "U", "W"}, {"transpose_a", "transpose_b", "split"}, {"scale"}, {-1}, product},
      {"StudioProductSum", {"a: T", "b: U", "c: V"}, {"y: W"}, {"T", "U", "V", "W"}, {"transpose_a", "transpose_b", "split"}, {"scale"}, {2}, product},
      {"StudioLoss", {"x: T", "weight: U", "labels: int32"}, {"loss: float", "dx: float"}, {"T", "U"}, {"transposed", "split"}, {}, {-1, 0}, loss},
      {"StudioSum", {"a: T", "b: U"}, {"y: W"}, {"T", "U", "W"}, {}, {}, {0}, sum},
      {"StudioSum3", {"a: T", "b: U", "c: V"}, {"y: W"}, {"T", "U", "V", "W"}, {}, {}, {0}, sum},
      {"StudioSum4", {"a: T", "b: U", "c: V", "d: X"}, {"y: W"}, {"T", "U", "V", "X", "W"}, {}, {}, {0}, sum},
      {"StudioMixture", {"mixed: float"}, {"out: float", "weights: float"}, {}, {"rank", "heads"}, {}, {-1, -1}, [](Call& c) {
         TF_Tensor* mixed = c.input(0);
         int rank = static_cast<int>(c.attributes.ints[0]), heads = static_cast<int>(c.attributes.ints[1]);
         need(last(mixed) == rank + heads, "mixture: shapes do not fit");
         TF_Tensor *out = c.output(0, {rowsOf(mixed), int64_t(rank) * heads}), *weights = c.output(1, {rowsOf(mixed), heads});
         table().mixture(f32(mixed), f32(out), f32(weights), rowsOf(mixed), rank, heads);
       }},
      {"StudioMixtureGrad", {"dout: float", "mixed: float", "weights: float"}, {"dmixed: float"}, {}, {"rank", "heads"}, {}, {1}, [](Call& c) {
         TF_Tensor *d = c.input(0), *mixed = c.input(1), *weights = c.input(2), *out = c.output(0, shapeOf(mixed));
         table().mixtureGrad(f32(d), f32(mixed), f32(weights), f32(out), rowsOf(mixed), static_cast<int>(c.attributes.ints[0]),
                             static_cast<int>(c.attributes.ints[1]));
       }},
      {"StudioBlockProduct", {"a: float", "b: T", "active: float"}, {"out: float"}, {"T"}, {"blocks"}, {}, {-1}, [](Call& c) {
         TF_Tensor *a = c.input(0), *b = c.input(1), *active = c.input(2);
         int blocks = static_cast<int>(c.attributes.ints[0]);
         need(rowsOf(a) == rowsOf(b) && last(a) % blocks == 0 && TF_TensorElementCount(active) == blocks, "blockProduct: shapes do not fit");
         TF_Tensor* out = c.output(0, {last(a), last(b)});
         blockProduct(a, b, f32(active), blocks, out);
       }},
      {"StudioSquares", {"g: float", "rows: float"}, {"sum: float"}, {}, {}, {}, {-1}, [](Call& c) {
         TF_Tensor *g = c.input(0), *rows = c.input(1);
         int64_t blocks = rowsOf(rows), count = TF_TensorElementCount(g);
         need(last(rows) == 4 && count % blocks == 0, "squares: shapes do not fit");
         *f32(c.output(0, {})) = static_cast<float>(table().squares(f32(g), f32(rows), blocks, count / blocks));
       }},
      {"StudioSensitivity", {"p: float", "g: float"}, {"mean: float"}, {}, {"blocks"}, {}, {-1}, [](Call& c) {
         TF_Tensor *p = c.input(0), *g = c.input(1);
         int64_t blocks = c.attributes.ints[0], count = TF_TensorElementCount(g);
         need(TF_TensorElementCount(p) == count && count % blocks == 0, "sensitivity: shapes do not fit");
         table().sensitivity(f32(p), f32(g), f32(c.output(0, {blocks})), blocks, count / blocks);
       }},
      {"StudioAdamW", {"p: float", "m: float", "v: float", "g: float", "rows: float", "norm: float"}, {"p_new: float", "m_new: float", "v_new: float"}, {}, {},
       {"beta1", "beta2", "epsilon", "clip"}, {0, 0, 0}, [](Call& c) {
         std::vector<int64_t> shape = shapeOf(c.input(0));
         TF_Tensor *p = c.output(0, shape), *m = c.output(1, shape), *v = c.output(2, shape);
         adamw(c, f32(p), f32(m), f32(v));
       }},
      // the same on the variables' own memory: only where nothing that still runs reads them (compile.ts)
      {"StudioAdamWInPlace", {"p: float", "m: float", "v: float", "g: float", "rows: float", "norm: float"}, {}, {}, {},
       {"beta1", "beta2", "epsilon", "clip"}, {}, [](Call& c) { adamw(c, f32(c.input(0)), f32(c.input(1)), f32(c.input(2))); }}};
  return list;
}

}  // namespace kernels
