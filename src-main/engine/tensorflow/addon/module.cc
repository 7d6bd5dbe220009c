// The addon's door: what JavaScript calls, and our operations made known to TensorFlow.
#include <malloc.h>

#include "graph.h"
#include "kernels.h"
#include "resident-calls.h"

namespace {

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

}  // namespace

NAPI_MODULE_INIT() {
  kernels::registerAll();
  // large buffers by mmap, so that freeing them gives the memory back at once
  mallopt(M_ARENA_MAX, 2);
  exportGraphCalls(env, exports);
  exportRunCalls(env, exports);
  exportResidentCalls(env, exports);
  exportCall(env, exports, "trim", guarded<trim>);
  exportCall(env, exports, "setThreads", guarded<setThreads>);
  return exports;
}
