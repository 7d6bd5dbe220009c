// A TensorFlow graph and its session for Node, thin over libtensorflow's C API: nodes are added one by one and TensorFlow
// infers their shapes, so that a step can be recorded without being executed. Runs happen on a worker thread.
#include <malloc.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "tensorflow/c/c_api.h"
#include "javascript.h"
#include "kernels.h"
#include "resident-calls.h"

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

// ---- writing results ----

napi_value tensorValue(napi_env env, TF_Tensor* tensor) {
  napi_value result, buffer;
  check(env, napi_create_object(env, &result));
  std::vector<int64_t> shape;
  for (int i = 0; i < TF_NumDims(tensor); i++) shape.push_back(TF_Dim(tensor, i));
  void* data;
  size_t length = TF_TensorByteSize(tensor);
  check(env, napi_create_arraybuffer(env, length, &data, &buffer));
  std::memcpy(data, TF_TensorData(tensor), length);
  check(env, napi_set_named_property(env, result, "dtype", number(env, TF_TensorType(tensor))));
  check(env, napi_set_named_property(env, result, "shape", shapeArray(env, shape)));
  check(env, napi_set_named_property(env, result, "data", buffer));
  return result;
}

// ---- the calls ----

napi_value createGraph(napi_env env, napi_value*) {
  napi_value result;
  check(env, napi_create_external(env, new Graph, [](napi_env, void* p, void*) { delete static_cast<Graph*>(p); }, nullptr, &result));
  return result;
}

void setAttribute(napi_env env, TF_OperationDescription* operation, napi_value attribute) {
  std::string nameText = toString(env, get(env, attribute, "name"));
  const char* name = nameText.c_str();
  int type = static_cast<int>(toNumber(env, get(env, attribute, "type")));
  napi_value value = get(env, attribute, "value");
  bool list = isArray(env, value);
  switch (type) {
    case TF_ATTR_STRING: {
      std::string text = toString(env, value);
      TF_SetAttrString(operation, name, text.data(), text.size());
      return;
    }
    case TF_ATTR_INT:
      if (list) {
        auto values = toInts(env, value);
        TF_SetAttrIntList(operation, name, values.data(), static_cast<int>(values.size()));
      } else {
        TF_SetAttrInt(operation, name, toInt(env, value));
      }
      return;
    case TF_ATTR_FLOAT:
      if (list) {
        auto values = toList<float>(env, value, [](napi_env e, napi_value v) { return static_cast<float>(toNumber(e, v)); });
        TF_SetAttrFloatList(operation, name, values.data(), static_cast<int>(values.size()));
      } else {
        TF_SetAttrFloat(operation, name, static_cast<float>(toNumber(env, value)));
      }
      return;
    case TF_ATTR_BOOL:
      TF_SetAttrBool(operation, name, toBool(env, value));
      return;
    case TF_ATTR_TYPE:
      if (list) {
        auto values = toList<TF_DataType>(env, value, [](napi_env e, napi_value v) { return static_cast<TF_DataType>(toInt(e, v)); });
        TF_SetAttrTypeList(operation, name, values.data(), static_cast<int>(values.size()));
      } else {
        TF_SetAttrType(operation, name, static_cast<TF_DataType>(toInt(env, value)));
      }
      return;
    case TF_ATTR_SHAPE: {
      auto values = toInts(env, value);
      TF_SetAttrShape(operation, name, values.data(), static_cast<int>(values.size()));
      return;
    }
    case TF_ATTR_FUNC: {
      std::string text = toString(env, value);
      TF_SetAttrFuncName(operation, name, text.data(), text.size());
      return;
    }
    case TF_ATTR_TENSOR: {
      Bytes bytes = toBytes(env, get(env, value, "data"));
      TF_Tensor* tensor = newTensor(static_cast<TF_DataType>(toInt(env, get(env, value, "dtype"))),
                                    toInts(env, get(env, value, "shape")), bytes.data, bytes.length);
      Status s;
      TF_SetAttrTensor(operation, name, tensor, s.status);
      TF_DeleteTensor(tensor);
      s.check();
      return;
    }
    default:
      throw std::runtime_error("unknown attribute type of " + nameText);
  }
}

