// Walks a loop plan: shared loops, then each definition in the form its memory accesses favour: vectors along its last
// index, blocks of reductions that advance together, or vectors of reductions.
#include "codegen/llvm/loops.h"

#include <fmt/format.h>
#include <llvm/IR/Constants.h>

#include <algorithm>
#include <functional>

#include "codegen/analysis.h"
#include "codegen/llvm/emit_expr.h"
#include "codegen/llvm/reductions.h"
#include "compiler/error.h"
#include "compiler/expr.h"

namespace bittern::codegen {
namespace {

using compiler::ExprPtr;
using compiler::IndexVar;
using compiler::Op;
using compiler::Role;
using llvm::Value;
using Values = KernelBuilder::Values;

constexpr unsigned kLanes = 16;

class LoopsEmitter {
 public:
  explicit LoopsEmitter(KernelBuilder &builder)
      : builder_(builder),
        b_(builder.b),
        plan_(plan_loops(builder.spec, builder.request.fixed, builder.request.schedule)),
        expressions_(builder),
        reductions_(builder, expressions_) {}

  void emit() {
    choose_tile();
    place_buffers();
    if (plan_.parallel >= 0) tile_ = builder_.tile_range();
    for (const Node &node : plan_.nest) emit_node(node, {});
  }

 private:
  int64_t parameter(const char *name, int64_t fallback) const { return builder_.request.schedule.get(name, fallback); }

  // --- what the descriptor promises
  // -----------------------------------------------------------------------------------
  void choose_tile() {
    Descriptor &descriptor = builder_.descriptor;
    descriptor.tile_size_index = std::max(plan_.parallel, 0);
    descriptor.tile = parameter("tile", 0);
    if (plan_.parallel < 0 || descriptor.tile == 0) descriptor.tile = default_tile(plan_);
  }

  Value *linear(const Linear &form) {
    Value *sum = builder_.i64(form.constant);
    for (const std::string &size : builder_.spec.sizes)
      if (const auto term = form.sizes.find(size); term != form.sizes.end())
        sum = b_.CreateAdd(sum, b_.CreateMul(builder_.size(size), builder_.i64(term->second)));
    return sum;
  }

  // Buffers follow one another in scratch memory in the order of their definitions, each rounded up to 64 bytes with
  // one vector to spare.
  void place_buffers() {
    Value *offset = builder_.i64(0);
    for (const Stage &stage : plan_.stages) {
      const std::string &name = stage.tensor->name;
      const auto kept = plan_.buffers.find(name);
      if (kept == plan_.buffers.end()) continue;
      const Buffer &buffer = kept->second;
      const compiler::Tensor *tensor = stage.tensor;
      const int64_t bytes = compiler::type_bytes(tensor->type);
      TensorView view;
      view.data = b_.CreateGEP(b_.getInt8Ty(), builder_.scratch(), offset);
      view.strides.assign(tensor->shape.size(), builder_.i64(0));
      Value *stride = builder_.i64(1);
      for (size_t i = buffer.positions.size(); i-- > 0;) {
        view.strides.at(buffer.positions[i]) = stride;
        stride = b_.CreateMul(stride, linear(buffer.extents[i]));
      }
      expressions_.views[name] = view;
      reductions_.padded.insert(name);
      const int64_t spare = 64 + int64_t{kLanes} * 4 * 4;
      Value *size = b_.CreateAdd(b_.CreateMul(linear(buffer.elements), builder_.i64(bytes)), builder_.i64(spare));
      offset = b_.CreateAnd(b_.CreateAdd(offset, size), builder_.i64(-64));
      promise_scratch(builder_.spec, buffer.elements, bytes, spare, builder_.descriptor);
    }
  }

  // --- loops
  // ------------------------------------------------------------------------------------------------------------
  std::pair<Value *, Value *> range(const IndexVar &var, bool tiled, const Bindings &bindings) {
    if (tiled) return tile_;
    return {builder_.i64(0), expressions_.index(var.extent, bindings)};
  }

  void emit_node(const Node &node, const Bindings &bindings) {
    if (node.stage) return emit_stage(plan_.stages[*node.stage], bindings);
    const auto [first, last] = range(node.var, node.tiled, bindings);
    builder_.loop(first, last, 1, [&](Value *i) {
      const Bindings inside = bindings.with(node.var.name, i);
      for (const Node &child : node.children) emit_node(child, inside);
    });
  }

  // A loop of a stage: position, and how many values of it a step takes together.
  struct StageLoop {
    size_t position;
    int64_t factor;
  };
  using Body = std::function<void(const std::vector<Bindings> &)>;

