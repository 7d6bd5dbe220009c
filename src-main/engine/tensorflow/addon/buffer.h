// Memory of a thread's own that keeps its size from product to product.
#pragma once
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace kernels {
namespace {

/** Memory of a product's packed operands, kept per thread and in large pages: asking the system for it at every product, and looking up its small pages, would cost more. */
struct Buffer {
  uint32_t* data = nullptr;
  size_t capacity = 0;
  uint32_t* need(size_t words) {
    constexpr size_t page = size_t(2) << 20, small = page / 8;
    if (words > capacity) {
      std::free(data);
      size_t size = words * 4 < small ? (words * 4 + 4095) / 4096 * 4096 : (words * 4 + page - 1) / page * page;
      data = static_cast<uint32_t*>(std::aligned_alloc(words * 4 < small ? 64 : page, size));
      if (words * 4 >= small) madvise(data, size, MADV_HUGEPAGE);
      capacity = size / 4;
    }
    return data;
  }
  ~Buffer() { std::free(data); }
};

}  // namespace
}  // namespace kernels
