// Inside the Halide translation units: a planned kernel under construction as Halide Funcs. Every stage of the plan is
// a Func, expressions are translated one to one; every reduction becomes a few helper Funcs that are computed inside
// the tile loop of the Func that needs them. Names carry numbers: Halide goes by their order where it may choose one.
#pragma once
#include <Halide.h>

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "codegen/halide/pipeline.h"
#include "schedules/contraction.h"

namespace bittern::codegen::halide {

// What an index variable of the IR stands for in the Func at hand: base + local.
struct Binding {
  Halide::Expr base;        // the same for the whole call; undefined when 0
  Halide::Expr local;       // a Var of the Func, or any expression
  Halide::Expr extent;      // number of values the variable takes
  compiler::ExprPtr count;  // the same in the IR
  int64_t tile = 1;         // so many values are computed together
  bool clamp = false;       // then indices behind the extent are clamped to the last
  bool constant = false;    // an index of the thunk's loops: no loop of Halide's changes it

  Halide::Expr unclamped() const { return base.defined() ? base + local : local; }
  Halide::Expr value() const { return clamp ? Halide::min(unclamped(), extent - 1) : unclamped(); }
};

// Where a helper is computed: at a loop of its consumer, or at the root.
struct Place {
  Halide::LoopLevel level = Halide::LoopLevel::root();
  bool root = true;

  Place() = default;
  Place(const Halide::Func &func, const Halide::VarOrRVar &loop) : level(func, loop), root(false) {}
};

struct Helper;

// The reductions that one Func needs.
struct Needs {
  std::vector<std::unique_ptr<Helper>> helpers;
  std::string vector_var;  // the Func's innermost variable; empty when it has none
  bool column = false;     // reductions are vectorised along that variable
};

struct Scope {
  std::map<std::string, Binding> vars;
  std::map<std::string, Halide::Expr> lets;
  Needs *needs = nullptr;
};

// A reduction as Funcs over the index variables it depends on.
struct Helper {
  compiler::ExprPtr node;
  Halide::Expr value;  // in the Func that needs it
  // One dimension for each index variable, and what its consumer has there.
  std::vector<Halide::Var> dims;
  std::vector<Halide::Expr> arguments;
  std::vector<int64_t> tiles;
  std::vector<compiler::ExprPtr> counts;
  bool cut = false;     // a dimension has as many values as the tile
  int vector_dim = -1;  // which dimension follows the consumer's innermost variable
  Needs inner;          // reductions inside its terms
  std::function<void(const Place &)> schedule;
  // GEMM: computes what a whole block of rows shares.
  std::function<void(const Place &)> schedule_block;

  std::vector<Halide::Var> tiled() const;
};

// The int16 sums of a contraction: pieces of k, most of them chunks of one size.
struct TernarySums {
  struct Update {
    Halide::Func two;     // pairs of products
    Halide::RDom pair;    // what `two` sums over
    Halide::RDom domain;  // field, block
  };
  struct Piece {
    Halide::Func products;  // over a lane, the helper's dimensions and, with chunks, the chunk
    Halide::Var lane;
    std::vector<Update> updates;
    int chunks;  // 0: a single piece
    int fields;  // of a step
  };
  std::vector<Piece> pieces;
  Halide::Func codes;  // GEMM: unpacked codes over byte, field, unit and row
  std::vector<Halide::Var> code_dims;
  int64_t code_bytes = 0;  // of a row
};

// Lists of indices and of loops, joined.
template <typename T, typename First, typename Second>
std::vector<T> join(const std::vector<First> &first, const std::vector<Second> &second) {
  std::vector<T> all(first.begin(), first.end());
  all.insert(all.end(), second.begin(), second.end());
  return all;
}
using Exprs = std::vector<Halide::Expr>;
using Vars = std::vector<Halide::Var>;
using Loops = std::vector<Halide::VarOrRVar>;
inline Exprs at(const Exprs &first, const Vars &rest) { return join<Halide::Expr>(first, rest); }
inline Loops loops(const Loops &first, const Vars &dims, const Loops &last = {}) {
  return join<Halide::VarOrRVar>(join<Halide::VarOrRVar>(first, dims), last);
}

class Lowering {
 public:
  Lowering(const Request &request, const Plan &plan, const std::string &function, Descriptor &descriptor);
  Code run();

