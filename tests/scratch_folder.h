// A folder of a test's own, removed with everything in it when the test ends.
#pragma once
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace bittern::test {

class ScratchFolder {
 public:
  ScratchFolder() : root_((std::filesystem::temp_directory_path() / "bittern-test-XXXXXX").string()) {
    if (!mkdtemp(root_.data())) throw std::runtime_error("cannot make a scratch folder");
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }
  ScratchFolder(const ScratchFolder &) = delete;
  ScratchFolder &operator=(const ScratchFolder &) = delete;

  const std::string &root() const { return root_; }
  std::string path(const std::string &name) const { return root_ + "/" + name; }
  // A new file each time: truncating an old one makes some file systems wait for the disk.
  void write(const std::string &name, std::string_view bytes) const {
    std::error_code ignored;
    std::filesystem::remove(path(name), ignored);
    std::ofstream(path(name), std::ios::binary) << bytes;
  }

 private:
  std::string root_;
};

}  // namespace bittern::test
