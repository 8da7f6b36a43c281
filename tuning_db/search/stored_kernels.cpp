// See stored_kernels.h.
#include "tuning_db/search/stored_kernels.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "tuning_db/messages/fields.h"

namespace bittern::tuning {
namespace {

using nlohmann::json;

ObjectRecord record_of(const KernelCode &code) {
  return {0, code.sha256, code.objects, code.library, encode(code.descriptor).dump(), code.compile_ms};
}

// What a run of the code has shown; nothing when it did not come to that.
ProofRecord record_of(const Made &made) {
  if (made.rejection) {
    const RejectionKind kind = made.rejection->kind;
    const bool ran =
        kind == RejectionKind::Crash || kind == RejectionKind::Timeout || kind == RejectionKind::WrongResult;
    return {0, "", "", "", false, ran ? made.rejection->text : ""};
  }
  if (!made.proof) return {};
  return {0, made.proof->id, json(made.proof->inputs).dump(), made.proof->reference, true, ""};
}

}  // namespace

KernelCode code_of(const ObjectRecord &object) try {
  return {object.objects, object.sha256, decode<codegen::Descriptor>(json::parse(object.descriptor)), object.compile_ms,
          object.library};
} catch (const json::exception &error) {
  throw Error(fmt::format("its record is damaged: {}", error.what()));
} catch (const BadMessage &error) {
  throw Error(fmt::format("its record is damaged: {}", error.what()));
}

Proof proof_of(const ProofRecord &proof) try {
  return {proof.proof_id, json::parse(proof.inputs).get<std::vector<std::string>>(), proof.reference};
} catch (const json::exception &error) {
  throw Error(fmt::format("its record is damaged: {}", error.what()));
}

void make_stored(Store &store, Farm &farm, std::vector<Order> orders, const std::vector<CodeKey> &keys,
                 Farm::Clock::time_point deadline,
                 const std::function<void(size_t order, const Made &made, const StoredCode &code)> &finished) {
  if (orders.empty()) return;
  std::map<std::string, StoredCode> known = store.find_code(keys);
  std::vector<Order> wanted;
  std::vector<size_t> of;
  for (size_t i = 0; i < orders.size(); ++i) {
    Order &order = orders[i];
    if (const auto found = known.find(keys[i].key); found != known.end()) {
      const auto &[object, proof] = found->second;
      if (proof.id != 0 && !proof.passed) {  // it has failed before
        Made made;
        made.reached = true;
        made.rejection = Rejection{RejectionKind::WrongResult, order.schedule, proof.reason};
        finished(i, made, found->second);
        continue;
      }
      try {
        order.code = code_of(object);
        if (proof.id != 0) order.proof = proof_of(proof);
      } catch (const Error &) {  // made again
        order.code.reset();
        known.erase(found);
      }
    }
    wanted.push_back(std::move(order));
    of.push_back(i);
  }
  farm.make(wanted, deadline, [&](size_t number, Made &made) {
    const size_t i = of[number];
    if (!made.reached) return;
    StoredCode stored;
    if (made.code) {
      const auto found = known.find(keys[i].key);
      if (found != known.end()) stored = found->second;
      if (stored.object.id == 0) stored.object = record_of(*made.code);
      if (stored.proof.id == 0) stored.proof = record_of(made);
      stored = store.add_code(keys[i], std::move(stored));
    }
    finished(i, made, stored);
  });
}

}  // namespace bittern::tuning
