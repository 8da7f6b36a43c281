// Runs a compiled kernel the way a runtime would, through a linked pack, and holds it against the interpreter: tensors
// flush against guard pages, strides with gaps, outputs pre-filled with sentinels that must survive between elements.
#pragma once
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "codegen/backend.h"
#include "compiler/interpreter.h"
#include "runtime/machine/machine.h"
#include "schedules/layout.h"
#include "tests/unit/codegen/guarded_bytes.h"
#include "tests/unit/codegen/linked.h"

namespace bittern::test {

// A pack of these kernels.
class LoadedPack {
 public:
  explicit LoadedPack(const std::vector<codegen::Compiled> &kernels) : linked_(objects_of(kernels), "bt_pack_table") {}
  const bt_pack &pack() const { return *static_cast<const bt_pack *>(linked_.exported()); }
  const bt_kernel &kernel(size_t i = 0) const { return *pack().kernels[i]; }

 private:
  static std::vector<std::string> objects_of(const std::vector<codegen::Compiled> &kernels) {
    std::vector<codegen::TableRow> rows;
    std::vector<std::string> objects;
    for (const codegen::Compiled &kernel : kernels) {
      rows.push_back({kernel.descriptor, "candidate"});
      objects.insert(objects.end(), kernel.objects.begin(), kernel.objects.end());
    }
    objects.push_back(codegen::emit_pack_table(rows, "bt_pack_table", schedules::find_target("x86-64")));
    return objects;
  }
  Linked linked_;
};

// Names of the targets whose code this machine can run.
inline std::vector<std::string> runnable_targets() {
  std::vector<std::string> names;
  for (const schedules::Target &target : schedules::targets())
    if ((target.isa_needs & ~runtime::machine_isa()) == 0) names.push_back(target.name);
  return names;
}

inline codegen::Compiled compile(const compiler::KernelSpec &spec, const std::string &schedule,
                                 const std::string &target, const compiler::Sizes &fixed = {},
                                 const std::string &symbol = "kernel_under_test") {
  const schedules::Schedule parsed = schedules::parse_schedule(schedule);
  return codegen::compile({spec, parsed, schedules::find_target(target), fixed, 1, INT64_MAX, symbol});
}

// Seeded inputs that respect declared ranges; givens and outputs as the interpreter computes them.
struct Problem {
  std::map<std::string, float> scalars;
  std::map<std::string, compiler::TensorData> tensors;
};

inline Problem make_problem(const compiler::KernelSpec &spec, const compiler::Sizes &sizes, uint32_t seed) {
  using compiler::Type;
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Problem problem;
  for (const std::string &scalar : spec.scalars) problem.scalars[scalar] = std::abs(normal(random)) * 0.1f + 1e-5f;
  for (const compiler::Tensor *tensor : spec.arguments()) {
    compiler::TensorData data = compiler::make_tensor(*tensor, sizes);
    int64_t low = tensor->type == Type::Ternary ? -1 : -127, high = tensor->type == Type::Ternary ? 1 : 127;
    if (tensor->range) {
      low = compiler::evaluate(tensor->range->first, sizes);
      high = compiler::evaluate(tensor->range->second, sizes) - 1;
    }
    std::uniform_int_distribution<int64_t> integer(low, high);
    for (int64_t i = 0; i < data.elements(); ++i) {
      if (tensor->type == Type::I8 || tensor->type == Type::I32 || tensor->type == Type::Ternary) {
        data.set_int(i, integer(random));
      } else {
        data.set_float(i, normal(random));
      }
    }
    problem.tensors[tensor->name] = std::move(data);
  }
  compiler::interpret(spec, sizes, problem.scalars, problem.tensors, compiler::Givens::Compute);
  return problem;
}

// One tensor of a call, as the ABI wants it.
class Operand {
 public:
  Operand(const compiler::Tensor &tensor, const compiler::TensorData &data, const bt_layout *layout, bool at_end)
      : tensor_(tensor), data_(data), out_(tensor.role == compiler::Role::Out) {
    if (tensor.type == compiler::Type::Ternary) {
      REQUIRE(layout != nullptr);
      const int64_t n = data.shape[0], k = data.shape[1];
      memory_ = std::make_unique<Guarded>(static_cast<size_t>(layout->packed_bytes(n, k)), at_end);
      layout->pack(reinterpret_cast<const int8_t *>(data.bytes.data()), k, 0, n, n, k, memory_->data());
      abi_.data = memory_->data();
      return;
    }
    const size_t rank = data.shape.size();
    bytes_ = compiler::type_bytes(tensor.type);
    int64_t stride = 1;
    for (size_t d = rank; d-- > 0;) {
      abi_.stride[d] = stride;
      int64_t extent = data.shape[d];
      if (d + 1 == rank && tensor.pad > 1) {
        padding_ = (extent + tensor.pad - 1) / tensor.pad * tensor.pad - extent;
        extent += padding_;
      } else if (d > 0) {
        extent += 3;  // a gap that belongs to nobody
      }
      stride *= extent;
    }
    // The last row ends where its last element (or padding) does.
    int64_t used = padding_ + 1;
    for (size_t d = 0; d < rank; ++d) used += (data.shape[d] - 1) * abi_.stride[d];
    used_ = static_cast<size_t>(used * bytes_);
    memory_ = std::make_unique<Guarded>(used_, at_end);
    abi_.data = memory_->data();
    if (!out_)
      each([&](int64_t index, uint8_t *element, bool row_end) {
        std::memcpy(element, data.bytes.data() + index * bytes_, static_cast<size_t>(bytes_));
        if (row_end) std::memset(element + bytes_, 0, static_cast<size_t>(padding_ * bytes_));
      });
  }

