#include "tuning_db/proof/proof.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "compiler/error.h"
#include "tuning_db/proof/float_bits.h"
#include "tuning_db/proof/problem.h"

namespace bittern::tuning {
namespace {

using compiler::Role;
using compiler::Type;

std::string print_sizes(const compiler::Sizes &sizes) {
  std::string text;
  for (const auto &[name, value] : sizes) text += fmt::format("{}{}={}", text.empty() ? "" : ",", name, value);
  return text;
}

std::string print_value(Type type, const uint8_t *at) {
  if (type == Type::F32) {
    float value;
    std::memcpy(&value, at, 4);
    uint32_t bits;
    std::memcpy(&bits, at, 4);
    return fmt::format("{} ({:#010x})", value, bits);
  }
  if (type == Type::I32) {
    int32_t value;
    std::memcpy(&value, at, 4);
    return fmt::format("{}", value);
  }
  if (type == Type::I8) return fmt::format("{}", *reinterpret_cast<const int8_t *>(at));
  uint16_t bits;
  std::memcpy(&bits, at, 2);
  return fmt::format("{:#06x}", bits);
}

// Bits must be equal; two NaNs are, whatever their sign and payload.
bool same_value(Type type, const uint8_t *a, const uint8_t *b, size_t bytes) {
  return std::memcmp(a, b, bytes) == 0 || (is_nan(type, a) && is_nan(type, b));
}

// An output of a run in guarded, sentinel-filled memory.
class Output {
 public:
  Output(const compiler::Tensor &tensor, const Array &expected, Placement placement)
      : tensor_(tensor),
        expected_(expected),
        lanes_(tensor_lanes(tensor, expected, placement)),
        memory_(static_cast<size_t>(lanes_.elements * expected.element_bytes()), placement, Guarded::kSentinel) {
    argument_.data = memory_.data();
    std::copy(lanes_.stride, lanes_.stride + BT_MAX_RANK, argument_.stride);
  }

  const bt_tensor &argument() const { return argument_; }

  // What is wrong with the output, or nothing.
  std::optional<std::string> check() const {
    const auto width = static_cast<size_t>(expected_.element_bytes());
    const int64_t row = expected_.row();
    for (int64_t r = 0; r < expected_.rows(); ++r) {
      const uint8_t *got = memory_.data() + static_cast<size_t>(r * lanes_.row_stride) * width;
      const uint8_t *want = expected_.bytes.data() + static_cast<size_t>(r * row) * width;
      if (std::memcmp(got, want, static_cast<size_t>(row) * width) != 0)
        for (int64_t k = 0; k < row; ++k) {
          const size_t at = static_cast<size_t>(k) * width;
          if (!same_value(expected_.type, got + at, want + at, width))
            return fmt::format("{}[{}] is {}, the reference says {}", tensor_.name, place(r, k),
                               print_value(expected_.type, got + at), print_value(expected_.type, want + at));
        }
      // Padding must be zero, what lies between rows untouched.
      const int64_t end = r + 1 < expected_.rows() ? lanes_.row_stride : lanes_.padded_row;
      for (size_t at = static_cast<size_t>(row) * width; at < static_cast<size_t>(end) * width; ++at) {
        const bool padding = at < static_cast<size_t>(lanes_.padded_row) * width;
        if (got[at] != (padding ? 0 : Guarded::kSentinel))
          return fmt::format(
              "{} row {}: byte {} {} is {:#04x}", tensor_.name, r, at,
              padding ? "of the padding, which must be zero," : "past the row, not the kernel's to write,", got[at]);
      }
    }
    if (const auto offset = memory_.damaged_outside())
      return fmt::format("{}: written outside, at byte {} of {}", tensor_.name, *offset, memory_.size());
    return std::nullopt;
  }

 private:
  std::string place(int64_t row, int64_t k) const {
    std::string text = fmt::format("{}", k);
    for (size_t d = expected_.shape.size(); d-- > 1;) {
      text = fmt::format("{}, {}", row % expected_.shape[d - 1], text);
      row /= expected_.shape[d - 1];
    }
    return text;
  }

