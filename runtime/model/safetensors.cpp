#include "runtime/model/safetensors.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>

#include "runtime/error.h"
#include "runtime/io/float_formats.h"
#include "runtime/io/json.h"

namespace bittern::runtime {
namespace {

// The format's own limit. A header within it has at most 2^24 values to keep (see JsonLimits).
constexpr uint64_t kMaxSafetensorsHeader = 100'000'000;
constexpr uint64_t kMaxIndex = 64 << 20;

struct TypeName {
  std::string_view name;
  uint64_t bytes;
};
// In the order of TensorType.
constexpr std::array<TypeName, 15> kTensorTypes{{{"BOOL", 1},
                                                 {"U8", 1},
                                                 {"I8", 1},
                                                 {"F8_E4M3", 1},
                                                 {"F8_E5M2", 1},
                                                 {"I16", 2},
                                                 {"U16", 2},
                                                 {"F16", 2},
                                                 {"BF16", 2},
                                                 {"I32", 4},
                                                 {"U32", 4},
                                                 {"F32", 4},
                                                 {"I64", 8},
                                                 {"U64", 8},
                                                 {"F64", 8}}};

bool exists(const std::string &path) {
  struct stat info{};
  return stat(path.c_str(), &info) == 0;
}

// Reads one header entry. `data_begin` is where offsets count from, `data_size` how many bytes there are.
Tensor read_entry(const Json &entry, const MappedFile &file, uint64_t data_begin, uint64_t data_size) {
  Tensor tensor;
  tensor.name = entry.key();
  tensor.file = &file;
  const Json dtype = entry.get("dtype"), shape = entry.get("shape"), offsets = entry.get("data_offsets");

  const std::string type_name = dtype.string();
  const auto row =
      std::find_if(kTensorTypes.begin(), kTensorTypes.end(), [&](const TypeName &t) { return t.name == type_name; });
  if (row == kTensorTypes.end()) dtype.fail(fmt::format("unknown type '{}'", type_name));
  tensor.type = static_cast<TensorType>(row - kTensorTypes.begin());

  shape.expect(Json::Type::Array);
  uint64_t bytes = row->bytes;
  for (const Json size : shape) {
    tensor.shape.push_back(size.integer(0, INT64_MAX));
    if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(tensor.shape.back()), &bytes)) {
      shape.fail("the product of the sizes overflows");
    }
  }

  offsets.expect(Json::Type::Array);
  if (offsets.size() != 2) offsets.fail(fmt::format("expected [begin, end], found {} items", offsets.size()));
  auto item = offsets.begin();
  const int64_t most = static_cast<int64_t>(std::min<uint64_t>(data_size, INT64_MAX));
  const auto offset = [&](const Json &value) {
    const int64_t number = value.integer(0, INT64_MAX);
    if (number > most) value.fail(fmt::format("{} lies beyond the file, which has {} bytes of data", number, most));
    return static_cast<uint64_t>(number);
  };
  const uint64_t begin = offset(*item);
  const uint64_t end = offset(*++item);
  if (begin > end) offsets.fail(fmt::format("begins at {}, after its end {}", begin, end));
  if (end - begin != bytes) {
    offsets.fail(
        fmt::format("{} bytes, but shape {} of {} takes {}", end - begin, tensor.shape_text(), row->name, bytes));
  }
  tensor.begin = data_begin + begin;
  tensor.end = data_begin + end;
  return tensor;
}

void refuse_overlaps(const std::map<std::string, Tensor, std::less<>> &tensors) {
  std::vector<const Tensor *> in_order;
  for (const auto &[name, tensor] : tensors) {
    if (tensor.begin < tensor.end) in_order.push_back(&tensor);
  }
  std::sort(in_order.begin(), in_order.end(), [](const Tensor *a, const Tensor *b) { return a->begin < b->begin; });
  for (size_t i = 1; i < in_order.size(); ++i) {
    if (in_order[i]->begin < in_order[i - 1]->end) {
      in_order[i]->fail(fmt::format("data_offsets: overlaps tensor '{}'", in_order[i - 1]->name));
    }
  }
}

}  // namespace

