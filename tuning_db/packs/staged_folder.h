// A folder that appears whole or not at all: files are written into a sibling, which takes the folder's name at the
// end. What a failed or interrupted run began is removed; what a killed one left behind is named so that it is known
// for it.
#pragma once
#include <string>

namespace bittern::tuning {

class StagedFolder {
 public:
  // Throws Error when `path` is there and not an empty folder, or when nothing can be created beside it.
  explicit StagedFolder(const std::string &path);
  ~StagedFolder();
  StagedFolder(const StagedFolder &) = delete;
  StagedFolder &operator=(const StagedFolder &) = delete;

  // Writes a file below the folder, making folders on the way. Throws Error.
  void write(const std::string &name, const std::string &bytes);
  // Gives the folder its name. Throws Error.
  void commit();

 private:
  std::string path_, stage_;
  bool committed_ = false;
};

}  // namespace bittern::tuning
