#include "tuning_db/reference.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <exception>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "compiler/error.h"
#include "tuning_db/float_bits.h"

namespace bittern::tuning {
namespace {

using compiler::Expr;
using compiler::Op;
using compiler::Type;

constexpr int kBlock = 256;  // lanes evaluated together; a multiple of the 16 interleaved partial sums

// A lane is 32 bits: an i32, a float's bits, or a Bool as 0 / 1. Narrow types are held widened.
using Lanes = uint32_t[kBlock];

float as_float(uint32_t bits) { return std::bit_cast<float>(bits); }
uint32_t bits_of(float value) { return std::bit_cast<uint32_t>(value); }
int32_t as_int(uint32_t bits) { return static_cast<int32_t>(bits); }

// The expression with names resolved to slots and tensors, and what it depends on.
struct Node {
  Op op;
  Type type;
  uint32_t constant = 0;
  int slot = -1;            // Var and reductions: variable; Let: position in the frame
  Array *tensor = nullptr;  // Load
  std::vector<int64_t> strides;
  std::vector<Node> args;
  const struct Routine *routine = nullptr;  // Call
  std::vector<bool> uses;                   // by variable slot
  bool uses_frame = false;                  // depends on a function's parameters or lets
};

struct Routine {
  size_t params = 0;
  std::vector<Node> lets;
  Node result;
};

struct Context {
  std::vector<int64_t> vars;
  const std::vector<std::vector<uint32_t>> *frame = nullptr;  // lanes of parameters and lets of the running function
};

class Builder {
 public:
  Builder(const compiler::KernelSpec &spec, const compiler::Sizes &sizes, const std::vector<float> &scalars,
          Arrays &arrays)
      : spec_(spec), sizes_(sizes), scalars_(scalars), arrays_(arrays) {
    for (const compiler::Function &f : spec.functions) {
      auto routine = std::make_unique<Routine>();
      std::map<std::string, int> names;
      routine->params = f.params.size();
      for (const auto &param : f.params) names.emplace(param.first, static_cast<int>(names.size()));
      for (const auto &[name, value] : f.lets) {
        routine->lets.push_back(build(*value, {}, names));
        names[name] = static_cast<int>(routine->params + routine->lets.size()) - 1;
      }
      routine->result = build(*f.result, {}, names);
      routines_[f.name] = std::move(routine);
    }
    first_slot_ = next_slot_;
  }

  Node build(const Expr &e, const std::map<std::string, int> &vars, const std::map<std::string, int> &lets) {
    Node node;
    node.op = e.op;
    node.type = e.type;
    node.uses.resize(kVariables);
    switch (e.op) {
      case Op::IntConst:
        node.constant = static_cast<uint32_t>(e.ival);
        break;
      case Op::FloatConst:
        node.constant = bits_of(e.fval);
        break;
      case Op::Size:
        node.constant = static_cast<uint32_t>(sizes_.at(e.name));
        break;
      case Op::Scalar:
        node.constant = bits_of(scalars_.at(static_cast<size_t>(
            std::find(spec_.scalars.begin(), spec_.scalars.end(), e.name) - spec_.scalars.begin())));
        break;
      case Op::Var:
        node.slot = vars.at(e.name);
        node.uses[static_cast<size_t>(node.slot)] = true;
        break;
      case Op::Let:
        node.slot = lets.at(e.name);
        node.uses_frame = true;
        break;
      case Op::Load: {
        node.tensor = &arrays_.at(e.name);
        node.strides.assign(node.tensor->shape.size(), 1);
        for (size_t d = node.strides.size(); d-- > 1;) node.strides[d - 1] = node.strides[d] * node.tensor->shape[d];
        break;
      }
      case Op::Call:
        node.routine = routines_.at(e.name).get();
        break;
      default:
        break;
    }
    const bool reduction = e.op == Op::Sum || e.op == Op::MaxOf || e.op == Op::MinOf;
    std::map<std::string, int> inner = vars;
    if (reduction) {
      node.slot = new_variable();
      inner[e.name] = node.slot;
    }
    for (size_t i = 0; i < e.args.size(); ++i)
      node.args.push_back(build(*e.args[i], reduction && i == 1 ? inner : vars, lets));
    for (const Node &arg : node.args) {
      for (size_t v = 0; v < kVariables; ++v) node.uses[v] = node.uses[v] || arg.uses[v];
      node.uses_frame = node.uses_frame || arg.uses_frame;
    }
    if (reduction) node.uses[static_cast<size_t>(node.slot)] = false;
    return node;
  }

