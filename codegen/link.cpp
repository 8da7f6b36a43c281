// LLVM's lld as a library, so that machines without a linker can have kernels of their own. lld keeps global state and
// serves one link at a time; objects reach it through anonymous memory files, so nothing is left behind.
#include <fmt/format.h>
#include <lld/Common/Driver.h>
#include <llvm/Support/raw_ostream.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <mutex>
#include <utility>

#include "codegen/backend.h"
#include "codegen/llvm/object.h"
#include "compiler/error.h"

LLD_HAS_DRIVER(elf)

namespace bittern::codegen {
namespace {

// A file in memory that has a path for as long as this lives.
class MemoryFile {
 public:
  MemoryFile(const char *what, const std::string &bytes) : descriptor_(memfd_create(what, MFD_CLOEXEC)) {
    if (descriptor_ < 0) fail(what);
    for (size_t written = 0; written < bytes.size();) {
      const ssize_t now = write(descriptor_, bytes.data() + written, bytes.size() - written);
      if (now < 0 && errno == EINTR) continue;
      if (now < 0) {
        const int reason = errno;
        close(descriptor_);
        errno = reason;
        fail(what);
      }
      written += static_cast<size_t>(now);
    }
  }
  ~MemoryFile() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  MemoryFile(MemoryFile &&other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  MemoryFile(const MemoryFile &) = delete;
  MemoryFile &operator=(const MemoryFile &) = delete;
  MemoryFile &operator=(MemoryFile &&) = delete;
  std::string path() const { return fmt::format("/proc/self/fd/{}", descriptor_); }

 private:
  [[noreturn]] static void fail(const char *what) {
    throw Error(fmt::format("cannot hold a {} in memory for linking: {}", what, std::strerror(errno)));
  }
  int descriptor_;
};

std::string version_script(const std::vector<std::string> &exports) {
  std::string script = "{ global: ";
  for (const std::string &name : exports) script += name + "; ";
  return script + "local: *; };\n";
}

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

// Runs lld on the objects, with `options` before them.
void run_lld(std::vector<std::string> options, const std::vector<std::string> &objects, const std::string &path) {
  std::vector<MemoryFile> files;
  files.reserve(objects.size());
  for (const std::string &object : objects) files.emplace_back("object", object);
  options.insert(options.begin(), {"ld.lld", "-o", path, "--build-id=none", "--threads=1"});
  for (const MemoryFile &file : files) options.push_back(file.path());
  std::vector<const char *> pointers;
  for (const std::string &option : options) pointers.push_back(option.c_str());

  std::string output;
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  static bool usable = true;
  if (!usable) throw Error(fmt::format("cannot link {}: an earlier link left lld unusable in this process", path));
  llvm::raw_string_ostream out(output);
  const lld::Result result = lld::lldMain(pointers, out, out, {{lld::Gnu, &lld::elf::link}});
  usable = result.canRunAgain;
  if (result.retCode != 0) throw Error(fmt::format("cannot link {}: {}", path, trimmed(out.str())));
}

std::string read_bytes(const std::string &path) {
  std::ifstream linked(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(linked), {}};
}

}  // namespace

void link_shared(const std::vector<std::string> &objects, const std::vector<std::string> &exports,
                 const std::string &path, const std::vector<std::string> &imports) {
  const MemoryFile script("version script", version_script(exports));
  run_lld({"-shared", "-z", "noexecstack", "-z", "relro", "-z", "now", "--no-undefined-version",
           "--version-script=" + script.path()},
          objects, path);
  // Whoever loads the result has memcpy and memset; anything else that is missing would fail there, so it fails here.
  try {
    check_undefined(read_bytes(path), imports);
  } catch (const Error &error) {
    unlink(path.c_str());
    throw Error(fmt::format("cannot link {}: {}", path, error.what()));
  }
}

std::string link_relocatable(const std::vector<std::string> &objects, const std::string &path) {
  run_lld({"-r"}, objects, path);
  std::string bytes = read_bytes(path);
  unlink(path.c_str());
  return bytes;
}

}  // namespace bittern::codegen
