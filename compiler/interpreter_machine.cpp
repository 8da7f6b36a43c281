// Arithmetic is exactly the DSL's: i32 wraps, floats round after every operation, sums follow the defined order.
#include "compiler/interpreter_machine.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "compiler/error.h"
#include "compiler/expr.h"
#include "compiler/numeric.h"

namespace bittern::compiler {

struct Machine::Frame {
  const Code &code;
  uint32_t *registers;
  uint32_t *at(int r) const { return registers + static_cast<size_t>(r) * kLanes; }
  // Distance between lanes: uniform registers give their one value to every lane.
  int step(int r) const { return code.uniform[static_cast<size_t>(r)] ? 0 : 1; }
};

void Machine::fail(const std::string &message) const { throw Error(fmt::format("kernel {}: {}", what_, message)); }

void Machine::out_of_bounds(const Buffer &b, size_t dimension, int64_t index) const {
  fail(fmt::format("index {} of tensor {} is {}, outside 0 .. {}", dimension, b.name, index, b.shape[dimension]));
}

namespace {

float as_float(uint32_t bits) { return std::bit_cast<float>(bits); }
uint32_t as_bits(float value) { return std::bit_cast<uint32_t>(value); }
uint32_t as_bits(int32_t value) { return static_cast<uint32_t>(value); }
uint32_t as_bits(bool value) { return value ? 1 : 0; }
int32_t as_int(uint32_t bits) { return static_cast<int32_t>(bits); }

template <class T>
T from_bits(uint32_t bits) {
  if constexpr (std::is_same_v<T, float>)
    return as_float(bits);
  else
    return as_int(bits);
}

template <class T, class F>
void map1(uint32_t *dst, const uint32_t *a, int sa, int n, F f) {
  for (int i = 0; i < n; ++i) dst[i] = as_bits(f(from_bits<T>(a[i * sa])));
}

template <class T, class F>
void map2(uint32_t *dst, const uint32_t *a, int sa, const uint32_t *b, int sb, int n, F f) {
  if (sa && sb)
    for (int i = 0; i < n; ++i) dst[i] = as_bits(f(from_bits<T>(a[i]), from_bits<T>(b[i])));
  else
    for (int i = 0; i < n; ++i) dst[i] = as_bits(f(from_bits<T>(a[i * sa]), from_bits<T>(b[i * sb])));
}

constexpr int32_t kNanBits = 0x7fc00000;  // what bits_i32 gives for every NaN

int32_t wrap(int64_t value) { return static_cast<int32_t>(static_cast<uint32_t>(value)); }

int32_t floor_divide_i32(int64_t a, int64_t b) { return wrap(a / b - (a % b != 0 && a < 0 ? 1 : 0)); }

// Operations that mean the same in i32 and f32; false when `op` is none of them.
template <class T>
bool common2(Op op, uint32_t *dst, const uint32_t *a, int sa, const uint32_t *b, int sb, int n) {
  switch (op) {
    case Op::Min:
      return map2<T>(dst, a, sa, b, sb, n, [](T x, T y) { return x < y ? x : y; }), true;
    case Op::Max:
      return map2<T>(dst, a, sa, b, sb, n, [](T x, T y) { return x > y ? x : y; }), true;
    case Op::Eq:
      return map2<T>(dst, a, sa, b, sb, n, [](T x, T y) { return x == y; }), true;
    case Op::Ne:
      return map2<T>(dst, a, sa, b, sb, n, [](T x, T y) { return x != y; }), true;
    case Op::Lt:
      return map2<T>(dst, a, sa, b, sb, n, [](T x, T y) { return x < y; }), true;
    case Op::Le:
      return map2<T>(dst, a, sa, b, sb, n, [](T x, T y) { return x <= y; }), true;
    case Op::Gt:
      return map2<T>(dst, a, sa, b, sb, n, [](T x, T y) { return x > y; }), true;
    case Op::Ge:
      return map2<T>(dst, a, sa, b, sb, n, [](T x, T y) { return x >= y; }), true;
    default:
      return false;
  }
}

bool float2(Op op, uint32_t *dst, const uint32_t *a, int sa, const uint32_t *b, int sb, int n) {
  switch (op) {
    case Op::Add:
      return map2<float>(dst, a, sa, b, sb, n, [](float x, float y) { return x + y; }), true;
    case Op::Sub:
      return map2<float>(dst, a, sa, b, sb, n, [](float x, float y) { return x - y; }), true;
    case Op::Mul:
      return map2<float>(dst, a, sa, b, sb, n, [](float x, float y) { return x * y; }), true;
    case Op::Div:
      return map2<float>(dst, a, sa, b, sb, n, [](float x, float y) { return x / y; }), true;
    default:
      return common2<float>(op, dst, a, sa, b, sb, n);
  }
}

bool int2(Op op, uint32_t *dst, const uint32_t *a, int sa, const uint32_t *b, int sb, int n) {
  using L = int64_t;
  switch (op) {
    case Op::Add:
      return map2<int32_t>(dst, a, sa, b, sb, n, [](L x, L y) { return wrap(x + y); }), true;
    case Op::Sub:
      return map2<int32_t>(dst, a, sa, b, sb, n, [](L x, L y) { return wrap(x - y); }), true;
    case Op::Mul:
      return map2<int32_t>(dst, a, sa, b, sb, n, [](L x, L y) { return wrap(x * y); }), true;
    case Op::Div:
      return map2<int32_t>(dst, a, sa, b, sb, n, floor_divide_i32), true;
    case Op::Mod:
      return map2<int32_t>(dst, a, sa, b, sb, n, [](L x, L y) { return wrap(x - y * floor_divide_i32(x, y)); }), true;
    case Op::BitAnd:
      return map2<int32_t>(dst, a, sa, b, sb, n, [](int32_t x, int32_t y) { return x & y; }), true;
    case Op::BitOr:
      return map2<int32_t>(dst, a, sa, b, sb, n, [](int32_t x, int32_t y) { return x | y; }), true;
    case Op::BitXor:
      return map2<int32_t>(dst, a, sa, b, sb, n, [](int32_t x, int32_t y) { return x ^ y; }), true;
    case Op::Shl:
      return map2<int32_t>(dst, a, sa, b, sb, n,
                           [](int32_t x, int32_t y) { return wrap(int64_t{x} * (int64_t{1} << y)); }),
             true;
    case Op::Shr:
      return map2<int32_t>(dst, a, sa, b, sb, n, [](int32_t x, int32_t y) { return x >> y; }), true;
    case Op::And:
      return map2<int32_t>(dst, a, sa, b, sb, n, [](int32_t x, int32_t y) { return x && y; }), true;
    case Op::Or:
      return map2<int32_t>(dst, a, sa, b, sb, n, [](int32_t x, int32_t y) { return x || y; }), true;
    default:
      return common2<int32_t>(op, dst, a, sa, b, sb, n);
  }
}

bool map_one(Op op, Type type, uint32_t *dst, const uint32_t *a, int sa, int n) {
  const bool f = type == Type::F32;
  switch (op) {
    case Op::Neg:
      if (f) return map1<float>(dst, a, sa, n, [](float x) { return -x; }), true;
      return map1<int32_t>(dst, a, sa, n, [](int64_t x) { return wrap(-x); }), true;
    case Op::Abs:
      if (f) return map1<float>(dst, a, sa, n, [](float x) { return std::fabs(x); }), true;
      return map1<int32_t>(dst, a, sa, n, [](int64_t x) { return wrap(x < 0 ? -x : x); }), true;
    case Op::Sqrt:
      return map1<float>(dst, a, sa, n, [](float x) { return std::sqrt(x); }), true;
    case Op::RoundEven:
      return map1<float>(dst, a, sa, n, [](float x) { return std::nearbyint(x); }), true;
    case Op::Floor:
      return map1<float>(dst, a, sa, n, [](float x) { return std::floor(x); }), true;
    case Op::Not:
      return map1<int32_t>(dst, a, sa, n, [](int32_t x) { return !x; }), true;
    case Op::BitsToF32:
      return map1<int32_t>(dst, a, sa, n, [](int32_t x) { return x; }), true;
    case Op::BitsToI32:
      return map1<float>(dst, a, sa, n, [](float x) { return std::isnan(x) ? kNanBits : std::bit_cast<int32_t>(x); }),
             true;
    default:
      return false;
  }
}

// Narrow types in a register: i8 and ternary as i32, f16 and bf16 as the f32 of the same value.
bool cast(Type from, Type to, uint32_t *dst, const uint32_t *a, int sa, int n, std::string &why) {
  for (int i = 0; i < n; ++i) {
    const uint32_t v = a[i * sa];
    if (to == Type::F16) {
      dst[i] = as_bits(f32_from_f16(f16_from_f32(as_float(v))));
    } else if (to == Type::BF16) {
      dst[i] = as_bits(f32_from_bf16(bf16_from_f32(as_float(v))));
    } else if (to == Type::F32 && from == Type::I32) {
      dst[i] = as_bits(static_cast<float>(as_int(v)));
    } else if (to == Type::I32 && from == Type::F32) {
      const float x = as_float(v);
      if (!(x >= -2147483648.0f && x < 2147483648.0f)) return why = fmt::format("i32({}) is out of range", x), false;
      dst[i] = as_bits(static_cast<int32_t>(x));
    } else if (to == Type::I8) {
      if (as_int(v) < -128 || as_int(v) > 127) return why = fmt::format("i8({}) is out of range", as_int(v)), false;
      dst[i] = v;
    } else {
      dst[i] = v;
    }
  }
  return true;
}

template <class T, class F>
void gather(uint32_t *dst, const uint8_t *data, int64_t base, int64_t step, const int64_t *offsets, int n, F convert) {
  for (int i = 0; i < n; ++i) {
    T value;
    std::memcpy(&value, data + (base + step * i + (offsets ? offsets[i] : 0)) * static_cast<int64_t>(sizeof(T)),
                sizeof(T));
    dst[i] = convert(value);
  }
}

void gather(Type type, uint32_t *dst, const uint8_t *data, int64_t base, int64_t step, const int64_t *offsets, int n) {
  switch (type) {
    case Type::F16:
      return gather<uint16_t>(dst, data, base, step, offsets, n, [](uint16_t v) { return as_bits(f32_from_f16(v)); });
    case Type::BF16:
      return gather<uint16_t>(dst, data, base, step, offsets, n, [](uint16_t v) { return as_bits(f32_from_bf16(v)); });
    case Type::Ternary:
    case Type::I8:
      return gather<int8_t>(dst, data, base, step, offsets, n, [](int8_t v) { return as_bits(int32_t{v}); });
    default:
      return gather<uint32_t>(dst, data, base, step, offsets, n, [](uint32_t v) { return v; });
  }
}

}  // namespace

void Machine::load(const Instruction &in, Frame &frame, int lanes, int64_t lane_start) {
  const Buffer &b = buffers_[static_cast<size_t>(in.slot)];
  int64_t base = 0, step = 0;
  int64_t offsets[kLanes];
  bool scattered = false;
  for (size_t d = 0; d < in.args.size(); ++d) {
    const int r = in.args[d];
    if (frame.code.lane[static_cast<size_t>(r)]) {
      if (lane_start < 0) out_of_bounds(b, d, lane_start);
      if (lane_start + lanes > b.shape[d]) out_of_bounds(b, d, lane_start + lanes - 1);
      base += lane_start * b.stride[d];
      step += b.stride[d];
    } else if (frame.code.uniform[static_cast<size_t>(r)]) {
      const int64_t index = as_int(*frame.at(r));
      if (index < 0 || index >= b.shape[d]) out_of_bounds(b, d, index);
      base += index * b.stride[d];
    } else {
      if (!scattered) std::fill(offsets, offsets + lanes, 0);
      scattered = true;
      for (int i = 0; i < lanes; ++i) {
        const int64_t index = as_int(frame.at(r)[i]);
        if (index < 0 || index >= b.shape[d]) out_of_bounds(b, d, index);
        offsets[i] += index * b.stride[d];
      }
    }
  }
  gather(b.type, frame.at(in.dst), b.data, base, step, scattered ? offsets : nullptr, in.uniform ? 1 : lanes);
}

void Machine::reduce(const Instruction &in, Frame &frame) {
  const int64_t count = as_int(*frame.at(in.args[0]));
  if (count < 0) fail(fmt::format("a reduction over {} values", count));
  const bool is_float = in.type == Type::F32, sum = in.op == Op::Sum, greatest = in.op == Op::MaxOf;
  InterleavedSum float_sum;
  int64_t int_sum = 0;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  float float_best = greatest ? -kInfinity : kInfinity;
  int32_t int_best = greatest ? INT32_MIN : INT32_MAX;
  const int strip = in.strips ? kLanes : 1;
  for (int64_t start = 0; start < count; start += strip) {
    const int n = static_cast<int>(std::min<int64_t>(strip, count - start));
    slot(in.slot) = start;
    bool uniform = false;
    const uint32_t *v = run(*in.body, n, uniform);
    const int s = uniform ? 0 : 1;
    if (sum && is_float)
      for (int i = 0; i < n; ++i) float_sum.add(as_float(v[i * s]));
    else if (sum)
      for (int i = 0; i < n; ++i) int_sum += as_int(v[i * s]);
    else if (is_float)
      for (int i = 0; i < n; ++i) {
        const float x = as_float(v[i * s]);
        if (greatest ? x > float_best : x < float_best) float_best = x;
      }
    else
      for (int i = 0; i < n; ++i) {
        const int32_t x = as_int(v[i * s]);
        if (greatest ? x > int_best : x < int_best) int_best = x;
      }
  }
  if (sum && !is_float && (int_sum < INT32_MIN || int_sum > INT32_MAX))
    fail(fmt::format("an i32 sum is {}, outside i32", int_sum));
  *frame.at(in.dst) = sum ? (is_float ? as_bits(float_sum.total()) : as_bits(static_cast<int32_t>(int_sum)))
                          : (is_float ? as_bits(float_best + 0.0f) : as_bits(int_best));  // a zero is +0
}

void Machine::execute(const Instruction &in, Frame &frame, int lanes, int64_t lane_start) {
  uint32_t *dst = frame.at(in.dst);
  const int n = in.uniform ? 1 : lanes;
  switch (in.op) {
    case Op::IntConst:
    case Op::FloatConst:
    case Op::Size:
    case Op::Scalar:
      *dst = in.bits;
      return;
    case Op::Var:
      if (in.lane)
        for (int i = 0; i < n; ++i) dst[i] = static_cast<uint32_t>(lane_start + i);
      else
        *dst = static_cast<uint32_t>(slot(in.slot));
      return;
    case Op::Load:
      return load(in, frame, lanes, lane_start);
    case Op::Sum:
    case Op::MaxOf:
    case Op::MinOf:
      return reduce(in, frame);
    default:
      break;
  }
  const uint32_t *a = frame.at(in.args[0]);
  const int sa = frame.step(in.args[0]);
  if (in.op == Op::Cast) {
    std::string why;
    if (!cast(in.from, in.type, dst, a, sa, n, why)) fail(why);
    return;
  }
  if (in.op == Op::Select) {
    const uint32_t *b = frame.at(in.args[1]), *c = frame.at(in.args[2]);
    const int sb = frame.step(in.args[1]), sc = frame.step(in.args[2]);
    for (int i = 0; i < n; ++i) dst[i] = a[i * sa] ? b[i * sb] : c[i * sc];
    return;
  }
  if (map_one(in.op, in.type, dst, a, sa, n)) return;
  const uint32_t *b = frame.at(in.args[1]);
  const int sb = frame.step(in.args[1]);
  const bool divides = (in.op == Op::Div || in.op == Op::Mod) && in.type == Type::I32;
  const bool shifts = in.op == Op::Shl || in.op == Op::Shr;
  for (int i = 0; (divides || shifts) && i < (sb ? n : 1); ++i) {
    const int32_t value = as_int(b[i]);
    if (divides ? value < 1 : value < 0 || value > 31)
      fail(fmt::format("{} by {}", divides ? "division" : "shift", value));
  }
  const bool done = in.type == Type::F32 ? float2(in.op, dst, a, sa, b, sb, n) : int2(in.op, dst, a, sa, b, sb, n);
  if (!done) fail(fmt::format("'{}' cannot be executed", op_row(in.op).text));
}

const uint32_t *Machine::run(const Code &code, int lanes, bool &uniform) {
  if (frames_.size() <= depth_) frames_.emplace_back();
  // Nested code may grow frames_, which moves the vectors but not their storage.
  std::vector<uint32_t> &registers = frames_[depth_];
  if (registers.size() < code.uniform.size() * kLanes) registers.resize(code.uniform.size() * kLanes);
  Frame frame{code, registers.data()};
  int64_t lane_start = 0;
  for (const Instruction &in : code.instructions)
    if (in.op == Op::Var && in.lane) lane_start = slot(in.slot);
  ++depth_;
  for (const Instruction &in : code.instructions) execute(in, frame, lanes, lane_start);
  --depth_;
  uniform = code.uniform[static_cast<size_t>(code.result)];
  return frame.at(code.result);
}

uint32_t Machine::scalar(const Code &code) {
  bool uniform = false;
  return *run(code, 1, uniform);
}

}  // namespace bittern::compiler
