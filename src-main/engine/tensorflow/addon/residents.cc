#include "residents.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <stdexcept>
#include <unordered_map>

namespace kernels {
namespace {

std::mutex mutex;
int32_t lastNumber = 0;
std::unordered_map<int32_t, std::shared_ptr<PackedMatrix>> matrices;
std::unordered_map<int32_t, std::shared_ptr<SequenceCache>> caches;

constexpr size_t kHugePage = size_t(2) << 20;
/** Bytes of a file that are on their way at a time. */
constexpr int64_t kPieceBytes = int64_t(8) << 20;

struct File {
  int handle;
  explicit File(const std::string& path) : handle(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (handle < 0) throw std::runtime_error(path + " can't be opened");
  }
  ~File() { close(handle); }
  void read(uint8_t* to, int64_t length, int64_t offset) const {
    while (length > 0) {
      ssize_t n = pread(handle, to, std::min<int64_t>(length, kPieceBytes), offset);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) throw std::runtime_error("the file ends before its tensors do");
      to += n;
      offset += n;
      length -= n;
    }
  }
};

template <class T>
std::shared_ptr<T> find(const std::unordered_map<int32_t, std::shared_ptr<T>>& from, int32_t number, const char* missing) {
  std::lock_guard<std::mutex> lock(mutex);
  auto found = from.find(number);
  if (found == from.end()) throw std::runtime_error(missing);
  return found->second;
}

}  // namespace

PackedMatrix::PackedMatrix(int format, int64_t rows, int64_t width)
    : format(format), rows(rows), width(width), rowBytes(width / blockFormat(format).weights * blockFormat(format).bytes) {
  // pages of the largest kind, as many as it fills: a product over gigabytes looks up few of them
  bool large = static_cast<size_t>(bytes()) >= kHugePage;
  data = static_cast<uint8_t*>(std::aligned_alloc(large ? kHugePage : 64, (bytes() + 63) / 64 * 64));
  if (!data) throw std::bad_alloc();
  if (large) madvise(data, bytes() / kHugePage * kHugePage, MADV_HUGEPAGE);
}
PackedMatrix::~PackedMatrix() { std::free(data); }

const PackedMatrix& PackedMatrix::turned() {
  std::call_once(once_, [this] {
    auto made = std::make_unique<PackedMatrix>(kQ8_0, width, (rows + 31) / 32 * 32);
    integers().turn(stored(), made->data, made->rowBytes);
    turned_ = std::move(made);
  });
  return *turned_;
}

SequenceCache::~SequenceCache() {
  for (LayerCache& layer : layers) {
    std::free(layer.keys);
    std::free(layer.values);
  }
}

/** A row [width / places, places] as [places, width / places]. */
template <class T>
static void turnRow(const void* row, void* to, int64_t width, int64_t places) {
  int64_t channels = width / places;
  for (int64_t k = 0; k < width; k++) static_cast<T*>(to)[k] = static_cast<const T*>(row)[k % channels * places + k / channels];
}

void readMatrix(const FileMatrix& from, PackedMatrix& to) {
  File file(from.path);
  if (from.order.empty() && from.format == to.format && from.places == 1) return file.read(to.data, to.bytes(), from.offset);
  std::vector<int64_t> place(to.rows);
  for (int64_t i = 0; i < to.rows; i++) place[from.order.empty() ? i : from.order[i]] = i;
  BlockFormat block = blockFormat(from.format);
  int64_t rowBytes = to.width / block.weights * block.bytes, pieceRows = std::max<int64_t>(1, kPieceBytes / rowBytes);
  std::vector<uint8_t> piece(std::min(pieceRows, to.rows) * rowBytes);
  for (int64_t first = 0; first < to.rows; first += pieceRows) {
    int64_t count = std::min(pieceRows, to.rows - first);
    file.read(piece.data(), count * rowBytes, from.offset + first * rowBytes);
    parallelFor(count, [&](int64_t i) {
      uint8_t* target = to.data + place[first + i] * to.rowBytes;
      const uint8_t* row = &piece[i * rowBytes];
      if (from.format == to.format && from.places == 1) {
        std::memcpy(target, row, rowBytes);
        return;
      }
      if (from.format == to.format && block.weights == 1) {
        if (block.bytes == 2) turnRow<uint16_t>(row, target, to.width, from.places);
        else turnRow<uint32_t>(row, target, to.width, from.places);
        return;
      }
      std::vector<float> values(to.width), turned(from.places > 1 ? to.width : 0);
      table().unpackRow(row, from.format, 0, to.width, values.data());
      if (from.places > 1) turnRow<float>(values.data(), turned.data(), to.width, from.places);
      table().packRow(from.places > 1 ? turned.data() : values.data(), to.format, to.width, target);
    });
  }
}

std::shared_ptr<PackedMatrix> packedMatrix(int32_t number) { return find(matrices, number, "these weights have been freed"); }
std::shared_ptr<SequenceCache> sequenceCache(int32_t number) { return find(caches, number, "this sequence has ended"); }

int32_t keep(std::shared_ptr<PackedMatrix> matrix) {
  std::lock_guard<std::mutex> lock(mutex);
  matrices.emplace(++lastNumber, std::move(matrix));
  return lastNumber;
}
int32_t keep(std::shared_ptr<SequenceCache> cache) {
  std::lock_guard<std::mutex> lock(mutex);
  caches.emplace(++lastNumber, std::move(cache));
  return lastNumber;
}

void release(int32_t number) {
  std::shared_ptr<PackedMatrix> matrix;
  std::shared_ptr<SequenceCache> cache;  // freed outside the lock
  std::lock_guard<std::mutex> lock(mutex);
  if (auto found = matrices.find(number); found != matrices.end()) {
    matrix = std::move(found->second);
    matrices.erase(found);
  }
  if (auto found = caches.find(number); found != caches.end()) {
    cache = std::move(found->second);
    caches.erase(found);
  }
}

}  // namespace kernels