/** addNode(graph, operation, name, attributes, inputs: [node, output, node, output, ...], controls: node[], listInputs: number[]) */
napi_value addNode(napi_env env, napi_value* args) {
  Graph* graph = toHandle<Graph>(env, args[0]);
  std::string type = toString(env, args[1]), name = toString(env, args[2]);
  TF_OperationDescription* operation = TF_NewOperation(graph->graph, type.c_str(), name.c_str());
  auto inputs = toInts(env, args[4]);
  std::vector<TF_Output> outputs;
  for (size_t i = 0; i < inputs.size(); i += 2) outputs.push_back({graph->operations.at(inputs[i]), static_cast<int>(inputs[i + 1])});
  // list inputs: lengths of the argument lists; -1 is a single tensor
  auto lists = toInts(env, args[6]);
  if (lists.empty()) {
    for (auto& output : outputs) TF_AddInput(operation, output);
  } else {
    size_t next = 0;
    for (int64_t length : lists) {
      if (length < 0) TF_AddInput(operation, outputs.at(next++));
      else {
        TF_AddInputList(operation, outputs.data() + next, static_cast<int>(length));
        next += length;
      }
    }
  }
  for (int64_t control : toInts(env, args[5])) TF_AddControlInput(operation, graph->operations.at(control));
  for (napi_value attribute : toList<napi_value>(env, args[3], [](napi_env, napi_value v) { return v; })) setAttribute(env, operation, attribute);
  Status s;
  TF_Operation* finished = TF_FinishOperation(operation, s.status);
  if (TF_GetCode(s.status) != TF_OK) throw std::runtime_error(type + ": " + TF_Message(s.status));
  graph->operations.push_back(finished);
  napi_value result, list;
  check(env, napi_create_object(env, &result));
  check(env, napi_set_named_property(env, result, "node", number(env, graph->operations.size() - 1)));
  int count = TF_OperationNumOutputs(finished);
  check(env, napi_create_array_with_length(env, count, &list));
  for (int i = 0; i < count; i++) {
    napi_value item;
    check(env, napi_create_object(env, &item));
    TF_Output output{finished, i};
    int dims = TF_GraphGetTensorNumDims(graph->graph, output, s.status);
    s.check();
    std::vector<int64_t> shape(dims < 0 ? 0 : dims);
    if (dims > 0) TF_GraphGetTensorShape(graph->graph, output, shape.data(), dims, s.status);
    check(env, napi_set_named_property(env, item, "dtype", number(env, TF_OperationOutputType(output))));
    if (dims >= 0) check(env, napi_set_named_property(env, item, "shape", shapeArray(env, shape)));
    check(env, napi_set_element(env, list, i, item));
  }
  check(env, napi_set_named_property(env, result, "outputs", list));
  return result;
}

/** setShape(graph, node, output, shape) */
napi_value setShape(napi_env env, napi_value* args) {
  Graph* graph = toHandle<Graph>(env, args[0]);
  auto shape = toInts(env, args[3]);
  Status s;
  TF_GraphSetTensorShape(graph->graph, {graph->operations.at(toInt(env, args[1])), static_cast<int>(toInt(env, args[2]))}, shape.data(),
                         static_cast<int>(shape.size()), s.status);
  s.check();
  return nullptr;
}

/** addFunction(target, body, name, inputs: [node, output, ...], outputs: [node, output, ...]): `body` as a function of `target` */
napi_value addFunction(napi_env env, napi_value* args) {
  Graph* target = toHandle<Graph>(env, args[0]);
  Graph* body = toHandle<Graph>(env, args[1]);
  std::string name = toString(env, args[2]);
  auto ends = [&](napi_value value) {
    auto pairs = toInts(env, value);
    std::vector<TF_Output> list;
    for (size_t i = 0; i < pairs.size(); i += 2) list.push_back({body->operations.at(pairs[i]), static_cast<int>(pairs[i + 1])});
    return list;
  };
  auto inputs = ends(args[3]), outputs = ends(args[4]);
  Status s;
  TF_Function* function = TF_GraphToFunction(body->graph, name.c_str(), 0, -1, nullptr, static_cast<int>(inputs.size()), inputs.data(),
                                             static_cast<int>(outputs.size()), outputs.data(), nullptr, nullptr, nullptr, s.status);
  s.check();
  target->functions.push_back(function);
  const unsigned char yes[] = {0x28, 0x01};  // AttrValue { b: true }
  TF_FunctionSetAttrValueProto(function, "_noinline", yes, sizeof yes, s.status);
  s.check();
  TF_GraphCopyFunction(target->graph, function, nullptr, s.status);
  s.check();
  return nullptr;
}

