#include "tuning_db/proof/reference_evaluator.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "compiler/error.h"

namespace bittern::tuning::reference {

using compiler::Op;
using compiler::Type;

namespace {

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

}  // namespace

void Evaluator::eval(const Node &node, Context &context, int lane, int64_t start, int n, uint32_t *out) {
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
  if (node.args.size() == 1) return unary_lanes(node.op, node.args[0].type, node.type, n, out);
  Lanes right;
  eval(node.args[1], context, lane, start, n, right);
  binary_lanes(node.op, node.args[0].type, n, out, right);
}

uint32_t Evaluator::one(const Node &node, Context &context) {
  // No node varies with the last slot, so this evaluates a single lane.
  uint32_t value;
  eval(node, context, Builder::kVariables - 1, 0, 1, &value);
  return value;
}

int64_t Evaluator::offset_at(const Node &load, Context &context, int lane, int64_t start) {
  int64_t offset = 0;
  for (size_t d = 0; d < load.args.size(); ++d) {
    uint32_t index;
    eval(load.args[d], context, lane, start, 1, &index);
    check(load, d, as_int(index));
    offset += as_int(index) * load.strides[d];
  }
  return offset;
}

void Evaluator::check(const Node &load, size_t dimension, int64_t index) {
  if (index < 0 || index >= load.tensor->shape[dimension])
    throw Error(fmt::format("reference: index {} of dimension {} is outside 0 .. {}", index, dimension,
                            load.tensor->shape[dimension] - 1));
}

bool Evaluator::consecutive(const Node &load, int lane) {
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

void Evaluator::load(const Node &node, Context &context, int lane, int64_t start, int n, uint32_t *out) {
  if (n == 1 || consecutive(node, lane)) {
    const int64_t offset = offset_at(node, context, lane, start);
    if (n > 1) offset_at(node, context, lane, start + n - 1);  // checks the far end
    return load_lanes(*node.tensor, offset, n, out);
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
  for (int i = 0; i < n; ++i) load_lanes(*node.tensor, offsets[i], 1, out + i);
}

void Evaluator::call(const Node &node, Context &context, int lane, int64_t start, int n, uint32_t *out) {
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

uint32_t Evaluator::reduce(const Node &node, Context &context) {
  const int64_t extent = as_int(one(node.args[0], context));
  const Node &body = node.args[1];
  if (node.op == Op::Sum && node.type == Type::I32) {
    int64_t sum = 0;
    if (extent > 0 && byte_products(body, node.slot))
      sum = byte_dot(node, context, extent);
    else
      blocks(body, context, node.slot, extent, [&](const uint32_t *lanes, int n) {
        for (int i = 0; i < n; ++i) sum += as_int(lanes[i]);
      });
    if (sum < std::numeric_limits<int32_t>::min() || sum > std::numeric_limits<int32_t>::max())
      throw Error(fmt::format("reference: an i32 sum is {}, outside i32", sum));
    return static_cast<uint32_t>(sum);
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
    return bits_of(best + 0.0f);
  }
  int32_t best = greatest ? std::numeric_limits<int32_t>::min() : std::numeric_limits<int32_t>::max();
  blocks(body, context, node.slot, extent, [&](const uint32_t *lanes, int n) {
    for (int i = 0; i < n; ++i) best = greatest ? std::max(best, as_int(lanes[i])) : std::min(best, as_int(lanes[i]));
  });
  return static_cast<uint32_t>(best);
}

bool Evaluator::byte_products(const Node &body, int slot) {
  const auto is_byte = [&](const Node &n) {
    return n.op == Op::Cast && n.args[0].op == Op::Load && n.args[0].tensor->element_bytes() == 1 &&
           consecutive(n.args[0], slot);
  };
  return body.op == Op::Mul && is_byte(body.args[0]) && is_byte(body.args[1]);
}

int64_t Evaluator::byte_dot(const Node &node, Context &context, int64_t extent) {
  const int8_t *operand[2];
  for (size_t i = 0; i < 2; ++i) {
    const Node &source = node.args[1].args[i].args[0];
    operand[i] = source.tensor->as<int8_t>() + offset_at(source, context, node.slot, 0);
    offset_at(source, context, node.slot, extent - 1);
  }
  constexpr int64_t kSafe = 65536;  // products of at most 2^14 in an int32
  int64_t sum = 0;
  for (int64_t k = 0; k < extent; k += kSafe) sum += dot(operand[0] + k, operand[1] + k, std::min(kSafe, extent - k));
  return sum;
}

}  // namespace bittern::tuning::reference