  const compiler::Tensor &tensor_;
  const Array &expected_;
  TensorLanes lanes_;
  Guarded memory_;
  bt_tensor argument_{};
};

// Tile ranges of a run, in the order they are called: never ascending only, since nothing may depend on it.
std::vector<std::pair<int64_t, int64_t>> tile_ranges(int64_t tiles, Split split) {
  if (split == Split::Whole || tiles <= 1) return {{0, tiles}};
  std::vector<std::pair<int64_t, int64_t>> ranges;
  if (split == Split::Single) {
    constexpr int64_t kEach = 32;  // of very many tiles only the first and last go one by one
    const int64_t head = std::min(tiles, kEach), tail = std::max(head, tiles - kEach);
    for (int64_t t = 0; t < head; ++t) ranges.emplace_back(t, t + 1);
    if (head < tail) ranges.emplace_back(head, tail);
    for (int64_t t = tail; t < tiles; ++t) ranges.emplace_back(t, t + 1);
  } else {
    int64_t step = 1;
    for (int64_t t = 0; t < tiles; t += step, step = step * 2 + 1) ranges.emplace_back(t, std::min(tiles, t + step));
  }
  std::reverse(ranges.begin(), ranges.end());
  return ranges;
}

std::string describe(const ProofStep &step) {
  static constexpr const char *splits[] = {"all tiles at once", "tile by tile", "uneven tile ranges"};
  return fmt::format("input set '{}', {}, {}", input_sets()[step.set].name, print_sizes(step.sizes),
                     splits[static_cast<size_t>(step.split)]);
}

std::optional<std::string> run_step(const bt_kernel &kernel, const compiler::KernelSpec &spec, const ProofStep &step,
                                    Fixture &fixture, const std::string &what, const ProofWatch &watch) {
  std::vector<bt_tensor> tensors;
  std::list<Output> outputs;
  for (const compiler::Tensor *tensor : spec.arguments()) {
    if (tensor->role == Role::Out) {
      outputs.emplace_back(*tensor, fixture.expected().at(tensor->name), step.placement);
      tensors.push_back(outputs.back().argument());
    } else {
      tensors.push_back(fixture.input(*tensor, step.placement, kernel.layout));
    }
  }
  std::vector<int64_t> sizes;
  for (const std::string &name : spec.sizes) sizes.push_back(step.sizes.at(name));
  const std::vector<float> scalars = make_scalars(spec);
  const auto scratch_bytes = static_cast<size_t>(bt_scratch_bytes(&kernel, sizes.data()));
  Guarded scratch(scratch_bytes, Placement::FlushEnd, Guarded::kPoison, 64);
  bt_args args{tensors.data(), sizes.data(), scalars.data(), 0, 0, scratch_bytes ? scratch.data() : nullptr};
  // The watch is for generated code alone: making the memory above may take long on a busy machine.
  if (watch.before) watch.before(what);
  for (const auto &[begin, end] : tile_ranges(bt_tile_count(&kernel, sizes.data()), step.split)) {
    std::memset(scratch.data(), Guarded::kPoison, scratch.size());
    args.tile_begin = begin;
    args.tile_end = end;
    kernel.fn(&args);
    // FlushEnd leaves up to 63 bytes between scratch and guard: they must not be touched either.
    if (scratch.damaged_outside()) return "scratch memory: written outside";
  }
  if (watch.after) watch.after();
  for (const Output &output : outputs)
    if (auto wrong = output.check()) return wrong;
  return std::nullopt;
}

// Runs `step` on every fixture in turn and digests what was compared with what; stops at the first thing it finds
// wrong.
ProofResult over_steps(
    const std::string &kernel_hash, const std::string &spec_hash, const compiler::KernelSpec &spec,
    const std::vector<ProofStep> &steps, FixtureCache &fixtures,
    const std::function<std::optional<std::string>(const ProofStep &, Fixture &, const std::string &what)> &run) {
  ProofResult result;
  std::string references, all_inputs;
  for (const ProofStep &step : steps) {
    const std::string what = describe(step);
    Fixture &fixture = fixtures.get(spec, spec_hash, step.sizes, input_sets()[step.set]);
    if (const std::optional<std::string> wrong = run(step, fixture, what)) {
      result.reason = fmt::format("{} ({})", *wrong, what);
      return result;
    }
    ++result.steps;
    references += fixture.reference_hash();
    all_inputs += what + ";";
    if (std::find(result.inputs.begin(), result.inputs.end(), fixture.set().name) == result.inputs.end())
      result.inputs.push_back(fixture.set().name);
  }
  result.passed = true;
  result.reference = sha256_hex(references);
  result.id = sha256_hex(kernel_hash + result.reference + all_inputs).substr(0, 16);
  return result;
}

std::optional<std::string> descriptor_fault(const bt_kernel &kernel, const compiler::KernelSpec &spec) {
  if (kernel.abi_version != BT_ABI_VERSION) return fmt::format("ABI version {}", kernel.abi_version);
  if (!kernel.fn) return "no function";
  if (kernel.size_count != static_cast<int>(spec.sizes.size()) ||
      kernel.tensor_count != static_cast<int>(spec.arguments().size()) ||
      kernel.scalar_count != static_cast<int>(spec.scalars.size()))
    return "the descriptor's argument counts are not the kernel text's";
  if (kernel.tile < 1 || kernel.tile_size_index < 0 || kernel.tile_size_index >= kernel.size_count)
    return fmt::format("tile {} of size number {}", kernel.tile, kernel.tile_size_index);
  const auto arguments = spec.arguments();
  const bool ternary = std::any_of(arguments.begin(), arguments.end(),
                                   [](const compiler::Tensor *t) { return t->type == Type::Ternary; });
  if (ternary != (kernel.layout != nullptr)) return "the descriptor's layout and the kernel text's operands disagree";
  return std::nullopt;
}

}  // namespace

ProofResult expected_proof(const std::string &kernel_hash, const std::string &spec_hash,
                           const compiler::KernelSpec &spec, const std::vector<ProofStep> &steps,
                           FixtureCache &fixtures) {
  return over_steps(kernel_hash, spec_hash, spec, steps, fixtures,
                    [](const ProofStep &, Fixture &, const std::string &) { return std::nullopt; });
}

ProofResult prove(const bt_kernel &kernel, const std::string &kernel_hash, const compiler::KernelSpec &spec,
                  const std::vector<ProofStep> &steps, FixtureCache &fixtures, const ProofWatch &watch) {
  if (auto fault = descriptor_fault(kernel, spec)) {
    ProofResult result;
    result.reason = *fault;
    return result;
  }
  return over_steps(kernel_hash, kernel.spec_hash, spec, steps, fixtures,
                    [&](const ProofStep &step, Fixture &fixture, const std::string &what) {
                      return run_step(kernel, spec, step, fixture, what, watch);
                    });
}

}  // namespace bittern::tuning