  int new_variable() {
    if (next_slot_ >= kVariables - 1)
      throw Error(fmt::format("reference: kernel {} has too many variables", spec_.name));
    return next_slot_++;
  }
  // Variables of definitions come after those of functions' reductions.
  void reset_variables() { next_slot_ = first_slot_; }
  static constexpr int kVariables = 32;  // the last slot is no variable's: see Evaluator::one

 private:
  const compiler::KernelSpec &spec_;
  const compiler::Sizes &sizes_;
  const std::vector<float> &scalars_;
  Arrays &arrays_;
  std::map<std::string, std::unique_ptr<Routine>> routines_;
  int next_slot_ = 0, first_slot_ = 0;
};

[[gnu::always_inline]] inline int32_t dot_loop(const int8_t *a, const int8_t *b, int64_t n) {
  int32_t sum = 0;
  for (int64_t k = 0; k < n; ++k) sum += static_cast<int32_t>(a[k]) * static_cast<int32_t>(b[k]);
  return sum;
}
int32_t dot_portable(const int8_t *a, const int8_t *b, int64_t n) { return dot_loop(a, b, n); }
#if defined(__x86_64__)
// The same loop, which the host compiler may vectorise wider.
[[gnu::target("avx2")]] int32_t dot_avx2(const int8_t *a, const int8_t *b, int64_t n) { return dot_loop(a, b, n); }
#endif
int32_t dot(const int8_t *a, const int8_t *b, int64_t n) {
#if defined(__x86_64__)
  static const bool avx2 = __builtin_cpu_supports("avx2") != 0;
  if (avx2) return dot_avx2(a, b, n);
#endif
  return dot_portable(a, b, n);
}

class Evaluator {
 public:
  // Lanes 0 .. n - 1 of `node`, where variable `lane` takes start, start + 1, ...
  void eval(const Node &node, Context &context, int lane, int64_t start, int n, uint32_t *out) {
    if (n > 1 && !node.uses[static_cast<size_t>(lane)] && !node.uses_frame) {
      eval(node, context, lane, start, 1, out);
      std::fill(out + 1, out + n, out[0]);
      return;
    }
    switch (node.op) {
      case Op::IntConst:
      case Op::FloatConst:
      case Op::Size:
      case Op::Scalar:
        std::fill(out, out + n, node.constant);
        return;
      case Op::Var:
        for (int i = 0; i < n; ++i)
          out[i] = static_cast<uint32_t>(node.slot == lane ? start + i : context.vars[static_cast<size_t>(node.slot)]);
        return;
      case Op::Let: {
        const uint32_t *value = (*context.frame)[static_cast<size_t>(node.slot)].data();
        std::copy(value, value + n, out);
        return;
      }
      case Op::Load:
        return load(node, context, lane, start, n, out);
      case Op::Call:
        return call(node, context, lane, start, n, out);
      case Op::Sum:
      case Op::MaxOf:
      case Op::MinOf:
        for (int i = 0; i < n; ++i) {
          context.vars[static_cast<size_t>(lane)] = start + i;
          out[i] = reduce(node, context);
        }
        return;
      case Op::Select: {
        Lanes condition, other;
        eval(node.args[0], context, lane, start, n, condition);
        eval(node.args[1], context, lane, start, n, out);
        eval(node.args[2], context, lane, start, n, other);
        for (int i = 0; i < n; ++i) out[i] = condition[i] ? out[i] : other[i];
        return;
      }
      default:
        break;
    }
    eval(node.args[0], context, lane, start, n, out);
    if (node.args.size() == 1) return unary(node, n, out);
    Lanes right;
    eval(node.args[1], context, lane, start, n, right);
    binary(node, n, out, right);
  }

 private:
  uint32_t one(const Node &node, Context &context) {
    // No node varies with the last slot, so this evaluates a single lane.
    uint32_t value;
    eval(node, context, Builder::kVariables - 1, 0, 1, &value);
    return value;
  }

