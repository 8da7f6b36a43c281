// See report.h.
#include "runtime/bench/report.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace bittern::runtime {
namespace {

using OrderedJson = nlohmann::ordered_json;

// Figures carry no more digits than they mean.
double rounded(double value, int digits) {
  const double scale = std::pow(10, digits);
  return std::round(value * scale) / scale;
}

}  // namespace

std::string roof_table(const std::vector<RoofFigures> &rows) {
  std::string out = "threads  read GB/s  int8 GOP/s  measured with\n";
  for (const RoofFigures &r : rows) {
    out += fmt::format("{:7}  {:9.1f}  {:10.0f}  reads: {}; multiply-adds: {}\n", r.threads, r.read_gb_s, r.int8_gop_s,
                       r.read_form, r.multiply_form);
  }
  return out;
}

std::string roof_json(const std::vector<RoofFigures> &rows) {
  OrderedJson threads = OrderedJson::array();
  for (const RoofFigures &r : rows) {
    threads.push_back({{"n", r.threads},
                       {"read_gb_s", rounded(r.read_gb_s, 2)},
                       {"int8_gop_s", rounded(r.int8_gop_s, 1)},
                       {"read_form", r.read_form},
                       {"int8_form", r.multiply_form}});
  }
  return OrderedJson{{"threads", threads}}.dump(2);
}

std::string kernel_table(const std::vector<KernelFigures> &rows) {
  std::string out = fmt::format("{:>12} {:>5} {:>3} {:>10} {:>8} {:>9} {:>7}  {:<8} {}\n", "shape NxK", "M", "thr",
                                "us median", "GB/s", "GOP/s", "% roof", "kernel", "schedule");
  for (const KernelFigures &r : rows) {
    out += fmt::format("{:>12} {:>5} {:>3} {:>10.1f} {:>8.1f} {:>9.0f} {:>7.1f}{} {:<8} {}\n", print_shape(r.shape),
                       r.m, r.threads, r.us_median, r.gb_s, r.gop_s, r.roof_pct, r.note.empty() ? " " : "!", r.origin,
                       r.schedule);
  }
  for (const KernelFigures &r : rows)
    if (!r.note.empty()) out += fmt::format("! {} M={} on {}: {}\n", print_shape(r.shape), r.m, r.threads, r.note);
  if (!rows.empty()) {
    out += fmt::format("roof in the same run: {:.1f} GB/s, {:.0f} GOP/s (last row's)\n", rows.back().roof_gb_s,
                       rows.back().roof_gop_s);
  }
  return out;
}

std::string kernel_json(const std::vector<KernelFigures> &rows) {
  OrderedJson results = OrderedJson::array();
  for (const KernelFigures &r : rows) {
    results.push_back({{"shape", print_shape(r.shape)},
                       {"m", r.m},
                       {"threads", r.threads},
                       {"backend", r.backend},
                       {"us_median", rounded(r.us_median, 2)},
                       {"gb_s", rounded(r.gb_s, 3)},
                       {"gop_s", rounded(r.gop_s, 2)},
                       {"roof_gb_s", rounded(r.roof_gb_s, 3)},
                       {"roof_gop_s", rounded(r.roof_gop_s, 2)},
                       {"roof_pct", rounded(r.roof_pct, 2)},
                       {"note", r.note},
                       {"tuned", r.origin == "tuned"},
                       {"kernel", r.origin},
                       {"schedule", r.schedule},
                       {"layout", r.layout}});
  }
  return OrderedJson{{"results", results}}.dump(2);
}

std::string model_table(const ModelFigures &f) {
  std::string notes;
  if (!f.note_prefill.empty()) notes += fmt::format("! prefill: {}\n", f.note_prefill);
  if (!f.note_decode.empty()) notes += fmt::format("! decode: {}\n", f.note_decode);
  return fmt::format(
      "{} on {} thread{}, {} head, {} kernels\n"
      "prefill  {:8.1f} tok/s   {:5.1f} % of the multiply-add peak ({:.0f} GOP/s)\n"
      "decode   {:8.1f} tok/s   {:5.1f} % of read bandwidth ({:.1f} GB/s; {:.1f} MB a token)\n"
      "memory   {:8.0f} MiB at most\n"
      "start    {:8.2f} s from process start to the first token, weights {}\n{}",
      f.preset, f.threads, f.threads == 1 ? "" : "s", f.head, f.kernels, f.prefill_tok_s, f.roof_pct_prefill,
      f.roof_gop_s, f.decode_tok_s, f.roof_pct_decode, f.roof_gb_s, f.bytes_per_token / 1e6, f.rss_mib, f.start_s,
      f.prepacked ? "prepacked" : "not prepacked", notes);
}

std::string batch_table(const BatchReport &r) {
  std::string text = fmt::format("{} on {} thread{}, {} kernels\nsequences   ms per step   tok/s in all   of each\n",
                                 r.preset, r.threads, r.threads == 1 ? "" : "s", r.kernels);
  for (const BatchFigures &f : r.rows)
    text += fmt::format("{:9}   {:11.2f}   {:12.1f}   {:7.1f}\n", f.sequences, f.step_ms, f.decode_tok_s,
                        f.decode_tok_s / static_cast<double>(f.sequences));
  return text;
}

std::string batch_json(const BatchReport &r) {
  OrderedJson rows = OrderedJson::array();
  for (const BatchFigures &f : r.rows)
    rows.push_back(
        {{"sequences", f.sequences}, {"step_ms", rounded(f.step_ms, 3)}, {"decode_tok_s", rounded(f.decode_tok_s, 3)}});
  return OrderedJson{{"preset", r.preset}, {"threads", r.threads}, {"kernels", r.kernels}, {"batches", rows}}.dump(2);
}

std::string model_json(const ModelFigures &f) {
  return OrderedJson{{"preset", f.preset},
                     {"threads", f.threads},
                     {"prefill_tok_s", rounded(f.prefill_tok_s, 3)},
                     {"decode_tok_s", rounded(f.decode_tok_s, 3)},
                     {"bytes_per_token", rounded(f.bytes_per_token, 0)},
                     {"roof_gb_s", rounded(f.roof_gb_s, 3)},
                     {"roof_gop_s", rounded(f.roof_gop_s, 2)},
                     {"roof_pct_prefill", rounded(f.roof_pct_prefill, 2)},
                     {"roof_pct_decode", rounded(f.roof_pct_decode, 2)},
                     {"note_prefill", f.note_prefill},
                     {"note_decode", f.note_decode},
                     {"head", f.head},
                     {"kv", f.kv},
                     {"rss_mib", rounded(f.rss_mib, 1)},
                     {"start_s", rounded(f.start_s, 3)},
                     {"prepacked", f.prepacked},
                     {"tuned", f.tuned}}
      .dump(2);
}

}  // namespace bittern::runtime
