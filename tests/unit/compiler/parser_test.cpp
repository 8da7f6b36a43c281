// Every kernel that ships parses, prints and parses back to the same IR.
#include "compiler/parser.h"

#include <doctest/doctest.h>

#include <fstream>
#include <iterator>

#include "compiler/library.h"
#include "compiler/printer.h"

using namespace bittern::compiler;

namespace {

KernelSpec parse_file(const std::string &name) {
  const std::string path = BITTERN_TEST_DATA "/kernels/" + name + ".bk";
  std::ifstream in(path);
  return parse_kernel(std::string(std::istreambuf_iterator<char>(in), {}), path);
}

}  // namespace

TEST_CASE("builtin kernels survive printing and parsing") {
  const std::vector<std::string> names = builtin_kernel_names();
  CHECK(names.size() >= 19);
  for (const std::string &name : names) {
    CAPTURE(name);
    const KernelSpec &spec = builtin_kernel(name);
    CHECK(spec.name == name);
    const std::string text = print_kernel(spec);
    CAPTURE(text);
    const KernelSpec again = parse_kernel(text, name);
    CHECK(equal(spec, again));
    CHECK(print_kernel(again) == text);
    CHECK(spec_hash(again) == spec_hash(spec));
  }
}

TEST_CASE("kernels that are no part of the compiler parse too") {
  for (const char *name : {"bias_clamp", "two_sums", "gather_rows", "gather_columns"}) {
    CAPTURE(name);
    const KernelSpec spec = parse_file(name);
    CHECK(equal(spec, parse_kernel(print_kernel(spec), "again")));
  }
}
