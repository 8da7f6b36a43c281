#include "tuning_db/workers/run_folder.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <filesystem>

#include "compiler/error.h"

namespace bittern::tuning {

namespace fs = std::filesystem;

RunFolder::RunFolder(const std::string &base) {
  std::error_code failed;
  fs::create_directories(base, failed);
  if (failed) throw Error(fmt::format("cannot create {}: {}", base, failed.message()));
  for (const fs::directory_entry &entry : fs::directory_iterator(base, failed)) {
    const std::string name = entry.path().filename();
    int owner = 0;
    if (name.rfind("run-", 0) != 0) continue;
    const auto [end, error] = std::from_chars(name.data() + 4, name.data() + name.size(), owner);
    if (error != std::errc() || end != name.data() + name.size() || owner <= 0) continue;
    if (owner == getpid() || (kill(owner, 0) != 0 && errno == ESRCH)) fs::remove_all(entry.path(), failed);
  }
  path_ = fmt::format("{}/run-{}", base, getpid());
  if (mkdir(path_.c_str(), 0700) != 0) throw Error(fmt::format("cannot create {}: {}", path_, std::strerror(errno)));
}

RunFolder::~RunFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

}  // namespace bittern::tuning
