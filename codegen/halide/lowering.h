// Inside the Halide translation units: a kernel under construction as Halide Funcs. Expressions are translated one to
// one; locals are expanded where they are used unless the structure stores them; every reduction becomes a few helper
// Funcs that are computed inside the tile loop of the Func that needs them.
#pragma once
#include <Halide.h>

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "codegen/halide/pipeline.h"
#include "schedules/contraction.h"
#include "schedules/layout.h"

namespace bittern::codegen::halide {

// What an index variable of the IR stands for in the Func at hand: base + local.
struct Binding {
  Halide::Expr base;        // the same for the whole call; undefined when 0
  Halide::Expr local;       // a Var of the Func, or any expression
  Halide::Expr extent;      // number of values the variable takes
  compiler::ExprPtr count;  // the same in the IR
  int64_t tile = 1;  // so many values are computed together; then indices behind the extent are clamped to the last
  bool clamp = false;
  int prefix = -1;  // position in the thunk's loops; then no loop of Halide's changes it

  bool constant() const { return prefix >= 0; }
  Halide::Expr unclamped() const { return base.defined() ? base + local : local; }
  Halide::Expr value() const { return clamp ? Halide::min(unclamped(), extent - 1) : unclamped(); }
};

struct Helper;

// Where a helper is computed. (Halide's own type does not tell before lowering.)
struct Place {
  Halide::LoopLevel level;
  bool root = false;

  Place(const Halide::Func &func, const Halide::VarOrRVar &loop) : level(func, loop) {}
  static Place at_root() {
    Place place;
    place.level = Halide::LoopLevel::root();
    place.root = true;
    return place;
  }

 private:
  Place() = default;
};

// The reductions that one Func needs, and what they ask of its schedule.
struct Stage {
  Halide::Var vector_var;  // the Func's innermost variable
  bool has_vector_var = false;
  std::vector<std::unique_ptr<Helper>> helpers;
  bool irregular = false;  // a reduction is used at several places of a tile: tiles do not fit
  bool column = false;     // a reduction wants to be vectorised along the Func's innermost variable
};

struct Scope {
  std::map<std::string, Binding> vars;
  std::map<std::string, Halide::Expr> lets;
  Stage *stage = nullptr;
};

// A reduction as Funcs over the index variables it depends on.
struct Helper {
  compiler::ExprPtr node;
  std::string key;
  // One dimension for each index variable.
  std::vector<Halide::Var> dims;
  std::vector<int64_t> tiles;
  std::vector<compiler::ExprPtr> counts;
  bool follows_vector_var = false;
  size_t vector_dim = 0;  // which dimension follows it
  Stage inner;            // reductions inside its terms
  std::function<Halide::Expr(const std::vector<Halide::Expr> &)> result;
  // Computes the helper at a loop of its consumer, or at root.
  std::function<void(const Place &)> schedule;
  // GEMM: computes what a whole block of rows shares.
  std::function<void(const Place &)> schedule_block;
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

class Lowering {
 public:
  Lowering(const Request &request, const Structure &structure, int64_t tile, const std::string &function);
  HalideCode run();

 private:
  using Expr = Halide::Expr;

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
  void define_nested(Helper &helper, const Scope &body);
  void define_columns(Helper &helper, const Scope &body, const std::string &column);
  int64_t column_width(const compiler::ExprPtr &count) const;
  void define_pairs(Helper &helper, const Scope &body);
  Halide::Func make_tree(Helper &helper, Halide::Func lanes, std::vector<Halide::Func> &levels);
  void compute(const Helper &helper, Halide::Func func, const Place &place, int64_t lanes);
  Halide::Expr wanted_extent(const compiler::ExprPtr &extent, const Scope &body, bool &varies);

  // ternary.cpp: weights in 2-bit fields times int8 activations.
  bool is_contraction(const compiler::ExprPtr &node) const { return contractions_.count(node.get()) > 0; }
  void define_contraction(Helper &helper, const Scope &body);
  void define_gemv(Helper &helper, const TernarySums &sums, const Halide::ImageParam &weights, int64_t ahead);
  void define_gemm(Helper &helper, const TernarySums &sums);
  void schedule_products(const TernarySums::Piece &piece, const std::vector<Halide::Var> &tiled,
                         const std::vector<Halide::Var> &dims, const Halide::ImageParam *prefetched, int64_t ahead);
  Place tile_gemm(Halide::Func func, const std::vector<Halide::Var> &vars, const std::vector<int64_t> &tiles,
                  Stage &stage);

  // funcs.cpp: outputs and stored locals.
  void define_kernel();
  void bound_output(Halide::OutputImageParam buffer, size_t output);
  // One Func for definitions that have the same indices: a value each.
  void define(const std::vector<const compiler::Definition *> &definitions, Halide::Func func);
  Scope definition_scope(const compiler::Definition &definition, const std::vector<Halide::Var> &vars,
                         const std::vector<int64_t> &tiles, Stage &stage);
  std::vector<int64_t> wanted_tiles(const compiler::Definition &definition, size_t variables) const;
  void schedule_func(Halide::Func func, const std::vector<Halide::Var> &vars, const std::vector<int64_t> &tiles,
                     Stage &stage);

  // Chooses stack or scratch for a Func of `elements` elements; counts what it takes from either.
  void store(Halide::Func func, const Linear &elements, int bytes);
  Linear bound(const compiler::ExprPtr &e) const { return upper_bound(spec_, request_.fixed, e); }
  int64_t fixed_size(const compiler::ExprPtr &e, const char *what) const;

  const Request &request_;
  const compiler::KernelSpec &spec_;
  const Structure &structure_;
  const schedules::Schedule &schedule_;
  int64_t tile_;
  std::string function_;

  std::set<const compiler::Expr *> wrapping_;  // i32 operations that may leave i32
  std::map<std::string, Expr> sizes_, scalars_;
  std::vector<Halide::Argument> arguments_;
  std::map<std::string, Halide::ImageParam> inputs_;
  std::vector<Expr> prefix_, extents_;
  Expr first_tile_;
  std::map<std::string, Halide::Func> stored_;
  std::map<const compiler::Expr *, schedules::Contraction> contractions_;
  std::map<const compiler::Expr *, compiler::ExprPtr> activation_sums_;  // made for contractions without a given
  std::vector<Halide::Func> outputs_;
  Linear scratch_;
  int64_t stack_ = 0;
  std::vector<std::unique_ptr<Stage>> stages_;
};

}  // namespace bittern::codegen::halide
