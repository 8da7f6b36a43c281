// Writes Bittern's own file (runtime/model/bittern_file.h): holds every model there is exactly.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "runtime/convert/format_writers.h"
#include "runtime/io/checksum.h"
#include "runtime/io/output_file.h"
#include "runtime/model/base3.h"
#include "runtime/model/bittern_config.h"
#include "runtime/model/bittern_file.h"
#include "runtime/model/bittern_names.h"

namespace bittern::runtime {
namespace {

using nlohmann::ordered_json;

std::string little_endian(uint64_t value) {
  std::string out(8, '\0');
  for (size_t i = 0; i < 8; ++i) out[i] = static_cast<char>(value >> (8 * i) & 0xff);
  return out;
}

// The header is known when everything is written, so its place is kept free: for each section what its entry can take.
uint64_t header_room(const Conversion &conversion) {
  const ModelConfig &c = conversion.config();
  constexpr uint64_t kEntry = 320;
  const uint64_t per_layer = kLinearCount * 3 + kVectorCount;
  uint64_t bytes = 4096 + kEntry * (static_cast<uint64_t>(c.layers) * per_layer + 3 + conversion.files.size());
  for (const auto &[name, text] : conversion.files) bytes += name.size();
  bytes += bittern_config_text(c).size();
  return bytes;
}

class BitternWriter {
 public:
  explicit BitternWriter(const Conversion &conversion)
      : conversion_(conversion), out_(conversion.path, conversion.name), room_(header_room(conversion)) {
    const std::string blank(room_ + kBitternPreamble, ' ');
    out_.write(blank);
  }

  void matrix(int64_t layer, Linear which) {
    const TernaryMatrix m = conversion_.source.linear(layer, which);
    const int64_t row_bytes = base3_row_bytes(m.cols);
    ordered_json entry = begin({{"type", "trits"}, {"shape", {m.rows, m.cols}}}, m.rows * row_bytes);
    // A checksum over the whole needs the whole: a packed matrix of an 8-billion-weight model takes 12 MB.
    std::vector<uint8_t> packed(static_cast<size_t>(m.rows * row_bytes));
    for_each_block(conversion_, layer, which, m, 1, [&](int64_t row0, int64_t count, const int8_t *trits) {
      for (int64_t i = 0; i < count; ++i) {
        pack_base3(trits + i * m.cols, m.cols, packed.data() + (row0 + i) * row_bytes);
      }
    });
    out_.write(packed.data(), packed.size());
    seal(entry, checksum64(packed.data(), static_cast<int64_t>(packed.size())));
    if (m.group == 0) {
      entry["scale"] = static_cast<double>(m.scale);
    } else {
      entry["group"] = m.group;
      std::vector<float> scales(static_cast<size_t>(m.rows * (m.cols / m.group)));
      m.group_scales(0, m.rows, scales.data());
      floats(bittern_scales_name(layer, which), {m.rows, m.cols / m.group}, scales);
    }
    tensors_[bittern_name(layer, which)] = std::move(entry);
  }

  void floats(const std::string &name, const std::vector<int64_t> &shape, const std::vector<float> &values) {
    const int64_t bytes = static_cast<int64_t>(values.size() * sizeof(float));
    ordered_json entry = begin({{"type", "f32"}, {"shape", shape}}, bytes);
    out_.write(values.data(), static_cast<size_t>(bytes));
    seal(entry, checksum64(reinterpret_cast<const uint8_t *>(values.data()), bytes));
    tensors_[name] = std::move(entry);
  }

  void matrix(const std::string &name, const FloatMatrix &m) {
    const int64_t row_bytes = m.cols * dtype_bytes(m.dtype);
    const BitternType type = m.dtype == DType::F32   ? BitternType::F32
                             : m.dtype == DType::F16 ? BitternType::F16
                                                     : BitternType::BF16;
    ordered_json entry = begin({{"type", bittern_type_name(type)}, {"shape", {m.rows, m.cols}}}, m.rows * row_bytes);
    std::vector<uint64_t> sums;
    sums.reserve(static_cast<size_t>(m.rows));
    for_each_block(conversion_, m, name, [&](int64_t, int64_t count, const uint8_t *rows) {
      for (int64_t i = 0; i < count; ++i) sums.push_back(checksum64(rows + i * row_bytes, row_bytes));
      out_.write(rows, static_cast<size_t>(count * row_bytes));
    });
    out_.align(kBitternAlign);
    entry["row_sums_at"] = out_.size();
    out_.write(sums.data(), sums.size() * sizeof(uint64_t));
    seal(entry, checksum64(reinterpret_cast<const uint8_t *>(sums.data()), m.rows * 8));
    tensors_[name] = std::move(entry);
  }

  void file(const std::string &name, const std::string &text) {
    ordered_json entry = begin(ordered_json::object(), static_cast<int64_t>(text.size()));
    out_.write(text);
    seal(entry, checksum64(reinterpret_cast<const uint8_t *>(text.data()), static_cast<int64_t>(text.size())));
    files_[name] = std::move(entry);
  }

  void finish() {
    out_.align(kBitternAlign);
    ordered_json header;
    header["config"] = ordered_json::parse(bittern_config_text(conversion_.config()));
    header["tensors"] = std::move(tensors_);
    header["files"] = std::move(files_);
    std::string text = header.dump();
    if (text.size() > room_) throw Error(fmt::format("{}: the header outgrew its place", conversion_.name));
    text.resize(room_, ' ');
    const uint64_t sum = checksum64(reinterpret_cast<const uint8_t *>(text.data()), static_cast<int64_t>(text.size()));
    out_.write_at(
        0, std::string(kBitternMagic) + little_endian(room_) + little_endian(out_.size()) + little_endian(sum) + text);
    out_.finish();
  }

 private:
  ordered_json begin(ordered_json entry, int64_t bytes) {
    out_.align(kBitternAlign);
    entry["at"] = out_.size();
    entry["bytes"] = bytes;
    return entry;
  }
  static void seal(ordered_json &entry, uint64_t sum) { entry["sum"] = fmt::format("{:016x}", sum); }

  const Conversion &conversion_;
  OutputFile out_;
  uint64_t room_;
  ordered_json tensors_ = ordered_json::object(), files_ = ordered_json::object();
};

}  // namespace

void write_bittern(const Conversion &conversion) {
  const ModelSource &source = conversion.source;
  const ModelConfig &config = conversion.config();
  BitternWriter writer(conversion);
  // What an engine needs first comes first.
  for (const auto &[name, text] : conversion.files) writer.file(name, text);
  writer.matrix("embedding", source.embedding());
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    for (const Vector which : layer_vectors(config)) {
      writer.floats(bittern_name(layer, which), {vector_size(config, which)}, source.vector(layer, which));
    }
    for (const Linear which : kLinears) {
      if (config.linear_norms) {
        const int64_t cols = linear_shape(config, which).second;
        writer.floats(bittern_norm_name(layer, which), {cols}, source.linear_norm(layer, which));
      }
      writer.matrix(layer, which);
    }
  }
  writer.floats(bittern_name(0, Vector::FinalNorm), {config.hidden}, source.vector(0, Vector::FinalNorm));
  if (config.has_head && !config.tied_head) writer.matrix("head", source.head());
  writer.finish();
}

}  // namespace bittern::runtime
