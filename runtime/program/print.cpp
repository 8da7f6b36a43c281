// See print.h: the table, the JSON, and the folding of equal layers.
#include "runtime/program/print.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace bittern::runtime {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char *kSectionNames[] = {"pass", "hidden", "logits"};

const char *count_name(const Step &step) { return step.count == Count::Tokens ? "M" : "R"; }

// What decides how a layer looks: steps, kernels, sizes and the names of what they read and write.
std::string signature(const Program &program, size_t begin, size_t end) {
  std::string text;
  for (size_t i = begin; i < end; ++i) {
    const Step &step = program.steps[i];
    text += fmt::format("{} {} {} {} {}:", static_cast<int>(step.id), static_cast<int>(step.role),
                        fmt::join(step.sizes, ","), count_name(step), fmt::join(step.scalars, ","));
    for (const View &view : step.operands)
      text += fmt::format("{} {};", program[view.buffer].name, fmt::join(view.strides, ","));
  }
  return text;
}

// "0-4, 6-10".
std::string ranges_text(const std::vector<int64_t> &numbers) {
  std::string text;
  for (size_t i = 0; i < numbers.size();) {
    size_t j = i;
    while (j + 1 < numbers.size() && numbers[j + 1] == numbers[j] + 1) ++j;
    text += fmt::format("{}{}", text.empty() ? "" : ", ", numbers[i]);
    if (j > i) text += fmt::format("-{}", numbers[j]);
    i = j + 1;
  }
  return text;
}

std::string names_of(const Program &program, const Step &step, bool written) {
  std::string text;
  for (const View &view : step.operands)
    if (view.written == written) text += (text.empty() ? "" : ", ") + program[view.buffer].name;
  return text;
}

std::string kernel_text(const Step &step) {
  if (is_host_step(step.id)) return "-";
  const RoleInfo &role = role_info(step.role);
  std::string text = role.spec + " ";
  for (size_t i = 1; i < step.sizes.size(); ++i) text += fmt::format(" {}={}", role.sizes[i], step.sizes[i]);
  return text;
}

Json weight_json(const WeightOf &weight) {
  constexpr const char *kOf[] = {"", "matrix", "scales", "norm", "norm inside a linear layer", "head", "head scales"};
  constexpr const char *kLinears[] = {"q", "k", "v", "o", "gate", "up", "down"};
  Json json = {{"of", kOf[static_cast<size_t>(weight.of)]}};
  for (const Linear part : weight.parts) json["parts"].push_back(kLinears[static_cast<size_t>(part)]);
  if (weight.group > 0) json["group"] = weight.group;
  return json;
}

}  // namespace

std::string shape_text(const Buffer &buffer) {
  std::string text = axis_name(buffer.axis);
  for (const int64_t dim : buffer.dims) text += fmt::format("{}{}", text.empty() ? "" : " x ", dim);
  return fmt::format("{} {}", text.empty() ? "1" : text, element_name(buffer.type));
}

std::vector<Fold> folded(const Program &program) {
  struct Kind {
    std::string signature;
    size_t begin, end;
    std::vector<int64_t> layers;
  };
  std::vector<Fold> folds;
  std::vector<Kind> kinds;
  const size_t count = program.steps.size();
  const auto end_of = [&](size_t begin) {
    size_t end = begin;
    while (end < count && program.steps[end].layer == program.steps[begin].layer &&
           program.steps[end].section == program.steps[begin].section)
      ++end;
    return end;
  };
  size_t at = end_of(0);
  folds.push_back({"before the layers", 0, at});
  while (at < count && program.steps[at].layer >= 0) {
    const size_t end = end_of(at);
    const std::string looks = signature(program, at, end);
    const auto known =
        std::find_if(kinds.begin(), kinds.end(), [&](const Kind &kind) { return kind.signature == looks; });
    if (known == kinds.end())
      kinds.push_back({looks, at, end, {program.steps[at].layer}});
    else
      known->layers.push_back(program.steps[at].layer);
    at = end;
  }
  for (const Kind &kind : kinds)
    folds.push_back({(kind.layers.size() > 1 ? "layers " : "layer ") + ranges_text(kind.layers), kind.begin, kind.end});
  for (; at < count; at = end_of(at))
    folds.push_back(
        {program.steps[at].section == Section::Hidden ? "when states are asked for" : "when logits are asked for", at,
         end_of(at)});
  return folds;
}