  void emit_stage_loops(const Stage &stage, const std::vector<StageLoop> &loops, size_t depth,
                        const std::vector<Bindings> &all, const Body &body) {
    if (depth == loops.size()) return body(all);
    const auto [position, factor] = loops[depth];
    const IndexVar &var = stage.vars[position];
    auto [first, last] = range(var, stage.tiled == static_cast<int>(position), all.front());
    const auto step = [&](Value *i, int64_t count) {
      std::vector<Bindings> inner;
      for (const Bindings &bindings : all)
        for (int64_t r = 0; r < count; ++r)
          inner.push_back(bindings.with(var.name, b_.CreateAdd(i, builder_.i64(r), "", false, true)));
      emit_stage_loops(stage, loops, depth + 1, inner, body);
    };
    Value *rest = first;
    if (factor > 1) {
      Value *blocks = b_.CreateSDiv(b_.CreateSub(last, first), builder_.i64(factor));
      rest = b_.CreateAdd(first, b_.CreateMul(blocks, builder_.i64(factor)));
      builder_.loop(first, rest, factor, [&](Value *i) { step(i, factor); });
    }
    builder_.loop(rest, last, 1, [&](Value *i) { step(i, 1); });
  }

  // --- stages
  // -----------------------------------------------------------------------------------------------------------
  void emit_stage(const Stage &stage, const Bindings &bindings) {
    const std::vector<size_t> loops(stage.order.begin() + static_cast<std::ptrdiff_t>(stage.shared), stage.order.end());
    const std::vector<ExprPtr> reductions = outer_reductions(stage.value);
    if (loops.empty()) {
      reductions_.choices = {parameter("unroll", 1), 0, "", 1};
      write(stage, bindings, reductions_.evaluate(stage.value, {bindings}).front());
    } else if (reductions.empty() || favours_outer(stage, stage.vars[vector_position(stage, loops)].name)) {
      emit_vectors(stage, loops, bindings, reductions.empty());
    } else {
      emit_blocks(stage, loops, bindings);
    }
    emit_padding(stage, loops, bindings);
  }

  static size_t vector_position(const Stage &stage, const std::vector<size_t> &loops) {
    const size_t last = stage.vars.size() - 1;
    return std::find(loops.begin(), loops.end(), last) != loops.end() ? last : loops.back();
  }

  // Vectors along the last index; the others are plain loops.
  void emit_vectors(const Stage &stage, const std::vector<size_t> &loops, const Bindings &bindings, bool elementwise) {
    const size_t along = vector_position(stage, loops);
    std::vector<StageLoop> outer;
    for (const size_t position : loops)
      if (position != along) outer.push_back({position, 1});
    const IndexVar &var = stage.vars[along];
    reductions_.choices = {1, elementwise ? 0 : parameter("prefetch", 0), "", 1};
    emit_stage_loops(stage, outer, 0, {bindings}, [&](const std::vector<Bindings> &all) {
      const Bindings &inside = all.front();
      auto [first, last] = range(var, stage.tiled == static_cast<int>(along), inside);
      const auto vectors = [&](Value *i, unsigned lanes, int64_t count) {
        for (int64_t u = 0; u < count; ++u) {
          const Bindings at = inside.along(var.name, b_.CreateAdd(i, builder_.i64(u * lanes), "", false, true), lanes);
          Value *value = reductions_.evaluate(stage.value, {at}).front();
          if (lanes > 1 && !value->getType()->isVectorTy()) value = b_.CreateVectorSplat(lanes, value);
          write(stage, at, value);
        }
      };
      // Results that go to scratch memory, made from scratch memory, may run past the end.
      const bool overrun = elementwise && plan_.buffers.count(stage.tensor->name) &&
                           plan_.buffers.at(stage.tensor->name).positions.size() == 1 &&
                           reductions_.may_overrun(stage.value, var.name);
      const auto wide = static_cast<unsigned>(builder_.target.vector_bytes * 2);  // eight registers of floats
      const unsigned lanes = elementwise ? kLanes : wide;
      const int64_t unroll = elementwise ? parameter("unroll", 1) : 1;
      Value *done = first;
      const auto run = [&](unsigned width, int64_t count) {
        const int64_t step = static_cast<int64_t>(width) * count;
        Value *whole = b_.CreateSub(last, done);
        whole = b_.CreateSub(whole, b_.CreateSRem(whole, builder_.i64(step)));
        Value *end = b_.CreateAdd(done, whole);
        builder_.loop(done, end, step, [&](Value *i) { vectors(i, width, count); });
        done = end;
      };
      if (unroll > 1) run(lanes, unroll);
      if (overrun) {
        builder_.loop(done, last, kLanes, [&](Value *i) { vectors(i, kLanes, 1); });
        return;
      }
      run(lanes, 1);
      if (lanes > kLanes) run(kLanes, 1);
      builder_.loop(done, last, 1, [&](Value *i) { vectors(i, 1, 1); });
    });
  }