 private:
  using Expr = Halide::Expr;
  using Func = Halide::Func;

  // expressions.cpp: IR expressions to Halide's.
  Expr translate(const compiler::ExprPtr &e, const Scope &scope);
  Expr load(const compiler::ExprPtr &e, const Scope &scope);
  Expr load_trit(const std::string &tensor, const Expr &row, const Expr &column);
  Expr translate_cast(const compiler::ExprPtr &e, const Scope &scope);
  Expr call(const compiler::ExprPtr &e, const Scope &scope);
  Expr translate_extent(const compiler::ExprPtr &extent, const Scope &scope);

  // reductions.cpp: sums and extrema.
  Expr reduce(const compiler::ExprPtr &node, const Scope &scope);
  void define_lanes(Helper &helper, const Scope &body);
  void define_terms(Helper &helper, const Scope &body, bool column);
  int column_width(const compiler::ExprPtr &count) const;
  Expr wanted_extent(const compiler::ExprPtr &extent, const Scope &body, bool &varies);
  void compute(const Helper &helper, Func func, const Place &place, int64_t lanes);

  // ternary.cpp: weights in 2-bit fields times int8 activations.
  void define_contraction(Helper &helper, const Scope &body, const schedules::Contraction &c);
  void define_gemv(Helper &helper, const TernarySums &sums, const Halide::ImageParam &weights, int64_t ahead);
  void define_gemm(Helper &helper, const TernarySums &sums);
  void schedule_products(const TernarySums::Piece &piece, const Vars &tiled, const Vars &dims,
                         const Halide::ImageParam *prefetched, int64_t ahead);
  Place tile_gemm(Func func, const Vars &vars, const std::vector<int64_t> &tiles, const Needs &needs);
  int fixed_size(const compiler::ExprPtr &e, const char *what) const;

  // funcs.cpp: outputs and kept locals.
  void define_kernel();
  void bound_output(Halide::OutputImageParam buffer, const Stage &stage);
  // One Func for stages that have the same indices: a value each.
  void define(const std::vector<const Stage *> &stages, Func func);
  Scope stage_scope(const Stage &stage, const Vars &vars, const std::vector<int64_t> &tiles, Needs &needs);
  int64_t wanted_tile(const Stage &stage, size_t place) const;
  void schedule_func(Func func, const Vars &vars, const std::vector<int64_t> &tiles, const Needs &needs);
  // Chooses stack or scratch for a Func of `lanes` times the counts, each with `slack` more; counts what it takes. Only
  // scratch will do where Halide sees that a count is a `part` of what it is, but not which.
  void store(Func func, int64_t lanes, const std::vector<compiler::ExprPtr> &counts, bool part = false,
             int64_t slack = 0);
  // Upper bound of an index expression. Throws Error naming it when there is none that is linear in the sizes.
  Linear bound(const compiler::ExprPtr &e) const;

  bool is_gemm() const { return request_.schedule.template_name == "gemm"; }
  int parameter(const char *name) const { return static_cast<int>(request_.schedule.get(name, 1)); }

  const Request &request_;
  const compiler::KernelSpec &spec_;
  const Plan &plan_;
  const std::string function_;
  Descriptor &descriptor_;

  // The i32 operations that may leave i32, by their places in the text: the plan's copies keep them. Those that were
  // built in C++ have no place and wrap if one of them may.
  static auto place_of(const compiler::Expr &e) { return std::tuple(e.op, e.loc.line, e.loc.column); }
  bool wraps(const compiler::Expr &e) const {
    return e.type == compiler::Type::I32 && wrapping_.count(place_of(e)) != 0;
  }
  std::set<std::tuple<compiler::Op, int, int>> wrapping_;
  std::map<std::string, Expr> sizes_, scalars_;
  std::vector<Halide::Argument> arguments_;
  std::map<std::string, Halide::ImageParam> inputs_;
  Exprs outer_, extents_;
  Expr first_tile_;
  std::map<std::string, Func> kept_;
  std::vector<Func> outputs_;
  std::vector<compiler::IndexVar> indices_;  // of all stages
  int64_t stack_ = 0;
  std::vector<std::unique_ptr<Needs>> needs_;
};

}  // namespace bittern::codegen::halide
