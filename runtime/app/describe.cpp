// bitnet-run explain and info.
#include <fmt/core.h>

#include <algorithm>
#include <filesystem>

#include "runtime/app/commands.h"
#include "runtime/error.h"
#include "runtime/io/atomic_file.h"
#include "runtime/machine/machine.h"
#include "runtime/program/build.h"
#include "runtime/program/print.h"
#include "runtime/tokenizer/open_tokenizer.h"

namespace bittern::runtime {
namespace {

const char *dtype_name(DType type) {
  constexpr const char *kNames[] = {"f32", "f16", "bf16"};
  return kNames[static_cast<int>(type)];
}

double mib(int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

// "N=6912 K=2560": the sizes but M.
std::string shape_text(const KernelUse &use) {
  const RoleInfo &role = role_info(use.role);
  std::string text;
  for (size_t i = 1; i < use.sizes.size(); ++i)
    text += fmt::format("{}{}={}", i > 1 ? " " : "", role.sizes[i], use.sizes[i]);
  return text;
}

// Which norms there are besides those before attention and FFN.
std::string norms_text(const ModelConfig &c) {
  std::string text = c.sub_norms ? "sub norms" : "no sub norms";
  if (c.linear_norms) text += fmt::format(", norms inside linear layers (eps {})", c.linear_norm_eps);
  if (c.qk_norm) text += ", norms of q and k";
  if (c.post_norms) text += ", norms of branch outputs";
  return text;
}

std::string rope_text(const ModelConfig &c) {
  std::string text = fmt::format("{}, rope theta {}", c.max_positions, c.rope_theta);
  if (c.window > 0)
    text +=
        fmt::format("; window {} and theta {} in {} layers", c.window, c.rope_theta_local,
                    c.global_every > c.layers ? "all" : fmt::format("{} of {}", c.global_every - 1, c.global_every));
  return text;
}

std::string head_text(const ModelSource &source) {
  const ModelConfig &c = source.config();
  constexpr const char *kPooling[] = {"no pooling", "the last token", "the mean of all tokens"};
  if (!c.has_head) return fmt::format("none: embeddings from {}", kPooling[static_cast<int>(c.pooling)]);
  const FloatMatrix head = source.head();
  return fmt::format("{} x {} {}, {:.1f} MiB{}", head.rows, head.cols, dtype_name(head.dtype),
                     mib(head.rows * head.cols * (head.dtype == DType::F32 ? 4 : 2)),
                     c.tied_head ? ", tied to the embedding" : "");
}

// The first digits of a proof's id, and whether the machine that proved the kernel could execute it.
std::string proof_text(const std::string &proof) {
  return proof.substr(0, 12) + (proof.ends_with(BT_NOT_EXECUTED) ? BT_NOT_EXECUTED : "");
}

// What a core of the usual kind does in a cycle, as the schedules' predictions have it.
constexpr double kInstructionsPerCycle = 4, kBytesPerCycle = 8;

// Bytes and instructions for each weight at the least M of the use, and which of them takes longer. Instructions are
// those of the kernel's hot loop, counted in its machine code.
struct Costs {
  std::string bytes = "-", instructions = "-", binds = "-";
};
Costs costs_of(const KernelUse &use) {
  Costs costs;
  const bt_kernel &k = *use.kernel;
  if (!k.layout) return costs;
  const auto n = use.sizes.at(1), depth = use.sizes.at(2);
  const double bytes = static_cast<double>(k.layout->packed_bytes(n, depth)) / static_cast<double>(n * depth);
  costs.bytes = fmt::format("{:.3f}", bytes);
  if (k.instructions <= 0) return costs;
  const double instructions = k.instructions * static_cast<double>(use.m_min);
  costs.instructions = fmt::format("{:.3f}", instructions);
  costs.binds = bytes / kBytesPerCycle > instructions / kInstructionsPerCycle ? "bytes" : "instructions";
  return costs;
}

// Steps that run the same kernel at the same sizes are one line.
std::vector<KernelUse> distinct(const std::vector<KernelUse> &uses) {
  std::vector<KernelUse> lines;
  for (const KernelUse &use : uses) {
    const auto same = std::find_if(lines.begin(), lines.end(), [&](const KernelUse &line) {
      return line.kernel == use.kernel && line.sizes == use.sizes && line.m_max == use.m_max;
    });
    if (same == lines.end())
      lines.push_back(use);
    else
      same->what += "," + use.what;
  }
  return lines;
}

}  // namespace

void run_explain(const std::string &model, const OpenOptions &open, const EngineOptions &engine, std::FILE *out) {
  const std::unique_ptr<ModelSource> source = open_model(model, open);
  const PlannedKernels planned = planned_kernels(*source, engine);
  std::vector<std::vector<std::string>> rows = {{"step", "kernel", "shape", "M", "kernels", "backend", "target",
                                                 "schedule", "layout", "bytes", "instr.", "binds", "proof", "roof"}};
  for (const KernelUse &use : distinct(planned.uses)) {
    const bt_kernel &k = *use.kernel;
    const Costs costs = costs_of(use);
    rows.push_back({use.what, k.spec, shape_text(use),
                    use.m_min == use.m_max ? fmt::format("{}", use.m_min) : fmt::format("{}-{}", use.m_min, use.m_max),
                    origin_name(use.origin), k.backend, k.target, k.schedule, k.layout ? k.layout->name : "-",
                    costs.bytes, costs.instructions, costs.binds, proof_text(k.proof),
                    k.roof_pct > 0 ? fmt::format("{:.0f}%", k.roof_pct) : "-"});
  }
  std::vector<size_t> widths(rows[0].size());
  for (const auto &row : rows)
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  for (const auto &row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) line += fmt::format("{:<{}}  ", row[i], widths[i]);
    fmt::print(out, "{}\n", line.substr(0, line.find_last_not_of(' ') + 1));
  }
  fmt::print(
      out,
      "bytes, instr.: for each weight, at the least M of the row; instructions of the hot loop, counted in the "
      "machine code.\nbinds: what takes longer on a core that does {} instructions and gets {} bytes of weights a "
      "cycle.\n",
      kInstructionsPerCycle, kBytesPerCycle);
}

void run_program(const ProgramCommand &command, std::FILE *out) {
  const std::unique_ptr<ModelSource> source = open_model(command.model, command.open);
  const Program program = engine_program(*source, command.engine);
  if (command.svg.empty() || command.svg == "-") {
    const std::string text = !command.svg.empty() ? program_svg(program)
                             : command.json       ? program_json(program) + "\n"
                                                  : program_text(program);
    if (std::fwrite(text.data(), 1, text.size(), out) != text.size() || std::fflush(out) != 0)
      throw Error("cannot write the program");
    return;
  }
  write_file_atomically(command.svg, program_svg(program));
}

void run_info(const std::string &model, const OpenOptions &open, std::FILE *out) {
  const std::unique_ptr<ModelSource> source = open_model(model, open);
  const ModelConfig &c = source->config();
  const Footprint bytes = footprint(build_program(c, with_formats_of(*source, {})));
  const std::string tokenizer = std::filesystem::path(find_tokenizer(source->path())).filename();
  const auto line = [&](const char *name, const std::string &value) { fmt::print(out, "{:<16}{}\n", name, value); };
  line("model", source->path());
  if (!source->format().empty()) line("format", source->format());
  line("architecture", c.architecture);
  line("activation", fmt::format("{}{}", activation_name(c.activation),
                                 c.activation_from.empty() ? "" : ", from " + c.activation_from));
  line("shape", fmt::format("{} layers, hidden {}, ffn {}, {} heads of {} ({} for keys and values)", c.layers, c.hidden,
                            c.ffn, c.heads, c.head_dim, c.kv_heads));
  line("vocabulary", fmt::format("{}, {}", c.vocab, tokenizer.empty() ? "no tokenizer" : "tokenizer in " + tokenizer));
  line("positions", rope_text(c));
  line("numerics", fmt::format("rms eps {}, {}", c.rms_eps, norms_text(c)));
  line("ternary", fmt::format("{} weights, {:.1f} MiB at 2 bits, {}", bytes.ternary_weights, mib(bytes.ternary_bytes),
                              c.scale_group > 0 ? fmt::format("a scale for every {} of a row", c.scale_group)
                                                : std::string("a scale a matrix")));
  line("head", head_text(*source));
  const int64_t kv = bytes.kv_bytes_per_position;
  line("kv cache", fmt::format("{:.1f} KiB a position in f32, {:.1f} MiB for all", static_cast<double>(kv) / 1024,
                               mib(kv * c.max_positions)));
  std::string stops;
  for (int32_t id : c.eos) stops += fmt::format("{}{}", stops.empty() ? "" : ", ", id);
  line("tokens",
       fmt::format("begin {}, stop {}", c.bos < 0 ? "none" : fmt::format("{}", c.bos), stops.empty() ? "none" : stops));
  const ModelConfig::Generation &g = c.generation;
  line("generation", g.do_sample ? fmt::format("temperature {}, top-k {}, top-p {}, min-p {}, repetition penalty {}",
                                               g.temperature, g.top_k, g.top_p, g.min_p, g.repetition_penalty)
                                 : "greedy");
  const Fingerprint &f = machine_fingerprint();
  line("machine", fmt::format("{}, {} cores, fingerprint {}", f.brand.empty() ? f.vendor : f.brand,
                              machine_physical_cores(), f.id()));
  line("cache", cache_folder().empty() ? "none: HOME is not set" : cache_folder());
}

}  // namespace bittern::runtime
