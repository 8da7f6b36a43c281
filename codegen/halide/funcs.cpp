// Outputs and stored locals as Halide Funcs with schedules, and the compilation of the whole to an object.
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "codegen/halide/halide_target.h"
#include "codegen/halide/lowering.h"
#include "compiler/bounds.h"
#include "compiler/error.h"
#include "compiler/expr.h"

namespace bittern::codegen::halide {

using compiler::Definition;
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

// The i32 sum of the activations that a contraction multiplies, for kernels that are not given it.
ExprPtr make_activation_sum(const compiler::KernelSpec &spec, const schedules::Contraction &c) {
  if (c.activation_sum) return c.activation_sum;
  std::vector<ExprPtr> indices = c.lead;
  const ExprPtr k = compiler::named(compiler::Op::Var, Type::I32, c.k);
  indices.push_back(c.first ? compiler::node(compiler::Op::Add, Type::I32, {c.first, k}) : k);
  const ExprPtr load = compiler::node(compiler::Op::Load, spec.find(c.activations)->type, indices, c.activations);
  const ExprPtr term = compiler::node(compiler::Op::Cast, Type::I32, {load});
  return compiler::node(compiler::Op::Sum, Type::I32, {c.extent, term}, c.k);
}

// Halide goes by the order of names where it may choose an order: a number makes that the order of the text.
std::string numbered(const char *what, size_t number, const std::string &name) {
  return fmt::format("{}{:02}_{}", what, number, name);
}

}  // namespace

Lowering::Lowering(const Request &request, const Structure &structure, int64_t tile, const std::string &function)
    : request_(request),
      spec_(request.spec),
      structure_(structure),
      schedule_(request.schedule),
      tile_(tile),
      function_(function),
      wrapping_(compiler::wrapping_operations(request.spec, request.fixed)) {
  for (const std::string &name : spec_.sizes) {
    Halide::Param<int32_t> size(numbered("size", sizes_.size(), name));
    arguments_.push_back(size);
    const auto fixed = request.fixed.find(name);
    sizes_[name] = fixed == request.fixed.end() ? Expr(size) : Expr(static_cast<int32_t>(fixed->second));
  }
  for (const std::string &name : spec_.scalars) {
    Halide::Param<float> scalar(numbered("scalar", scalars_.size(), name));
    arguments_.push_back(scalar);
    scalars_[name] = scalar;
  }
  for (size_t i = 0; i < structure.prefix; ++i) {
    Halide::Param<int32_t> index(fmt::format("index{}", i));
    arguments_.push_back(index);
    prefix_.push_back(index);
  }
  for (size_t i = 0; i < structure.extents.size(); ++i) {
    Halide::Param<int32_t> extent(fmt::format("extent{}", i));
    arguments_.push_back(extent);
    extents_.push_back(extent);
  }
  Halide::Param<int32_t> first_tile("first_tile");
  arguments_.push_back(first_tile);
  first_tile_ = first_tile;
  for (const compiler::Tensor *tensor : spec_.arguments()) {
    if (tensor->role == Role::Out) continue;
    const int rank = tensor->type == Type::Ternary ? 1 : static_cast<int>(tensor->shape.size());
    Halide::ImageParam input(element_type(tensor->type), rank, numbered("in", inputs_.size(), tensor->name));
    for (int d = 0; d < rank; ++d) input.dim(d).set_min(0);
    arguments_.push_back(input);
    inputs_.emplace(tensor->name, input);
  }
  if (schedule_.template_name == "loops") return;
  for (const schedules::Contraction &contraction : schedules::find_contractions(spec_)) {
    contractions_.emplace(contraction.sum.get(), contraction);
    activation_sums_.emplace(contraction.sum.get(), make_activation_sum(spec_, contraction));
  }
  if (contractions_.empty())
    throw Error(fmt::format("kernel {} has no sum of ternary weights times int8 for halide.{}", spec_.name,
                            schedule_.template_name));
}

void Lowering::store(Func func, const Linear &elements, int bytes) {
  bool constant = !elements.loaded;
  for (const int64_t per : elements.per) constant &= per == 0;
  const int64_t size = elements.base * bytes;
  if (constant && size <= kStackPerFunc && stack_ + size <= kStackInAll) {
    stack_ += size;
    func.store_in(Halide::MemoryType::Stack);
    return;
  }
  scratch_ = add(scratch_, multiply(elements, {bytes, {}}));
  scratch_.base += kScratchSlack;
  func.store_in(Halide::MemoryType::Heap);
}

