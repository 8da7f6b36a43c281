#include "runtime/convert/safetensors_writer.h"

#include <fmt/format.h>

#include <bit>
#include <utility>

#include "runtime/error.h"
#include "runtime/io/float_formats.h"

namespace bittern::runtime {
namespace {

// Length, name and JSON of one entry, at most.
constexpr uint64_t kEntryRoom = 256;

bool same_bits(float a, float b) { return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b); }

struct SmallType {
  const char *name;
  uint16_t (*narrow)(float);
  float (*widen)(uint16_t);
};
constexpr SmallType kSmallTypes[] = {{"BF16", f32_to_bf16, bf16_to_f32}, {"F16", f32_to_f16, f16_to_f32}};

}  // namespace

SafetensorsWriter::SafetensorsWriter(const std::string &path, std::string name, int64_t tensors,
                                     nlohmann::ordered_json metadata)
    : out_(path, name), name_(std::move(name)), header_({{"__metadata__", std::move(metadata)}}) {
  room_ = (header_.dump().size() + kEntryRoom * static_cast<uint64_t>(tensors) + 8) / 8 * 8;
  out_.write(std::string(8 + room_, ' '));
}

void SafetensorsWriter::end() {
  if (!open_.empty()) header_[open_]["data_offsets"].push_back(out_.size() - 8 - room_);
  open_.clear();
}

void SafetensorsWriter::begin(const std::string &tensor, const char *dtype, const std::vector<int64_t> &shape) {
  end();
  header_[tensor] = {{"dtype", dtype}, {"shape", shape}, {"data_offsets", {out_.size() - 8 - room_}}};
  open_ = tensor;
}

const char *SafetensorsWriter::floats(const std::string &tensor, const std::vector<int64_t> &shape,
                                      std::span<const float> values) {
  for (const SmallType &type : kSmallTypes) {
    std::vector<uint16_t> narrow;
    for (const float value : values) {
      narrow.push_back(type.narrow(value));
      if (!same_bits(type.widen(narrow.back()), value)) break;
    }
    if (!narrow.empty() && (narrow.size() < values.size() || !same_bits(type.widen(narrow.back()), values.back()))) {
      continue;
    }
    begin(tensor, type.name, shape);
    write(narrow.data(), narrow.size() * sizeof(uint16_t));
    return type.name;
  }
  begin(tensor, "F32", shape);
  write(values.data(), values.size_bytes());
  return "F32";
}

void SafetensorsWriter::finish() {
  end();
  std::string header = header_.dump();
  if (header.size() > room_) throw Error(fmt::format("{}: the header outgrew its place", name_));
  header.resize(room_, ' ');
  std::string length(8, '\0');
  for (size_t i = 0; i < 8; ++i) length[i] = static_cast<char>(room_ >> (8 * i) & 0xff);
  out_.write_at(0, length + header);
  out_.finish();
}

}  // namespace bittern::runtime
