// What our operations have in common: how one is described, and how it meets TensorFlow's tensors when it runs.
#pragma once
#include <stdexcept>
#include <vector>

#include "kernels.h"
#include "tensorflow/c/kernels.h"
#include "tensorflow/c/tf_tensor.h"

namespace kernels {

/** What an operation was built with: its numeric attributes by position in `Operation::ints` and `Operation::floats`. */
struct Attributes {
  std::vector<int64_t> ints;
  std::vector<float> floats;
};

/** One execution: inputs, outputs, attributes. Failure is an exception. */
class Call {
 public:
  Call(TF_OpKernelContext* context, const Attributes& attributes) : attributes(attributes), context_(context) {}
  ~Call() {
    for (TF_Tensor* tensor : held_) TF_DeleteTensor(tensor);
    TF_DeleteStatus(status_);
  }
  TF_Tensor* input(int i) {
    TF_Tensor* tensor = nullptr;
    TF_GetInput(context_, i, &tensor, status_);
    check();
    held_.push_back(tensor);
    return tensor;
  }
  int inputs() const { return TF_NumInputs(context_); }
  int outputs() const { return TF_NumOutputs(context_); }
  /** an output of this shape, in the place of input `reuse` where nobody else needs that any more */
  TF_Tensor* output(int i, const std::vector<int64_t>& shape, int reuse = -1) {
    int64_t count = 1;
    for (int64_t d : shape) count *= d;
    TF_DataType type = TF_ExpectedOutputDataType(context_, i);
    TF_Tensor* tensor;
    if (reuse >= 0) {
      int forwarded, candidate = reuse;
      tensor = TF_ForwardInputOrAllocateOutput(context_, &candidate, 1, i, shape.data(), static_cast<int>(shape.size()), &forwarded, status_);
    } else {
      tensor = TF_AllocateOutput(context_, i, type, shape.data(), static_cast<int>(shape.size()), count * TF_DataTypeSize(type), status_);
    }
    check();
    held_.push_back(tensor);
    return tensor;
  }
  /** The output takes the place of the input, where nobody else needs that any more: call it before input(i). */
  TF_Tensor* inPlace(int i, int in) {
    std::vector<int64_t> shape;
    {
      TF_Tensor* tensor = nullptr;
      TF_GetInput(context_, in, &tensor, status_);
      check();
      for (int d = 0; d < TF_NumDims(tensor); d++) shape.push_back(TF_Dim(tensor, d));
      TF_DeleteTensor(tensor);
    }
    return output(i, shape, in);
  }
  const Attributes& attributes;

 private:
  void check() {
    if (TF_GetCode(status_) != TF_OK) throw std::runtime_error(TF_Message(status_));
  }
  TF_OpKernelContext* context_;
  TF_Status* status_ = TF_NewStatus();
  std::vector<TF_Tensor*> held_;
};

inline View view(TF_Tensor* t) { return {TF_TensorData(t), TF_TensorType(t) == TF_BFLOAT16 ? Type::bf16 : Type::f32}; }
inline float* f32(TF_Tensor* t) { return static_cast<float*>(TF_TensorData(t)); }
inline int32_t* i32(TF_Tensor* t) { return static_cast<int32_t*>(TF_TensorData(t)); }
inline std::vector<int64_t> shapeOf(TF_Tensor* t) {
  std::vector<int64_t> shape;
  for (int i = 0; i < TF_NumDims(t); i++) shape.push_back(TF_Dim(t, i));
  return shape;
}
inline int64_t last(TF_Tensor* t) { return TF_Dim(t, TF_NumDims(t) - 1); }
inline int64_t rowsOf(TF_Tensor* t) { return TF_TensorElementCount(t) / last(t); }
inline void need(bool condition, const char* what) {
  if (!condition) throw std::runtime_error(what);
}

/** Output `i`, where the operation has it, for x [tokens, depth] in integers; few tokens go into their product as they are. */
inline Rounded roundedOutput(Call& c, int i, int64_t tokens, int64_t depth) {
  if (i >= c.outputs()) return {};
  bool isWanted = tokens > kFewTokens;
  TF_Tensor* out = c.output(i, {isWanted ? integers().roundedBytes(tokens, depth) : 0});
  return {isWanted ? static_cast<uint8_t*>(TF_TensorData(out)) : nullptr, tokens, depth};
}

struct Operation {
  const char* name;
  std::vector<const char*> inputs, outputs, types, ints, floats;
  /** for every output the input whose shape it has; -1: not known to TensorFlow (the recorder is told) */
  std::vector<int> shapes;
  void (*compute)(Call&);
};

}  // namespace kernels
