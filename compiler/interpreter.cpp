// Walks definitions in order; locals are stored whole, so each element is computed once however often it is read.
#include "compiler/interpreter.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "compiler/error.h"
#include "compiler/interpreter_code.h"
#include "compiler/interpreter_machine.h"
#include "compiler/numeric.h"
#include "compiler/verifier.h"

namespace bittern::compiler {

namespace {

constexpr int64_t kMaxLocalBytes = int64_t{2} << 30;

std::vector<int64_t> dense_strides(const std::vector<int64_t> &shape) {
  std::vector<int64_t> stride(shape.size(), 1);
  for (size_t d = shape.size(); d-- > 1;) stride[d - 1] = stride[d] * shape[d];
  return stride;
}

void store(Type type, uint8_t *bytes, int64_t offset, const uint32_t *values, int step, int n) {
  for (int i = 0; i < n; ++i) {
    const uint32_t v = values[i * step];
    const auto at = static_cast<size_t>(offset + i);
    if (type == Type::I8) {
      bytes[at] = static_cast<uint8_t>(v);
    } else if (type == Type::F16 || type == Type::BF16) {
      const auto value = std::bit_cast<float>(v);
      const uint16_t narrow = type == Type::F16 ? f16_from_f32(value) : bf16_from_f32(value);
      std::memcpy(bytes + at * 2, &narrow, 2);
    } else {
      std::memcpy(bytes + at * 4, &v, 4);
    }
  }
}

class Run {
 public:
  Run(const KernelSpec &spec, const Sizes &sizes, const std::map<std::string, float> &scalars,
      std::map<std::string, TensorData> &tensors, Givens givens)
      : spec_(spec), sizes_(sizes), tensors_(tensors), givens_(givens), buffers_(spec.tensors.size()) {
    for (size_t i = 0; i < spec.tensors.size(); ++i) numbers_[spec.tensors[i].name] = static_cast<int>(i);
    for (const std::string &name : spec.scalars)
      if (!scalars.count(name)) fail(fmt::format("scalar {} has no value", name));
    builder_.emplace(spec, sizes, scalars, numbers_);
  }

  void execute() {
    for (const Tensor &t : spec_.tensors)
      if (t.role == Role::In || (t.role == Role::Given && givens_ == Givens::Check)) bind(t, provided(t));
    for (const Definition &d : spec_.definitions) define(d, *spec_.find(d.tensor));
  }

 private:
  [[noreturn]] void fail(const std::string &message) const {
    throw Error(fmt::format("kernel {}: {}", spec_.name, message));
  }

  void bind(const Tensor &t, const TensorData &data) {
    buffers_[static_cast<size_t>(numbers_.at(t.name))] = {t.name, t.type, data.shape, dense_strides(data.shape),
                                                          data.bytes.data()};
  }

  // The caller's tensor, held against the declaration.
  const TensorData &provided(const Tensor &t) const {
    const auto found = tensors_.find(t.name);
    if (found == tensors_.end()) fail(fmt::format("tensor {} is missing", t.name));
    const TensorData &data = found->second;
    std::vector<int64_t> shape;
    for (const ExprPtr &extent : t.shape) shape.push_back(evaluate(extent, sizes_));
    if (data.type != t.type || data.shape != shape)
      fail(fmt::format("tensor {} is {}[{}], wanted {}[{}]", t.name, type_name(data.type), fmt::join(data.shape, ", "),
                       type_name(t.type), fmt::join(shape, ", ")));
    const int64_t n = data.elements();
    if (data.bytes.size() != static_cast<size_t>(n * dense_bytes(t.type)))
      fail(fmt::format("tensor {} has {} bytes, wanted {}", t.name, data.bytes.size(), n * dense_bytes(t.type)));
    if (t.type == Type::Ternary) in_range(data, t, -1, 2);
    if (t.range) in_range(data, t, evaluate(t.range->first, sizes_), evaluate(t.range->second, sizes_));
    return data;
  }

  void in_range(const TensorData &data, const Tensor &t, int64_t lo, int64_t hi) const {
    const int64_t n = data.elements();
    for (int64_t i = 0; i < n; ++i)
      if (const int64_t v = data.get_int(i); v < lo || v >= hi)
        fail(fmt::format("{}{} is {}, outside {} .. {}", t.name, index_text(data.shape, i), v, lo, hi));
  }

  // One definition being executed: a loop per index variable, the innermost in strips when the value has no reduction.
  struct Loops {
    std::vector<std::shared_ptr<Code>> extents;
    std::vector<int> slots;
    std::shared_ptr<Code> value;
    bool strips = false;
    TensorData *target = nullptr;
    std::vector<int64_t> stride;
  };

