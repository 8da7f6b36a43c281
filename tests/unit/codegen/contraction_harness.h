// Runs generated contraction kernels against the interpreter: inputs of several kinds, guard pages around every tensor,
// sentinels in outputs, one call or several over parts of the tiles.
#pragma once
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstring>
#include <memory>
#include <random>

#include "codegen/backend.h"
#include "compiler/error.h"
#include "compiler/interpreter.h"
#include "compiler/library.h"
#include "compiler/parser.h"
#include "runtime/machine/machine.h"
#include "schedules/layout.h"
#include "schedules/space.h"
#include "tests/unit/codegen/guarded_bytes.h"
#include "tests/unit/codegen/linked.h"

namespace bittern::test::contraction {

using codegen::Compiled;
using compiler::KernelSpec;
using compiler::Sizes;
using compiler::TensorData;
using compiler::Type;
using schedules::Schedule;

// A compiled kernel that can be called.
class Loaded {
 public:
  Loaded(const KernelSpec &spec, const Schedule &schedule, const std::string &target, const Sizes &fixed = {})
      : compiled_(codegen::compile(
            {spec, schedule, schedules::find_target(target), fixed, 1, INT64_MAX, "kernel_under_test"})),
        linked_(compiled_.objects, "kernel_under_test") {}

  const codegen::Descriptor &descriptor() const { return compiled_.descriptor; }
  void call(const bt_args &args) const { reinterpret_cast<bt_kernel_fn>(linked_.exported())(&args); }

