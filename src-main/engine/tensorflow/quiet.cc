// Compiled into the binding: TensorFlow writes some INFO lines through Abseil before anything reads TF_CPP_MIN_LOG_LEVEL.
#include <cstdlib>
#include "absl/log/globals.h"

__attribute__((constructor)) static void quiet() {
  const char* level = std::getenv("TF_CPP_MIN_LOG_LEVEL");
  if (level) absl::SetMinLogLevel(static_cast<absl::LogSeverityAtLeast>(std::atoi(level)));
}