  // Offset of a load whose indices are all evaluated with `lane` at `start`.
  int64_t offset_at(const Node &load, Context &context, int lane, int64_t start) {
    int64_t offset = 0;
    for (size_t d = 0; d < load.args.size(); ++d) {
      uint32_t index;
      eval(load.args[d], context, lane, start, 1, &index);
      check(load, d, as_int(index));
      offset += as_int(index) * load.strides[d];
    }
    return offset;
  }

  static void check(const Node &load, size_t dimension, int64_t index) {
    if (index < 0 || index >= load.tensor->shape[dimension])
      throw Error(fmt::format("reference: index {} of dimension {} is outside 0 .. {}", index, dimension,
                              load.tensor->shape[dimension] - 1));
  }

  // Whether consecutive values of `lane` are consecutive elements: it occurs only as a plain term of the last index.
  static bool consecutive(const Node &load, int lane) {
    const auto uses = [&](const Node &n) { return n.uses[static_cast<size_t>(lane)] || n.uses_frame; };
    if (load.args.empty()) return false;
    for (size_t d = 0; d + 1 < load.args.size(); ++d)
      if (uses(load.args[d])) return false;
    const Node *last = &load.args.back();
    while (last->op == Op::Add) {
      if (uses(last->args[0]) == uses(last->args[1])) return false;
      last = uses(last->args[0]) ? &last->args[0] : &last->args[1];
    }
    return last->op == Op::Var && last->slot == lane;
  }

  static void widen(const Array &tensor, int64_t offset, int n, uint32_t *out) {
    switch (tensor.type) {
      case Type::Ternary:
      case Type::I8: {
        const int8_t *at = tensor.as<int8_t>() + offset;
        for (int i = 0; i < n; ++i) out[i] = static_cast<uint32_t>(static_cast<int32_t>(at[i]));
        return;
      }
      case Type::F16: {
        const uint16_t *at = tensor.as<uint16_t>() + offset;
        for (int i = 0; i < n; ++i) out[i] = bits_of(f16_to_f32(at[i]));
        return;
      }
      case Type::BF16: {
        const uint16_t *at = tensor.as<uint16_t>() + offset;
        for (int i = 0; i < n; ++i) out[i] = static_cast<uint32_t>(at[i]) << 16;
        return;
      }
      default:
        std::memcpy(out, tensor.as<uint32_t>() + offset, static_cast<size_t>(n) * 4);
    }
  }

  void load(const Node &node, Context &context, int lane, int64_t start, int n, uint32_t *out) {
    if (n == 1 || consecutive(node, lane)) {
      const int64_t offset = offset_at(node, context, lane, start);
      if (n > 1) offset_at(node, context, lane, start + n - 1);  // checks the far end
      return widen(*node.tensor, offset, n, out);
    }
    int64_t offsets[kBlock] = {};
    Lanes index;
    for (size_t d = 0; d < node.args.size(); ++d) {
      eval(node.args[d], context, lane, start, n, index);
      for (int i = 0; i < n; ++i) {
        check(node, d, as_int(index[i]));
        offsets[i] += as_int(index[i]) * node.strides[d];
      }
    }
    for (int i = 0; i < n; ++i) widen(*node.tensor, offsets[i], 1, out + i);
  }

  void call(const Node &node, Context &context, int lane, int64_t start, int n, uint32_t *out) {
    const Routine &routine = *node.routine;
    std::vector<std::vector<uint32_t>> frame;
    for (const Node &arg : node.args) {
      frame.emplace_back(kBlock);
      eval(arg, context, lane, start, n, frame.back().data());
    }
    const auto *outer = context.frame;
    context.frame = &frame;
    frame.reserve(routine.params + routine.lets.size());
    for (const Node &let : routine.lets) {
      std::vector<uint32_t> value(kBlock);
      eval(let, context, lane, start, n, value.data());
      frame.push_back(std::move(value));
    }
    eval(routine.result, context, lane, start, n, out);
    context.frame = outer;
  }

