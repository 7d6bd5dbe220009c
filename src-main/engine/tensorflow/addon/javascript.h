// JavaScript's values in C++: reading arguments, writing results, and turning exceptions into JavaScript's.
#pragma once
#include <node_api.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

inline void check(napi_env env, napi_status status) {
  if (status == napi_ok) return;
  const napi_extended_error_info* info = nullptr;
  napi_get_last_error_info(env, &info);
  throw std::runtime_error(info && info->error_message ? info->error_message : "invalid argument");
}

// ---- reading arguments ----

inline napi_value get(napi_env env, napi_value object, const char* key) {
  napi_value value;
  check(env, napi_get_named_property(env, object, key, &value));
  return value;
}
inline double toNumber(napi_env env, napi_value value) {
  double number;
  check(env, napi_get_value_double(env, value, &number));
  return number;
}
inline bool toBool(napi_env env, napi_value value) {
  napi_valuetype type;
  check(env, napi_typeof(env, value, &type));
  if (type != napi_boolean) return toNumber(env, value) != 0;
  bool result;
  check(env, napi_get_value_bool(env, value, &result));
  return result;
}
inline std::string toString(napi_env env, napi_value value) {
  size_t length;
  check(env, napi_get_value_string_utf8(env, value, nullptr, 0, &length));
  std::string text(length, '\0');
  check(env, napi_get_value_string_utf8(env, value, text.data(), length + 1, &length));
  return text;
}
inline bool isArray(napi_env env, napi_value value) {
  bool result;
  check(env, napi_is_array(env, value, &result));
  return result;
}
template <class T, class F>
std::vector<T> toList(napi_env env, napi_value value, F convert) {
  uint32_t length;
  check(env, napi_get_array_length(env, value, &length));
  std::vector<T> list;
  for (uint32_t i = 0; i < length; i++) {
    napi_value item;
    check(env, napi_get_element(env, value, i, &item));
    list.push_back(convert(env, item));
  }
  return list;
}
inline int64_t toInt(napi_env env, napi_value value) { return static_cast<int64_t>(toNumber(env, value)); }
inline std::vector<int64_t> toInts(napi_env env, napi_value value) { return toList<int64_t>(env, value, toInt); }

struct Bytes {
  void* data;
  size_t length;
};
inline Bytes toBytes(napi_env env, napi_value value) {
  napi_typedarray_type type;
  size_t length, offset;
  napi_value buffer;
  Bytes bytes{nullptr, 0};
  check(env, napi_get_typedarray_info(env, value, &type, &length, &bytes.data, &buffer, &offset));
  static const size_t sizes[] = {1, 1, 1, 2, 2, 4, 4, 4, 8, 8, 8};
  bytes.length = length * sizes[type];
  return bytes;
}

template <class T>
T* toHandle(napi_env env, napi_value value) {
  void* pointer = nullptr;
  check(env, napi_get_value_external(env, value, &pointer));
  return static_cast<T*>(pointer);
}

// ---- writing results ----

inline napi_value number(napi_env env, double value) {
  napi_value result;
  check(env, napi_create_double(env, value, &result));
  return result;
}
inline napi_value shapeArray(napi_env env, const std::vector<int64_t>& shape) {
  napi_value array;
  check(env, napi_create_array_with_length(env, shape.size(), &array));
  for (size_t i = 0; i < shape.size(); i++) check(env, napi_set_element(env, array, i, number(env, shape[i])));
  return array;
}

/** Work on a thread of its own, and the promise of what it gives. Held by the work itself until `complete` takes it back. */
struct Promised {
  napi_deferred deferred = nullptr;
  napi_async_work work = nullptr;
};
/** @param label names the work in traces; @param task is handed over to `execute` and `complete` */
template <class T>
napi_value promise(napi_env env, const char* label, napi_async_execute_callback execute, napi_async_complete_callback complete, std::unique_ptr<T> task) {
  napi_value result, name;
  check(env, napi_create_promise(env, &task->deferred, &result));
  check(env, napi_create_string_utf8(env, label, NAPI_AUTO_LENGTH, &name));
  check(env, napi_create_async_work(env, nullptr, name, execute, complete, task.get(), &task->work));
  check(env, napi_queue_async_work(env, task->work));
  task.release();
  return result;
}
inline void reject(napi_env env, const Promised& task, const std::string& reason) {
  napi_value message, error;
  napi_create_string_utf8(env, reason.c_str(), NAPI_AUTO_LENGTH, &message);
  napi_create_error(env, nullptr, message, &error);
  napi_reject_deferred(env, task.deferred, error);
}

/** A call from JavaScript: its arguments (8 at most) and its result; a C++ exception becomes a JavaScript one. */
using NativeCall = napi_value (*)(napi_env, napi_value*);
template <NativeCall call>
napi_value guarded(napi_env env, napi_callback_info info) {
  size_t count = 8;
  napi_value args[8];
  napi_get_cb_info(env, info, &count, args, nullptr, nullptr);
  try {
    return call(env, args);
  } catch (const std::exception& error) {
    bool pending = false;
    napi_is_exception_pending(env, &pending);
    if (!pending) napi_throw_error(env, nullptr, error.what());
    return nullptr;
  }
}
inline void exportCall(napi_env env, napi_value exports, const char* name, napi_callback callback) {
  napi_value function;
  check(env, napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function));
  check(env, napi_set_named_property(env, exports, name, function));
}
