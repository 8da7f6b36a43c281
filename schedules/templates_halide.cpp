// What Halide can generate, as rows of the template table: GEMV and GEMM over ternary weights, and loops over kernels
// without such sums. The spaces are built round the points that measured best by hand; `illegal` holds every limit of
// the generator, so that it never has to emit something it cannot do well.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "compiler/bounds.h"
#include "compiler/error.h"
#include "compiler/expr.h"
#include "compiler/token_size.h"
#include "schedules/contraction.h"
#include "schedules/layout.h"
#include "schedules/template.h"

namespace bittern::schedules {
namespace {

using compiler::ExprPtr;
using compiler::Interval;
using compiler::KernelSpec;
using compiler::Sizes;

constexpr Interval kActivation{-128, 127};

// What legality and prior need of a kernel. Asked for every point of the space, so the last answer is kept; the
// definitions' nodes are its key and are held alive by it.
struct Facts {
  std::vector<ExprPtr> key;
  std::vector<Contraction> contractions;
  std::string tokens;  // the size that counts them; empty when none does
  bool ternary = false, sums = false;
};

const Facts &facts(const KernelSpec &spec) {
  thread_local Facts last;
  std::vector<ExprPtr> key;
  for (const compiler::Definition &definition : spec.definitions) key.push_back(definition.value);
  if (last.key == key && !key.empty()) return last;
  last = {};
  last.key = std::move(key);
  last.contractions = find_contractions(spec);
  last.tokens = compiler::token_size(spec);
  for (const compiler::Tensor &tensor : spec.tensors) last.ternary |= tensor.type == compiler::Type::Ternary;
  for (const ExprPtr &value : last.key) last.sums |= compiler::has_reduction(value);
  return last;
}

// Halide's part is written for vectors of 32 bytes.
bool halide_target(const Target &target) { return target.vector_bytes == 32; }

bool contraction_applies(const KernelSpec &spec, const Target &target) {
  const std::vector<Contraction> &found = facts(spec).contractions;
  return halide_target(target) && !found.empty() &&
         std::all_of(found.begin(), found.end(), [](const Contraction &c) { return c.activation_pad % 64 == 0; });
}

bool grouped(const KernelSpec &spec) {
  const std::vector<Contraction> &found = facts(spec).contractions;
  return std::any_of(found.begin(), found.end(), [](const Contraction &c) { return c.group != nullptr; });
}

std::vector<Default> no_defaults(const KernelSpec &, const Target &) { return {}; }

// The layouts with units of 128 weights of a row, best first.
std::vector<std::string> rows_layouts(const KernelSpec &, const Target &) { return {"i2r4", "i2r8", "i2r2", "i2r1"}; }

// The value of a size expression, or 0 when the sizes do not say.
int64_t value_or_0(const ExprPtr &e, const Sizes &sizes) {
  try {
    return compiler::evaluate(e, sizes);
  } catch (const Error &) {
    return 0;
  }
}

int64_t tokens_of(const KernelSpec &spec, const Sizes &sizes) {
  const auto found = sizes.find(facts(spec).tokens);
  return found == sizes.end() ? 0 : found->second;
}

constexpr int64_t kGemvChunk = 8, kGemmChunk = 10;  // where a schedule does not say

// Sums of both ternary templates: int16 over `chunk` blocks of 128 weights (8 products a lane and block), int32 over
// the whole depth.
template <int64_t kDefaultChunk>
std::optional<std::string> overflow(const KernelSpec &spec, const Sizes &sizes, const Schedule &s, const Target &) {
  const int64_t chunk = s.get("chunk", kDefaultChunk);
  if (const auto reason = compiler::accumulator_overflow(Interval{0, 2}, kActivation, 8 * chunk, 16))
    return fmt::format("chunk={}: {}", chunk, *reason);
  for (const Contraction &c : facts(spec).contractions) {
    const int64_t length = value_or_0(c.extent, sizes);
    if (const auto reason = compiler::accumulator_overflow(Interval{0, 2}, kActivation, length, 32))
      return fmt::format("int32 sums of {} products: {}", length, *reason);
  }
  return std::nullopt;
}

// What else holds for both of their sums.
std::optional<std::string> illegal_sums(const KernelSpec &spec, const Sizes &sizes, int64_t chunk,
                                        const std::vector<Param> &params) {
  int64_t longest = 0;
  for (const Contraction &c : facts(spec).contractions) {
    const int64_t length = value_or_0(c.extent, sizes);
    longest = std::max(longest, length);
    if (c.group && length % 64 != 0) return fmt::format("groups of {} weights are not a multiple of 64", length);
  }
  const auto param = std::find_if(params.begin(), params.end(), [](const Param &p) { return p.name == "chunk"; });
  for (const int64_t smaller : param->values)
    if (longest > 0 && smaller < chunk && 128 * smaller >= longest)
      return fmt::format("chunk={} says no more than chunk={} for {} products", chunk, smaller, longest);
  return std::nullopt;
}

// --- gemv -----------------------------------------------------------------------------------------------------------

std::vector<Param> gemv_params(const KernelSpec &, const Target &) {
  return {{"rows", {1, 2, 4, 8}, 4, "weight rows that are summed together"},
          {"tokens", {1, 2, 4}, 1, "activation rows that a unit of weights meets"},
          {"unroll", {1, 2}, 1, "blocks of 128 weights a loop step"},
          {"chunk", {4, 8, 16}, kGemvChunk, "blocks of 128 weights summed in int16 before widening"},
          {"prefetch", {0, 1024, 2048, 4096, 8192}, 0, "bytes of weights fetched ahead"}};
}

std::optional<std::string> illegal_gemv(const KernelSpec &spec, const Sizes &sizes, const Schedule &s,
                                        const Target &target) {
  const int64_t rows = s.get("rows", 4), tokens = s.get("tokens", 1);
  const int64_t interleaved = find_layout(s.layout).row_tile;
  if (rows % interleaved != 0)
    return fmt::format("rows={} is not a multiple of the {} rows that layout {} interleaves", rows, interleaved,
                       s.layout);
  if (rows > interleaved && s.get("prefetch", 0) > 0)
    return fmt::format("rows={} of layout {} lie in several places, and one prefetch covers one", rows, s.layout);
  if (rows * tokens > 8) return fmt::format("rows={} times tokens={} sums do not fit 16 registers", rows, tokens);
  if (const int64_t m = tokens_of(spec, sizes); m > 0 && tokens > m)
    return fmt::format("tokens={} is more than {}={}", tokens, facts(spec).tokens, m);
  return illegal_sums(spec, sizes, s.get("chunk", kGemvChunk), gemv_params(spec, target));
}

// Cycles of a processor that does four vector operations a cycle and reads eight bytes of cold weights meanwhile.
constexpr double kOperationsPerCycle = 4, kBytesPerCycle = 8;

struct Work {
  double m, units, read, roof;
};
Work work_of(const KernelSpec &spec, const Sizes &sizes) {
  double weights = 0;
  for (const Contraction &c : facts(spec).contractions)
    weights += static_cast<double>(std::max<int64_t>(1, value_or_0(c.rows, sizes))) *
               static_cast<double>(std::max<int64_t>(1, value_or_0(c.depth, sizes)));
  const double units = weights / 128, read = units * 32 / kBytesPerCycle;
  const auto m = static_cast<double>(std::max<int64_t>(1, tokens_of(spec, sizes)));
  return {m, units, read, std::max(read, m * units * 8 / kOperationsPerCycle)};
}

double gemv_prior(const KernelSpec &spec, const Sizes &sizes, const Schedule &s, const Target &) {
  const Work work = work_of(spec, sizes);
  const auto tokens = static_cast<double>(s.get("tokens", 1)), rows = static_cast<double>(s.get("rows", 4));
  const double a_unit =
      7 + tokens * (8 + 2.0 / static_cast<double>(s.get("chunk", kGemvChunk)) + 0.6) + 2 * tokens / rows;
  const double operations = std::ceil(work.m / tokens) * work.units * a_unit / kOperationsPerCycle;
  double cost = std::max(operations, work.read) + 0.25 * std::min(operations, work.read);
  const int64_t prefetch = s.get("prefetch", 0);
  if (prefetch == 0) cost += 0.3 * work.read;
  if (prefetch == 1024) cost += 0.05 * work.read;
  cost += 0.1 * (rows / static_cast<double>(find_layout(s.layout).row_tile) - 1) * work.read;  // streams
  if (s.get("unroll", 1) > 1) cost += 0.03 * operations;
  return cost / work.roof;
}

// --- gemm -----------------------------------------------------------------------------------------------------------

std::vector<Param> gemm_params(const KernelSpec &, const Target &) {
  return {{"nb", {16, 32, 64}, 32, "weight rows unpacked into a block"},
          {"mb", {8, 16, 32, 128}, 16, "tokens that pass over a chunk of the block"},
          {"rows", {2, 4}, 2, "weight rows in the register tile"},
          {"tokens", {2, 4}, 4, "tokens in the register tile"},
          {"chunk", {5, 10, 16}, 10, "blocks of 128 weights summed in int16 before widening"},
          {"unroll", {1, 2}, 2, "steps of 32 weights a loop step"},
          {"order", {0, 1}, 1, "innermost over tiles: 0 tokens, 1 rows"}};
}

std::optional<std::string> illegal_gemm(const KernelSpec &spec, const Sizes &sizes, const Schedule &s,
                                        const Target &target) {
  const int64_t rows = s.get("rows", 2), tokens = s.get("tokens", 4), mb = s.get("mb", 16);
  if (rows * tokens != 8) return fmt::format("rows={} times tokens={} does not make 8 sums", rows, tokens);
  if (const int64_t m = tokens_of(spec, sizes); m > 0) {
    if (m < 8) return fmt::format("{}={} is too few to share unpacked weights", facts(spec).tokens, m);
    if (mb >= 2 * m) return fmt::format("mb={} is far more than {}={}", mb, facts(spec).tokens, m);
  }
  return illegal_sums(spec, sizes, s.get("chunk", kGemmChunk), gemm_params(spec, target));
}

double gemm_prior(const KernelSpec &spec, const Sizes &sizes, const Schedule &s, const Target &) {
  const Work work = work_of(spec, sizes);
  const auto mb = static_cast<double>(s.get("mb", 16)), chunk = static_cast<double>(s.get("chunk", kGemmChunk));
  const double unpack = work.units * 30;
  double tile = 8 + 6 / chunk;  // products; sums across vectors
  if (s.get("order", 1) == 0) tile += 1;
  if (s.get("rows", 2) == 4) tile += 0.3;
  if (s.get("unroll", 2) == 1) tile += 0.2;
  if (mb < 16) tile += 0.3;
  const double tokens = std::ceil(work.m / mb) * mb;
  return ((unpack + tokens * work.units * tile) / kOperationsPerCycle + 0.5 * work.read) / work.roof;
}

// --- loops ----------------------------------------------------------------------------------------------------------

// Ternary operands outside of contractions are read one trit at a time, from any layout.
std::vector<std::string> loops_layouts(const KernelSpec &spec, const Target &) {
  return facts(spec).ternary ? std::vector<std::string>{"i2r4", "i2r8", "i2r2", "i2r1"} : std::vector<std::string>{};
}

std::vector<Param> loops_params(const KernelSpec &spec, const Target &) {
  std::vector<Param> all = {{"width", {8, 16, 32}, 16, "elements a vector step"}};
  if (facts(spec).sums) {
    all.push_back({"rows", {1, 2, 4}, 4, "sums along the innermost index that advance together"});
    all.push_back({"tokens", {1, 2, 4}, 1, "sums along the index before it that advance together"});
  }
  return all;
}

std::optional<std::string> illegal_loops(const KernelSpec &, const Sizes &, const Schedule &s, const Target &) {
  if (s.get("rows", 4) * s.get("tokens", 1) > 4)
    return fmt::format("rows={} times tokens={} sums of 16 partials do not fit 16 registers", s.get("rows", 4),
                       s.get("tokens", 1));
  return std::nullopt;
}

double loops_prior(const KernelSpec &spec, const Sizes &, const Schedule &s, const Target &) {
  double cost = facts(spec).ternary ? 60 : 1.1;
  if (facts(spec).sums) cost += 0.4 / static_cast<double>(s.get("rows", 4) * s.get("tokens", 1));
  return cost + (s.get("width", 16) == 16 ? 0 : 0.05);
}

}  // namespace

std::vector<Template> halide_templates() {
  const auto loops_apply = [](const KernelSpec &spec, const Target &target) {
    return halide_target(target) && facts(spec).contractions.empty();
  };
  const auto gemm_applies = [](const KernelSpec &spec, const Target &target) {
    return contraction_applies(spec, target) && !grouped(spec);  // sums over groups of weights are halide.gemv's
  };
  return {{"halide",
           "gemv",
           "ternary weights times one or a few int8 vectors, streaming the weights",
           contraction_applies,
           gemv_params,
           rows_layouts,
           illegal_gemv,
           gemv_prior,
           no_defaults,
           {},
           overflow<kGemvChunk>},
          {"halide",
           "gemm",
           "ternary weights times many int8 vectors, unpacked once per block of rows",
           gemm_applies,
           gemm_params,
           rows_layouts,
           illegal_gemm,
           gemm_prior,
           no_defaults,
           {},
           overflow<kGemmChunk>},
          {"halide", "loops", "any kernel without sums of ternary weights, vectorised along rows or sums", loops_apply,
           loops_params, loops_layouts, illegal_loops, loops_prior, no_defaults}};
}

}  // namespace bittern::schedules
