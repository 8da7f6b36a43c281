#include "tuning_db/proof/fixture.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

#include "tuning_db/proof/cost.h"
#include "tuning_db/proof/float_bits.h"
#include "tuning_db/proof/interpret.h"
#include "tuning_db/proof/problem.h"
#include "tuning_db/proof/reference.h"

namespace bittern::tuning {
namespace {

using compiler::Role;

constexpr double kInterpreterLimit = 1e7;  // multiply-adds

// Results kept between workers: the concatenated arrays and their SHA-256, so that a torn file is simply recomputed.
std::optional<std::string> read_checked(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  std::string all((std::istreambuf_iterator<char>(file)), {});
  if (all.size() < 64) return std::nullopt;
  const std::string hash = all.substr(all.size() - 64);
  all.resize(all.size() - 64);
  if (sha256_hex(all) != hash) return std::nullopt;
  return all;
}

void write_checked(const std::string &path, const std::string &bytes) {
  const std::string temporary = fmt::format("{}.{}", path, getpid());
  {
    std::ofstream file(temporary, std::ios::binary);
    file << bytes << sha256_hex(bytes);
    if (!file) return;  // only a cache
  }
  std::error_code ignored;
  std::filesystem::rename(temporary, path, ignored);
}

// The sign and payload of a NaN differ from machine to machine, and the digest must not.
void make_nans_equal(Array &array) {
  const auto width = static_cast<size_t>(array.element_bytes());
  const uint32_t nan = array.type == compiler::Type::F32   ? 0x7fc00000
                       : array.type == compiler::Type::F16 ? 0x7e00
                                                           : 0x7fc0;
  for (size_t at = 0; at < array.bytes.size(); at += width)
    if (is_nan(array.type, array.bytes.data() + at)) std::memcpy(array.bytes.data() + at, &nan, width);
}

std::string fixture_key(const std::string &spec_hash, const compiler::Sizes &sizes, const InputSet &set) {
  std::string key = spec_hash;
  for (const auto &[name, value] : sizes) key += fmt::format(",{}={}", name, value);
  return key + "," + set.name;
}

}  // namespace

Fixture::Fixture(const compiler::KernelSpec &spec, const std::string &spec_hash, const compiler::Sizes &sizes,
                 const InputSet &set, int threads, const std::string &cache_folder)
    : spec_(spec), sizes_(sizes), set_(set), inputs_(make_inputs(spec, sizes, set)) {
  const bool fast = multiply_adds(spec, sizes) > kInterpreterLimit && reference_supports(spec);
  Arrays wanted;
  for (const compiler::Tensor *tensor : spec.arguments()) {
    if (tensor->role == Role::In) continue;
    Array array;
    array.type = tensor->type;
    for (const compiler::ExprPtr &extent : tensor->shape) array.shape.push_back(compiler::evaluate(extent, sizes));
    array.bytes.resize(static_cast<size_t>(array.count() * array.element_bytes()));
    wanted.emplace(tensor->name, std::move(array));
  }
  const std::string path =
      cache_folder.empty() ? "" : cache_folder + "/" + sha256_hex(fixture_key(spec_hash, sizes, set));
  const std::optional<std::string> cached = path.empty() ? std::nullopt : read_checked(path);
  size_t total = 0;
  for (const auto &[name, array] : wanted) total += array.bytes.size();
  std::string all;
  if (cached && cached->size() == total) {
    all = *cached;
    size_t at = 0;
    for (auto &[name, array] : wanted) {
      std::memcpy(array.bytes.data(), all.data() + at, array.bytes.size());
      at += array.bytes.size();
    }
  } else {
    const std::vector<float> scalars = make_scalars(spec);
    Arrays computed = fast ? reference_evaluate(spec, sizes, inputs_, scalars, threads)
                           : interpret_arrays(spec, sizes, inputs_, scalars);
    for (auto &[name, array] : wanted) {
      array = std::move(computed.at(name));
      if (array.type != compiler::Type::I8 && array.type != compiler::Type::I32) make_nans_equal(array);
      all.append(reinterpret_cast<const char *>(array.bytes.data()), array.bytes.size());
    }
    if (!path.empty()) write_checked(path, all);
  }
  hash_ = sha256_hex(all);
  for (auto &[name, array] : wanted)
    (spec.find(name)->role == Role::Given ? inputs_ : expected_).emplace(name, std::move(array));
}

int64_t Fixture::bytes() const {
  size_t total = 0;
  for (const Arrays *arrays : {&inputs_, &expected_})
    for (const auto &[name, array] : *arrays) total += array.bytes.size();
  for (const Bound &bound : bound_) total += bound.memory.resident();
  return static_cast<int64_t>(total);
}

const bt_tensor &Fixture::input(const compiler::Tensor &tensor, Placement placement, const bt_layout *layout) {
  const bool ternary = tensor.type == compiler::Type::Ternary;
  const std::string key = fmt::format("{} {} {}", tensor.name, static_cast<int>(placement),
                                      ternary ? fmt::format("{}@{}", layout->name, layout->version) : "");
  for (const Bound &bound : bound_)
    if (bound.key == key) return bound.tensor;
  const Array &array = inputs_.at(tensor.name);
  if (ternary) {
    const int64_t n = array.rows(), k = array.row();
    Guarded memory(static_cast<size_t>(layout->packed_bytes(n, k)), placement, Guarded::kPoison);
    layout->pack(array.as<int8_t>(), k, 0, n, n, k, memory.data());
    memory.read_only();
    bound_.push_back({key, std::move(memory), {}});
  } else {
    const TensorLanes lanes = tensor_lanes(tensor, array, placement);
    const auto width = static_cast<size_t>(array.element_bytes());
    Guarded memory(static_cast<size_t>(lanes.elements) * width, placement, Guarded::kPoison);
    for (int64_t row = 0; row < array.rows(); ++row) {
      uint8_t *at = memory.data() + static_cast<size_t>(row * lanes.row_stride) * width;
      const size_t bytes = static_cast<size_t>(array.row()) * width;
      std::memcpy(at, array.bytes.data() + static_cast<size_t>(row) * bytes, bytes);
      std::memset(at + bytes, 0, static_cast<size_t>(lanes.padded_row) * width - bytes);
    }
    memory.read_only();
    bound_.push_back({key, std::move(memory), {}});
    std::memcpy(bound_.back().tensor.stride, lanes.stride, sizeof lanes.stride);
  }
  bound_.back().tensor.data = bound_.back().memory.data();
  return bound_.back().tensor;
}

TensorLanes tensor_lanes(const compiler::Tensor &tensor, const Array &array, Placement placement) {
  TensorLanes lanes;
  lanes.padded_row = (array.row() + tensor.pad - 1) / tensor.pad * tensor.pad;
  lanes.row_stride = lanes.padded_row;
  if (placement == Placement::Shifted && array.shape.size() > 1) lanes.row_stride += tensor.pad > 1 ? tensor.pad : 5;
  int64_t stride = lanes.row_stride;
  for (size_t d = array.shape.size(); d-- > 0;) {
    lanes.stride[d] = d + 1 == array.shape.size() ? 1 : stride;
    if (d + 1 < array.shape.size()) stride *= array.shape[d];
  }
  lanes.elements = array.rows() == 0 ? 0 : (array.rows() - 1) * lanes.row_stride + lanes.padded_row;
  return lanes;
}

void FixtureCache::count(Held &held) {
  const int64_t bytes = held.fixture->bytes(), buffers = held.fixture->buffers();
  bytes_ += bytes - held.bytes;
  buffers_ += buffers - held.buffers;
  held.bytes = bytes;
  held.buffers = buffers;
}

void FixtureCache::make_room(size_t keep) {
  if (buffers_ > kMostBuffers) {  // down to half, so that this is rare
    for (auto it = fixtures_.rbegin(); it != fixtures_.rend() && buffers_ > kMostBuffers / 2; ++it) {
      it->fixture->release_buffers();
      count(*it);
    }
  }
  while (fixtures_.size() > keep && bytes_ > limit_) {
    bytes_ -= fixtures_.back().bytes;
    buffers_ -= fixtures_.back().buffers;
    by_key_.erase(fixtures_.back().key);
    fixtures_.pop_back();
  }
}

Fixture &FixtureCache::get(const compiler::KernelSpec &spec, const std::string &spec_hash, const compiler::Sizes &sizes,
                           const InputSet &set) {
  if (!fixtures_.empty()) count(fixtures_.front());  // no other can have grown
  const std::string key = fixture_key(spec_hash, sizes, set);
  const auto known = by_key_.find(key);
  if (known != by_key_.end()) {
    fixtures_.splice(fixtures_.begin(), fixtures_, known->second);
    make_room(1);
  } else {
    make_room(0);
    fixtures_.push_front({key, std::make_unique<Fixture>(spec, spec_hash, sizes, set, threads_, folder_)});
    by_key_[key] = fixtures_.begin();
    count(fixtures_.front());
  }
  return *fixtures_.front().fixture;
}

}  // namespace bittern::tuning
