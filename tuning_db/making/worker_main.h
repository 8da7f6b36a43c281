// The worker of a program that has a code generator: everything that serve_worker() does, and compiling and linking.
#pragma once

namespace bittern::tuning {

// Serves requests until the parent is gone. Returns the exit status.
int worker_main();

}  // namespace bittern::tuning
