// A TensorFlow graph for Node, thin over libtensorflow's C API: nodes are added one by one and TensorFlow infers their shapes, so
// that a step can be recorded without being executed.
#include "graph.h"

namespace {

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

}  // namespace

void exportGraphCalls(napi_env env, napi_value exports) {
  exportCall(env, exports, "createGraph", guarded<createGraph>);
  exportCall(env, exports, "addNode", guarded<addNode>);
  exportCall(env, exports, "setShape", guarded<setShape>);
  exportCall(env, exports, "addFunction", guarded<addFunction>);
}