  // Reductions along their own variables, several results at a time: rows along the last index, tokens along the one
  // before, unless an extent depends on them.
  void emit_blocks(const Stage &stage, const std::vector<size_t> &loops, const Bindings &bindings) {
    const size_t row = vector_position(stage, loops);
    const int64_t rows = advances_together(stage, row) ? parameter("rows", 4) : 1;
    std::vector<StageLoop> nest;
    bool tokens_placed = false;
    for (auto position = loops.rbegin(); position != loops.rend(); ++position) {
      int64_t factor = *position == row ? rows : 1;
      if (*position != row && !tokens_placed && advances_together(stage, *position)) {
        factor = parameter("tokens", 1);
        tokens_placed = true;
      }
      nest.insert(nest.begin(), {*position, factor});
    }
    emit_stage_loops(stage, nest, 0, {bindings}, [&](const std::vector<Bindings> &all) {
      const bool single_token = static_cast<int64_t>(all.size()) <= rows;
      reductions_.choices = {parameter("unroll", 1), single_token ? parameter("prefetch", 0) : 0, stage.vars[row].name,
                             rows, range(stage.vars[row], stage.tiled == static_cast<int>(row), all.front()).second};
      const Values values = reductions_.evaluate(stage.value, all);
      for (size_t i = 0; i < all.size(); ++i) write(stage, all[i], values[i]);
    });
  }

  void write(const Stage &stage, const Bindings &at, Value *value) {
    const std::string &name = stage.tensor->name;
    if (stage.tensor->role == Role::Local && !plan_.buffers.count(name)) {
      expressions_.views[name].value = value;
      return;
    }
    expressions_.store(value, expressions_.address(name, indices(stage), at));
  }

  static std::vector<ExprPtr> indices(const Stage &stage) {
    std::vector<ExprPtr> all;
    for (const IndexVar &var : stage.vars) all.push_back(compiler::named(Op::Var, compiler::Type::I32, var.name));
    return all;
  }

  // Rows of a padded output end in zeros; the tile that has the row's end writes them.
  void emit_padding(const Stage &stage, const std::vector<size_t> &loops, const Bindings &bindings) {
    if (stage.tensor->role != Role::Out || stage.tensor->pad <= 1 || stage.vars.empty()) return;
    const size_t last = stage.vars.size() - 1;
    std::vector<StageLoop> outer;
    for (const size_t position : loops)
      if (position != last) outer.push_back({position, 1});
    emit_stage_loops(stage, outer, 0, {bindings}, [&](const std::vector<Bindings> &all) {
      const Bindings &inside = all.front();
      Value *extent = expressions_.index(stage.vars[last].extent, inside);
      Value *pad = builder_.i64(stage.tensor->pad);
      Value *excess = b_.CreateURem(extent, pad);
      Value *ragged = b_.CreateICmpNE(excess, builder_.i64(0));
      if (stage.tiled == static_cast<int>(last))
        ragged = b_.CreateAnd(
            ragged, b_.CreateAnd(b_.CreateICmpEQ(tile_.second, extent), b_.CreateICmpSLT(tile_.first, tile_.second)));
      builder_.when(ragged, [&] {
        const int64_t bytes = compiler::type_bytes(stage.tensor->type);
        Value *end =
            expressions_.address(stage.tensor->name, indices(stage), inside.with(stage.vars[last].name, extent));
        b_.CreateMemSet(end, b_.getInt8(0), b_.CreateMul(b_.CreateSub(pad, excess), builder_.i64(bytes)),
                        llvm::MaybeAlign(1));
      });
    });
  }

  KernelBuilder &builder_;
  llvm::IRBuilder<> &b_;
  LoopPlan plan_;
  ExprEmitter expressions_;
  ReductionEmitter reductions_;
  std::pair<Value *, Value *> tile_;
};

}  // namespace

void emit_loops(KernelBuilder &builder) { LoopsEmitter(builder).emit(); }

}  // namespace bittern::codegen
