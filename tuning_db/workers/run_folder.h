// Where a tuning run keeps what workers exchange: objects, libraries, reference outputs. Private to the user, gone when
// the run ends; what a killed run left behind is removed by the next one.
#pragma once
#include <string>

namespace bittern::tuning {

class RunFolder {
 public:
  // Makes <base>/run-<process id>. Throws Error when it cannot.
  explicit RunFolder(const std::string &base);
  ~RunFolder();
  RunFolder(const RunFolder &) = delete;
  RunFolder &operator=(const RunFolder &) = delete;
  const std::string &path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace bittern::tuning
