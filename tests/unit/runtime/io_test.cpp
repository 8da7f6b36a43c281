// What rooms share for files and lists: a file appears whole or not at all, devices and links are treated as the user
// meant them, hashes are SHA-256, and lists are read whole.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "runtime/error.h"
#include "runtime/io/atomic_file.h"
#include "runtime/io/sha256.h"
#include "runtime/io/shapes.h"
#include "tests/error_message.h"
#include "tests/scratch_folder.h"

using namespace bittern::runtime;
using bittern::test::contains;
using bittern::test::message;
using bittern::test::ScratchFolder;

namespace {

std::string bytes_of(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

mode_t mode_of(const std::string &path) {
  struct stat info{};
  CHECK(lstat(path.c_str(), &info) == 0);
  return info.st_mode;
}

long entries(const std::string &folder) { return std::distance(std::filesystem::directory_iterator(folder), {}); }

}  // namespace

TEST_CASE("a file is there when it is whole, and the old one until then") {
  const ScratchFolder folder;
  const std::string path = folder.path("a");
  write_file_atomically(path, "first", {.on_disk = true});
  {
    AtomicFile file(path);
    file.write("sec");
    CHECK(bytes_of(path) == "first");
  }
  CHECK(bytes_of(path) == "first");  // not committed
  CHECK(entries(folder.root()) == 1);
  AtomicFile file(path);
  file.write("sec");
  file.write("ond");
  file.commit();
  CHECK(bytes_of(path) == "second");
  CHECK(entries(folder.root()) == 1);
  CHECK(contains(message([&] { AtomicFile(folder.path("none/a")); }), "none/a: cannot create: No such file"));
  CHECK(contains(message([&] { AtomicFile(folder.root()); }), "cannot write: Is a directory"));
}

TEST_CASE("a user's file keeps its mode, a file of ours is private") {
  const ScratchFolder folder;
  const std::string path = folder.path("a");
  const mode_t mask = umask(027);
  write_file_atomically(path, "new");
  umask(mask);
  CHECK((mode_of(path) & 0777) == 0640);
  chmod(path.c_str(), 0646);
  write_file_atomically(path, "again");
  CHECK((mode_of(path) & 0777) == 0646);
  write_file_atomically(path, "private", {.ours = true});
  CHECK((mode_of(path) & 0777) == 0600);
  CHECK(bytes_of(path) == "private");
}

TEST_CASE("links are followed for users and replaced by us") {
  const ScratchFolder folder;
  std::filesystem::create_directory(folder.path("there"));
  std::filesystem::create_symlink("there/file", folder.path("inner"));
  std::filesystem::create_symlink(folder.path("inner"), folder.path("link"));
  write_file_atomically(folder.path("link"), "one");  // the file is not there yet
  CHECK(bytes_of(folder.path("there/file")) == "one");
  write_file_atomically(folder.path("link"), "two");
  CHECK(bytes_of(folder.path("there/file")) == "two");
  CHECK(S_ISLNK(mode_of(folder.path("link"))));
  CHECK(S_ISLNK(mode_of(folder.path("inner"))));
  CHECK(entries(folder.path("there")) == 1);
  write_file_atomically(folder.path("link"), "three", {.ours = true});
  CHECK(S_ISREG(mode_of(folder.path("link"))));
  CHECK(bytes_of(folder.path("there/file")) == "two");
  std::filesystem::create_symlink("loop", folder.path("loop"));
  CHECK(contains(message([&] { AtomicFile(folder.path("loop")); }), "loop: cannot create: Too many levels"));
}

TEST_CASE("FIFOs and devices are written through") {
  const ScratchFolder folder;
  const std::string fifo = folder.path("fifo"), full = folder.path("full");
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  const Descriptor reader(open(fifo.c_str(), O_RDONLY | O_NONBLOCK));
  write_file_atomically(fifo, "through", {.on_disk = true});
  char got[16] = {};
  CHECK(read(reader.fd(), got, sizeof got) == 7);
  CHECK(std::string(got) == "through");
  CHECK(S_ISFIFO(mode_of(fifo)));
  // A device of our own: were it replaced, the machine's would not be.
  if (mknod(full.c_str(), S_IFCHR | 0600, makedev(1, 7)) != 0 || access(full.c_str(), W_OK) != 0) {
    MESSAGE("no device can be made here");
    return;
  }
  std::string what = message([&] { write_file_atomically(full, "x"); });
  if (!contains(what, "Permission denied")) CHECK(contains(what, "full: cannot write: No space left"));
  CHECK(S_ISCHR(mode_of(full)));
}

TEST_CASE("SHA-256 as hexadecimal digits") {
  CHECK(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("lists are read whole and errors quote the item") {
  CHECK(parse_counts("1, 8,128", 128, "--batch") == std::vector<int64_t>{1, 8, 128});
  CHECK(parse_shapes("6912x2560, 3x5", "--shape") == std::vector<Shape>{{6912, 2560}, {3, 5}});
  CHECK(parse_shapes("16777216x1", "--shape") == std::vector<Shape>{{1 << 24, 1}});
  CHECK(print_shape({6912, 2560}) == "6912x2560");
  for (const char *bad : {"", "0", "-1", "1,", "129", "1;2", "1.5", "1 2", "9999999999999999999999"}) {
    CAPTURE(bad);
    CHECK(contains(message([&] { parse_counts(bad, 128, "--batch"); }), "--batch: '"));
  }
  for (const char *bad : {"", "12", "12x", "x12", "0x5", "5x0", "5x-1", "3x5x7", "3X5", "3x5,", "12xabc", "16777217x1",
                          "12x99999999999999999999"}) {
    CAPTURE(bad);
    CHECK(contains(message([&] { parse_shapes(bad, "--shapes"); }), "--shapes '" + std::string(bad) + "': '"));
  }
  CHECK(contains(message([&] { parse_counts("1,zwei", 8, "-t"); }), "zwei"));
}