// What the definition's variables mean: the thunk's indices, then `vars` (innermost first).
Scope Lowering::definition_scope(const Definition &definition, const std::vector<Var> &vars,
                                 const std::vector<int64_t> &tiles, Stage &stage) {
  Scope scope;
  scope.stage = &stage;
  for (size_t i = 0; i < definition.vars.size(); ++i) {
    const compiler::IndexVar &index = definition.vars[i];
    Binding binding;
    binding.count = index.extent;
    if (i < structure_.prefix) {
      binding.local = prefix_[i];
      binding.prefix = static_cast<int>(i);
    } else {
      const size_t position = definition.vars.size() - 1 - i;
      binding.local = vars[position];
      binding.extent = translate_extent(index.extent, scope);
      binding.tile = tiles[position];
      if (structure_.prefix == 0 && static_cast<int>(i) == structure_.parallel)
        binding.base = first_tile_ * static_cast<int32_t>(tile_);
    }
    scope.vars[index.name] = binding;
  }
  return scope;
}

// How many values of each variable (innermost first) are computed together when the value needs reductions.
std::vector<int64_t> Lowering::wanted_tiles(const Definition &definition, size_t variables) const {
  std::vector<int64_t> tiles(variables, 1);
  if (!expands_to_reduction(spec_, structure_, definition.value)) return tiles;
  for (size_t position = 0; position < std::min<size_t>(variables, 2); ++position) {
    bool plain = true;  // the last value must be known before the loop, to clamp to it
    compiler::walk(definition.vars[definition.vars.size() - 1 - position].extent, [&](const ExprPtr &e) {
      if (e->op != compiler::Op::Var) return;
      for (size_t i = structure_.prefix; i < definition.vars.size(); ++i) plain &= definition.vars[i].name != e->name;
    });
    if (!plain) continue;
    if (schedule_.template_name == "gemm") {
      tiles[position] = schedule_.get(position == 0 ? "nb" : "mb", 1);
    } else {
      tiles[position] =
          position == 0 ? schedule_.get("rows", 1) : std::min<int64_t>(schedule_.get("tokens", 1), request_.m_max);
    }
  }
  return tiles;
}

void Lowering::define(const std::vector<const Definition *> &definitions, Func func) {
  const Definition &first = *definitions.front();
  std::vector<Var> vars;
  for (size_t i = first.vars.size(); i-- > structure_.prefix;) vars.emplace_back(numbered("v", i, first.vars[i].name));
  std::vector<int64_t> tiles(vars.size(), 1);
  for (const Definition *definition : definitions) {
    const std::vector<int64_t> wanted = wanted_tiles(*definition, vars.size());
    for (size_t i = 0; i < tiles.size(); ++i) tiles[i] = std::max(tiles[i], wanted[i]);
  }
  // Whether reductions fit the tiles shows only when they are defined; without tiles everything fits.
  for (;;) {
    stages_.push_back(std::make_unique<Stage>());
    Stage &stage = *stages_.back();
    stage.has_vector_var = !vars.empty();
    if (!vars.empty()) stage.vector_var = vars[0];
    std::vector<Expr> values;
    for (const Definition *definition : definitions)
      values.push_back(
          Halide::strict_float(translate(definition->value, definition_scope(*definition, vars, tiles, stage))));
    const bool tiled = std::any_of(tiles.begin(), tiles.end(), [](int64_t tile) { return tile > 1; });
    if (tiled && (stage.irregular || stage.column)) {
      std::fill(tiles.begin(), tiles.end(), 1);
      continue;
    }
    if (values.size() == 1) {
      func(vars) = values[0];
    } else {
      func(vars) = Halide::Tuple(values);
    }
    schedule_func(func, vars, tiles, stage);
    return;
  }
}

void Lowering::schedule_func(Func func, const std::vector<Var> &vars, const std::vector<int64_t> &tiles, Stage &stage) {
  Place place = Place::at_root();
  if (vars.empty()) {
    // a single number: what it needs is computed once
  } else if (stage.helpers.empty()) {
    func.vectorize(vars[0], static_cast<int>(schedule_.get("width", 8)), TailStrategy::GuardWithIf);
  } else if (stage.column) {
    func.vectorize(vars[0], 8, TailStrategy::GuardWithIf);
    if (vars.size() > 1) place = Place(func, vars[1]);
  } else if (schedule_.template_name == "gemm") {
    place = tile_gemm(func, vars, tiles, stage);
  } else {
    std::vector<Halide::VarOrRVar> inner, outer;
    for (size_t i = 0; i < vars.size(); ++i) {
      if (tiles[i] == 1) {
        outer.push_back(vars[i]);
        continue;
      }
      const Var o(vars[i].name() + "o"), in(vars[i].name() + "i");
      func.split(vars[i], o, in, static_cast<int>(tiles[i]), TailStrategy::GuardWithIf);
      inner.push_back(in);
      outer.push_back(o);
    }
    // The second variable (tokens, as a rule) runs inside the first, so that a tile of weights is used for all of them.
    if (outer.size() > 1) std::swap(outer[0], outer[1]);
    place = Place(func, outer[0]);
    std::vector<Halide::VarOrRVar> loops = inner;
    loops.insert(loops.end(), outer.begin(), outer.end());
    if (loops.size() > 1) func.reorder(loops);
    for (const Halide::VarOrRVar &in : inner) func.unroll(in);
  }
  for (const auto &helper : stage.helpers)
    helper->schedule(helper->follows_vector_var || stage.column ? place : Place::at_root());
}

