// Outputs and kept locals as Halide Funcs with schedules, and the compilation of the whole to an object.
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "codegen/analysis.h"
#include "codegen/halide/halide_target.h"
#include "codegen/halide/lowering.h"
#include "compiler/bounds.h"
#include "compiler/error.h"
#include "compiler/expr.h"
#include "compiler/printer.h"

namespace bittern::codegen::halide {

using compiler::ExprPtr;
using compiler::Role;
using compiler::Type;
using Halide::Expr;
using Halide::Func;
using Halide::TailStrategy;
using Halide::Target;
using Halide::Var;

namespace {

// Halide keeps no more than this on the stack.
constexpr int64_t kStackPerFunc = 16 * 1024, kStackInAll = 128 * 1024;
constexpr int64_t kScratchSlack = 256;  // alignment and Halide's padding, per allocation

Halide::Type element_type(Type type) {
  switch (type) {
    case Type::Ternary:
      return Halide::UInt(8);
    case Type::I8:
      return Halide::Int(8);
    case Type::I32:
      return Halide::Int(32);
    case Type::F16:
      return Halide::Float(16);
    case Type::BF16:
      return Halide::UInt(16);
    case Type::F32:
      return Halide::Float(32);
    case Type::Bool:
      break;
  }
  throw Error("a tensor of truth values has no storage");
}

// Halide prefetches a region by a loop over its cache lines, which costs more than the few prefetches in it.
class UnrollPrefetches : public Halide::Internal::IRMutator {
 public:
  using IRMutator::mutate;

 private:
  using IRMutator::visit;

  Halide::Internal::Stmt visit(const Halide::Internal::For *loop) override {
    const auto extent = Halide::Internal::as_const_int(loop->extent);
    if (loop->name.rfind("prefetch_split", 0) != 0 || !extent || *extent > kMostLines) return IRMutator::visit(loop);
    std::vector<Halide::Internal::Stmt> lines;
    for (int i = 0; i < static_cast<int>(*extent); ++i)
      lines.push_back(Halide::Internal::substitute(loop->name, loop->min + i, loop->body));
    return Halide::Internal::Block::make(lines);
  }

