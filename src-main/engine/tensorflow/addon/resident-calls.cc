// What JavaScript asks of residents.h: weights from files into place, sequences begun and ended.
#include "resident-calls.h"

#include <memory>

#include "javascript.h"
#include "residents.h"

namespace {

/** A matrix on its way, read by a worker thread. */
struct Load : Promised {
  kernels::FileMatrix from;
  std::shared_ptr<kernels::PackedMatrix> matrix;
  std::string error;
};

void executeLoad(napi_env, void* data) {
  Load* load = static_cast<Load*>(data);
  try {
    readMatrix(load->from, *load->matrix);
  } catch (const std::exception& error) {
    load->error = error.what();
  }
}

void completeLoad(napi_env env, napi_status, void* data) {
  std::unique_ptr<Load> load(static_cast<Load*>(data));
  if (load->error.empty()) {
    napi_value value;
    napi_create_int32(env, kernels::keep(load->matrix), &value);
    napi_resolve_deferred(env, load->deferred, value);
  } else {
    reject(env, *load, load->error);
  }
  napi_delete_async_work(env, load->work);
}

/** loadMatrix({path, offset, format, rows, width, order?, places?}, format): Promise of its number */
napi_value loadMatrix(napi_env env, napi_value* args) {
  auto load = std::make_unique<Load>();
  load->from.path = toString(env, get(env, args[0], "path"));
  load->from.offset = toInt(env, get(env, args[0], "offset"));
  load->from.format = static_cast<int>(toInt(env, get(env, args[0], "format")));
  int64_t rows = toInt(env, get(env, args[0], "rows")), width = toInt(env, get(env, args[0], "width"));
  int to = static_cast<int>(toInt(env, args[1]));
  bool ordered;
  check(env, napi_has_named_property(env, args[0], "order", &ordered));
  if (ordered) load->from.order = toInts(env, get(env, args[0], "order"));
  bool turned;
  check(env, napi_has_named_property(env, args[0], "places", &turned));
  if (turned) load->from.places = toInt(env, get(env, args[0], "places"));
  if (load->from.places < 1 || width % load->from.places != 0) throw std::runtime_error("a row of this width can't be turned");
  for (int format : {load->from.format, to})
    if (kernels::blockFormat(format).bytes == 0 || width % kernels::blockFormat(format).weights != 0)
      throw std::runtime_error("a matrix of this width can't be packed in this format");
  load->matrix = std::make_shared<kernels::PackedMatrix>(to, rows, width);
  return promise(env, "load weights", executeLoad, completeLoad, std::move(load));
}

/** openSequence(layers): the number of an empty cache */
napi_value openSequence(napi_env env, napi_value* args) {
  auto cache = std::make_shared<kernels::SequenceCache>();
  cache->layers.resize(toInt(env, args[0]));
  return number(env, kernels::keep(cache));
}

/** release(number) of a matrix or a sequence */
napi_value release(napi_env env, napi_value* args) {
  kernels::release(static_cast<int32_t>(toInt(env, args[0])));
  return nullptr;
}

}  // namespace

void exportResidentCalls(napi_env env, napi_value exports) {
  exportCall(env, exports, "loadMatrix", guarded<loadMatrix>);
  exportCall(env, exports, "openSequence", guarded<openSequence>);
  exportCall(env, exports, "release", guarded<release>);
}
