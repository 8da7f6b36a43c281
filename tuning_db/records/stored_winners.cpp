#include "tuning_db/records/stored_winners.h"

namespace bittern::tuning {

std::vector<StoredWinner> stored_winners(Store &store, int64_t machine,
                                         const std::function<bool(const Problem &)> &wanted) {
  std::vector<StoredProblem> problems = store.problems(machine);
  Ids ids, objects, proofs;
  for (const StoredProblem &p : problems)
    if (!wanted || wanted(p.problem)) ids.push_back(p.id);
  const std::map<int64_t, WinnerRecord> winners = store.winners(ids);
  std::map<int64_t, CandidateRecord> won;  // by problem
  for (CandidateRecord &c : store.candidates(ids)) {
    const auto winner = winners.find(c.problem);
    if (winner == winners.end() || winner->second.candidate != c.id) continue;
    objects.push_back(c.object);
    proofs.push_back(c.proof);
    won[c.problem] = std::move(c);
  }
  const std::map<int64_t, ObjectRecord> known_objects = store.objects(objects);
  const std::map<int64_t, ProofRecord> known_proofs = store.proofs(proofs);
  std::vector<StoredWinner> result;
  for (StoredProblem &p : problems) {
    const auto c = won.find(p.id);
    if (c == won.end()) continue;
    StoredWinner row{std::move(p.problem), winners.at(p.id), std::move(c->second), {}, {}};
    if (const auto object = known_objects.find(row.candidate.object); object != known_objects.end())
      row.object = object->second;
    if (const auto proof = known_proofs.find(row.candidate.proof); proof != known_proofs.end())
      row.proof = proof->second;
    result.push_back(std::move(row));
  }
  return result;
}

}  // namespace bittern::tuning
