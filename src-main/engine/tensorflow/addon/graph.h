// A TensorFlow graph and its session, as our calls hold them.
#pragma once
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "tensorflow/c/c_api.h"
#include "javascript.h"

namespace {

struct Status {
  TF_Status* status = TF_NewStatus();
  ~Status() { TF_DeleteStatus(status); }
  void check() const {
    if (TF_GetCode(status) != TF_OK) throw std::runtime_error(TF_Message(status));
  }
};

struct Graph {
  TF_Graph* graph = TF_NewGraph();
  TF_Session* session = nullptr;
  std::vector<TF_Operation*> operations;
  std::vector<TF_Function*> functions;
  ~Graph() {
    Status s;
    if (session) {
      TF_CloseSession(session, s.status);
      TF_DeleteSession(session, s.status);
    }
    for (TF_Function* function : functions) TF_DeleteFunction(function);
    TF_DeleteGraph(graph);
  }
};

TF_Tensor* newTensor(TF_DataType type, const std::vector<int64_t>& shape, const void* data, size_t length) {
  TF_Tensor* tensor = TF_AllocateTensor(type, shape.data(), static_cast<int>(shape.size()), length);
  if (!tensor || TF_TensorElementCount(tensor) * TF_DataTypeSize(type) != length) throw std::runtime_error("a tensor's data does not fit its shape");
  std::memcpy(TF_TensorData(tensor), data, length);
  return tensor;
}

}  // namespace

/** Adds the calls that build graphs, and those that run them, to the addon. */
void exportGraphCalls(napi_env env, napi_value exports);
void exportRunCalls(napi_env env, napi_value exports);
