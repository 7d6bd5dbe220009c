#pragma once
#include "operation.h"

namespace kernels {
const std::vector<Operation>& packedOperations();
}
