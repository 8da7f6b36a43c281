// llvm.gemv and llvm.gemm as rows of the template table: parameters, legality (the int16 proofs among it), a roofline
// prior, and the defaults of every weight layout.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "compiler/bounds.h"
#include "schedules/contraction_facts.h"
#include "schedules/layout.h"
#include "schedules/template.h"
#include "schedules/ternary_facts.h"

namespace bittern::schedules {
namespace {

using compiler::Interval;
using compiler::KernelSpec;
using compiler::Sizes;

bool applies(const KernelSpec &spec, const Target &) { return contraction_facts(spec).planned; }

// The preferred layout first: an untuned machine stores weights in the layout of the first default for M = 1.
std::vector<std::string> gemv_layouts(const KernelSpec &spec, const Target &) {
  // Units of the i2q family hold eight neighbouring rows: of no use when rows are picked one by one.
  if (contraction_facts(spec).gathered) return {"i2r4", "i2r8", "i2r2", "i2r1"};
  return {"i2q32", "i2q16", "i2r4", "i2r8", "i2r2", "i2q8", "i2r1"};
}

// Those that gemv reads, and those of the base3 and lut templates.
std::vector<std::string> gemm_layouts(const KernelSpec &spec, const Target &target) {
  std::vector<std::string> all = gemv_layouts(spec, target);
  for (const std::string &layout : base3_layouts(spec)) all.push_back(layout);
  for (const std::string &layout : lut_layouts(spec)) all.push_back(layout);
  return all;
}

bool is_quads(const std::string &layout) { return find_layout(layout).family == LayoutFamily::Quads; }
int64_t interleaved_units(const std::string &layout) { return find_layout(layout).units_per_tile(); }

// --- gemv ---------------------------------------------------------------------------------------------------------

// Targets whose dot products sum straight into int32 lanes have no int16 accumulators to bound.
bool direct(const Target &target) { return ternary_facts(target).int16_products == 0; }

std::vector<Param> gemv_params(const KernelSpec &spec, const Target &target) {
  std::vector<int64_t> tokens = {1, 2, 3, 4, 8};
  if (contraction_facts(spec).m.empty()) tokens = {1};
  return {{"rows", {1, 2, 4, 8}, 4, "32-byte units of different rows summed together"},
          {"tokens", tokens, 1, "activation rows a unit of weights meets"},
          {"chunk", direct(target) ? std::vector<int64_t>{16} : std::vector<int64_t>{8, 16}, 16,
           "units summed in int16 before widening; without meaning where sums go straight to int32"},
          {"unroll", {1, 2}, 1, "units a loop step"},
          {"prefetch", {0, 1024, 2048, 4096, 8192}, 2048, "bytes of weights fetched ahead"},
          {"hint", {0, 1}, 1, "prefetch into all cache levels (1) or past them (0)"},
          {"scaled", {0, 1}, 0, "1: odd fields are summed in place at four times their value, saving two shifts"}};
}

std::optional<std::string> gemv_illegal(const KernelSpec &spec, const Sizes &sizes, const Schedule &s,
                                        const Target &target) {
  const int64_t rows = s.get("rows", 4), tokens = s.get("tokens", 1);
  const bool scaled = s.get("scaled", 0) != 0;
  const int64_t interleaved = interleaved_units(s.layout);
  if (rows % interleaved != 0 && interleaved % rows != 0)
    return fmt::format("rows={} neither divides nor is a multiple of the {} units that layout {} interleaves", rows,
                       interleaved, s.layout);
  if (tokens == 1 && rows < interleaved && interleaved <= 4)
    return fmt::format("rows={} reads only a part of what layout {} keeps together", rows, s.layout);
  if (rows * tokens * (scaled ? 2 : 1) > target.vector_registers * 5 / 8 - 2)
    return fmt::format("rows={} times tokens={}{} accumulators do not fit {} registers", rows, tokens,
                       scaled ? " times 2" : "", target.vector_registers);
  if (s.get("prefetch", 0) == 0 && s.get("hint", 1) == 0) return "hint=0 says nothing without a prefetch";
  const ContractionFacts &kernel = contraction_facts(spec);
  if (const auto m = sizes.find(kernel.m); m != sizes.end() && tokens > 1 && tokens > m->second)
    return fmt::format("tokens={} is more than {}={}", tokens, kernel.m, m->second);
  return std::nullopt;
}

std::optional<std::string> gemv_overflow(const KernelSpec &spec, const Sizes &sizes, const Schedule &s,
                                         const Target &target) {
  const int64_t chunk = s.get("chunk", 16);
  const bool scaled = s.get("scaled", 0) != 0;
  // Four fields a unit; scaled schedules have two accumulators of two fields each.
  if (const auto reason =
          int16_overflow(target, scaled ? 8 : 2, ternary_facts(target).int16_products * (scaled ? 2 : 4) * chunk))
    return fmt::format("chunk={}: {}", chunk, *reason);
  return int32_overflow(contraction_facts(spec), sizes, 8);
}

double gemv_operations(const KernelSpec &spec, const Sizes &sizes, const Schedule &s, const Target &target) {
  const auto tokens = static_cast<double>(s.get("tokens", 1)), rows = static_cast<double>(s.get("rows", 4));
  const double decode = s.get("scaled", 0) ? 5 : 7;
  const double widening = (s.get("scaled", 0) ? 5.0 : 2.0) / static_cast<double>(s.get("chunk", 16));
  const double passes = std::ceil(contraction_work(spec, sizes).m / tokens);
  const double products = direct(target) ? 4 : 8 + widening;
  return passes * (decode + tokens * (products + (is_quads(s.layout) ? 0 : 0.4)) + 2 * tokens / rows) / 128;
}

double gemv_prior(const KernelSpec &spec, const Sizes &sizes, const Schedule &s, const Target &target) {
  const ContractionWork work = contraction_work(spec, sizes);
  const auto tokens = static_cast<double>(s.get("tokens", 1)), rows = static_cast<double>(s.get("rows", 4));
  const double spills = rows * tokens > 8 && !direct(target) ? 1.3 : 1;
  const double operations = gemv_operations(spec, sizes, s, target) * work.units * 128 * spills / kOperationsPerCycle;
  double cost = std::max(operations, work.read_cycles) + 0.2 * std::min(operations, work.read_cycles);
  if (s.get("prefetch", 0) == 0) cost += 0.10 * work.read_cycles;
  if (s.get("prefetch", 0) == 1024 || s.get("prefetch", 0) == 8192) cost += 0.02 * work.read_cycles;
  // Several streams of weights at a time confuse the processor's own prefetchers.
  const double streams = std::max(1.0, rows / static_cast<double>(interleaved_units(s.layout)));
  cost += 0.1 * (streams - 1) * work.read_cycles;
  if (s.get("unroll", 1) > 1) cost += 0.03 * operations;  // spills
  return cost / work.roof;
}

Schedule gemv(const std::string &layout, int64_t tokens, const Target &target) {
  // Measured: few tokens gain from fewer shifts, more tokens from more accumulators; a step of two tokens over half of
  // what a layout keeps together loses more than the shifts.
  const bool whole_tiles = tokens == 2 && is_quads(layout) && interleaved_units(layout) > 2;
  const bool scaled = tokens == 1 || (tokens == 2 && !whole_tiles);
  return {"llvm",
          "gemv",
          {{"rows", tokens == 1 || whole_tiles ? 4 : 2},
           {"tokens", tokens},
           {"chunk", scaled && !direct(target) ? 8 : 16},
           {"unroll", 1},
           {"prefetch", 4096},
           {"hint", tokens == 1 ? 0 : 1},
           {"scaled", scaled ? 1 : 0}},
          layout};
}

std::vector<Default> gemv_defaults(const KernelSpec &spec, const Target &target) {
  std::vector<Default> all;
  const bool one_token = contraction_facts(spec).m.empty();
  for (const std::string &layout : gemv_layouts(spec, target)) {
    all.push_back({gemv(layout, 1, target), 1, one_token ? INT64_MAX : 1});
    if (one_token) continue;
    all.push_back({gemv(layout, 2, target), 2, 2});
    all.push_back({gemv(layout, 4, target), 3, kFewTokens});
  }
  return all;
}

// --- gemm ---------------------------------------------------------------------------------------------------------

bool many_registers(const Target &target) { return target.vector_registers >= 32; }

std::vector<Param> gemm_params(const KernelSpec &, const Target &target) {
  return {
      {"nr", {1, 2, 3, 4}, 4, "vectors of 8 rows in the register tile"},
      {"mt",
       many_registers(target) || direct(target) ? std::vector<int64_t>{2, 3, 4, 6, 8} : std::vector<int64_t>{2, 3, 4},
       2, "tokens in the register tile"},
      {"nb", {32, 64, 96}, 32, "rows unpacked together"},
      {"mb", {32, 128, 512}, 128, "tokens that pass over unpacked codes"},
      {"kb", {256, 512, 1024, 2048}, 512, "k unpacked together; a group's length where sums run over groups"},
      {"unroll", {1, 2, 4}, 2, "steps of 4 k a loop step"}};
}

std::optional<std::string> gemm_illegal(const KernelSpec &spec, const Sizes &sizes, const Schedule &s,
                                        const Target &target) {
  const int64_t nr = s.get("nr", 4), mt = s.get("mt", 2), nb = s.get("nb", 32);
  if (nr * mt > (many_registers(target) ? 24 : direct(target) ? 12 : 9))
    return fmt::format("nr={} times mt={} accumulators do not fit {} registers", nr, mt, target.vector_registers);
  if (nb % (8 * nr) != 0) return fmt::format("nb={} is not a multiple of the register tile's {} rows", nb, 8 * nr);
  const ContractionFacts &kernel = contraction_facts(spec);
  if (kernel.m.empty()) return "the kernel has no tokens to share unpacked codes";
  if (kernel.grouped && s.get("mb", 128) > 32)
    return fmt::format("mb={}: sums of every group of more than 32 tokens do not fit the cache", s.get("mb", 128));
  if (kernel.grouped && s.get("kb", 512) != 512) return "kb says nothing where sums run over groups";
  if (const auto m = sizes.find(kernel.m); m != sizes.end()) {
    if (mt > std::max<int64_t>(2, m->second)) return fmt::format("mt={} is more than {}={}", mt, kernel.m, m->second);
    if (s.get("mb", 128) > 32 && s.get("mb", 128) >= 4 * m->second)
      return fmt::format("mb={} is far more than {}={}", s.get("mb", 128), kernel.m, m->second);
  }
  return std::nullopt;
}

std::optional<std::string> gemm_overflow(const KernelSpec &spec, const Sizes &sizes, const Schedule &,
                                         const Target &target) {
  // The register tile widens after 128 products a lane.
  if (const auto reason = int16_overflow(target, 2, 128)) return reason;
  return int32_overflow(contraction_facts(spec), sizes, 8);
}

// Vector operations to unpack 128 weights.
double unpack_operations(const std::string &layout) {
  const Layout &found = find_layout(layout);
  if (!found.two_bit_fields()) return 60;
  return is_quads(layout) ? 30 : 36;
}

double gemm_operations(const KernelSpec &spec, const Sizes &sizes, const Schedule &s, const Target &) {
  const double m = contraction_work(spec, sizes).m;
  const auto nr = static_cast<double>(s.get("nr", 4)), mt = static_cast<double>(s.get("mt", 2));
  const auto mb = static_cast<double>(s.get("mb", 128)), kb = static_cast<double>(s.get("kb", 512));
  const auto nb = static_cast<double>(s.get("nb", 32));
  const double tokens = std::ceil(m / mt) * mt;
  double tile = 8 + 0.5 / 16 + 12 * 8 / kb;                // products, widening, sums through memory
  tile += 4 * std::max(0.0, (nr + mt) / (nr * mt) - 0.7);  // loads that products cannot hide
  if (nb * kb > 24 * 1024) tile += 0.6;                    // codes fall out of the first-level cache
  if (s.get("unroll", 1) == 1) tile += 0.4;
  return (std::ceil(m / mb) * unpack_operations(s.layout) + tokens * tile) / 128;
}

double gemm_prior(const KernelSpec &spec, const Sizes &sizes, const Schedule &s, const Target &target) {
  const ContractionWork work = contraction_work(spec, sizes);
  const double operations = gemm_operations(spec, sizes, s, target) * work.units * 128;
  return (operations / kOperationsPerCycle + 0.5 * work.read_cycles) / work.roof;
}

std::vector<Default> gemm_defaults(const KernelSpec &spec, const Target &target) {
  std::vector<Default> all;
  const ContractionFacts &kernel = contraction_facts(spec);
  if (kernel.m.empty()) return all;
  for (const std::string &layout : gemm_layouts(spec, target)) {
    Schedule schedule{"llvm",
                      "gemm",
                      {{"nr", many_registers(target) ? 4 : 2},
                       {"mt", many_registers(target) || direct(target) ? 6 : 4},
                       {"nb", 32},
                       {"mb", kernel.grouped ? 32 : 128},
                       {"kb", kernel.grouped ? 512 : 256},
                       {"unroll", 2}},
                      layout};
    all.push_back({schedule, kFewTokens + 1, INT64_MAX, find_layout(layout).two_bit_fields()});
  }
  return all;
}

}  // namespace

std::vector<Template> llvm_contraction_templates() {
  return {{"llvm", "gemv", "ternary weights times a few int8 vectors, streaming the weights with explicit prefetch",
           applies, gemv_params, gemv_layouts, gemv_illegal, gemv_prior, gemv_defaults, gemv_operations, gemv_overflow},
          {"llvm", "gemm", "ternary weights times many int8 vectors, unpacked once per block of rows", applies,
           gemm_params, gemm_layouts, gemm_illegal, gemm_prior, gemm_defaults, gemm_operations, gemm_overflow}};
}

}  // namespace bittern::schedules
