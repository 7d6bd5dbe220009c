// Makes our operations known to TensorFlow, through its C kernel interface.
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

#include "operations.h"
#include "tensorflow/c/kernels.h"
#include "tensorflow/c/ops.h"

namespace kernels {
namespace {

const std::vector<Operation>& operations() {
  static const std::vector<Operation> list = [] {
    auto all = stepOperations();
    all.insert(all.end(), packedOperations().begin(), packedOperations().end());
    return all;
  }();
  return list;
}

struct Kernel {
  const Operation* operation;
  Attributes attributes;
};

template <int index>
void* create(TF_OpKernelConstruction* construction) {
  auto* kernel = new Kernel{&operations()[index], {}};
  TF_Status* status = TF_NewStatus();
  for (const char* name : kernel->operation->ints) {
    int64_t value = 0;
    TF_OpKernelConstruction_GetAttrInt64(construction, name, &value, status);
    kernel->attributes.ints.push_back(value);
  }
  for (const char* name : kernel->operation->floats) {
    float value = 0;
    TF_OpKernelConstruction_GetAttrFloat(construction, name, &value, status);
    kernel->attributes.floats.push_back(value);
  }
  if (TF_GetCode(status) != TF_OK) TF_OpKernelConstruction_Failure(construction, status);
  TF_DeleteStatus(status);
  return kernel;
}

void compute(void* data, TF_OpKernelContext* context) {
  auto* kernel = static_cast<Kernel*>(data);
  try {
    Call call(context, kernel->attributes);
    kernel->operation->compute(call);
  } catch (const std::exception& error) {
    TF_Status* status = TF_NewStatus();
    TF_SetStatus(status, TF_INVALID_ARGUMENT, error.what());
    TF_OpKernelContext_Failure(context, status);
    TF_DeleteStatus(status);
  }
}

void destroy(void* data) { delete static_cast<Kernel*>(data); }

template <int index>
void inferShapes(TF_ShapeInferenceContext* context, TF_Status* status) {
  const Operation& operation = operations()[index];
  TF_ShapeHandle* handle = TF_NewShapeHandle();
  for (size_t i = 0; i < operation.shapes.size(); i++) {
    if (operation.shapes[i] < 0) continue;
    TF_ShapeInferenceContextGetInput(context, operation.shapes[i], handle, status);
    if (TF_GetCode(status) == TF_OK) TF_ShapeInferenceContextSetOutput(context, static_cast<int>(i), handle, status);
  }
  TF_DeleteShapeHandle(handle);
}

template <int index>
void registerOne() {
  const Operation& operation = operations()[index];
  TF_Status* status = TF_NewStatus();
  TF_OpDefinitionBuilder* builder = TF_NewOpDefinitionBuilder(operation.name);
  for (const char* type : operation.types) TF_OpDefinitionBuilderAddAttr(builder, (std::string(type) + ": {float, bfloat16} = DT_FLOAT").c_str());
  for (const char* name : operation.ints) TF_OpDefinitionBuilderAddAttr(builder, (std::string(name) + ": int").c_str());
  for (const char* name : operation.floats) TF_OpDefinitionBuilderAddAttr(builder, (std::string(name) + ": float").c_str());
  for (const char* input : operation.inputs) TF_OpDefinitionBuilderAddInput(builder, input);
  for (const char* output : operation.outputs) TF_OpDefinitionBuilderAddOutput(builder, output);
  TF_OpDefinitionBuilderSetShapeInferenceFunction(builder, inferShapes<index>);
  // All of them: ours write in place, use memory beside their inputs, or are computed twice on purpose (recomputed parts), so that
  // TensorFlow may neither compute one in advance nor take two for one. (2.21 does not look at the flag: any call makes stateful.)
  TF_OpDefinitionBuilderSetIsStateful(builder, true);
  TF_RegisterOpDefinition(builder, status);
  if (TF_GetCode(status) == TF_OK)
    TF_RegisterKernelBuilder(operation.name, TF_NewKernelBuilder(operation.name, "CPU", create<index>, compute, destroy), status);
  if (TF_GetCode(status) != TF_OK) std::fprintf(stderr, "%s: %s\n", operation.name, TF_Message(status));
  TF_DeleteStatus(status);
}

template <int index>
void registerFrom() {
  if (index >= static_cast<int>(operations().size())) return;
  registerOne<index>();
  if constexpr (index < 47) registerFrom<index + 1>();
}

}  // namespace

void registerAll() {
  static bool done = false;
  if (!done) registerFrom<0>();
  done = true;
}

}  // namespace kernels