  uint32_t reduce(const Node &node, Context &context) {
    const int64_t extent = as_int(one(node.args[0], context));
    const Node &body = node.args[1];
    if (node.op == Op::Sum && node.type == Type::I32) {
      uint32_t sum = 0;
      if (extent > 0 && byte_products(body, node.slot)) return byte_dot(node, context, extent);
      blocks(body, context, node.slot, extent, [&](const uint32_t *lanes, int n) {
        for (int i = 0; i < n; ++i) sum += lanes[i];
      });
      return sum;
    }
    if (node.op == Op::Sum) {
      float partial[16] = {};
      blocks(body, context, node.slot, extent, [&](const uint32_t *lanes, int n) {
        int i = 0;
        for (; i + 16 <= n; i += 16)
          for (int j = 0; j < 16; ++j) partial[j] += as_float(lanes[i + j]);
        for (; i < n; ++i) partial[i % 16] += as_float(lanes[i]);
      });
      for (int width = 8; width >= 1; width /= 2)
        for (int j = 0; j < width; ++j) partial[j] += partial[j + width];
      return bits_of(partial[0]);
    }
    const bool greatest = node.op == Op::MaxOf;
    if (node.type == Type::F32) {
      float best = greatest ? -std::numeric_limits<float>::infinity() : std::numeric_limits<float>::infinity();
      blocks(body, context, node.slot, extent, [&](const uint32_t *lanes, int n) {
        for (int i = 0; i < n; ++i) {
          const float value = as_float(lanes[i]);
          if (greatest ? value > best : value < best) best = value;
        }
      });
      return bits_of(best);
    }
    int32_t best = greatest ? std::numeric_limits<int32_t>::min() : std::numeric_limits<int32_t>::max();
    blocks(body, context, node.slot, extent, [&](const uint32_t *lanes, int n) {
      for (int i = 0; i < n; ++i) best = greatest ? std::max(best, as_int(lanes[i])) : std::min(best, as_int(lanes[i]));
    });
    return static_cast<uint32_t>(best);
  }

  template <typename F>
  void blocks(const Node &body, Context &context, int slot, int64_t extent, F &&use) {
    Lanes lanes;
    for (int64_t start = 0; start < extent; start += kBlock) {
      const int n = static_cast<int>(std::min<int64_t>(kBlock, extent - start));
      eval(body, context, slot, start, n, lanes);
      use(lanes, n);
    }
  }

  // i32(a[.., k]) * i32(b[.., k]) of one-byte tensors: nearly all of the work, so it gets a loop without blocks.
  static bool byte_products(const Node &body, int slot) {
    const auto is_byte = [&](const Node &n) {
      return n.op == Op::Cast && n.args[0].op == Op::Load && n.args[0].tensor->element_bytes() == 1 &&
             consecutive(n.args[0], slot);
    };
    return body.op == Op::Mul && is_byte(body.args[0]) && is_byte(body.args[1]);
  }

  uint32_t byte_dot(const Node &node, Context &context, int64_t extent) {
    const int8_t *operand[2];
    for (size_t i = 0; i < 2; ++i) {
      const Node &source = node.args[1].args[i].args[0];
      operand[i] = source.tensor->as<int8_t>() + offset_at(source, context, node.slot, 0);
      offset_at(source, context, node.slot, extent - 1);
    }
    return static_cast<uint32_t>(dot(operand[0], operand[1], extent));
  }

  static void unary(const Node &node, int n, uint32_t *x) {
    const Type from = node.args[0].type;
    switch (node.op) {
      case Op::Cast:
        return cast(from, node.type, n, x);
      case Op::Neg:
        for (int i = 0; i < n; ++i) x[i] = from == Type::F32 ? x[i] ^ 0x80000000u : 0u - x[i];
        return;
      case Op::Abs:
        for (int i = 0; i < n; ++i) x[i] = from == Type::F32 ? x[i] & 0x7fffffffu : as_int(x[i]) < 0 ? 0u - x[i] : x[i];
        return;
      case Op::Sqrt:
        for (int i = 0; i < n; ++i) x[i] = bits_of(std::sqrt(as_float(x[i])));
        return;
      case Op::RoundEven:
        for (int i = 0; i < n; ++i) x[i] = bits_of(std::nearbyint(as_float(x[i])));
        return;
      case Op::Floor:
        for (int i = 0; i < n; ++i) x[i] = bits_of(std::floor(as_float(x[i])));
        return;
      case Op::Not:
        for (int i = 0; i < n; ++i) x[i] = x[i] == 0;
        return;
      case Op::BitsToF32:
      case Op::BitsToI32:
        return;
      default:
        throw Error("reference: unknown unary operation");
    }
  }

