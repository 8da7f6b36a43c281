// Runs kernels of the Halide backend against the interpreter: buffers between guard pages, rows set apart by gaps that
// must keep their sentinel, outputs pre-filled, work split over calls.
#pragma once
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstring>
#include <fstream>
#include <memory>
#include <random>

#include "codegen/backend.h"
#include "compiler/interpreter.h"
#include "compiler/library.h"
#include "compiler/parser.h"
#include "schedules/layout.h"
#include "schedules/space.h"
#include "tests/unit/codegen/guarded_bytes.h"
#include "tests/unit/codegen/linked.h"

namespace halide_test {

using namespace bittern;
using compiler::KernelSpec;
using compiler::Role;
using compiler::Sizes;
using compiler::TensorData;
using compiler::Type;
using schedules::Schedule;
using test::Guarded;

// A compiled kernel that can be called.
class Loaded {
 public:
  Loaded(const KernelSpec &spec, const Schedule &schedule, const Sizes &fixed = {}, int64_t m_max = INT64_MAX,
         const std::string &target = "x86-64-avx2")
      : compiled_(codegen::compile(
            {spec, schedule, schedules::find_target(target), fixed, 1, m_max, "kernel_under_test", true})),
        linked_(compiled_.objects, "kernel_under_test") {
    CHECK(linked_.find("kernel_under_test_halide") == nullptr);
  }

  const codegen::Compiled &compiled() const { return compiled_; }
  void call(const bt_args &args) const { reinterpret_cast<bt_kernel_fn>(linked_.exported())(&args); }