void Lowering::define_kernel() {
  std::map<std::string, Func> outputs;
  std::vector<const Definition *> nest;
  for (const Definition *definition : structure_.definitions) {
    const compiler::Tensor &tensor = *spec_.find(definition->tensor);
    const bool output = tensor.role == Role::Out;
    if (structure_.one_nest) {
      if (output) nest.push_back(definition);
      continue;
    }
    if (!output && !structure_.is_stored(tensor.name)) continue;
    Func func(numbered("f", static_cast<size_t>(&tensor - spec_.tensors.data()), tensor.name));
    define({definition}, func);
    stored_[tensor.name] = func;
    if (output) {
      outputs[tensor.name] = func;
      continue;
    }
    Linear elements{1, {}};
    for (size_t i = structure_.prefix; i < definition->vars.size(); ++i)
      elements = multiply(elements, bound(definition->vars[i].extent));
    func.compute_root();
    store(func, elements, func.types()[0].bytes());
  }
  if (structure_.one_nest) {
    // Outputs in the order of the arguments, as the elements of one Func.
    std::sort(nest.begin(), nest.end(),
              [&](const Definition *a, const Definition *b) { return spec_.find(a->tensor) < spec_.find(b->tensor); });
    Func func("out");
    define(nest, func);
    outputs_ = {func};
  } else {
    for (const compiler::Tensor *tensor : spec_.arguments())
      if (tensor->role == Role::Out) outputs_.push_back(outputs.at(tensor->name));
  }
  size_t output = 0;
  for (Func &func : outputs_)
    for (const Halide::OutputImageParam &buffer : func.output_buffers()) bound_output(buffer, output++);
}

// An output begins at 0 and has the tensor's extents, but for the one that a tile cuts.
void Lowering::bound_output(Halide::OutputImageParam buffer, size_t output) {
  for (const compiler::Tensor *tensor : spec_.arguments()) {
    if (tensor->role != Role::Out || output-- != 0) continue;
    for (int d = 0; d < buffer.dimensions(); ++d) {
      const size_t axis = tensor->shape.size() - 1 - static_cast<size_t>(d);
      if (structure_.prefix == 0 && static_cast<int>(axis) == structure_.parallel) {
        buffer.dim(d).set_min(0);
        // Where tiles divide the size, no call has a tail.
        const Linear size = bound(tensor->shape[axis]);
        const int32_t step = static_cast<int32_t>(schedule_.get(schedule_.template_name == "gemm" ? "nb" : "rows", 1));
        if (size.per.empty() && d == 0 && size.base % step == 0 && tile_ % step == 0)
          buffer.dim(d).set_extent(buffer.dim(d).extent() / step * step);
      } else {
        buffer.dim(d).set_bounds(0, translate(tensor->shape[axis], {}));
      }
    }
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

HalideCode Lowering::run() {
  define_kernel();
  Target target(halide_target(request_.target));
  for (const Target::Feature feature : {Target::NoRuntime, Target::NoAsserts, Target::NoBoundsQuery,
                                        Target::StrictFloat, Target::UserContext, Target::LargeBuffers})
    target.set_feature(feature);
  Halide::Pipeline pipeline(outputs_);
  pipeline.add_custom_lowering_pass(new UnrollPrefetches);
  Halide::Module module = pipeline.compile_to_module(arguments_, function_, target, Halide::LinkageType::External);
  HalideCode code;
  const Halide::Buffer<uint8_t> object = module.compile_to_buffer();
  code.object.assign(reinterpret_cast<const char *>(object.data()), object.size_in_bytes());
  code.scratch = scratch_;
  if (request_.want_assembly || request_.want_listings)
    code.assembly = text_of(module, Halide::OutputFileType::assembly);
  if (request_.want_listings) {
    code.statement = text_of(module, Halide::OutputFileType::stmt);
    code.ir = text_of(module, Halide::OutputFileType::llvm_assembly);
  }
  return code;
}

HalideCode lower(const Request &request, const Structure &structure, int64_t tile, const std::string &function) {
  try {
    return Lowering(request, structure, tile, function).run();
  } catch (const Halide::Error &error) {
    throw Error(fmt::format("Halide cannot compile {} as {}: {}", request.spec.name,
                            schedules::print_schedule(request.schedule), error.what()));
  }
}

}  // namespace bittern::codegen::halide
