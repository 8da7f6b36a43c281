#include "tuning_db/workers/arena.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "compiler/token_size.h"
#include "tuning_db/proof/fixture.h"
#include "tuning_db/proof/input_sets.h"

namespace bittern::tuning {
namespace {

using compiler::Role;
using compiler::Type;

int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

std::string layout_id(const bt_layout *layout) {
  return layout ? fmt::format("{}@{}", layout->name, layout->version) : std::string();
}

void copy_padded(const Array &array, const TensorLanes &lanes, uint8_t *out) {
  const auto width = static_cast<size_t>(array.element_bytes());
  const size_t row_bytes = static_cast<size_t>(array.row()) * width;
  for (int64_t row = 0; row < array.rows(); ++row)
    std::memcpy(out + static_cast<size_t>(row * lanes.row_stride) * width,
                array.bytes.data() + static_cast<size_t>(row) * row_bytes, row_bytes);
}

}  // namespace

Arena::Arena(const compiler::KernelSpec &spec, const compiler::Sizes &sizes, int64_t cold_bytes)
    : spec_(spec), cold_bytes_(cold_bytes), scalars_(make_scalars(spec)), arguments_(spec.arguments()) {
  inputs_ = make_inputs(spec, sizes, input_sets().front());
  for (const std::string &name : spec.sizes) sizes_.push_back(sizes.at(name));
  tensors_.resize(arguments_.size());
  const std::string tokens = compiler::token_size(spec);
  for (size_t i = 0; i < arguments_.size(); ++i) {
    const compiler::Tensor &tensor = *arguments_[i];
    const bool grows = compiler::grows_with_tokens(tensor, tokens);
    rotating_.push_back(tensor.role == Role::In && (tensor.type == Type::Ternary || !grows));
    if (!inputs_.count(tensor.name)) {  // an output, or a given whose value does not matter to the time
      Array empty;
      empty.type = tensor.type;
      for (const compiler::ExprPtr &extent : tensor.shape) empty.shape.push_back(compiler::evaluate(extent, sizes));
      empty.bytes.resize(static_cast<size_t>(empty.count() * empty.element_bytes()));
      inputs_.emplace(tensor.name, std::move(empty));
    }
    if (tensor.type == Type::Ternary) continue;
    const Array &array = inputs_.at(tensor.name);
    const TensorLanes lanes = tensor_lanes(tensor, array, Placement::FlushEnd);
    std::memcpy(tensors_[i].stride, lanes.stride, sizeof lanes.stride);
    if (rotating_[i]) continue;
    fixed_memory_.emplace_back(std::max<int64_t>(64, lanes.elements * array.element_bytes()), "timing operands");
    tensors_[i].data = fixed_memory_.back().data();
    copy_padded(array, lanes, fixed_memory_.back().data());
  }
}

Arena::Copies &Arena::copies_for(const bt_kernel &kernel, runtime::ThreadPool &pool) {
  const std::string id = layout_id(kernel.layout);
  for (Copies &copies : copies_)
    if (copies.layout == id) return copies;
  Copies copies;
  copies.layout = id;
  const auto bytes_of = [&](size_t i) {
    const Array &array = inputs_.at(arguments_[i]->name);
    if (array.type == Type::Ternary) return kernel.layout->packed_bytes(array.rows(), array.row());
    return tensor_lanes(*arguments_[i], array, Placement::FlushEnd).elements * array.element_bytes();
  };
  for (size_t i = 0; i < arguments_.size(); ++i) {
    if (!rotating_[i]) continue;
    copies.offsets.emplace_back(i, copies.stride);
    copies.stride += round_up(bytes_of(i), 64);
  }
  if (copies.stride > 0) {
    copies.count = std::clamp<int64_t>((cold_bytes_ + copies.stride - 1) / copies.stride, 1, 1 << 16);
    copies.memory = runtime::HugeBuffer(copies.stride * copies.count, "cold copies");
    for (const auto &[i, offset] : copies.offsets) {
      const Array &array = inputs_.at(arguments_[i]->name);
      uint8_t *at = copies.memory.data() + offset;
      if (array.type == Type::Ternary)
        kernel.layout->pack(array.as<int8_t>(), array.row(), 0, array.rows(), array.rows(), array.row(), at);
      else
        copy_padded(array, tensor_lanes(*arguments_[i], array, Placement::FlushEnd), at);
    }
    pool.parallel(copies.count - 1, [&](int64_t index, int) {
      std::memcpy(copies.memory.data() + (index + 1) * copies.stride, copies.memory.data(),
                  static_cast<size_t>(copies.stride));
    });
  }
  copies_.push_back(std::move(copies));
  return copies_.back();
}

double Arena::run(const bt_kernel &kernel, runtime::ThreadPool &pool, int calls) {
  Copies &copies = copies_for(kernel, pool);
  if (!scratch_ || scratch_threads_ != pool.threads()) {
    scratch_ = std::make_unique<runtime::Scratch>(pool.threads());
    scratch_threads_ = pool.threads();
  }
  scratch_->reserve(kernel, sizes_.data());
  const auto start = std::chrono::steady_clock::now();
  for (int call = 0; call < calls; ++call) {
    uint8_t *base = copies.memory.data() + copies.next * copies.stride;
    for (const auto &[i, offset] : copies.offsets) tensors_[i].data = base + offset;
    copies.next = copies.next + 1 == copies.count ? 0 : copies.next + 1;
    runtime::launch(pool, kernel, tensors_.data(), sizes_.data(), scalars_.data(), *scratch_);
  }
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
}

void Arena::keep_only(const std::vector<const bt_kernel *> &kernels) {
  copies_.remove_if([&](const Copies &copies) {
    return std::none_of(kernels.begin(), kernels.end(),
                        [&](const bt_kernel *kernel) { return layout_id(kernel->layout) == copies.layout; });
  });
}

}  // namespace bittern::tuning