  void define(const Definition &d, const Tensor &t) {
    Loops loops;
    std::map<std::string, int> scope;
    for (const IndexVar &v : d.vars) {
      loops.extents.push_back(builder_->build(v.extent, scope, -1));
      loops.slots.push_back(scope[v.name] = builder_->new_slot());
    }
    loops.strips = !has_reduction(d.value);
    loops.value = builder_->build(d.value, scope, loops.strips ? loops.slots.back() : -1);
    Machine machine(spec_.name, buffers_, builder_->slot_count());

    TensorData data;
    data.type = t.type;
    data.shape.assign(d.vars.size(), 0);
    extents(machine, loops, 0, data.shape);
    int64_t bytes = dense_bytes(t.type);
    for (const int64_t extent : data.shape)
      if (__builtin_mul_overflow(bytes, extent, &bytes) || bytes > kMaxLocalBytes)
        fail(fmt::format("{} of shape [{}] would exceed 2 GiB", t.name, fmt::join(data.shape, ", ")));
    if (t.role == Role::Local && (local_bytes_ += bytes) > kMaxLocalBytes)
      fail("intermediate values would exceed 2 GiB");
    data.bytes.resize(static_cast<size_t>(bytes));
    loops.target = &data;
    loops.stride = dense_strides(data.shape);
    loop(machine, loops, 0, 0);
    keep(t, std::move(data));
  }

  void keep(const Tensor &t, TensorData data) {
    if (t.role == Role::Local) {
      locals_[t.name] = std::move(data);
      bind(t, locals_.at(t.name));
    } else if (t.role == Role::Given && givens_ == Givens::Check) {
      compare(t, data, tensors_.at(t.name));
    } else {
      tensors_[t.name] = std::move(data);
      bind(t, tensors_.at(t.name));
    }
  }

  void compare(const Tensor &t, const TensorData &wanted, const TensorData &given) const {
    if (wanted.bytes == given.bytes) return;
    const bool integer = t.type == Type::I8 || t.type == Type::I32;
    const int64_t bytes = dense_bytes(t.type);
    int64_t i = 0;
    for (;; ++i) {
      if (i == wanted.elements()) return;
      const auto *a = wanted.bytes.data() + i * bytes, *b = given.bytes.data() + i * bytes;
      const bool nans = !integer && std::isnan(wanted.get_float(i)) && std::isnan(given.get_float(i));
      if (std::memcmp(a, b, static_cast<size_t>(bytes)) != 0 && !nans) break;
    }
    fail(fmt::format("given {}{} is {}, its definition gives {}", t.name, index_text(wanted.shape, i),
                     integer ? fmt::format("{}", given.get_int(i)) : fmt::format("{}", given.get_float(i)),
                     integer ? fmt::format("{}", wanted.get_int(i)) : fmt::format("{}", wanted.get_float(i))));
  }

  int64_t extent(Machine &machine, const Loops &loops, size_t d) const {
    const auto n = static_cast<int32_t>(machine.scalar(*loops.extents[d]));
    if (n < 0) fail(fmt::format("an index would run over {} values", n));
    return n;
  }

  // The largest extent of every index, over all values of the indices before it.
  void extents(Machine &machine, const Loops &loops, size_t d, std::vector<int64_t> &shape) const {
    if (d == loops.slots.size()) return;
    const int64_t n = extent(machine, loops, d);
    shape[d] = std::max(shape[d], n);
    const auto depends = [](const Code &code) {
      return std::any_of(code.instructions.begin(), code.instructions.end(),
                         [](const Instruction &in) { return in.op == Op::Var; });
    };
    const bool inner = std::any_of(loops.extents.begin() + static_cast<std::ptrdiff_t>(d) + 1, loops.extents.end(),
                                   [&](const auto &code) { return depends(*code); });
    for (int64_t i = 0; i < (inner ? n : std::min<int64_t>(n, 1)); ++i) {
      machine.slot(loops.slots[d]) = i;
      extents(machine, loops, d + 1, shape);
    }
  }

  void loop(Machine &machine, const Loops &loops, size_t d, int64_t offset) const {
    const int64_t n = extent(machine, loops, d);
    const bool last = d + 1 == loops.slots.size();
    const int strip = last && loops.strips ? kLanes : 1;
    for (int64_t i = 0; i < n; i += strip) {
      machine.slot(loops.slots[d]) = i;
      const int64_t at = offset + i * loops.stride[d];
      if (!last) {
        loop(machine, loops, d + 1, at);
        continue;
      }
      const int lanes = static_cast<int>(std::min<int64_t>(strip, n - i));
      bool uniform = false;
      const uint32_t *values = machine.run(*loops.value, lanes, uniform);
      store(loops.target->type, loops.target->bytes.data(), at, values, uniform ? 0 : 1, lanes);
    }
  }

  const KernelSpec &spec_;
  const Sizes &sizes_;
  std::map<std::string, TensorData> &tensors_;
  Givens givens_;
  std::map<std::string, int> numbers_;
  std::vector<Buffer> buffers_;
  std::map<std::string, TensorData> locals_;
  std::optional<CodeBuilder> builder_;
  int64_t local_bytes_ = 0;
};

}  // namespace

void interpret(const KernelSpec &spec, const Sizes &sizes, const std::map<std::string, float> &scalars,
               std::map<std::string, TensorData> &tensors, Givens givens) {
  check_sizes(spec, sizes);
  Run(spec, sizes, scalars, tensors, givens).execute();
}

}  // namespace bittern::compiler
