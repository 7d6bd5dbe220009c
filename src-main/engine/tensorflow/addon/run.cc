// A graph's session: what it is fed, and its runs, which happen on a worker thread.
#include <memory>

#include "graph.h"

namespace {

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

struct Run : Promised {
  Graph* graph;
  std::vector<TF_Output> feeds, fetches;
  std::vector<TF_Tensor*> fed, fetched;
  std::vector<const TF_Operation*> targets;
  std::string error;
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
    reject(env, *run, error.what());
  }
  napi_delete_reference(env, run->keep);
  napi_delete_async_work(env, run->work);
}

/** run(graph, feeds: [{node, output, dtype, shape, data}], fetches: [node, output, ...], targets: node[]): Promise of [{dtype, shape, data}] */
napi_value run(napi_env env, napi_value* args) {
  auto run = prepareRun(env, args);
  check(env, napi_create_reference(env, args[0], 1, &run->keep));
  return promise(env, "tensorflow run", executeRun, completeRun, std::move(run));
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

}  // namespace

void exportRunCalls(napi_env env, napi_value exports) {
  exportCall(env, exports, "openSession", guarded<openSession>);
  exportCall(env, exports, "stage", guarded<stage>);
  exportCall(env, exports, "run", guarded<run>);
  exportCall(env, exports, "runSync", guarded<runSync>);
  exportCall(env, exports, "profile", guarded<profile>);
}
