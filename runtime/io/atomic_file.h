// A file that appears whole or not at all: written beside its place under a temporary name, then renamed, so that a
// reader, a full disk or a kill never leaves half of one. What is not a regular file (a device, a FIFO) cannot be
// replaced that way and is written through; a symbolic link leads to the file that is written.
#pragma once
#include <string>
#include <string_view>

#include "runtime/io/descriptor.h"

namespace bittern::runtime {

struct AtomicFileOptions {
  // A file of the program's own, in a folder of its own (caches, packs): mode 0600, and whatever has its name, a link
  // or a device too, is replaced. Otherwise a file that a user named: links are followed, devices written through, a
  // new file has the umask's mode and one that was there keeps its own.
  bool ours = false;
  bool on_disk = false;  // the bytes are on the disk before the name is
};

class AtomicFile {
 public:
  // Makes the temporary, `path`.PID.part, or opens the device. Throws Error naming `path` when that fails or `path` is
  // a folder.
  explicit AtomicFile(const std::string &path, AtomicFileOptions options = {});
  ~AtomicFile();  // without commit(), what was there before stays
  AtomicFile(const AtomicFile &) = delete;
  AtomicFile &operator=(const AtomicFile &) = delete;

  int fd() const { return file_.fd(); }  // for writers that place their bytes themselves
  // Appends. Throws Error naming `path`.
  void write(std::string_view bytes);
  // Puts the file in its place. Throws Error naming `path`; then nothing has changed there.
  void commit();

 private:
  // Where the bytes go: `temporary` becomes `place` at the end, or is empty and `place` is written through. An existing
  // file's `mode` is kept.
  struct Way {
    std::string place, temporary;
    unsigned mode = 0666;
    bool keeps_mode = false;
  };
  static Way find_way(const std::string &path, AtomicFileOptions options);
  static int open_way(const std::string &path, const Way &way);

  std::string path_;
  AtomicFileOptions options_;
  Way way_;
  Descriptor file_;
  bool committed_ = false;
};

// The whole of it at once.
void write_file_atomically(const std::string &path, std::string_view bytes, AtomicFileOptions options = {});

// Brings a folder's names to the disk, where the file system can.
void sync_folder(const std::string &folder);

}  // namespace bittern::runtime
