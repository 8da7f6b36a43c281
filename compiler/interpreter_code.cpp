#include "compiler/interpreter_code.h"

#include <algorithm>
#include <bit>
#include <unordered_map>

#include "compiler/expr.h"

namespace bittern::compiler {

CodeBuilder::CodeBuilder(const KernelSpec &spec, const Sizes &sizes, const std::map<std::string, float> &scalars,
                         const std::map<std::string, int> &tensor_numbers)
    : spec_(spec), sizes_(sizes), scalars_(scalars), tensor_numbers_(tensor_numbers) {}

namespace {

// Emits one Code. Functions are expanded in place, each let once.
class Emitter {
 public:
  using Registers = std::map<std::string, int>;

  Emitter(CodeBuilder &builder, const KernelSpec &spec, const Sizes &sizes, const std::map<std::string, float> &scalars,
          const std::map<std::string, int> &tensor_numbers, const std::map<std::string, int> &slots, int lane_slot,
          Code &code)
      : builder_(builder),
        spec_(spec),
        sizes_(sizes),
        scalars_(scalars),
        tensor_numbers_(tensor_numbers),
        slots_(slots),
        lane_slot_(lane_slot),
        code_(code) {}

  int emit(const ExprPtr &expr, const Registers &lets) {
    // Shared nodes are computed once; inside functions the same node means something else in every call.
    if (lets.empty())
      if (const auto known = done_.find(expr.get()); known != done_.end()) return known->second;
    const int result = fresh(expr, lets);
    if (lets.empty()) done_[expr.get()] = result;
    return result;
  }

 private:
  int fresh(const ExprPtr &expr, const Registers &lets) {
    const Expr &e = *expr;
    if (e.op == Op::Let) return lets.at(e.name);
    if (e.op == Op::Call) return call(e, lets);
    Instruction in;
    in.op = e.op;
    in.type = e.type;
    switch (e.op) {
      case Op::IntConst:
        in.bits = static_cast<uint32_t>(static_cast<int32_t>(e.ival));
        return push(in);
      case Op::FloatConst:
        in.bits = std::bit_cast<uint32_t>(e.fval);
        return push(in);
      case Op::Size:
        in.bits = static_cast<uint32_t>(static_cast<int32_t>(sizes_.at(e.name)));
        return push(in);
      case Op::Scalar:
        in.bits = std::bit_cast<uint32_t>(scalars_.at(e.name));
        return push(in);
      case Op::Var:
        in.slot = slots_.at(e.name);
        in.lane = in.slot == lane_slot_;
        in.uniform = !in.lane;
        return push(in);
      default:
        break;
    }
    if (is_reduction(e.op)) return reduction(e, in, lets);
    for (const ExprPtr &arg : e.args) in.args.push_back(emit(arg, lets));
    in.uniform =
        std::all_of(in.args.begin(), in.args.end(), [&](int r) { return code_.uniform[static_cast<size_t>(r)]; });
    if (e.op == Op::Load) in.slot = tensor_numbers_.at(e.name);
    if (e.op == Op::Cast) in.from = e.args[0]->type;
    if (e.type == Type::Bool && !e.args.empty()) in.type = e.args[0]->type;
    return push(in);
  }

  int reduction(const Expr &e, Instruction in, const Registers &lets) {
    in.args.push_back(emit(e.args[0], lets));
    in.strips = !has_reduction(e.args[1]);
    in.slot = builder_.new_slot();
    std::map<std::string, int> inner = slots_;
    inner[e.name] = in.slot;
    in.body = builder_.build(e.args[1], inner, in.strips ? in.slot : -1);
    return push(in);
  }

  int call(const Expr &e, const Registers &lets) {
    const auto f = std::find_if(spec_.functions.begin(), spec_.functions.end(),
                                [&](const Function &x) { return x.name == e.name; });
    Registers inner;
    for (size_t i = 0; i < e.args.size(); ++i) inner[f->params[i].first] = emit(e.args[i], lets);
    for (const auto &[name, value] : f->lets) inner[name] = emit(value, inner);
    return emit(f->result, inner);
  }

  int push(Instruction in) {
    in.dst = static_cast<int>(code_.uniform.size());
    code_.uniform.push_back(in.uniform);
    code_.lane.push_back(in.lane);
    const int dst = in.dst;
    code_.instructions.push_back(std::move(in));
    return dst;
  }

  CodeBuilder &builder_;
  const KernelSpec &spec_;
  const Sizes &sizes_;
  const std::map<std::string, float> &scalars_;
  const std::map<std::string, int> &tensor_numbers_;
  const std::map<std::string, int> &slots_;
  int lane_slot_;
  Code &code_;
  std::unordered_map<const Expr *, int> done_;
};

}  // namespace

std::shared_ptr<Code> CodeBuilder::build(const ExprPtr &expr, const std::map<std::string, int> &slots, int lane_slot) {
  auto code = std::make_shared<Code>();
  Emitter emitter(*this, spec_, sizes_, scalars_, tensor_numbers_, slots, lane_slot, *code);
  code->result = emitter.emit(expr, {});
  return code;
}

}  // namespace bittern::compiler
