// Machine code that a test has just generated, linked into a shared object and loaded: what the harnesses call.
#pragma once
#include <dlfcn.h>
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "codegen/backend.h"
#include "tests/scratch_folder.h"

namespace bittern::test {

class Linked {
 public:
  Linked(const std::vector<std::string> &objects, const std::string &exported) {
    const ScratchFolder folder;
    const std::string path = folder.path("kernels.so");
    codegen::link_shared(objects, {exported}, path);
    handle_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    REQUIRE_MESSAGE(handle_ != nullptr, dlerror());
    exported_ = find(exported);
    REQUIRE(exported_ != nullptr);
  }
  ~Linked() {
    if (handle_) dlclose(handle_);
  }
  Linked(const Linked &) = delete;
  Linked &operator=(const Linked &) = delete;

  void *exported() const { return exported_; }
  // Null where the object has no such dynamic symbol.
  void *find(const std::string &symbol) const { return dlsym(handle_, symbol.c_str()); }

 private:
  void *handle_ = nullptr, *exported_ = nullptr;
};

}  // namespace bittern::test