/** openSession(graph, configuration: serialised ConfigProto) */
napi_value openSession(napi_env env, napi_value* args) {
  Graph* graph = toHandle<Graph>(env, args[0]);
  Bytes config = toBytes(env, args[1]);
  Status s;
  TF_SessionOptions* options = TF_NewSessionOptions();
  TF_SetConfig(options, config.data, config.length, s.status);
  if (TF_GetCode(s.status) == TF_OK) graph->session = TF_NewSession(graph->graph, options, s.status);
  TF_DeleteSessionOptions(options);
  s.check();
  return nullptr;
}

struct Run {
  Graph* graph;
  std::vector<TF_Output> feeds, fetches;
  std::vector<TF_Tensor*> fed, fetched;
  std::vector<const TF_Operation*> targets;
  std::string error;
  napi_deferred deferred = nullptr;
  napi_async_work work = nullptr;
  napi_ref keep = nullptr;
  ~Run() {
    for (TF_Tensor* tensor : fed) TF_DeleteTensor(tensor);
    for (TF_Tensor* tensor : fetched)
      if (tensor) TF_DeleteTensor(tensor);
  }
};

void executeRun(napi_env, void* data) {
  Run* run = static_cast<Run*>(data);
  Status s;
  TF_SessionRun(run->graph->session, nullptr, run->feeds.data(), run->fed.data(), static_cast<int>(run->feeds.size()), run->fetches.data(),
                run->fetched.data(), static_cast<int>(run->fetches.size()), run->targets.data(), static_cast<int>(run->targets.size()), nullptr,
                s.status);
  if (TF_GetCode(s.status) != TF_OK) run->error = TF_Message(s.status);
}

struct Staged {
  TF_Tensor* tensor;
  ~Staged() {
    if (tensor) TF_DeleteTensor(tensor);
  }
};

/** stage(dtype, shape, data) */
napi_value stage(napi_env env, napi_value* args) {
  Bytes bytes = toBytes(env, args[2]);
  auto* staged = new Staged{newTensor(static_cast<TF_DataType>(toInt(env, args[0])), toInts(env, args[1]), bytes.data, bytes.length)};
  napi_value result;
  check(env, napi_create_external(env, staged, [](napi_env, void* p, void*) { delete static_cast<Staged*>(p); }, nullptr, &result));
  return result;
}

std::unique_ptr<Run> prepareRun(napi_env env, napi_value* args) {
  auto run = std::make_unique<Run>();
  run->graph = toHandle<Graph>(env, args[0]);
  if (!run->graph->session) throw std::runtime_error("the graph has no open session");
  for (napi_value feed : toList<napi_value>(env, args[1], [](napi_env, napi_value v) { return v; })) {
    run->feeds.push_back({run->graph->operations.at(toInt(env, get(env, feed, "node"))), static_cast<int>(toInt(env, get(env, feed, "output")))});
    bool isStaged;
    check(env, napi_has_named_property(env, feed, "staged", &isStaged));
    if (isStaged) {
      Staged* staged = toHandle<Staged>(env, get(env, feed, "staged"));
      if (!staged->tensor) throw std::runtime_error("a staged tensor was fed twice");
      run->fed.push_back(staged->tensor);
      staged->tensor = nullptr;
      continue;
    }
    Bytes bytes = toBytes(env, get(env, feed, "data"));
    auto shape = toInts(env, get(env, feed, "shape"));
    run->fed.push_back(newTensor(static_cast<TF_DataType>(toInt(env, get(env, feed, "dtype"))), shape, bytes.data, bytes.length));
  }
  auto fetches = toInts(env, args[2]);
  for (size_t i = 0; i < fetches.size(); i += 2)
    run->fetches.push_back({run->graph->operations.at(fetches[i]), static_cast<int>(fetches[i + 1])});
  run->fetched.resize(run->fetches.size());
  for (int64_t target : toInts(env, args[3])) run->targets.push_back(run->graph->operations.at(target));
  return run;
}

napi_value results(napi_env env, const Run& run) {
  if (!run.error.empty()) throw std::runtime_error(run.error);
  napi_value result;
  check(env, napi_create_array_with_length(env, run.fetched.size(), &result));
  for (size_t i = 0; i < run.fetched.size(); i++) check(env, napi_set_element(env, result, i, tensorValue(env, run.fetched[i])));
  return result;
}

