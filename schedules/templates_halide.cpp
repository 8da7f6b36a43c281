// What Halide can generate, as rows of the template table: GEMV and GEMM over ternary weights, and loops over float
// kernels. The spaces are built round the points that measured best by hand; `illegal` holds every limit of the
// generator, so that it never has to emit something it cannot do well.
#include <fmt/format.h>

#include "schedules/template.h"

namespace bittern::schedules {
namespace {

using compiler::KernelSpec;
using compiler::Sizes;

bool has_ternary(const KernelSpec &spec) {
  for (const auto &tensor : spec.tensors)
    if (tensor.type == compiler::Type::Ternary) return true;
  return false;
}

bool halide_target(const Target &target) { return !target.halide_target.empty() && target.vector_bytes == 32; }

std::vector<std::string> no_layouts(const KernelSpec &, const Target &) { return {}; }
std::vector<std::string> i2_layouts(const KernelSpec &, const Target &) { return {"i2r1", "i2r2", "i2r4", "i2r8"}; }
std::vector<Default> no_defaults(const KernelSpec &, const Target &) { return {}; }

std::optional<std::string> illegal_gemv(const KernelSpec &, const Sizes &, const Schedule &schedule, const Target &) {
  const int64_t interleaved = schedule.layout.back() - '0';
  if (schedule.get("rows", 4) % interleaved != 0)
    return fmt::format("rows={} is not a multiple of the {} rows that layout {} interleaves", schedule.get("rows", 4),
                       interleaved, schedule.layout);
  return std::nullopt;
}

std::optional<std::string> illegal_gemm(const KernelSpec &, const Sizes &, const Schedule &schedule, const Target &) {
  if (schedule.get("nb", 32) % schedule.get("nt", 4) != 0) return "nb is not a multiple of nt";
  if (schedule.get("mb", 8) % schedule.get("mt", 2) != 0) return "mb is not a multiple of mt";
  return std::nullopt;
}

std::optional<std::string> always_legal(const KernelSpec &, const Sizes &, const Schedule &, const Target &) {
  return std::nullopt;
}

double flat_prior(const KernelSpec &, const Sizes &, const Schedule &, const Target &) { return 1.5; }

}  // namespace

std::vector<Template> halide_templates() {
  std::vector<Template> rows;
  rows.push_back(
      {"halide", "gemv", "ternary weights times one or a few int8 vectors, streaming the weights",
       [](const KernelSpec &spec, const Target &target) { return has_ternary(spec) && halide_target(target); },
       [](const KernelSpec &, const Target &) {
         return std::vector<Param>{{"rows", {1, 2, 4, 8}, 4, "weight rows that are summed together"},
                                   {"unroll", {1, 2}, 1, "128-weight blocks a loop step"},
                                   {"chunk", {4, 8, 16}, 8, "128-weight blocks summed in int16 before widening"},
                                   {"prefetch", {0, 512, 1024, 2048, 4096}, 0, "bytes of weights fetched ahead"}};
       },
       i2_layouts, illegal_gemv, flat_prior, no_defaults});
  rows.push_back(
      {"halide", "gemm", "ternary weights times many int8 vectors, weights unpacked per row block",
       [](const KernelSpec &spec, const Target &target) { return has_ternary(spec) && halide_target(target); },
       [](const KernelSpec &, const Target &) {
         return std::vector<Param>{{"nb", {16, 32, 64}, 32, "weight rows unpacked into a block"},
                                   {"mb", {8, 16, 32}, 8, "tokens that pass over a block of weights at a time"},
                                   {"nt", {2, 4}, 4, "weight rows in the register tile"},
                                   {"mt", {1, 2, 4}, 2, "tokens in the register tile"},
                                   {"chunk", {8, 16}, 16, "128-weight blocks summed in int16 before widening"},
                                   {"kouter", {0, 1}, 1, "1: sums of the whole block advance chunk by chunk"}};
       },
       i2_layouts, illegal_gemm, flat_prior, no_defaults});
  rows.push_back(
      {"halide", "loops", "any kernel without ternary weights, vectorised along rows",
       [](const KernelSpec &spec, const Target &target) { return !has_ternary(spec) && halide_target(target); },
       [](const KernelSpec &, const Target &) {
         return std::vector<Param>{{"width", {8, 16, 32}, 16, "elements a vector step"},
                                   {"rows", {1, 2, 4}, 4, "results of a reduction computed together"}};
       },
       no_layouts, always_legal, flat_prior, no_defaults});
  return rows;
}

}  // namespace bittern::schedules
