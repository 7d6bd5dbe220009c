#pragma once
#include <node_api.h>

void exportResidentCalls(napi_env env, napi_value exports);