std::string program_text(const Program &program) {
  const ModelConfig &c = program.config;
  std::string text =
      fmt::format("{}: {} layers. M: tokens of a pass, R: those whose results are wanted, B: sequences ({}).\n",
                  c.architecture, c.layers, program.options.sequences);
  std::vector<bool> shown(program.buffers.size());
  for (const Fold &fold : folded(program)) {
    text += fmt::format("\n{}\n", fold.title);
    for (size_t i = fold.begin; i < fold.end; ++i) {
      const Step &step = program.steps[i];
      text += fmt::format("  {:<20} {:<40} {} | {} -> {}\n", step_name(step.id), kernel_text(step), count_name(step),
                          names_of(program, step, false), names_of(program, step, true));
      for (const View &view : step.operands) shown[static_cast<size_t>(view.buffer)] = true;
    }
  }
  text += "\nbuffers\n";
  for (size_t i = 0; i < program.buffers.size(); ++i) {
    const Buffer &buffer = program.buffers[i];
    if (!shown[i]) continue;
    text += fmt::format("  {:<12} {:<11} {:<28} {}\n",
                        buffer.layer < 0 ? std::string() : fmt::format("layer {}", buffer.layer),
                        kind_name(buffer.kind), buffer.name, shape_text(buffer));
  }
  const Footprint f = footprint(program);
  return text + fmt::format(
                    "\n{} ternary weights, {} bytes at 2 bits; head {} bytes; a position takes {} bytes of keys "
                    "and values\n",
                    f.ternary_weights, f.ternary_bytes, f.head_bytes, f.kv_bytes_per_position);
}

std::string program_json(const Program &program) {
  Json buffers = Json::array(), steps = Json::array();
  for (size_t i = 0; i < program.buffers.size(); ++i) {
    const Buffer &buffer = program.buffers[i];
    Json shape = Json::array();
    if (buffer.axis != Axis::None) shape.push_back(axis_name(buffer.axis));
    for (const int64_t dim : buffer.dims) shape.push_back(dim);
    Json json = {{"id", i},
                 {"name", buffer.name},
                 {"kind", kind_name(buffer.kind)},
                 {"type", element_name(buffer.type)},
                 {"shape", std::move(shape)}};
    if (buffer.layer >= 0) json["layer"] = buffer.layer;
    json["first_step"] = buffer.first;
    json["last_step"] = buffer.last;
    if (buffer.weight.of != WeightOf::Of::Nothing) json["weight"] = weight_json(buffer.weight);
    buffers.push_back(std::move(json));
  }
  for (const Step &step : program.steps) {
    Json json = {{"id", step_name(step.id)}, {"section", kSectionNames[static_cast<size_t>(step.section)]}};
    if (step.layer >= 0) json["layer"] = step.layer;
    json["count"] = count_name(step);
    if (!is_host_step(step.id)) {
      const RoleInfo &role = role_info(step.role);
      json["kernel"] = role.spec;
      for (size_t i = 1; i < step.sizes.size(); ++i) json["sizes"][role.sizes[i]] = step.sizes[i];
      json["work_per_token"] = step.work;
    }
    if (!step.scalars.empty()) json["scalars"] = step.scalars;
    for (const View &view : step.operands)
      json["operands"].push_back({{"buffer", view.buffer},
                                  {"offset", view.offset},
                                  {"strides", view.strides},
                                  {"access", view.written ? "write" : "read"}});
    steps.push_back(std::move(json));
  }
  return Json{{"model", program.config.architecture},   {"layers", program.config.layers},
              {"sequences", program.options.sequences}, {"context", program.options.context},
              {"buffers", std::move(buffers)},          {"steps", std::move(steps)}}
      .dump();
}

}  // namespace bittern::runtime
