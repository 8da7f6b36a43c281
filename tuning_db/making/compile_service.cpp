// The worker's requests that need code generation. Where there is none (bitnet-worker), the others serve alone.
#include <fmt/format.h>

#include <chrono>
#include <iterator>
#include <memory>

#include "codegen/backend.h"
#include "compiler/parser.h"
#include "compiler/printer.h"
#include "tuning_db/making/worker_main.h"
#include "tuning_db/workers/files.h"
#include "tuning_db/workers/kernel_service.h"

namespace bittern::tuning {
namespace {

constexpr int64_t kFixtureBytes = int64_t{1} << 29;

CompileAnswer compile_kernel(const CompileRequest &request) {
  say_status("compiling " + request.schedule);
  const auto start = std::chrono::steady_clock::now();
  const compiler::KernelSpec spec = compiler::parse_kernel(request.spec, "kernel");
  const schedules::Target &target = schedules::find_target(request.target);
  schedules::Schedule schedule;
  try {
    schedule = schedules::parse_schedule(request.schedule);
  } catch (const Error &error) {
    throw Rejected(RejectionKind::IllegalSchedule, error.what());
  }
  codegen::Request wanted{spec, schedule, target, request.fixed, request.m_min, request.m_max, request.symbol};
  if (!request.meanings_on.empty()) wanted.meanings_on = &schedules::find_target(request.meanings_on);
  wanted.unchecked = request.unchecked;
  if (const auto overflow = codegen::sums_overflow(wanted)) throw Rejected(RejectionKind::IllegalSchedule, *overflow);
  const codegen::Compiled compiled = codegen::compile(wanted);
  CompileAnswer answer;
  answer.ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  answer.descriptor = compiled.descriptor;
  for (const std::string &object : compiled.objects) {
    answer.objects.push_back(fmt::format("{}/{}.{}.o", request.folder, request.symbol, answer.objects.size()));
    write_file(answer.objects.back(), object);
  }
  return answer;
}

LinkAnswer link_kernels(const LinkRequest &request) {
  say_status("linking");
  std::vector<codegen::TableRow> rows;
  for (const LinkRow &row : request.rows) rows.push_back({row.descriptor, row.proof, row.threads, row.roof_pct});
  std::vector<std::string> objects;
  for (const std::string &path : request.objects) objects.push_back(read_file(path));
  objects.push_back(codegen::emit_pack_table(rows, "bt_pack_table", schedules::find_target(request.target)));
  codegen::link_shared(objects, {"bt_pack_table"}, request.path);
  return {};
}

ProveAnswer expect_proof(const ExpectRequest &request) {
  say_status("computing reference outputs");
  const ProofQuestion &question = request.question;
  const compiler::KernelSpec spec = compiler::parse_kernel(question.spec, "kernel");
  bt_kernel kernel{};
  std::copy(std::begin(request.descriptor.fixed), std::end(request.descriptor.fixed), std::begin(kernel.fixed));
  kernel.m_min = request.descriptor.m_min;
  kernel.m_max = request.descriptor.m_max;
  static FixtureCache fixtures(kFixtureBytes, question.threads, question.references);
  static std::unique_ptr<compiler::KernelSpec> kept;  // fixtures refer to the spec they were made for
  if (!kept || compiler::spec_hash(*kept) != compiler::spec_hash(spec)) {
    fixtures = FixtureCache(kFixtureBytes, question.threads, question.references);
    kept = std::make_unique<compiler::KernelSpec>(spec);
  }
  return answer_of(
      expected_proof(question.hash, request.descriptor.spec_hash, *kept, steps_of(question, *kept, kernel), fixtures));
}

}  // namespace

int worker_main() {
  WorkerOps ops;
  ops.add<CompileRequest>(RejectionKind::CompileError, compile_kernel);
  ops.add<LinkRequest>(RejectionKind::LinkError, link_kernels);
  ops.add<ExpectRequest>(RejectionKind::Unproved, expect_proof);
  return serve_worker(ops);
}

}  // namespace bittern::tuning