  static constexpr int64_t kMostLines = 8;
};

// Halide goes by the order of names where it may choose an order: a number makes that the order of the text.
std::string numbered(const char *what, size_t number, const std::string &name) {
  return fmt::format("{}{:02}_{}", what, number, name);
}

}  // namespace

Lowering::Lowering(const Request &request, const Plan &plan, const std::string &function, Descriptor &descriptor)
    : request_(request), spec_(request.spec), plan_(plan), function_(function), descriptor_(descriptor) {
  for (const compiler::Expr *e : compiler::wrapping_operations(spec_, request.fixed)) wrapping_.insert(place_of(*e));
  const auto i32 = [&](const std::string &name) {
    const Halide::Param<int32_t> parameter(name);
    arguments_.push_back(parameter);
    return Expr(parameter);
  };
  for (const std::string &name : spec_.sizes) {
    const Expr size = i32(numbered("size", sizes_.size(), name));
    const auto fixed = request.fixed.find(name);
    sizes_[name] = fixed == request.fixed.end() ? size : Expr(static_cast<int32_t>(fixed->second));
  }
  for (const std::string &name : spec_.scalars) {
    const Halide::Param<float> scalar(numbered("scalar", scalars_.size(), name));
    arguments_.push_back(scalar);
    scalars_[name] = scalar;
  }
  for (size_t i = 0; i < plan.outer.size(); ++i) outer_.push_back(i32(fmt::format("index{}", i)));
  for (size_t i = 0; i < plan.extents.size(); ++i) extents_.push_back(i32(fmt::format("extent{}", i)));
  first_tile_ = i32("first_tile");
  for (const compiler::Tensor *tensor : spec_.arguments()) {
    if (tensor->role == Role::Out) continue;
    const int rank = tensor->type == Type::Ternary ? 1 : static_cast<int>(tensor->shape.size());
    Halide::ImageParam input(element_type(tensor->type), rank, numbered("in", inputs_.size(), tensor->name));
    for (int d = 0; d < rank; ++d) input.dim(d).set_min(0);
    arguments_.push_back(input);
    inputs_.emplace(tensor->name, input);
  }
  for (const Stage &stage : plan.loops.stages) indices_.insert(indices_.end(), stage.vars.begin(), stage.vars.end());
}

Linear Lowering::bound(const ExprPtr &e) const {
  if (const auto most = upper_bound(spec_, request_.fixed, indices_, e)) return *most;
  throw Error(fmt::format("no bound for {} that is linear in the sizes", compiler::print_expr(e)));
}

void Lowering::store(Func func, int64_t lanes, const std::vector<ExprPtr> &counts, bool part, int64_t slack) {
  std::optional<Linear> elements = Linear{lanes, {}};
  bool known = !part;  // to Halide; neither is a number that follows from values in tensors
  for (const ExprPtr &count : counts) {
    elements = product(elements, combine(bound(count), Linear{slack, {}}, 1));
    compiler::walk(count, [&](const ExprPtr &e) { known &= e->op != compiler::Op::Load; });
  }
  if (!elements) throw Error("an intermediate's size is a product of sizes that are not fixed");
  const int64_t bytes = func.types()[0].bytes(), size = elements->constant * bytes;
  if (known && elements->sizes.empty() && size <= kStackPerFunc && stack_ + size <= kStackInAll) {
    stack_ += size;
    func.store_in(Halide::MemoryType::Stack);
    return;
  }
  promise_scratch(spec_, *elements, bytes, kScratchSlack, descriptor_);
  func.store_in(Halide::MemoryType::Heap);
}

// What the stage's variables mean: the thunk's indices, then `vars` (innermost first).
Scope Lowering::stage_scope(const Stage &stage, const Vars &vars, const std::vector<int64_t> &tiles, Needs &needs) {
  Scope scope;
  scope.needs = &needs;
  for (size_t i = 0; i < outer_.size(); ++i) {
    Binding binding;
    binding.local = outer_[i];
    binding.constant = true;
    scope.vars[stage.vars[stage.order[i]].name] = binding;
  }
  const std::vector<size_t> inner = plan_.inner(stage);
  for (size_t i = inner.size(); i-- > 0;) {
    const compiler::IndexVar &index = stage.vars[inner[i]];
    Binding binding;
    binding.local = vars[i];
    binding.count = index.extent;
    binding.extent = translate_extent(index.extent, scope);
    binding.tile = tiles[i];
    if (plan_.cut(stage, inner[i])) binding.base = first_tile_ * static_cast<int32_t>(plan_.tile);
    scope.vars[index.name] = binding;
  }
  return scope;
}

// How many values of a variable (0: the innermost) are computed together when the value needs reductions.
int64_t Lowering::wanted_tile(const Stage &stage, size_t place) const {
  if (outer_reductions(stage.value).empty() || !advances_together(stage, plan_.inner(stage)[place])) return 1;
  if (is_gemm()) return parameter(place == 0 ? "nb" : "mb");
  return place == 0 ? parameter("rows") : std::min<int64_t>(parameter("tokens"), request_.m_max);
}

void Lowering::define(const std::vector<const Stage *> &stages, Func func) {
  const std::vector<size_t> inner = plan_.inner(*stages.front());
  Vars vars;
  for (const size_t position : inner) vars.emplace_back(fmt::format("v{}", position));
  needs_.push_back(std::make_unique<Needs>());
  Needs &needs = *needs_.back();
  if (!vars.empty()) {
    needs.vector_var = vars[0].name();
    for (const Stage *stage : stages) needs.column |= favours_outer(*stage, stage->vars[inner[0]].name);
  }
  std::vector<int64_t> tiles(vars.size(), 1);
  for (size_t i = 0; i < std::min<size_t>(vars.size(), 2) && !needs.column; ++i)
    for (const Stage *stage : stages) tiles[i] = std::max(tiles[i], wanted_tile(*stage, i));
  Exprs values;
  for (const Stage *stage : stages)
    values.push_back(Halide::strict_float(translate(stage->value, stage_scope(*stage, vars, tiles, needs))));
  if (values.size() == 1) {
    func(vars) = values[0];
  } else {
    func(vars) = Halide::Tuple(values);
  }
  schedule_func(func, vars, tiles, needs);
}

void Lowering::schedule_func(Func func, const Vars &vars, const std::vector<int64_t> &tiles, const Needs &needs) {
  Place place;
  if (vars.empty()) {
    // a single number: what it needs is computed once
  } else if (needs.helpers.empty()) {
    func.vectorize(vars[0], parameter("width"), TailStrategy::GuardWithIf);
  } else if (needs.column) {
    func.vectorize(vars[0], 8, TailStrategy::GuardWithIf);
    if (vars.size() > 1) place = Place(func, vars[1]);
  } else if (is_gemm()) {
    place = tile_gemm(func, vars, tiles, needs);
  } else {
    Loops inside, around;
    for (size_t i = 0; i < vars.size(); ++i) {
      if (tiles[i] == 1) {
        around.push_back(vars[i]);
        continue;
      }
      const Var o(vars[i].name() + "o"), in(vars[i].name() + "i");
      func.split(vars[i], o, in, static_cast<int>(tiles[i]), TailStrategy::GuardWithIf);
      inside.push_back(in);
      around.push_back(o);
    }
    // The second variable (tokens, as a rule) runs inside the first, so that a tile of weights is used for all of them.
    if (around.size() > 1) std::swap(around[0], around[1]);
    place = Place(func, around[0]);
    const Loops all = join<Halide::VarOrRVar>(inside, around);
    if (all.size() > 1) func.reorder(all);
    for (const Halide::VarOrRVar &in : inside) func.unroll(in);
  }
  for (const auto &helper : needs.helpers) helper->schedule(helper->vector_dim >= 0 || needs.column ? place : Place());
}

void Lowering::define_kernel() {
  std::map<std::string, Func> outputs;
  if (plan_.one_nest) {
    std::vector<const Stage *> all;
    for (const Stage &stage : plan_.loops.stages) all.push_back(&stage);
    outputs_ = {Func("out")};
    define(all, outputs_[0]);
  } else {
    for (const Stage &stage : plan_.loops.stages) {
      const std::string &name = stage.tensor->name;
      Func func(numbered("f", static_cast<size_t>(&stage - plan_.loops.stages.data()), name));
      define({&stage}, func);
      (stage.tensor->role == Role::Local ? kept_ : outputs)[name] = func;
      if (stage.tensor->role != Role::Local) continue;
      std::vector<ExprPtr> counts;
      for (const size_t position : plan_.inner(stage)) counts.push_back(stage.vars[position].extent);
      func.compute_root();
      store(func, 1, counts, plan_.outer.empty() && plan_.loops.parallel >= 0);
    }
    for (const compiler::Tensor *tensor : spec_.arguments())
      if (tensor->role == Role::Out) outputs_.push_back(outputs.at(tensor->name));
  }
  std::vector<Halide::OutputImageParam> buffers;
  for (Func &func : outputs_)
    for (const Halide::OutputImageParam &buffer : func.output_buffers()) buffers.push_back(buffer);
  size_t next = 0;
  for (const compiler::Tensor *tensor : spec_.arguments())
    if (tensor->role == Role::Out) bound_output(buffers[next++], plan_.stage_of(*tensor));
}

// An output begins at 0 and has the tensor's extents, but for the one that a tile cuts.
void Lowering::bound_output(Halide::OutputImageParam buffer, const Stage &stage) {
  const std::vector<size_t> inner = plan_.inner(stage);
  for (int d = 0; d < buffer.dimensions(); ++d) {
    const size_t position = inner[static_cast<size_t>(d)];
    const ExprPtr &shape = stage.tensor->shape[position];
    if (!plan_.cut(stage, position)) {
      buffer.dim(d).set_bounds(0, translate(shape, {}));
      continue;
    }
    buffer.dim(d).set_min(0);
    // Where tiles divide the size, no call has a tail.
    const Linear size = bound(shape);
    const int step = parameter(is_gemm() ? "nb" : "rows");
    if (size.sizes.empty() && d == 0 && size.constant % step == 0 && plan_.tile % step == 0)
      buffer.dim(d).set_extent(buffer.dim(d).extent() / step * step);
  }
}

namespace {

// What Halide writes to files only; a file in memory has a name too.
std::string text_of(const Halide::Module &module, Halide::OutputFileType type) {
  const int file = memfd_create("halide", MFD_CLOEXEC);
  if (file < 0) throw Error("cannot make a file in memory for Halide's text");
  module.compile({{type, fmt::format("/proc/self/fd/{}", file)}});
  std::string text(static_cast<size_t>(lseek(file, 0, SEEK_END)), '\0');
  const ssize_t got = pread(file, text.data(), text.size(), 0);
  close(file);
  if (got != static_cast<ssize_t>(text.size())) throw Error("cannot read Halide's text back");
  return text;
}

}  // namespace

Code Lowering::run() {
  define_kernel();
  Target target(halide_target(request_.target));
  for (const Target::Feature feature : {Target::NoRuntime, Target::NoAsserts, Target::NoBoundsQuery,
                                        Target::StrictFloat, Target::UserContext, Target::LargeBuffers})
    target.set_feature(feature);
  Halide::Pipeline pipeline(outputs_);
  pipeline.add_custom_lowering_pass(new UnrollPrefetches);
  Halide::Module module = pipeline.compile_to_module(arguments_, function_, target, Halide::LinkageType::External);
  Code code;
  const Halide::Buffer<uint8_t> object = module.compile_to_buffer();
  code.object.assign(reinterpret_cast<const char *>(object.data()), object.size_in_bytes());
  if (request_.want_assembly || request_.want_listings)
    code.assembly = text_of(module, Halide::OutputFileType::assembly);
  if (request_.want_listings) {
    code.statement = text_of(module, Halide::OutputFileType::stmt);
    code.ir = text_of(module, Halide::OutputFileType::llvm_assembly);
  }
  return code;
}

Code lower(const Request &request, const Plan &plan, const std::string &function, Descriptor &descriptor) {
  try {
    return Lowering(request, plan, function, descriptor).run();
  } catch (const Halide::Error &error) {
    throw Error(fmt::format("Halide cannot compile {} as {}: {}", request.spec.name,
                            schedules::print_schedule(request.schedule), error.what()));
  }
}

}  // namespace bittern::codegen::halide
