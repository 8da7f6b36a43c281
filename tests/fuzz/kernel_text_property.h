// What must hold for any bytes given as kernel text; the fuzzer and a unit test with mutated kernels share it.
#pragma once
#include <cstdlib>
#include <string>
#include <string_view>

#include "compiler/error.h"
#include "compiler/parser.h"
#include "compiler/printer.h"

// The text is refused with an Error, or it is a kernel that prints and parses back to itself. Returns whether it was a
// kernel; anything else aborts or crashes.
inline bool check_kernel_text(std::string_view text) {
  using namespace bittern;
  compiler::KernelSpec spec;
  try {
    spec = compiler::parse_kernel(text, "fuzz.bk");
  } catch (const Error &e) {
    if (std::string_view(e.what()).substr(0, 7) != "fuzz.bk") std::abort();
    return false;
  }
  // A legal kernel's own text must be legal: an Error here is a bug and is not caught.
  const std::string printed = compiler::print_kernel(spec);
  const compiler::KernelSpec again = compiler::parse_kernel(printed, "printed.bk");
  if (!compiler::equal(spec, again) || compiler::print_kernel(again) != printed) std::abort();
  return true;
}
