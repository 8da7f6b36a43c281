// The worker's requests that need code generation. Where there is none (bitnet-worker), the others serve alone.
#include <fmt/format.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <memory>

#include "codegen/backend.h"
#include "compiler/parser.h"
#include "compiler/printer.h"
#include "tuning_db/making/descriptor_json.h"
#include "tuning_db/making/worker_main.h"
#include "tuning_db/proof/problem.h"
#include "tuning_db/proof/proof.h"
#include "tuning_db/workers/files.h"
#include "tuning_db/workers/worker.h"

namespace bittern::tuning {
namespace {

using nlohmann::json;

constexpr int64_t kFixtureBytes = int64_t{1} << 29;

// {spec, schedule, target, fixed, m_min, m_max, symbol, meanings_on, unchecked, folder}
// -> {objects: [path], descriptor, ms, library}
json compile_kernel(const json &request) {
  const auto schedule_text = request.at("schedule").get<std::string>();
  say_status("compiling " + schedule_text);
  const auto start = std::chrono::steady_clock::now();
  const schedules::Schedule schedule = schedules::parse_schedule(schedule_text);
  const schedules::Target &target = schedules::find_target(request.at("target").get<std::string>());
  const compiler::KernelSpec spec = compiler::parse_kernel(request.at("spec").get<std::string>(), "kernel");
  codegen::Request wanted{spec,
                          schedule,
                          target,
                          request.at("fixed").get<compiler::Sizes>(),
                          request.at("m_min"),
                          request.at("m_max"),
                          request.at("symbol")};
  if (const auto on = request.value("meanings_on", std::string()); !on.empty())
    wanted.meanings_on = &schedules::find_target(on);
  wanted.unchecked = request.value("unchecked", false);
  const codegen::Compiled compiled = codegen::compile(wanted);
  const double ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  const std::string stem = request.at("folder").get<std::string>() + "/" + wanted.symbol;
  json paths = json::array();
  for (size_t i = 0; i < compiled.objects.size(); ++i) {
    paths.push_back(fmt::format("{}.{}.o", stem, i));
    write_file(paths.back(), compiled.objects[i]);
  }
  return {{"objects", paths}, {"descriptor", descriptor_to_json(compiled.descriptor)}, {"ms", ms}};
}

// {objects: [path], rows: [{descriptor, proof, threads, roof_pct}], target, path}
json link_kernels(const json &request) {
  say_status("linking");
  std::vector<codegen::TableRow> rows;
  for (const json &row : request.at("rows"))
    rows.push_back(
        {descriptor_from_json(row.at("descriptor")), row.at("proof"), row.at("threads"), row.at("roof_pct")});
  std::vector<std::string> objects;
  for (const json &path : request.at("objects")) objects.push_back(read_file(path));
  objects.push_back(
      codegen::emit_pack_table(rows, "bt_pack_table", schedules::find_target(request.at("target").get<std::string>())));
  codegen::link_shared(objects, {"bt_pack_table"}, request.at("path"));
  return json::object();
}

// What a proof on another machine must say, computed from the text alone.
// {spec, descriptor, hash, sizes, proof_sizes, threads, references} -> {inputs, reference, steps, id}
json expect_proof(const json &request) {
  say_status("computing reference outputs");
  const compiler::KernelSpec spec = compiler::parse_kernel(request.at("spec").get<std::string>(), "kernel");
  const codegen::Descriptor descriptor = descriptor_from_json(request.at("descriptor"));
  bt_kernel kernel{};
  std::copy(std::begin(descriptor.fixed), std::end(descriptor.fixed), std::begin(kernel.fixed));
  kernel.m_min = descriptor.m_min;
  kernel.m_max = descriptor.m_max;
  static FixtureCache fixtures(kFixtureBytes, request.at("threads"), request.at("references"));
  static std::unique_ptr<compiler::KernelSpec> kept;  // fixtures refer to the spec they were made for
  if (!kept || compiler::spec_hash(*kept) != compiler::spec_hash(spec)) {
    fixtures = FixtureCache(kFixtureBytes, request.at("threads"), request.at("references"));
    kept = std::make_unique<compiler::KernelSpec>(spec);
  }
  const auto at = request.value("proof_sizes", std::vector<compiler::Sizes>());
  const ProofResult result = expected_proof(
      request.at("hash"), descriptor.spec_hash, *kept,
      at.empty() ? proof_steps(*kept, kernel, request.at("sizes").get<compiler::Sizes>()) : proof_steps_at(*kept, at),
      fixtures);
  return {{"inputs", result.inputs}, {"reference", result.reference}, {"steps", result.steps}, {"id", result.id}};
}

}  // namespace

int worker_main() {
  return serve_worker({{"compile", compile_kernel}, {"link", link_kernels}, {"expect", expect_proof}});
}

}  // namespace bittern::tuning