std::string_view tensor_type_name(TensorType type) { return kTensorTypes[static_cast<size_t>(type)].name; }
uint64_t tensor_type_bytes(TensorType type) { return kTensorTypes[static_cast<size_t>(type)].bytes; }

void Tensor::fail(const std::string &what, uint64_t offset) const {
  throw Error(fmt::format("{}: tensor '{}': {} at byte {}", file->path(), name, what, begin + offset));
}

std::string Tensor::shape_text() const {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) out += fmt::format("{}{}", i ? ", " : "", shape[i]);
  return out + "]";
}

SafetensorsFile::SafetensorsFile(const std::string &path) : file_(path) {
  if (file_.size() < 8) {
    throw Error(fmt::format("{}: header length: the file ends, 8 bytes expected at byte {}", path, file_.size()));
  }
  const uint64_t length = load_le<uint64_t>(file_.data());
  if (length > kMaxSafetensorsHeader) {
    throw Error(fmt::format("{}: header length: {} is more than the {} allowed at byte 0", path, length,
                            kMaxSafetensorsHeader));
  }
  if (length > file_.size() - 8) {
    throw Error(fmt::format("{}: header length: {}, but the file ends after {} more at byte 0", path, length,
                            file_.size() - 8));
  }
  header_bytes_ = 8 + length;
  const JsonDocument document(header().substr(8), path, {.depth = 4}, 8, "tensor");
  const Json root = document.root();
  root.expect(Json::Type::Object);
  for (const Json entry : root) {
    if (entry.key() == "__metadata__") continue;
    Tensor tensor = read_entry(entry, file_, header_bytes_, file_.size() - header_bytes_);
    tensors_.emplace(tensor.name, std::move(tensor));
  }
  refuse_overlaps(tensors_);
}

TensorFolder::TensorFolder(const std::string &folder) {
  const std::string single = folder + "/model.safetensors", index = single + ".index.json";
  if (exists(single)) {
    source_ = single;
    files_.push_back(std::make_unique<SafetensorsFile>(single));
    for (const auto &[name, tensor] : files_[0]->tensors()) tensors_.emplace(name, &tensor);
  } else if (exists(index)) {
    source_ = index;
    open_index(folder, index);
  } else {
    throw Error(fmt::format("{}: has neither model.safetensors nor model.safetensors.index.json", folder));
  }
}

void TensorFolder::open_index(const std::string &folder, const std::string &index_path) {
  const MappedFile text(index_path, kMaxIndex);
  const JsonDocument document(text.text(), index_path, {.depth = 4});
  const Json weight_map = document.root().get("weight_map");
  weight_map.expect(Json::Type::Object);
  std::map<std::string, const SafetensorsFile *> opened;
  for (const Json entry : weight_map) {
    const std::string file_name = entry.string();
    // Names come from a file that may be hostile: they may not lead out of the folder.
    if (file_name.empty() || file_name.find('/') != std::string::npos || file_name.find('\0') != std::string::npos) {
      entry.fail("not a plain file name");
    }
    const SafetensorsFile *&file = opened[file_name];
    if (!file) {
      files_.push_back(std::make_unique<SafetensorsFile>(folder + "/" + file_name));
      file = files_.back().get();
    }
    const auto found = file->tensors().find(entry.key());
    if (found == file->tensors().end()) entry.fail(fmt::format("'{}' has no such tensor", file_name));
    tensors_.emplace(found->first, &found->second);
  }
}

const Tensor *TensorFolder::find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : found->second;
}

const Tensor &TensorFolder::get(std::string_view name) const {
  const Tensor *tensor = find(name);
  if (!tensor) throw Error(fmt::format("{}: tensor '{}' is missing", source_, name));
  return *tensor;
}

}  // namespace bittern::runtime