 private:
  Compiled compiled_;
  Linked linked_;
};

enum class Fill { Random, Ones, MinusOnes, Extremes, Lowest };

inline int trit_of(Fill fill, std::mt19937 &random) {
  switch (fill) {
    case Fill::Ones:
      return 1;
    case Fill::MinusOnes:
    case Fill::Lowest:
      return -1;
    default:
      return static_cast<int>(random() % 3) - 1;
  }
}

inline int activation_of(Fill fill, std::mt19937 &random) {
  switch (fill) {
    case Fill::Ones:
      return 127;
    case Fill::MinusOnes:
      return -127;
    case Fill::Lowest:
      return -128;
    case Fill::Extremes:
      return random() % 2 ? 127 : -128;
    default:
      return static_cast<int>(random() % 256) - 128;
  }
}

// Inputs and the interpreter's outputs for one kernel at one size.
struct Case {
  Case(const KernelSpec &spec_, Sizes sizes_, Fill fill) : spec(spec_), sizes(std::move(sizes_)) {
    std::mt19937 random(7);
    std::uniform_real_distribution<float> real(-2.0F, 2.0F);
    for (const compiler::Tensor *tensor : spec.arguments()) {
      if (tensor->role != compiler::Role::In) continue;
      TensorData data = compiler::make_tensor(*tensor, sizes);
      for (int64_t i = 0; i < data.elements(); ++i) {
        if (tensor->type == Type::Ternary) data.set_int(i, trit_of(fill, random));
        if (tensor->type == Type::I8) data.set_int(i, activation_of(fill, random));
        if (tensor->type == Type::I32) data.set_int(i, static_cast<int>(random() % 100));
        if (tensor->type == Type::F32) data.set_float(i, real(random));
      }
      tensors[tensor->name] = std::move(data);
    }
    compiler::interpret(spec, sizes, {}, tensors, compiler::Givens::Compute);
  }
  const KernelSpec &spec;
  Sizes sizes;
  std::map<std::string, TensorData> tensors;
};

// Runs the kernel on guarded copies, tile by tile in `parts` calls, and compares every output bit for bit.
inline std::string mismatch(const Loaded &kernel, const Case &c, const Schedule &schedule, int64_t parts, bool at_end) {
  const codegen::Descriptor &d = kernel.descriptor();
  const schedules::Layout &layout = schedules::find_layout(schedule.layout);
  std::vector<std::unique_ptr<Guarded>> memory;
  std::vector<bt_tensor> tensors;
  for (const compiler::Tensor *tensor : c.spec.arguments()) {
    const TensorData &data = c.tensors.at(tensor->name);
    bt_tensor t{};
    if (tensor->type == Type::Ternary) {
      const int64_t n = data.shape[0], k = data.shape[1];
      memory.push_back(std::make_unique<Guarded>(static_cast<size_t>(layout.packed_bytes(n, k)), at_end));
      layout.pack(reinterpret_cast<const int8_t *>(data.bytes.data()), k, 0, n, n, k, memory.back()->data());
    } else {
      const int64_t element = compiler::type_bytes(tensor->type), row = data.shape.back();
      const int64_t stride = (row + tensor->pad - 1) / tensor->pad * tensor->pad;
      const int64_t rows = data.elements() / std::max<int64_t>(1, row);
      memory.push_back(std::make_unique<Guarded>(static_cast<size_t>(rows * stride * element), at_end));
      if (tensor->role != compiler::Role::Out)
        for (int64_t r = 0; r < rows; ++r) {
          uint8_t *to = memory.back()->data() + r * stride * element;
          std::memset(to, 0, static_cast<size_t>(stride * element));
          std::memcpy(to, data.bytes.data() + r * row * element, static_cast<size_t>(row * element));
        }
      int64_t step = 1;
      for (size_t i = data.shape.size(); i-- > 0;) {
        t.stride[i] = step;
        step *= i + 1 == data.shape.size() ? stride : data.shape[i];
      }
    }
    t.data = memory.back()->data();
    tensors.push_back(t);
  }
  std::vector<int64_t> sizes;
  for (const std::string &name : c.spec.sizes) sizes.push_back(c.sizes.at(name));
  int64_t scratch_bytes = d.scratch_base;
  for (size_t i = 0; i < sizes.size(); ++i) scratch_bytes += d.scratch_per[i] * sizes[i];
  scratch_bytes = (scratch_bytes + 63) / 64 * 64;
  Guarded scratch(static_cast<size_t>(scratch_bytes), true);
  const int64_t tiles = (sizes[static_cast<size_t>(d.tile_size_index)] + d.tile - 1) / d.tile;
  for (int64_t part = 0; part < parts; ++part)
    kernel.call(
        {tensors.data(), sizes.data(), nullptr, tiles * part / parts, tiles * (part + 1) / parts, scratch.data()});
  size_t index = 0;
  for (const compiler::Tensor *tensor : c.spec.arguments()) {
    const size_t at = index++;
    if (tensor->role != compiler::Role::Out) continue;
    const TensorData &want = c.tensors.at(tensor->name);
    if (std::memcmp(tensors[at].data, want.bytes.data(), want.bytes.size()) == 0) continue;
    for (size_t i = 0; i < want.bytes.size(); ++i)
      if (static_cast<const uint8_t *>(tensors[at].data)[i] != want.bytes[i])
        return fmt::format("{} differs first at byte {} of {}", tensor->name, i, want.bytes.size());
  }
  return "";
}

inline void check(const KernelSpec &spec, const Schedule &schedule, const std::string &target,
                  const std::vector<Sizes> &shapes, const std::vector<Fill> &fills, bool fix = false) {
  std::unique_ptr<Loaded> kernel;
  if (!fix) kernel = std::make_unique<Loaded>(spec, schedule, target);
  for (const Sizes &sizes : shapes) {
    if (fix) {
      Sizes fixed = sizes;
      fixed.erase("M");
      kernel = std::make_unique<Loaded>(spec, schedule, target, fixed);
    }
    for (const Fill fill : fills) {
      const Case c(spec, sizes, fill);
      std::string where = fmt::format("{} {} {}", spec.name, schedules::print_schedule(schedule), target);
      for (const auto &[name, value] : sizes) where += fmt::format(" {}={}", name, value);
      CAPTURE(where);
      CAPTURE(static_cast<int>(fill));
      CHECK(mismatch(*kernel, c, schedule, 1, true) == "");
      CHECK(mismatch(*kernel, c, schedule, 2, false) == "");
    }
  }
}

const char *const kAvx2 = "x86-64-avx2", *const kBaseline = "x86-64";
// The targets of the table that this machine runs.
inline std::vector<const char *> runnable_targets() {
  std::vector<const char *> names;
  for (const schedules::Target &target : schedules::targets())
    if ((target.isa_needs & ~runtime::machine_isa()) == 0) names.push_back(target.name.c_str());
  return names;
}

inline std::vector<Sizes> dense_shapes() {
  return {{{"M", 1}, {"N", 1}, {"K", 1}},     {{"M", 1}, {"N", 67}, {"K", 64}},   {{"M", 3}, {"N", 33}, {"K", 129}},
          {{"M", 2}, {"N", 130}, {"K", 192}}, {{"M", 5}, {"N", 100}, {"K", 447}}, {{"M", 9}, {"N", 40}, {"K", 2300}}};
}
inline std::vector<Sizes> grouped_shapes() {
  return {{{"M", 1}, {"N", 5}, {"K", 64}, {"G", 64}},
          {{"M", 3}, {"N", 70}, {"K", 192}, {"G", 64}},
          {{"M", 5}, {"N", 33}, {"K", 2304}, {"G", 128}},
          {{"M", 2}, {"N", 9}, {"K", 576}, {"G", 192}}};
}

}  // namespace bittern::test::contraction
