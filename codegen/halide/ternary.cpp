// Ternary weights times int8 activations: codes (trit + 1) of the i2r layouts, 32 to a vector, multiplied and added in
// int16 (vpmaddubsw), widened to int32 after a bounded number of steps, summed across the vector at the end. The sum of
// the activations, which the codes' offset adds, is subtracted by the caller.
#include <fmt/format.h>

#include "codegen/halide/lowering.h"
#include "compiler/error.h"
#include "compiler/printer.h"

namespace bittern::codegen::halide {

using compiler::ExprPtr;
using Halide::cast;
using Halide::Expr;
using Halide::Func;
using Halide::RDom;
using Halide::Var;
using Halide::VarOrRVar;

namespace {

constexpr int kLanes = 16;   // int16 lanes of a vector
constexpr int kBlock = 128;  // weights of one row in a unit of the layout
constexpr int kUnitBytes = 32;

std::vector<Expr> arguments(const std::vector<Expr> &first, const std::vector<Var> &dims) {
  std::vector<Expr> all = first;
  all.insert(all.end(), dims.begin(), dims.end());
  return all;
}

// Whether the layout is a rows layout: units of 128 weights of one row, rows of a tile interleaved by units.
bool is_rows_layout(const schedules::Layout &layout) {
  const auto &digits = layout.fields_low_to_high;
  return digits.size() == 5 && layout.k_tile == kBlock && digits[0].dimension == 'k' && digits[0].divisor == 32 &&
         digits[1].dimension == 'k' && digits[1].divisor == 1 && digits[1].radix == 32 && digits[2].dimension == 'n' &&
         digits[2].divisor == 1 && digits[3].dimension == 'k' && digits[3].divisor == kBlock;
}

}  // namespace

int64_t Lowering::fixed_size(const ExprPtr &e, const char *what) const {
  try {
    return compiler::evaluate(e, request_.fixed);
  } catch (const Error &) {
    throw Error(
        fmt::format("halide.{} needs {} ({}) to be fixed", schedule_.template_name, what, compiler::print_expr(e)));
  }
}

void Lowering::define_contraction(Helper &helper, const Scope &body) {
  const schedules::Contraction &c = contractions_.at(helper.node.get());
  const schedules::Layout &layout = schedules::find_layout(schedule_.layout);
  if (!is_rows_layout(layout))
    throw Error(fmt::format("halide.{} cannot read layout {}", schedule_.template_name, layout.name));
  if (c.activation_pad % 64 != 0)
    throw Error(fmt::format("halide.{} reads {} in steps of 64, and its rows are not padded to that",
                            schedule_.template_name, c.activations));
  const int rows = static_cast<int>(fixed_size(c.rows, "the number of weight rows"));
  const int depth = static_cast<int>(fixed_size(c.depth, "the length of weight rows"));
  const int length = static_cast<int>(fixed_size(c.extent, "the number of products"));
  if (c.group && length % 64 != 0) throw Error(fmt::format("groups of {} weights are not a multiple of 64", length));
  const int tile_rows = static_cast<int>(layout.row_tile), units = (depth + kBlock - 1) / kBlock;
  const int groups = (rows + tile_rows - 1) / tile_rows;

  // The weights of row, block, byte and 2-bit field.
  Expr row;
  bool clamp = false;
  if (c.row->op == compiler::Op::Var) {
    row = body.vars.at(c.row->name).unclamped();
    clamp = body.vars.at(c.row->name).clamp;
  } else {
    row = translate(c.row, body);
  }
  const Expr group = clamp ? Halide::min(row / tile_rows, groups - 1) : row / tile_rows;
  const Halide::ImageParam weights = inputs_.at(c.weights);
  const Expr group_index = c.group ? translate(c.group, body) : Expr(0);
  std::vector<Expr> lead;
  for (size_t i = c.lead.size(); i-- > 0;) lead.push_back(translate(c.lead[i], body));
  const Halide::ImageParam activations = inputs_.at(c.activations);
  const Expr first = group_index * length;

  // Steps are whole blocks of four fields, or half blocks of two when groups begin inside blocks.
  const bool halves = c.group && length % kBlock != 0;
  const int fields = halves ? 2 : 4, step = halves ? 64 : kBlock;
  const int whole = c.group ? length / step : depth / kBlock + (depth % kBlock > 64 ? 1 : 0);
  const bool half_left = !c.group && depth % kBlock != 0 && depth % kBlock <= 64;
  const auto code = [&](const Expr &byte, const Expr &field, const Expr &block) {
    const Expr at = halves ? (group_index * (length / 64) + block) / 2 : group_index * (length / kBlock) + block;
    const Expr shift = halves ? (group_index * (length / 64) + block) % 2 * 4 + 2 * field : 2 * field;
    const Expr packed = weights(((group * units + at) * tile_rows + row % tile_rows) * kUnitBytes + byte);
    return (packed >> cast<uint8_t>(shift)) & cast<uint8_t>(3);
  };
  const auto activation = [&](const Expr &byte, const Expr &field, const Expr &block) {
    std::vector<Expr> at = {first + block * step + field * 32 + byte};
    at.insert(at.end(), lead.begin(), lead.end());
    return activations(at);
  };

  // int16 sums of `count` steps from `begin` on, and of the half block that is left.
  const Var l("l"), chunk("chunk");
  const std::vector<Var> &dims = helper.dims;
  struct Piece {
    Func func;
    std::vector<RDom> domains;
    bool chunked;
  };
  const auto make_piece = [&](const char *name, const Expr &begin, int count, bool with_half, bool chunked) {
    Piece piece{Func(name), {}, chunked};
    std::vector<Expr> at = arguments({l}, dims);
    if (chunked) at.push_back(chunk);
    std::vector<Var> vars = {l};
    vars.insert(vars.end(), dims.begin(), dims.end());
    if (chunked) vars.push_back(chunk);
    piece.func(vars) = cast<int16_t>(0);
    const auto accumulate = [&](const RDom &q, const Expr &block) {
      const Expr byte = 2 * l + q.x;
      piece.func(vars) = Halide::saturating_add(
          piece.func(vars), Halide::widening_mul(code(byte, q.y, block), activation(byte, q.y, block)));
      piece.domains.push_back(q);
    };
    if (count > 0) {
      const RDom q(0, 2, 0, fields, 0, count);
      accumulate(q, begin + q.z);
    }
    if (with_half) {
      const RDom q(0, 2, 0, 2, 0, 1);
      accumulate(q, begin + count);
    }
    return piece;
  };
  const int most = static_cast<int>(schedule_.get("chunk", 8)) * (halves ? 2 : 1);
  const int chunks = std::max(1, (whole + (half_left ? 1 : 0) + most - 1) / most);
  const int size = (whole + chunks - 1) / chunks, full = size ? whole / size : 0, rest = whole - full * size;
  std::vector<Piece> pieces;
  if (full > 0) pieces.push_back(make_piece("products", chunk * size, size, false, true));
  if (rest > 0 || half_left) pieces.push_back(make_piece("last", full * size, rest, half_left, false));

  Func wide("wide"), total("total");
  const Var l8("l8");
  std::vector<Var> wide_vars = {l8};
  wide_vars.insert(wide_vars.end(), dims.begin(), dims.end());
  wide(wide_vars) = 0;
  std::vector<RDom> widened;
  for (const Piece &piece : pieces) {
    const RDom h(0, 2, 0, piece.chunked ? full : 1);
    std::vector<Expr> at = arguments({2 * l8 + h.x}, dims);
    if (piece.chunked) at.push_back(h.y);
    wide(wide_vars) += cast<int32_t>(piece.func(at));
    widened.push_back(h);
  }
  const RDom lane(0, 8);
  total(dims) = 0;
  total(dims) += wide(arguments({lane.x}, dims));
  helper.result = [total](const std::vector<Expr> &at) { return total(at); };

  Helper *self = &helper;
  helper.schedule = [=, this](const Place &place) mutable {
    const auto unroll = [&](auto stage) {
      for (size_t i = 0; i < self->dims.size(); ++i)
        if (self->tiles[i] > 1) stage.unroll(self->dims[i]);
    };
    const auto loops = [&](std::vector<VarOrRVar> before, const std::vector<VarOrRVar> &after) {
      before.insert(before.end(), self->dims.begin(), self->dims.end());
      before.insert(before.end(), after.begin(), after.end());
      return before;
    };
    compute(*self, total, place, 1);
    unroll(Halide::Stage(total));
    total.update(0).atomic().vectorize(lane.x);
    unroll(total.update(0));
    compute(*self, wide, place, 8);
    wide.bound(l8, 0, 8).vectorize(l8, 8);
    unroll(Halide::Stage(wide));
    for (size_t i = 0; i < pieces.size(); ++i) {
      const RDom &h = widened[i];
      wide.update(static_cast<int>(i)).reorder(loops({h.x, l8}, {h.y})).atomic().vectorize(h.x).vectorize(l8, 8);
      unroll(wide.update(static_cast<int>(i)));
      Func part = pieces[i].func;
      compute(*self, part, pieces[i].chunked ? Place(wide, h.y) : place, kLanes);
      part.bound(l, 0, kLanes).vectorize(l, kLanes);
      unroll(Halide::Stage(part));
      for (size_t d = 0; d < pieces[i].domains.size(); ++d) {
        const RDom &q = pieces[i].domains[d];
        Halide::Stage update = part.update(static_cast<int>(d));
        update.reorder(loops({q.x, l}, {q.y, q.z})).atomic(true).vectorize(q.x).vectorize(l, kLanes);
        unroll(update);
        update.unroll(q.y);
        const int unrolled = static_cast<int>(schedule_.get("unroll", 1));
        if (unrolled > 1) update.unroll(q.z, unrolled);
      }
    }
  };
}

}  // namespace bittern::codegen::halide