  static void cast(Type from, Type to, int n, uint32_t *x) {
    const bool from_float = from == Type::F32 || from == Type::F16 || from == Type::BF16;
    const bool to_float = to == Type::F32 || to == Type::F16 || to == Type::BF16;
    for (int i = 0; i < n; ++i) {
      if (from_float && !to_float) {
        const float value = as_float(x[i]);
        const bool fits = value > -2147483904.0f && value < 2147483648.0f;
        x[i] = fits ? static_cast<uint32_t>(static_cast<int32_t>(value)) : 0x80000000u;
      } else if (!from_float && to_float) {
        x[i] = bits_of(static_cast<float>(as_int(x[i])));
      }
      if (to == Type::F16) x[i] = bits_of(f16_to_f32(f32_to_f16(as_float(x[i]))));
      if (to == Type::BF16) x[i] = bits_of(bf16_to_f32(f32_to_bf16(as_float(x[i]))));
    }
  }

  static void binary(const Node &node, int n, uint32_t *x, const uint32_t *y) {
    if (node.args[0].type == Type::F32) return binary_float(node, n, x, y);
    for (int i = 0; i < n; ++i) {
      const int32_t a = as_int(x[i]), b = as_int(y[i]);
      switch (node.op) {
        case Op::Add:
          x[i] += y[i];
          break;
        case Op::Sub:
          x[i] -= y[i];
          break;
        case Op::Mul:
          x[i] *= y[i];
          break;
        case Op::Div:
        case Op::Mod: {
          if (b <= 0) throw Error("reference: division by an integer that is not positive");
          const int32_t quotient = a / b - (a % b < 0 ? 1 : 0);
          x[i] = static_cast<uint32_t>(node.op == Op::Div ? quotient : a - quotient * b);
          break;
        }
        case Op::Min:
          x[i] = static_cast<uint32_t>(std::min(a, b));
          break;
        case Op::Max:
          x[i] = static_cast<uint32_t>(std::max(a, b));
          break;
        case Op::BitAnd:
        case Op::And:
          x[i] &= y[i];
          break;
        case Op::BitOr:
        case Op::Or:
          x[i] |= y[i];
          break;
        case Op::BitXor:
          x[i] ^= y[i];
          break;
        case Op::Shl:
          x[i] <<= (y[i] & 31);
          break;
        case Op::Shr:
          x[i] = static_cast<uint32_t>(a >> (b & 31));
          break;
        case Op::Eq:
          x[i] = a == b;
          break;
        case Op::Ne:
          x[i] = a != b;
          break;
        case Op::Lt:
          x[i] = a < b;
          break;
        case Op::Le:
          x[i] = a <= b;
          break;
        case Op::Gt:
          x[i] = a > b;
          break;
        case Op::Ge:
          x[i] = a >= b;
          break;
        default:
          throw Error("reference: unknown integer operation");
      }
    }
  }

