// llvm.base3 and llvm.lut as rows of the template table: few tokens past weights of several trits a code, multiplied
// after their digits are found, or looked up in tables of sums.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "schedules/contraction_facts.h"
#include "schedules/look_up_bounds.h"
#include "schedules/template.h"
#include "schedules/ternary_facts.h"

namespace bittern::schedules {

using compiler::Interval;
using compiler::KernelSpec;
using compiler::Sizes;

std::vector<std::string> base3_layouts(const KernelSpec &spec) {
  // A code holds one k of several rows: of no use when rows are picked one by one.
  if (contraction_facts(spec).gathered) return {};
  return {"t5r20", "t5r5", "u16x10r10"};
}

std::vector<std::string> lut_layouts(const KernelSpec &spec) {
  const ContractionFacts &kernel = contraction_facts(spec);
  if (kernel.gathered) return {};
  // Groups are multiples of 64, which cut triples.
  if (kernel.grouped) return {"tl1r64"};
  return {"tl1r64", "tl2r64"};
}

namespace {

// Accumulators of a step and what it keeps beside them fit the registers.
bool fits(const Target &target, int64_t accumulators) { return accumulators <= target.vector_registers * 11 / 16; }

std::vector<int64_t> token_values(const KernelSpec &spec, std::vector<int64_t> values) {
  if (contraction_facts(spec).m.empty()) values = {1};
  return values;
}

std::optional<std::string> too_many_tokens(const ContractionFacts &kernel, const Sizes &sizes, int64_t tokens) {
  if (const auto m = sizes.find(kernel.m); m != sizes.end() && tokens > 1 && tokens > m->second)
    return fmt::format("tokens={} is more than {}={}", tokens, kernel.m, m->second);
  return std::nullopt;
}

constexpr int64_t kCacheLine = 64;

// What both templates say of how many of a layout's units a step takes, and of prefetching.
std::optional<std::string> illegal_walk(const Schedule &s) {
  const int64_t units = s.get("units", 1), interleaved = find_layout(s.layout).units_per_tile();
  if (units % interleaved != 0 && interleaved % units != 0)
    return fmt::format("units={} neither divides nor is a multiple of the {} units that layout {} interleaves", units,
                       interleaved, s.layout);
  if (s.get("tokens", 1) == 1 && units < interleaved && units * find_layout(s.layout).unit_bytes < kCacheLine)
    return fmt::format("units={} reads only a part of the cache lines of layout {}", units, s.layout);
  if (s.get("prefetch", 0) == 0 && s.get("hint", 1) == 0) return "hint=0 says nothing without a prefetch";
  return std::nullopt;
}

const Param kPrefetch{"prefetch", {0, 1024, 2048, 4096, 8192}, 2048, "bytes of weights fetched ahead"};
const Param kHint{"hint", {0, 1}, 1, "prefetch into all cache levels (1) or past them (0)"};

// Relative time of streaming the layout's bytes past so many vector operations a weight.
double streaming_prior(const KernelSpec &spec, const Sizes &sizes, const Schedule &s, double operations_per_weight) {
  const ContractionWork work = contraction_work(spec, sizes);
  const double operations = work.units * 128 * operations_per_weight / kOperationsPerCycle;
  const double read = work.read_cycles * find_layout(s.layout).bits_per_weight() / 2;
  double cost = std::max(operations, read) + 0.2 * std::min(operations, read);
  if (s.get("prefetch", 0) == 0) cost += 0.10 * read;
  if (s.get("prefetch", 0) == 1024 || s.get("prefetch", 0) == 8192) cost += 0.02 * read;
  return cost / work.roof;
}

Schedule schedule_of(const char *name, const std::string &layout, int64_t units, int64_t tokens,
                     std::map<std::string, int64_t> more) {
  more.insert({{"units", units}, {"tokens", tokens}, {"prefetch", 4096}, {"hint", tokens == 1 ? 0 : 1}});
  return {"llvm", name, std::move(more), layout};
}

bool applies(const KernelSpec &spec, const Target &) {
  return contraction_facts(spec).planned && !contraction_facts(spec).gathered;
}

// --- base3 --------------------------------------------------------------------------------------------------------

std::vector<Param> base3_params(const KernelSpec &spec, const Target &target) {
  const bool direct = ternary_facts(target).int16_products == 0;
  return {{"units", {1, 2, 4}, 1, "units of 5 or 10 rows summed together"},
          {"tokens", token_values(spec, {1, 2, 4}), 1, "activation rows a unit of weights meets"},
          {"chunk", direct ? std::vector<int64_t>{64} : std::vector<int64_t>{32, 64, 128}, 64,
           "units summed in int16 before widening; without meaning where sums go straight to int32"},
          kPrefetch,
          kHint};
}

std::optional<std::string> base3_illegal(const KernelSpec &spec, const Sizes &sizes, const Schedule &s,
                                         const Target &target) {
  const int64_t units = s.get("units", 1), tokens = s.get("tokens", 1);
  const int64_t rows = find_layout(s.layout).rows_per_unit();
  if (const auto reason = illegal_walk(s)) return reason;
  if (!fits(target, units * rows * tokens))
    return fmt::format("{} rows times tokens={} accumulators do not fit {} registers", units * rows, tokens,
                       target.vector_registers);
  return too_many_tokens(contraction_facts(spec), sizes, tokens);
}

std::optional<std::string> base3_overflow(const KernelSpec &spec, const Sizes &sizes, const Schedule &s,
                                          const Target &target) {
  const int64_t chunk = s.get("chunk", 64);
  // A unit is 32 products of a row: one accumulation.
  if (const auto reason = int16_overflow(target, 2, ternary_facts(target).int16_products * chunk))
    return fmt::format("chunk={}: {}", chunk, *reason);
  return int32_overflow(contraction_facts(spec), sizes, 2);
}

double base3_operations(const KernelSpec &spec, const Sizes &sizes, const Schedule &s, const Target &target) {
  const bool bytes = find_layout(s.layout).family == LayoutFamily::Base3Bytes;
  const auto tokens = static_cast<double>(s.get("tokens", 1)), units = static_cast<double>(s.get("units", 1));
  const double passes = std::ceil(contraction_work(spec, sizes).m / tokens), rows = bytes ? 5 : 10;
  // Finding the digits, products, and a unit's part of the activations and the loop.
  const double products = (ternary_facts(target).int16_products == 0 ? 1 : 2) * rows * tokens;
  return passes * ((bytes ? 20 : 33) + products + (1 + tokens) / units) / (32 * rows);
}

double base3_prior(const KernelSpec &spec, const Sizes &sizes, const Schedule &s, const Target &target) {
  return streaming_prior(spec, sizes, s, base3_operations(spec, sizes, s, target));
}

std::vector<Default> base3_defaults(const KernelSpec &spec, const Target &target) {
  std::vector<Default> all;
  const bool one_token = contraction_facts(spec).m.empty();
  for (const std::string &layout : base3_layouts(spec)) {
    const int64_t rows = find_layout(layout).rows_per_unit(), interleaved = find_layout(layout).units_per_tile();
    const auto add = [&](int64_t tokens, int64_t m_min, int64_t m_max) {
      // As many units together as fit, and then as many tokens.
      int64_t units = interleaved;
      while (units > 1 && !fits(target, units * rows * tokens)) units /= 2;
      while (tokens > 1 && !fits(target, units * rows * tokens)) tokens /= 2;
      if (units < interleaved && units * find_layout(layout).unit_bytes < kCacheLine) {
        units *= 2;
        tokens = std::max<int64_t>(1, tokens / 2);
      }
      all.push_back({schedule_of("base3", layout, units, tokens, {{"chunk", 64}}), m_min, m_max, false});
    };
    add(1, 1, one_token ? INT64_MAX : 1);
    if (one_token) continue;
    add(2, 2, 2);
    add(4, 3, kFewTokens);
  }
  return all;
}

// --- lut ----------------------------------------------------------------------------------------------------------

std::vector<Param> lut_params(const KernelSpec &spec, const Target &) {
  return {{"units", {1, 2, 4}, 2, "units of 32 rows that share the tables they read"},
          {"tokens", token_values(spec, {1, 2, 4}), 1, "activation rows an index is looked up for"},
          {"split", {0, 1}, 0, "1: sums cut into five bits and the rest, added as bytes; 0: added as int16"},
          {"chunk", {40, 80, 120}, 80, "look-ups added in int16 before widening; without meaning for split sums"},
          kPrefetch,
          kHint};
}

std::optional<std::string> lut_illegal(const KernelSpec &spec, const Sizes &sizes, const Schedule &s, const Target &) {
  const Layout &layout = find_layout(s.layout);
  const int64_t units = s.get("units", 2), tokens = s.get("tokens", 1), chunk = s.get("chunk", 80);
  const bool split = s.get("split", 0) != 0;
  if (const auto reason = illegal_walk(s)) return reason;
  if (split && layout.family == LayoutFamily::Triples)
    return "split=1: sums that are negated one by one are not added as bytes";
  if (split && chunk != 80) return "chunk says nothing of split sums";
  if (units * tokens > 4) return fmt::format("units={} times tokens={} sums do not fit the registers", units, tokens);
  return too_many_tokens(contraction_facts(spec), sizes, tokens);
}

std::optional<std::string> lut_overflow(const KernelSpec &spec, const Sizes &sizes, const Schedule &s, const Target &) {
  const int64_t chunk = s.get("chunk", 80);
  // Split sums have no parameter to be wrong: look_up_bounds.h holds their numbers to their bounds.
  if (s.get("split", 0) == 0) {
    if (const auto reason =
            compiler::accumulator_overflow(table_sums(find_layout(s.layout)), Interval{1, 1}, chunk, 16))
      return fmt::format("chunk={}: {}", chunk, *reason);
  }
  return int32_overflow(contraction_facts(spec), sizes, 2);
}

double lut_operations(const KernelSpec &spec, const Sizes &sizes, const Schedule &s, const Target &target) {
  const Layout &layout = find_layout(s.layout);
  const ContractionWork work = contraction_work(spec, sizes);
  const auto tokens = static_cast<double>(s.get("tokens", 1)), units = static_cast<double>(s.get("units", 2));
  const bool split = s.get("split", 0) != 0, signs = layout.family == LayoutFamily::Triples;
  const auto trits = static_cast<double>(layout.cell.trits());
  const auto rows = static_cast<double>(look_up_rows(target, layout, s.get("units", 2)));
  const bool in_tables = signed_tables(target, layout, s.get("units", 2));
  // A look-up for a vector of rows: the index, two bytes found and added; and the tables' own loads.
  double look_up = 1.5 + tokens * (split ? 4.75 : 6) + (in_tables ? 1 : 2) * tokens / (units * 32 / rows);
  if (signs) look_up += in_tables ? 3 : 3 + 2 * tokens;
  const auto n = static_cast<double>(size_or(sizes, contraction_facts(spec).n, 2560));
  const double tables = 12 * work.m / (trits * n);
  return std::ceil(work.m / tokens) * look_up / (rows * trits) + tables;
}

double lut_prior(const KernelSpec &spec, const Sizes &sizes, const Schedule &s, const Target &target) {
  // A processor does half as many operations of 64 bytes.
  const auto rows = static_cast<double>(look_up_rows(target, find_layout(s.layout), s.get("units", 2)));
  return streaming_prior(spec, sizes, s, lut_operations(spec, sizes, s, target) * rows / 32);
}

std::vector<Default> lut_defaults(const KernelSpec &spec, const Target &) {
  std::vector<Default> all;
  const bool one_token = contraction_facts(spec).m.empty();
  for (const std::string &layout : lut_layouts(spec)) {
    const auto add = [&](int64_t tokens, int64_t m_min, int64_t m_max) {
      const bool split = find_layout(layout).family == LayoutFamily::Pairs;
      all.push_back({schedule_of("lut", layout, tokens == 4 ? 1 : 2, tokens, {{"chunk", 80}, {"split", split ? 1 : 0}}),
                     m_min, m_max, false});
    };
    add(1, 1, one_token ? INT64_MAX : 1);
    if (one_token) continue;
    add(2, 2, 2);
    add(4, 3, kFewTokens);
  }
  return all;
}

}  // namespace

std::vector<Template> llvm_lut_templates() {
  return {{"llvm", "base3", "weights of 1.6 bits times a few int8 vectors: digits found, then multiplied", applies,
           base3_params, [](const KernelSpec &spec, const Target &) { return base3_layouts(spec); }, base3_illegal,
           base3_prior, base3_defaults, base3_operations, base3_overflow},
          {"llvm", "lut", "weights as indices into tables of sums of a few int8 vectors", applies, lut_params,
           [](const KernelSpec &spec, const Target &) { return lut_layouts(spec); }, lut_illegal, lut_prior,
           lut_defaults, lut_operations, lut_overflow}};
}

}  // namespace bittern::schedules
