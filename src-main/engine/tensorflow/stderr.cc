// TensorFlow writes to standard error while its libraries load, before any log level is read. This addon closes the file
// descriptor's eyes meanwhile: mute() points 2 at nothing, restore() points it back.
#include <fcntl.h>
#include <unistd.h>

#include "node_api.h"

static int saved = -1;

static napi_value mute(napi_env, napi_callback_info) {
  if (saved < 0) {
    saved = dup(2);
    int nothing = open("/dev/null", O_WRONLY);
    dup2(nothing, 2);
    close(nothing);
  }
  return nullptr;
}

static napi_value restore(napi_env, napi_callback_info) {
  if (saved >= 0) {
    dup2(saved, 2);
    close(saved);
    saved = -1;
  }
  return nullptr;
}

NAPI_MODULE_INIT() {
  napi_value function;
  napi_create_function(env, "mute", NAPI_AUTO_LENGTH, mute, nullptr, &function);
  napi_set_named_property(env, exports, "mute", function);
  napi_create_function(env, "restore", NAPI_AUTO_LENGTH, restore, nullptr, &function);
  napi_set_named_property(env, exports, "restore", function);
  return exports;
}
