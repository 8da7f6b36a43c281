#include "tuning_db/search/outcomes.h"

#include "schedules/schedule.h"
#include "tuning_db/proof/cost.h"

namespace bittern::tuning {

Outcome make_outcome(const KernelWork &work, const Problem &problem, const WinnerRecord &winner,
                     const std::string &schedule, int64_t object, int64_t proof) {
  const schedules::Schedule parsed = schedules::parse_schedule(schedule);
  Outcome outcome;
  outcome.what = work.what;
  outcome.problem = problem;
  outcome.winner = winner;
  outcome.schedule = schedule;
  outcome.layout = parsed.layout;
  outcome.backend = parsed.backend;
  if (winner.us_median > 0) {
    outcome.gb_s = weight_bytes(work.spec, problem.sizes()) / winner.us_median / 1e3;
    outcome.gop_s = 2 * multiply_adds(work.spec, problem.sizes()) / winner.us_median / 1e3;
  }
  outcome.object.id = object;
  outcome.proof.id = proof;
  return outcome;
}

bool load_code(Store &store, std::vector<Outcome> &outcomes) {
  Ids objects, proofs;
  for (const Outcome &outcome : outcomes) {
    objects.push_back(outcome.object.id);
    proofs.push_back(outcome.proof.id);
  }
  const auto known_objects = store.objects(objects);
  const auto known_proofs = store.proofs(proofs);
  for (Outcome &outcome : outcomes) {
    const auto object = known_objects.find(outcome.object.id);
    const auto proof = known_proofs.find(outcome.proof.id);
    if (object == known_objects.end() || proof == known_proofs.end() || !proof->second.passed) return false;
    outcome.object = object->second;
    outcome.proof = proof->second;
  }
  return true;
}

}  // namespace bittern::tuning
