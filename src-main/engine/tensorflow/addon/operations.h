#pragma once
#include "operation.h"

namespace kernels {
const std::vector<Operation>& stepOperations();
/** those on what lies in our own memory */
const std::vector<Operation>& packedOperations();
}  // namespace kernels
