// See files.h.
#include "tuning_db/workers/files.h"

#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <iterator>

#include "compiler/error.h"

namespace bittern::tuning {

std::string read_file(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(fmt::format("cannot read {}", path));
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_file(const std::string &path, const std::string &bytes) {
  const std::string fresh = path + ".new";
  std::ofstream file(fresh, std::ios::binary);
  file << bytes;
  file.close();
  if (!file || std::rename(fresh.c_str(), path.c_str()) != 0) throw Error(fmt::format("cannot write {}", path));
}

}  // namespace bittern::tuning
