// Where a result appears, whole or not at all: a file or folder is made beside its place under a temporary name,
// brought to the disk, and renamed. A killed process leaves a temporary, which the next one for the same place removes.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace bittern::runtime {

class OutputPlace {
 public:
  enum class Kind { File, Folder };
  // Makes the temporary (an empty file or folder), named `path`.PID.part and locked, so that only those of dead
  // processes are taken for left over. Throws Error when the place cannot be written, when something is there already
  // and `force` is not given, or when what is there must not be replaced: another kind of thing, or a folder that holds
  // anything but `replaceable` (the names that such a folder may have).
  OutputPlace(std::string path, Kind kind, bool force, std::vector<std::string> replaceable = {});
  ~OutputPlace();  // removes the temporary unless committed
  OutputPlace(const OutputPlace &) = delete;
  OutputPlace &operator=(const OutputPlace &) = delete;

  const std::string &path() const { return path_; }
  const std::string &temporary() const { return temporary_; }
  // Moves the temporary to its place. What was there before is there until the moment that the new one is.
  void commit();

 private:
  void refuse_unreplaceable() const;
  void remove_left_over() const;
  bool make_temporary();

  std::string path_, parent_, temporary_;
  Kind kind_;
  bool force_, committed_ = false;
  std::vector<std::string> replaceable_;
  int lock_ = -1;
};

}  // namespace bittern::runtime
