// Requests that run generated code: "prove" and "time".
#pragma once
#include <vector>

#include "tuning_db/proof/proof.h"
#include "tuning_db/workers/worker_server.h"

namespace bittern::tuning {

// Adds them. What they keep between requests belongs to `ops`.
void add_kernel_service(WorkerOps &ops);

// What a question asks of a kernel with these fixed sizes, and a proof's result as it is answered.
std::vector<ProofStep> steps_of(const ProofQuestion &question, const compiler::KernelSpec &spec,
                                const bt_kernel &kernel);
ProveAnswer answer_of(const ProofResult &result);

// Ends this process when so much time passes before the next call; 0: it does not. The default action of SIGALRM is
// how a kernel that never returns is found out.
void set_call_alarm(int64_t milliseconds);

}  // namespace bittern::tuning