void completeRun(napi_env env, napi_status, void* data) {
  std::unique_ptr<Run> run(static_cast<Run*>(data));
  try {
    napi_resolve_deferred(env, run->deferred, results(env, *run));
  } catch (const std::exception& error) {
    napi_value message, value;
    napi_create_string_utf8(env, error.what(), NAPI_AUTO_LENGTH, &message);
    napi_create_error(env, nullptr, message, &value);
    napi_reject_deferred(env, run->deferred, value);
  }
  napi_delete_reference(env, run->keep);
  napi_delete_async_work(env, run->work);
}

/** run(graph, feeds: [{node, output, dtype, shape, data}], fetches: [node, output, ...], targets: node[]): Promise of [{dtype, shape, data}] */
napi_value run(napi_env env, napi_value* args) {
  auto run = prepareRun(env, args);
  napi_value promise, label;
  check(env, napi_create_promise(env, &run->deferred, &promise));
  check(env, napi_create_reference(env, args[0], 1, &run->keep));
  check(env, napi_create_string_utf8(env, "tensorflow run", NAPI_AUTO_LENGTH, &label));
  check(env, napi_create_async_work(env, nullptr, label, executeRun, completeRun, run.get(), &run->work));
  check(env, napi_queue_async_work(env, run->work));
  run.release();
  return promise;
}

/** The same on the calling thread. */
napi_value runSync(napi_env env, napi_value* args) {
  auto run = prepareRun(env, args);
  executeRun(env, run.get());
  return results(env, *run);
}

/** profile(graph, feeds, fetches, targets): runs once and gives the serialised RunMetadata with every operation's times */
napi_value profile(napi_env env, napi_value* args) {
  auto run = prepareRun(env, args);
  const unsigned char full[] = {0x08, 0x03};  // RunOptions { trace_level: FULL_TRACE }
  TF_Buffer* options = TF_NewBufferFromString(full, sizeof full);
  TF_Buffer* metadata = TF_NewBuffer();
  Status s;
  TF_SessionRun(run->graph->session, options, run->feeds.data(), run->fed.data(), static_cast<int>(run->feeds.size()), run->fetches.data(),
                run->fetched.data(), static_cast<int>(run->fetches.size()), run->targets.data(), static_cast<int>(run->targets.size()), metadata,
                s.status);
  void* data;
  napi_value result;
  napi_status created = napi_create_arraybuffer(env, metadata->length, &data, &result);
  if (created == napi_ok) std::memcpy(data, metadata->data, metadata->length);
  TF_DeleteBuffer(options);
  TF_DeleteBuffer(metadata);
  s.check();
  check(env, created);
  return result;
}

/** trim(): gives freed memory back to the system */
napi_value trim(napi_env, napi_value*) {
  malloc_trim(0);
  return nullptr;
}

/** setThreads(count) of our own kernels */
napi_value setThreads(napi_env env, napi_value* args) {
  kernels::setThreads(static_cast<int>(toInt(env, args[0])));
  return nullptr;
}

/** hasTiles(): whether matrix products run on AMX tiles */
napi_value hasTiles(napi_env env, napi_value*) {
  napi_value result;
  check(env, napi_get_boolean(env, kernels::amxProduct() != nullptr, &result));
  return result;
}

}  // namespace

NAPI_MODULE_INIT() {
  kernels::registerAll();
  // large buffers by mmap, so that freeing them gives the memory back at once
  mallopt(M_ARENA_MAX, 2);
  const struct {
    const char* name;
    napi_callback callback;
  } calls[] = {{"createGraph", guarded<createGraph>}, {"addNode", guarded<addNode>},   {"addFunction", guarded<addFunction>},
               {"openSession", guarded<openSession>}, {"run", guarded<run>},           {"trim", guarded<trim>},
               {"setThreads", guarded<setThreads>},   {"setShape", guarded<setShape>},       {"runSync", guarded<runSync>},         {"stage", guarded<stage>},             {"profile", guarded<profile>},
               {"hasTiles", guarded<hasTiles>}};
  for (const auto& call : calls) {
    napi_value function;
    napi_create_function(env, call.name, NAPI_AUTO_LENGTH, call.callback, nullptr, &function);
    napi_set_named_property(env, exports, call.name, function);
  }
  exportResidentCalls(env, exports);
  return exports;
}
