// Ternary weights times int8 activations: codes (trit + 1) of the i2r layouts, 32 to a vector, multiplied and added in
// int16 (vpmaddubsw), widened to int32 after a bounded number of steps, summed across the vector at the end. The sum of
// the activations, which the codes' offset adds, is subtracted by the caller. GEMV streams the weights and keeps a few
// rows in registers; GEMM unpacks a block of rows once and passes tokens over it, one chunk of k after the other.
#include <fmt/format.h>

#include "codegen/halide/lowering.h"
#include "compiler/error.h"
#include "compiler/printer.h"
#include "schedules/layout.h"

namespace bittern::codegen::halide {

using compiler::ExprPtr;
using Halide::cast;
using Halide::Expr;
using Halide::Func;
using Halide::RDom;
using Halide::Var;

namespace {

constexpr int kLanes = 16;   // int16 lanes of a vector
constexpr int kBlock = 128;  // weights of one row in a unit of the layout
constexpr int kUnitBytes = 32;

}  // namespace

int Lowering::fixed_size(const ExprPtr &e, const char *what) const {
  try {
    return static_cast<int>(compiler::evaluate(e, request_.fixed));
  } catch (const Error &) {
    throw Error(fmt::format("halide.{} needs {} ({}) to be fixed", request_.schedule.template_name, what,
                            compiler::print_expr(e)));
  }
}

void Lowering::define_contraction(Helper &helper, const Scope &body, const schedules::Contraction &c) {
  const std::string &used = request_.schedule.template_name;
  const schedules::Layout &layout = schedules::find_layout(request_.schedule.layout);
  if (layout.family != schedules::LayoutFamily::Rows)
    throw Error(fmt::format("halide.{} cannot read layout {}", used, layout.name));
  if (c.activation_pad % 64 != 0)
    throw Error(
        fmt::format("halide.{} reads {} in steps of 64, and its rows are not padded to that", used, c.activations));
  const bool gemm = is_gemm();
  if (gemm && (helper.vector_dim < 0 || helper.dims.size() != 2 || c.group))
    throw Error("halide.gemm wants sums over whole rows of weights that run along the output's innermost index");
  const int rows = fixed_size(c.rows, "the number of weight rows");
  const int depth = fixed_size(c.depth, "the length of weight rows");
  const int length = fixed_size(c.extent, "the number of products");
  if (c.group && length % 64 != 0) throw Error(fmt::format("groups of {} weights are not a multiple of 64", length));
  const int tile_rows = static_cast<int>(layout.row_tile), units = (depth + kBlock - 1) / kBlock;
  const int groups = (rows + tile_rows - 1) / tile_rows;

  Expr row;
  bool clamp = false;
  if (c.row->op == compiler::Op::Var) {
    row = body.vars.at(c.row->name).unclamped();
    clamp = body.vars.at(c.row->name).clamp;
  } else {
    row = translate(c.row, body);
  }
  const Expr group = clamp ? Halide::min(row / tile_rows, groups - 1) : row / tile_rows;
  const Halide::ImageParam weights = inputs_.at(c.weights), activations = inputs_.at(c.activations);
  const Expr group_index = c.group ? translate(c.group, body) : Expr(0);
  std::vector<Expr> lead;
  for (size_t i = c.lead.size(); i-- > 0;) lead.push_back(translate(c.lead[i], body));

  // A step is a whole block of four fields, or half a block of two when groups begin inside blocks. GEMM, whose codes
  // are unpacked already, takes one field at a time.
  const bool halves = c.group && length % kBlock != 0;
  const int fields = gemm ? 1 : halves ? 2 : 4, step = fields * kUnitBytes;
  const bool half_left = !gemm && !c.group && depth % kBlock != 0 && depth % kBlock <= kBlock / 2;
  const int padded = (length + kBlock / 2 - 1) / (kBlock / 2) * (kBlock / 2);
  const int whole = half_left ? padded / kBlock : (padded + step - 1) / step;
  const auto unpacked = [&](const Expr &byte, const Expr &field, const Expr &unit) {
    const Expr packed = weights(((group * units + unit) * tile_rows + row % tile_rows) * kUnitBytes + byte);
    return (packed >> cast<uint8_t>(2 * field)) & cast<uint8_t>(3);
  };
  const Var byte_var("byte"), step_var("step"),
      unit_dim = gemm ? helper.dims[static_cast<size_t>(helper.vector_dim)] : Var();
  Func codes("codes");
  if (gemm) codes(byte_var, step_var, unit_dim) = unpacked(byte_var, step_var % 4, step_var / 4);
  const auto code = [&](const Expr &byte, const Expr &field, const Expr &block) {
    if (gemm) return Expr(codes(byte, block, unit_dim));
    if (!halves) return unpacked(byte, field, group_index * (length / kBlock) + block);
    const Expr half = group_index * (length / step) + block;
    return unpacked(byte, half % 2 * 2 + field, half / 2);
  };
  const auto activation = [&](const Expr &byte, const Expr &field, const Expr &block) {
    std::vector<Expr> at = {group_index * length + block * step + field * 32 + byte};
    at.insert(at.end(), lead.begin(), lead.end());
    return activations(at);
  };

  // int16 sums of `count` steps from `begin` on, and of the half block that is left at the end of the row.
  TernarySums sums;
  const Var l("l"), chunk("chunk");
  const auto add_piece = [&](const char *name, const Expr &begin, int count, bool with_half, int chunks) {
    TernarySums::Piece piece{Func(name), l, {}, chunks, fields};
    Vars vars = join<Var>(Vars{l}, helper.dims);
    if (chunks > 0) vars.push_back(chunk);
    piece.products(vars) = cast<int16_t>(0);
    // Two neighbouring products by a saturating sum, which is what vpmaddubsw computes and nothing reaches its limits;
    // then a plain addition, which processors have more units for than for a saturating one.
    const auto accumulate = [&](const RDom &q, const Expr &base) {
      const Var field("field"), block("block");
      const RDom pair(0, 2);
      const Vars pair_vars = join<Var>(vars, Vars{field, block});
      Func two("two");
      const Expr byte = 2 * l + pair;
      two(pair_vars) = cast<int16_t>(0);
      two(pair_vars) = Halide::saturating_add(
          two(pair_vars), Halide::widening_mul(code(byte, field, base + block), activation(byte, field, base + block)));
      piece.products(vars) += two(join<Expr>(vars, Exprs{q.x, q.y}));
      piece.updates.push_back({two, pair, q});
    };
    if (count > 0) accumulate(RDom(0, fields, 0, count), begin);
    if (with_half) accumulate(RDom(0, 2, 0, 1), begin + count);
    sums.pieces.push_back(piece);
  };
  const int most = parameter("chunk") * 4 / fields, unroll = parameter("unroll");
  const int chunks = std::max(1, (whole + (half_left ? 1 : 0) + most - 1) / most);
  const int size = std::min(most, ((whole + chunks - 1) / chunks + unroll - 1) / unroll * unroll);
  const int full = size ? whole / size : 0, rest = whole - full * size;
  if (full > 0) add_piece("products", chunk * size, size, false, full);
  if (rest > 0 || half_left) add_piece("last", full * size, rest, half_left, 0);

  if (gemm) {
    sums.codes = codes;
    sums.code_dims = {byte_var, step_var};
    sums.code_bytes = int64_t{kBlock} * units;
    define_gemm(helper, sums);
  } else {
    const int64_t ahead = request_.schedule.get("prefetch", 0) / (kUnitBytes * tile_rows);
    define_gemv(helper, sums, weights, ahead);
  }
}

// The int16 sums of a register tile: dims that are computed together are unrolled.
void Lowering::schedule_products(const TernarySums::Piece &piece, const Vars &tiled, const Vars &dims,
                                 const Halide::ImageParam *prefetched, int64_t ahead) {
  Func products = piece.products;
  const auto unroll = [&](auto stage) {
    for (const Var &dim : tiled) stage.unroll(dim);
  };
  products.bound(piece.lane, 0, kLanes).vectorize(piece.lane, kLanes);
  unroll(Halide::Stage(products));
  for (size_t u = 0; u < piece.updates.size(); ++u) {
    const TernarySums::Update &part = piece.updates[u];
    const RDom &q = part.domain;
    Halide::Stage update = products.update(static_cast<int>(u));
    if (prefetched && ahead > 0)
      update.prefetch(*prefetched, q.y, q.y, static_cast<int>(ahead), Halide::PrefetchBoundStrategy::NonFaulting);
    update.reorder(loops({piece.lane}, dims, {q.x, q.y})).vectorize(piece.lane, kLanes);
    unroll(update);
    Halide::RVar at = q.y;
    const int unrolled = parameter("unroll");
    if (unrolled > 1) {
      const Halide::RVar outer("steps"), inner("unrolled");
      update.split(q.y, outer, inner, unrolled).unroll(inner);
      at = inner;
    }
    if (piece.fields > 1) {
      update.unroll(q.x);
      at = q.x;
    }
    Func two = part.two;
    two.compute_at(products, at).store_in(Halide::MemoryType::Stack);
    two.bound(piece.lane, 0, kLanes).vectorize(piece.lane, kLanes);
    unroll(Halide::Stage(two));
    two.update(0).reorder(loops({part.pair.x, piece.lane}, dims)).atomic(true).vectorize(part.pair.x);
    two.update(0).vectorize(piece.lane, kLanes);
    unroll(two.update(0));
  }
}

void Lowering::define_gemv(Helper &helper, const TernarySums &sums, const Halide::ImageParam &weights, int64_t ahead) {
  Func wide("wide"), total("total");
  const Var l8("l8");
  const Vars wide_vars = join<Var>(Vars{l8}, helper.dims);
  wide(wide_vars) = 0;
  std::vector<RDom> widened;
  for (const TernarySums::Piece &piece : sums.pieces) {
    const RDom h(0, 2, 0, std::max(1, piece.chunks));
    Exprs from = at({2 * l8 + h.x}, helper.dims);
    if (piece.chunks > 0) from.push_back(h.y);
    wide(wide_vars) += cast<int32_t>(piece.products(from));
    widened.push_back(h);
  }
  const RDom lane(0, 8);
  total(helper.dims) = 0;
  total(helper.dims) += wide(at({lane.x}, helper.dims));
  helper.value = total(helper.arguments);

  Helper *self = &helper;
  helper.schedule = [=, this](const Place &place) mutable {
    const Vars tiled = self->tiled();
    const auto unroll = [&](auto stage) {
      for (const Var &dim : tiled) stage.unroll(dim);
    };
    compute(*self, total, place, 1);
    unroll(Halide::Stage(total));
    total.update(0).atomic().vectorize(lane.x);
    unroll(total.update(0));
    compute(*self, wide, place, 8);
    wide.bound(l8, 0, 8).vectorize(l8, 8);
    unroll(Halide::Stage(wide));
    for (size_t i = 0; i < sums.pieces.size(); ++i) {
      const RDom &h = widened[i];
      Halide::Stage update = wide.update(static_cast<int>(i));
      update.reorder(loops({h.x, l8}, self->dims, {h.y})).atomic().vectorize(h.x).vectorize(l8, 8);
      unroll(update);
      const TernarySums::Piece &piece = sums.pieces[i];
      // Inside the update, so that the weights are read in the order in which they lie.
      compute(*self, piece.products, Place(wide, h.y), kLanes);
      schedule_products(piece, tiled, self->dims, &weights, ahead);
    }
  };
}

// The helper's dimensions are a whole block of rows and tokens; register tiles are cut from it inside each chunk.
void Lowering::define_gemm(Helper &helper, const TernarySums &sums) {
  Func total("total");
  const Var l8("l8"), chunk("chunk");
  const Vars dims = helper.dims;
  const size_t n = static_cast<size_t>(helper.vector_dim), m = 1 - n;
  total(dims) = 0;
  std::vector<Func> wide;
  std::vector<RDom> halves, lanes;
  for (const TernarySums::Piece &piece : sums.pieces) {
    const RDom h(0, 2), lane(0, 8, 0, std::max(1, piece.chunks));
    Func pairs("pairs");
    Vars vars = join<Var>(Vars{l8}, dims);
    Exprs from = at({2 * l8 + h.x}, dims), to = at({lane.x}, dims);
    if (piece.chunks > 0) {
      vars.push_back(chunk);
      from.push_back(chunk);
      to.push_back(lane.y);
    }
    pairs(vars) = 0;
    pairs(vars) += cast<int32_t>(piece.products(from));
    total(dims) += pairs(to);
    wide.push_back(pairs);
    halves.push_back(h);
    lanes.push_back(lane);
  }
  helper.value = total(helper.arguments);

  Helper *self = &helper;
  helper.schedule_block = [=, this](const Place &place) mutable {
    Func codes = sums.codes;
    codes.compute_at(place.level);
    codes.bound(sums.code_dims[0], 0, kUnitBytes);
    codes.bound(sums.code_dims[1], 0, static_cast<int>(sums.code_bytes / kUnitBytes));
    codes.bound_extent(dims[n], static_cast<int>(self->tiles[n]));
    codes.vectorize(sums.code_dims[0], kUnitBytes).unroll(sums.code_dims[1], 4);
    store(codes, sums.code_bytes * self->tiles[n], {});
  };
  helper.schedule = [=, this](const Place &place) mutable {
    const int rows = parameter("rows"), tokens = parameter("tokens");
    compute(*self, total, place, 1);
    total.vectorize(dims[n], 8);
    for (size_t i = 0; i < sums.pieces.size(); ++i) {
      const RDom &lane = lanes[i];
      const Var no("no"), ni("ni"), mo("mo"), mi("mi");
      Halide::Stage update = total.update(static_cast<int>(i));
      update.split(dims[n], no, ni, rows).split(dims[m], mo, mi, tokens);
      const bool tokens_inside = request_.schedule.get("order", 0) == 0;
      update.reorder({lane.x, ni, mi, tokens_inside ? mo : no, tokens_inside ? no : mo, lane.y});
      update.atomic().vectorize(lane.x).vectorize(ni).unroll(mi);
      const Place tile(total, tokens_inside ? mo : no);
      for (Func func : {wide[i], sums.pieces[i].products}) {
        func.compute_at(tile.level);
        func.bound_extent(dims[n], rows).bound_extent(dims[m], tokens);
        store(func, int64_t{kLanes} * rows * tokens, {});
      }
      wide[i].bound(l8, 0, 8).vectorize(l8, 8).unroll(dims[n]).unroll(dims[m]);
      wide[i].update(0).reorder(loops({halves[i].x, l8}, dims)).atomic().vectorize(halves[i].x).vectorize(l8, 8);
      wide[i].update(0).unroll(dims[n]).unroll(dims[m]);
      schedule_products(sums.pieces[i], dims, dims, nullptr, 0);
    }
  };
}

// Loops of a GEMM: blocks of weight rows (unpacked once each), blocks of tokens that pass over them.
Place Lowering::tile_gemm(Func func, const Vars &vars, const std::vector<int64_t> &tiles, const Needs &needs) {
  if (vars.size() != 2) throw Error("halide.gemm wants an output of two indices");
  const auto guard = Halide::TailStrategy::GuardWithIf;
  const Var row_block("row_block"), row("row"), token_block("token_block"), token("token");
  func.split(vars[0], row_block, row, static_cast<int>(tiles[0]), guard)
      .split(vars[1], token_block, token, static_cast<int>(tiles[1]), guard)
      .reorder(row, token, token_block, row_block)
      .vectorize(row, 8);
  for (const auto &helper : needs.helpers) {
    if (helper->schedule_block) {
      helper->schedule_block(Place(func, row_block));
    } else if (helper->vector_dim >= 0) {
      throw Error("halide.gemm cannot compute another reduction along the rows of the weights");
    }
  }
  return Place(func, token_block);
}

}  // namespace bittern::codegen::halide
