// Safetensors files: one file, or several through model.safetensors.index.json. Nothing in a header is believed: every
// length, offset, dtype and shape is checked against the file before a tensor can be looked up, and no memory is taken
// in proportion to what a header claims.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/io/mapped_file.h"

namespace bittern::runtime {

enum class TensorType { Bool, U8, I8, F8E4M3, F8E5M2, I16, U16, F16, BF16, I32, U32, F32, I64, U64, F64 };
std::string_view tensor_type_name(TensorType type);
uint64_t tensor_type_bytes(TensorType type);

struct Tensor {
  std::string name;
  TensorType type = TensorType::U8;
  std::vector<int64_t> shape;
  const MappedFile *file = nullptr;
  uint64_t begin = 0, end = 0;  // bytes in the file
  const uint8_t *data() const { return file->data() + begin; }
  // Throws Error "file: tensor 'name': what at byte N", N being `offset` bytes into the tensor.
  [[noreturn]] void fail(const std::string &what, uint64_t offset = 0) const;
  std::string shape_text() const;  // "[512, 256]"
};

// One file. Tensors are sorted by name.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::string &path);
  const std::map<std::string, Tensor, std::less<>> &tensors() const { return tensors_; }
  const MappedFile &file() const { return file_; }
  // Length field and header, as they are in the file.
  std::string_view header() const { return file_.text().substr(0, header_bytes_); }

 private:
  MappedFile file_;
  uint64_t header_bytes_ = 0;
  std::map<std::string, Tensor, std::less<>> tensors_;
};

// All tensors of a model's folder.
class TensorFolder {
 public:
  // Opens model.safetensors, else what model.safetensors.index.json names. Throws Error when there is neither, or when
  // index and files disagree.
  explicit TensorFolder(const std::string &folder);
  // Throws Error naming the file that should have it.
  const Tensor &get(std::string_view name) const;
  const Tensor *find(std::string_view name) const;
  const std::map<std::string, const Tensor *, std::less<>> &tensors() const { return tensors_; }
  const std::vector<std::unique_ptr<SafetensorsFile>> &files() const { return files_; }

 private:
  void open_index(const std::string &folder, const std::string &index_path);

  std::string source_;  // the file that a missing tensor is missing from
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, const Tensor *, std::less<>> tensors_;
};

}  // namespace bittern::runtime
