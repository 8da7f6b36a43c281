// .npy files: what is written reads back and is what NumPy writes; broken files are refused by name.
#include "runtime/io/npy.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "runtime/error.h"
#include "tests/scratch_folder.h"

using namespace bittern::runtime;

namespace {

std::string read_bytes(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST_CASE("a matrix reads back, and the bytes are NumPy's") {
  const bittern::test::ScratchFolder folder;
  const std::string path = folder.path("a.npy");
  const std::vector<float> data{1, -2.5f, 3, 4, 5, 6e-40f};
  write_npy(path, data, 2, 3);
  const NpyArray array = read_npy(path);
  CHECK(array.shape == std::vector<int64_t>{2, 3});
  CHECK(array.data == data);
  // NumPy wrote this file with numpy.save.
  const std::string golden = std::string(BITTERN_TEST_DATA) + "/goldens/bitnet_a_packed/p17.logits.npy";
  const NpyArray logits = read_npy(golden);
  CHECK(logits.shape == std::vector<int64_t>{17, 512});
  write_npy(path, logits.data, 17, 512);
  CHECK(read_bytes(path) == read_bytes(golden));
  write_npy(path, {}, 0, 5);
  CHECK(read_npy(path).shape == std::vector<int64_t>{0, 5});
}

TEST_CASE("a file appears whole or not at all") {
  const bittern::test::ScratchFolder folder;
  const std::vector<float> one{1};
  write_npy(folder.path("a.npy"), one, 1, 1);
  write_npy(folder.path("a.npy"), one, 1, 1);  // replaces
  CHECK(std::distance(std::filesystem::directory_iterator(folder.root()), {}) == 1);
  CHECK_THROWS_WITH_AS(write_npy(folder.path("none/a.npy"), one, 1, 1), doctest::Contains("cannot create"), Error);
  std::filesystem::create_directory(folder.path("taken"));
  CHECK_THROWS_WITH_AS(write_npy(folder.path("taken"), one, 1, 1), doctest::Contains("cannot write"), Error);
  CHECK(std::distance(std::filesystem::directory_iterator(folder.root()), {}) == 2);
  CHECK_THROWS_WITH_AS(write_npy(folder.path("b.npy"), one, 2, 3), doctest::Contains("1 values are not 2 x 3"), Error);
  CHECK_THROWS_WITH_AS(write_npy(folder.path("b.npy"), one, -1, -1), doctest::Contains("are not -1 x -1"), Error);
}

TEST_CASE("broken files are refused") {
  const bittern::test::ScratchFolder folder;
  const std::string path = folder.path("a.npy");
  const std::vector<float> data(6, 1.0f);
  write_npy(path, data, 2, 3);
  const std::string good = read_bytes(path);
  for (size_t length = 0; length < good.size(); ++length) {
    folder.write("a.npy", good.substr(0, length));
    CHECK_THROWS_AS(read_npy(path), Error);
  }
  const auto replaced = [&](const std::string &from, const std::string &to) {
    std::string bytes = good;
    bytes.replace(bytes.find(from), from.size(), to);
    folder.write("a.npy", bytes);
  };
  const auto refused = [&](const std::string &from, const std::string &to, const char *message) {
    replaced(from, to);
    CHECK_THROWS_WITH_AS(read_npy(path), doctest::Contains(message), Error);
  };
  refused("<f4", "<f8", "'descr' is not '<f4'");
  refused("False", "True ", "'fortran_order' is not False");
  refused("'shape'", "'sharp'", "header has no 'shape'");
  refused("(2, 3)", "(2,-3)", "'shape'");
  refused("(2, 3)", "(2, 4)", "'shape'");
  refused("(2, 3)", "(2, 2)", "24 bytes of data, 16 expected");
  refused("(2, 3), }          ", "(99999999999999999,", "'shape'");
  refused("(2, 3), }                            ", "(281474976710656, 281474976710656, 0), }", "'shape'");
  CHECK_THROWS_WITH_AS(read_npy(folder.path("none.npy")), doctest::Contains("cannot open"), Error);
  CHECK_THROWS_WITH_AS(read_npy(folder.root()), doctest::Contains("not a regular file"), Error);
}