  const bt_tensor &abi() const { return abi_; }

  // Elements equal bit for bit, padding zero, everything else untouched. Returns what is wrong, or nothing.
  std::string check() {
    if (!out_) return "";
    std::string wrong;
    std::vector<bool> owned(used_, false);
    each([&](int64_t index, uint8_t *element, bool row_end) {
      if (std::memcmp(element, data_.bytes.data() + index * bytes_, static_cast<size_t>(bytes_)) != 0 && wrong.empty())
        wrong = fmt::format("{}{} is {}, not {}", tensor_.name, compiler::index_text(data_.shape, index), show(element),
                            show(data_.bytes.data() + index * bytes_));
      const int64_t count = bytes_ * (row_end ? 1 + padding_ : 1);
      for (int64_t i = 0; i < count; ++i) owned[static_cast<size_t>(element + i - memory_->data())] = true;
      for (int64_t i = bytes_; i < count; ++i)
        if (element[i] != 0 && wrong.empty()) wrong = fmt::format("{}: padding is not zero", tensor_.name);
    });
    for (size_t i = 0; i < used_; ++i)
      if (!owned[i] && memory_->data()[i] != Guarded::kSentinel && wrong.empty())
        wrong = fmt::format("{}: byte {} between the rows was written", tensor_.name, i);
    return wrong;
  }

 private:
  template <typename Visit>
  void each(const Visit &visit) {
    for (int64_t index = 0; index < data_.elements(); ++index) {
      int64_t rest = index, offset = 0;
      for (size_t d = data_.shape.size(); d-- > 0;) {
        offset += rest % data_.shape[d] * abi_.stride[d];
        rest /= data_.shape[d];
      }
      const bool row_end = !data_.shape.empty() && (index + 1) % data_.shape.back() == 0;
      visit(index, memory_->data() + offset * bytes_, row_end);
    }
  }

  std::string show(const uint8_t *element) const {
    if (tensor_.type == compiler::Type::F32) {
      float value;
      std::memcpy(&value, element, sizeof value);
      return fmt::format("{:.9g}", value);
    }
    int64_t value = 0;
    std::memcpy(&value, element, static_cast<size_t>(bytes_));
    return fmt::format("{:#x}", value);
  }

  const compiler::Tensor &tensor_;
  const compiler::TensorData &data_;
  bool out_;
  int64_t bytes_ = 1, padding_ = 0;
  size_t used_ = 0;
  bt_tensor abi_{};
  std::unique_ptr<Guarded> memory_;
};

// Runs all tiles in two calls; returns what is wrong with the outputs, or nothing.
inline std::string run(const compiler::KernelSpec &spec, const bt_kernel &kernel, const compiler::Sizes &sizes,
                       const Problem &problem, bool at_end) {
  std::vector<std::unique_ptr<Operand>> operands;
  std::vector<bt_tensor> tensors;
  for (const compiler::Tensor *tensor : spec.arguments()) {
    operands.push_back(std::make_unique<Operand>(*tensor, problem.tensors.at(tensor->name), kernel.layout, at_end));
    tensors.push_back(operands.back()->abi());
  }
  std::vector<int64_t> size_values;
  for (const std::string &size : spec.sizes) size_values.push_back(sizes.at(size));
  std::vector<float> scalars;
  for (const std::string &scalar : spec.scalars) scalars.push_back(problem.scalars.at(scalar));
  const auto scratch_bytes = static_cast<size_t>((bt_scratch_bytes(&kernel, size_values.data()) + 63) / 64 * 64);
  Guarded scratch(scratch_bytes, true);
  const int64_t tiles = bt_tile_count(&kernel, size_values.data());
  for (const auto &[begin, end] : {std::pair<int64_t, int64_t>{tiles / 2, tiles}, {0, tiles / 2}}) {
    const bt_args args{
        tensors.data(), size_values.data(), scalars.data(), begin, end, scratch_bytes ? scratch.data() : nullptr};
    kernel.fn(&args);
  }
  for (const auto &operand : operands) {
    const std::string wrong = operand->check();
    if (!wrong.empty()) return wrong;
  }
  return "";
}

}  // namespace bittern::test
