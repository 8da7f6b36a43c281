// See make_kernel.h.
#include "tuning_db/making/make_kernel.h"

#include <fmt/format.h>

#include "tuning_db/workers/files.h"

namespace bittern::tuning {

std::string objects_hash(const std::vector<std::string> &objects) {
  std::string all;
  for (const std::string &object : objects) all += object;
  return sha256_hex(all);
}

// Runs a step and turns what it throws into the order's rejection.
void KernelMaker::attempt(const Order &order, Made &made, const std::function<void()> &step) const {
  if (made.rejection) return;
  try {
    step();
  } catch (const Interrupted &) {
    throw;
  } catch (const RunnerFailure &) {
    throw;
  } catch (const OutOfTime &) {
    throw;
  } catch (const Rejected &rejected) {
    made.rejection = Rejection{rejected.kind, order.schedule, rejected.what()};
  } catch (const Error &error) {
    made.rejection = Rejection{RejectionKind::Unproved, order.schedule, error.what()};
  }
}

Made KernelMaker::compile(WorkerSlot &slot, const Order &order) const {
  Made made;
  made.code = order.code;
  made.proof = order.proof;
  if (!made.code) attempt(order, made, [&] { made.code = compiled(slot, order); });
  made.reached = true;
  return made;
}

Made KernelMaker::make(WorkerSlot &slot, const Order &order) const {
  Made made = compile(slot, order);
  attempt(order, made, [&] { made.library = linked(slot, order, *made.code); });
  prove(slot, order, made, made.library, 0);
  return made;
}

void KernelMaker::prove(WorkerSlot &slot, const Order &order, Made &made, const std::string &library,
                        size_t row) const {
  made.library = library;
  made.row = row;
  if (order.prove == Prove::No || (order.prove == Prove::Unknown && made.proof)) return;
  attempt(order, made, [&] {
    Proof proof = proved(slot, order, made);
    if (made.proof && made.proof->id != proof.id)
      throw Rejected(RejectionKind::WrongResult,
                     fmt::format("proof {} is not the stored {}", proof.id, made.proof->id));
    made.proof = std::move(proof);
  });
}

KernelCode KernelMaker::compiled(WorkerSlot &slot, const Order &order) const {
  if (order.fresh_worker) slot.worker->stop();
  const Problem &problem = order.problem;
  const CompileAnswer answer =
      slot.worker->call(CompileRequest{problem.spec_text, order.schedule, problem.target, order.fixed, problem.m_min,
                                       problem.m_max, order.symbol, order.meanings_on, order.unchecked, folder_},
                        limits_.compile_seconds);
  KernelCode code;
  for (const std::string &path : answer.objects) code.objects.push_back(read_file(path));
  code.sha256 = objects_hash(code.objects);
  code.descriptor = answer.descriptor;
  code.compile_ms = answer.ms;
  return code;
}

// Links the code alone, unless that was done before.
std::string KernelMaker::linked(WorkerSlot &slot, const Order &order, KernelCode &code) const {
  const std::string library = fmt::format("{}/{}.so", folder_, order.symbol);
  if (code.library.empty()) {
    LinkRequest request;
    for (const std::string &object : code.objects) {
      request.objects.push_back(fmt::format("{}/{}.{}.o", folder_, order.symbol, request.objects.size()));
      write_file(request.objects.back(), object);
    }
    // Only what stands for itself may carry a proof.
    request.rows = {{code.descriptor, order.meanings_on.empty() ? "candidate" : "", order.problem.threads, 0}};
    request.target = order.meanings_on.empty() ? order.problem.target : order.meanings_on;
    request.path = library + ".linked";
    slot.worker->call(request, limits_.compile_seconds);
    code.library = read_file(request.path);
  }
  write_file(library, code.library);
  return library;
}

Proof KernelMaker::proved(WorkerSlot &slot, const Order &order, const Made &made) const {
  ProveRequest request;
  request.question = {order.problem.spec_text,
                      order.proved_hash.empty() ? made.code->sha256 : order.proved_hash,
                      order.problem.sizes(),
                      order.proof_sizes,
                      1,
                      folder_};
  request.library = made.library;
  request.index = made.row;
  request.call_ms = limits_.call_ms;
  ProveAnswer answer;
  if (slot.runner) {
    const ProveAnswer expected =
        slot.worker->call(ExpectRequest{request.question, made.code->descriptor}, limits_.proof_seconds);
    answer = slot.runner->prove(request, expected, limits_.proof_seconds);
  } else {
    answer = slot.worker->call(request, limits_.proof_seconds);
  }
  if (!answer.passed) throw Rejected(RejectionKind::WrongResult, answer.reason);
  return {answer.id, answer.inputs, answer.reference};
}

}  // namespace bittern::tuning