 private:
  codegen::Compiled compiled_;
  test::Linked linked_;
};

// What the inputs are filled with.
enum class Fill { Random, Ones, MinusOnes, Extremes, Lowest, Zeros };

inline int64_t integer_of(Type type, Fill fill, std::mt19937 &random) {
  const bool trit = type == Type::Ternary;
  switch (fill) {
    case Fill::Ones:
      return trit ? 1 : 127;
    case Fill::MinusOnes:
      return trit ? -1 : -127;
    case Fill::Lowest:
      return trit ? -1 : -128;
    case Fill::Extremes:
      return trit ? static_cast<int64_t>(random() % 3) - 1 : random() % 2 ? 127 : -128;
    case Fill::Zeros:
      return 0;
    case Fill::Random:
      break;
  }
  return trit ? static_cast<int64_t>(random() % 3) - 1 : static_cast<int64_t>(random() % 256) - 128;
}

inline float float_of(Fill fill, std::mt19937 &random) {
  std::uniform_real_distribution<float> real(-2.0F, 2.0F);
  if (fill == Fill::Zeros) return random() % 2 ? 0.0F : -0.0F;
  if (fill == Fill::Extremes) return real(random) * (random() % 2 ? 1e4F : 1e-6F);
  return real(random);
}

// Inputs and the interpreter's outputs for one kernel at one size.
struct Case {
  Case(const KernelSpec &spec_, Sizes sizes_, Fill fill, unsigned seed = 7) : spec(spec_), sizes(std::move(sizes_)) {
    std::mt19937 random(seed);
    for (const std::string &name : spec.scalars) scalars[name] = 0.25F + 0.5F * static_cast<float>(scalars.size());
    for (const compiler::Tensor *tensor : spec.arguments()) {
      if (tensor->role != Role::In) continue;
      TensorData data = compiler::make_tensor(*tensor, sizes);
      for (int64_t i = 0; i < data.elements(); ++i) {
        if (tensor->type == Type::Ternary || tensor->type == Type::I8) {
          data.set_int(i, integer_of(tensor->type, fill, random));
        } else if (tensor->type == Type::I32) {
          const int64_t lo = tensor->range ? compiler::evaluate(tensor->range->first, sizes) : -100;
          const int64_t hi = tensor->range ? compiler::evaluate(tensor->range->second, sizes) : 100;
          data.set_int(i, lo + static_cast<int64_t>(random() % static_cast<uint64_t>(hi - lo)));
        } else {
          data.set_float(i, float_of(fill, random));
        }
      }
      tensors[tensor->name] = std::move(data);
    }
    compiler::interpret(spec, sizes, scalars, tensors, compiler::Givens::Compute);
  }
  const KernelSpec &spec;
  Sizes sizes;
  std::map<std::string, float> scalars;
  std::map<std::string, TensorData> tensors;
};

// What a kernel wrote.
struct Outcome {
  std::map<std::string, TensorData> outputs;
  std::string damage;  // memory between and behind rows that it should not have touched, or padding that is not zero
};

// Runs the kernel on guarded copies, its tiles split over `parts` calls.
inline Outcome run(const Loaded &kernel, const Case &c, const Schedule &schedule, int64_t parts, bool at_end) {
  const codegen::Descriptor &d = kernel.compiled().descriptor;
  struct Argument {
    std::unique_ptr<Guarded> memory;
    int64_t element = 0, row = 0, padded = 0, stride = 0, rows = 0;
  };
  std::vector<Argument> arguments;
  std::vector<bt_tensor> tensors;
  for (const compiler::Tensor *tensor : c.spec.arguments()) {
    const TensorData &data = c.tensors.at(tensor->name);
    Argument a;
    bt_tensor t{};
    if (tensor->type == Type::Ternary) {
      const schedules::Layout &layout = schedules::find_layout(schedule.layout);
      const int64_t n = data.shape[0], k = data.shape[1];
      a.memory = std::make_unique<Guarded>(static_cast<size_t>(layout.packed_bytes(n, k)), at_end);
      layout.pack(reinterpret_cast<const int8_t *>(data.bytes.data()), k, 0, n, n, k, a.memory->data());
    } else {
      a.element = compiler::type_bytes(tensor->type);
      a.row = data.shape.empty() ? 1 : data.shape.back();
      a.rows = data.elements() / std::max<int64_t>(1, a.row);
      a.padded = (a.row + tensor->pad - 1) / tensor->pad * tensor->pad;
      // Padded rows lie 64 or 128 apart, others with a gap of three elements; no gap after the last row.
      a.stride = a.rows == 1 ? a.padded : a.padded + (tensor->pad > 1 ? tensor->pad : 3);
      const int64_t elements = (a.rows - 1) * a.stride + a.padded;
      a.memory = std::make_unique<Guarded>(static_cast<size_t>(elements * a.element), at_end);
      if (tensor->role != Role::Out)
        for (int64_t r = 0; r < a.rows; ++r) {
          uint8_t *to = a.memory->data() + r * a.stride * a.element;
          std::memset(to, 0, static_cast<size_t>(a.padded * a.element));
          std::memcpy(to, data.bytes.data() + r * a.row * a.element, static_cast<size_t>(a.row * a.element));
        }
      int64_t step = 1;
      for (size_t i = data.shape.size(); i-- > 0;) {
        t.stride[i] = step;
        step *= i + 1 == data.shape.size() ? a.stride : data.shape[i];
      }
    }
    t.data = a.memory->data();
    tensors.push_back(t);
    arguments.push_back(std::move(a));
  }
  std::vector<int64_t> sizes;
  for (const std::string &name : c.spec.sizes) sizes.push_back(c.sizes.at(name));
  std::vector<float> scalars;
  for (const std::string &name : c.spec.scalars) scalars.push_back(c.scalars.at(name));
  int64_t scratch_bytes = d.scratch_base;
  for (size_t i = 0; i < sizes.size(); ++i) scratch_bytes += d.scratch_per[i] * sizes[i];
  Guarded scratch(static_cast<size_t>(scratch_bytes), true, 64);
  const int64_t tiles = (sizes[static_cast<size_t>(d.tile_size_index)] + d.tile - 1) / d.tile;
  for (int64_t part = 0; part < parts; ++part)
    kernel.call({tensors.data(), sizes.data(), scalars.data(), tiles * part / parts, tiles * (part + 1) / parts,
                 scratch.data()});
  Outcome outcome;
  size_t index = 0;
  for (const compiler::Tensor *tensor : c.spec.arguments()) {
    const Argument &a = arguments[index++];
    if (tensor->role != Role::Out) continue;
    TensorData &output = outcome.outputs[tensor->name] = c.tensors.at(tensor->name);
    for (int64_t r = 0; r < a.rows; ++r) {
      const uint8_t *got = a.memory->data() + r * a.stride * a.element;
      std::memcpy(output.bytes.data() + r * a.row * a.element, got, static_cast<size_t>(a.row * a.element));
      for (int64_t i = a.row * a.element; i < a.padded * a.element; ++i)
        if (got[i] != 0) outcome.damage = fmt::format("{} row {}: padding is not zero", tensor->name, r);
      for (int64_t i = a.padded * a.element; r + 1 < a.rows && i < a.stride * a.element; ++i)
        if (got[i] != Guarded::kSentinel) outcome.damage = fmt::format("{} row {}: written behind it", tensor->name, r);
    }
  }
  return outcome;
}

// Runs the kernel and says what is wrong with its outputs, which should be `wanted`'s.
inline std::string mismatch(const Loaded &kernel, const Case &c, const Schedule &schedule, int64_t parts, bool at_end,
                            const std::map<std::string, TensorData> &wanted) {
  const Outcome outcome = run(kernel, c, schedule, parts, at_end);
  for (const auto &[name, got] : outcome.outputs) {
    const std::vector<uint8_t> &want = wanted.at(name).bytes;
    const auto [a, b] = std::mismatch(got.bytes.begin(), got.bytes.end(), want.begin(), want.end());
    const int64_t element = (a - got.bytes.begin()) / compiler::type_bytes(c.spec.find(name)->type);
    if (a != got.bytes.end() || b != want.end())
      return fmt::format("{} element {} of {} differs", name, element, got.elements());
  }
  return outcome.damage;
}
inline std::string mismatch(const Loaded &kernel, const Case &c, const Schedule &schedule, int64_t parts, bool at_end) {
  return mismatch(kernel, c, schedule, parts, at_end, c.tensors);
}

// Checks a loaded kernel at one size with these fills, whole and in parts.
inline void check(const Loaded &kernel, const KernelSpec &spec, const Schedule &schedule, const Sizes &sizes,
                  const std::vector<Fill> &fills) {
  for (const Fill fill : fills) {
    const Case c(spec, sizes, fill);
    std::string where = fmt::format("{} {}", spec.name, schedules::print_schedule(schedule));
    for (const auto &[name, value] : sizes) where += fmt::format(" {}={}", name, value);
    CAPTURE(where);
    CAPTURE(static_cast<int>(fill));
    CHECK(mismatch(kernel, c, schedule, 1, true) == "");
    CHECK(mismatch(kernel, c, schedule, 3, false) == "");
  }
}

}  // namespace halide_test
