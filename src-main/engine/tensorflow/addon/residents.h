// What lies in our own memory and not in TensorFlow's, because every graph and eager code use it in one place: frozen weights in
// the blocks of their file, and the keys and values of generated sequences. Operations get it by number.
#pragma once
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "kernels.h"

namespace kernels {

/** Frozen weights W [rows, width], row after row. */
struct PackedMatrix {
  int format;
  int64_t rows, width, rowBytes;
  uint8_t* data;
  PackedMatrix(int format, int64_t rows, int64_t width);
  ~PackedMatrix();
  PackedMatrix(const PackedMatrix&) = delete;
  int64_t bytes() const { return rows * rowBytes; }
  /** as an operand of products */
  View view() const { return {data, format == kF32 ? Type::f32 : format == kBf16 ? Type::bf16 : Type::packed, format}; }
  StoredMatrix stored() const { return {data, format, rows, width, rowBytes}; }
  /** W^T in q8_0, its rows filled up to whole blocks: for products in integers backward. Made when it is asked for first, and kept. */
  const PackedMatrix& turned();

 private:
  std::once_flag once_;
  std::unique_ptr<PackedMatrix> turned_;
};

/**
 * Where a matrix lies in a file. `order`, where it is not empty: row i of the matrix is row order[i] of the file. `places` above 1: a row
 * lies as [width / places, places], and is kept as [places, width / places]: a filter's channels come last.
 */
struct FileMatrix {
  std::string path;
  int64_t offset;
  int format;
  std::vector<int64_t> order;
  int64_t places = 1;
};

/** Reads a matrix piece by piece into its place, in another format where the matrix has one. @throws when the file is too short */
void readMatrix(const FileMatrix& from, PackedMatrix& to);

struct SequenceCache {
  std::vector<LayerCache> layers;
  ~SequenceCache();
};

/** @throws when the number is not one of a live object */
std::shared_ptr<PackedMatrix> packedMatrix(int32_t number);
std::shared_ptr<SequenceCache> sequenceCache(int32_t number);

int32_t keep(std::shared_ptr<PackedMatrix> matrix);
int32_t keep(std::shared_ptr<SequenceCache> cache);
/** Frees the object once no operation runs with it. */
void release(int32_t number);

}  // namespace kernels