  static void binary_float(const Node &node, int n, uint32_t *x, const uint32_t *y) {
    const auto each = [&](auto &&f) {
      for (int i = 0; i < n; ++i) x[i] = f(as_float(x[i]), as_float(y[i]));
    };
    switch (node.op) {
      case Op::Add:
        return each([](float a, float b) { return bits_of(a + b); });
      case Op::Sub:
        return each([](float a, float b) { return bits_of(a - b); });
      case Op::Mul:
        return each([](float a, float b) { return bits_of(a * b); });
      case Op::Div:
        return each([](float a, float b) { return bits_of(a / b); });
      case Op::Min:
        return each([](float a, float b) { return bits_of(a < b ? a : b); });
      case Op::Max:
        return each([](float a, float b) { return bits_of(a > b ? a : b); });
      case Op::Eq:
        return each([](float a, float b) -> uint32_t { return a == b; });
      case Op::Ne:
        return each([](float a, float b) -> uint32_t { return a != b; });
      case Op::Lt:
        return each([](float a, float b) -> uint32_t { return a < b; });
      case Op::Le:
        return each([](float a, float b) -> uint32_t { return a <= b; });
      case Op::Gt:
        return each([](float a, float b) -> uint32_t { return a > b; });
      case Op::Ge:
        return each([](float a, float b) -> uint32_t { return a >= b; });
      default:
        throw Error("reference: unknown float operation");
    }
  }
};

void store(Array &tensor, int64_t offset, int n, const uint32_t *lanes) {
  for (int i = 0; i < n; ++i) {
    switch (tensor.type) {
      case Type::Ternary:
      case Type::I8:
        tensor.as<int8_t>()[offset + i] = static_cast<int8_t>(as_int(lanes[i]));
        break;
      case Type::F16:
        tensor.as<uint16_t>()[offset + i] = f32_to_f16(as_float(lanes[i]));
        break;
      case Type::BF16:
        tensor.as<uint16_t>()[offset + i] = f32_to_bf16(as_float(lanes[i]));
        break;
      case Type::Bool:
        tensor.bytes[static_cast<size_t>(offset + i)] = static_cast<uint8_t>(lanes[i]);
        break;
      default:
        tensor.as<uint32_t>()[offset + i] = lanes[i];
    }
  }
}

bool sizes_only(const Expr &e) {
  if (e.op == Op::Load || e.op == Op::Var || e.op == Op::Let || e.op == Op::Scalar || e.op == Op::Call) return false;
  return std::all_of(e.args.begin(), e.args.end(), [](const auto &arg) { return sizes_only(*arg); });
}

// Work items are blocks of the innermost index, so that a single row is shared by threads too.
void evaluate_definition(const Node &value, Array &target, const std::vector<int> &slots, int threads) {
  const int64_t row = target.row();
  const int64_t blocks_per_row = (row + kBlock - 1) / kBlock, items = target.rows() * blocks_per_row;
  std::atomic<int64_t> next{0};
  std::exception_ptr failure;
  std::mutex failure_mutex;
  const auto work = [&] {
    try {
      Evaluator evaluator;
      Context context;
      context.vars.resize(Builder::kVariables);
      Lanes lanes;
      for (int64_t item; (item = next.fetch_add(1)) < items;) {
        const int64_t at = item / blocks_per_row, start = item % blocks_per_row * kBlock;
        int64_t rest = at;
        for (size_t d = target.shape.size(); d-- > 1;) {
          context.vars[static_cast<size_t>(slots[d - 1])] = rest % target.shape[d - 1];
          rest /= target.shape[d - 1];
        }
        const int n = static_cast<int>(std::min<int64_t>(kBlock, row - start));
        evaluator.eval(value, context, slots.empty() ? Builder::kVariables - 1 : slots.back(), start, n, lanes);
        store(target, at * row + start, n, lanes);
      }
    } catch (...) {
      const std::lock_guard lock(failure_mutex);
      failure = std::current_exception();
    }
  };
  std::vector<std::thread> helpers;
  if (target.count() >= 1024)
    for (int t = 1; t < threads; ++t) helpers.emplace_back(work);
  work();
  for (std::thread &helper : helpers) helper.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace

bool reference_supports(const compiler::KernelSpec &spec) {
  for (const compiler::Definition &definition : spec.definitions)
    for (const compiler::IndexVar &var : definition.vars)
      if (!sizes_only(*var.extent)) return false;
  return true;
}

Arrays reference_evaluate(const compiler::KernelSpec &spec, const compiler::Sizes &sizes, const Arrays &inputs,
                          const std::vector<float> &scalars, int threads) {
  if (!reference_supports(spec))
    throw Error(fmt::format("reference: kernel {} has locals whose extents depend on inputs", spec.name));
  Arrays arrays = inputs;
  Builder builder(spec, sizes, scalars, arrays);
  for (const compiler::Definition &definition : spec.definitions) {
    Array target;
    target.type = spec.find(definition.tensor)->type;
    std::map<std::string, int> vars;
    std::vector<int> slots;
    builder.reset_variables();
    for (const compiler::IndexVar &var : definition.vars) {
      target.shape.push_back(compiler::evaluate(var.extent, sizes));
      slots.push_back(builder.new_variable());
      vars[var.name] = slots.back();
    }
    target.bytes.resize(static_cast<size_t>(target.count() * std::max<int64_t>(1, target.element_bytes())));
    const Node value = builder.build(*definition.value, vars, {});
    if (target.count() > 0) evaluate_definition(value, target, slots, threads);
    arrays[definition.tensor] = std::move(target);
  }
  for (const auto &input : inputs) arrays.erase(input.first);
  return arrays;
}

}  // namespace bittern::tuning
