// Linking, compiling and the registry fail with a message that says what is missing.
#include <doctest/doctest.h>

#include <filesystem>
#include <functional>
#include <thread>

#include "codegen/backend.h"
#include "compiler/error.h"
#include "compiler/library.h"
#include "tests/unit/codegen/kernel_harness.h"

using namespace bittern;

namespace {

std::string message_of(const std::function<void()> &action) {
  try {
    action();
  } catch (const Error &error) {
    return error.what();
  }
  return "";
}

bool contains(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

std::string temporary(const char *name) { return fmt::format("/tmp/bittern-link-{}-{}.so", getpid(), name); }

codegen::Compiled residual_add(const std::string &symbol) {
  return test::compile(compiler::builtin_kernel("residual_add"), "llvm.loops{}", "x86-64", {}, symbol);
}

}  // namespace

TEST_CASE("a pack whose kernel is missing does not link") {
  codegen::Compiled kernel = residual_add("kernel_that_is_there");
  kernel.descriptor.symbol = "kernel_that_is_missing";
  const std::string table =
      codegen::emit_pack_table({{kernel.descriptor, "p"}}, "bt_pack_table", schedules::find_target("x86-64"));
  const std::string path = temporary("missing");
  const std::string message = message_of([&] { codegen::link_shared({table}, {"bt_pack_table"}, path); });
  CHECK(contains(message, "kernel_that_is_missing"));
  CHECK(contains(message, path));
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("lld's own errors come back as messages, and linking still works afterwards") {
  const codegen::Compiled kernel = residual_add("kernel_a");
  CHECK(contains(message_of([&] {
                   codegen::link_shared({kernel.objects[0], kernel.objects[0]}, {"kernel_a"}, temporary("twice"));
                 }),
                 "duplicate symbol: kernel_a"));
  CHECK(message_of([&] { codegen::link_shared({"not an object"}, {"x"}, temporary("text")); }) != "");
  CHECK(contains(message_of([&] { codegen::link_shared(kernel.objects, {"kernel_a"}, "/nowhere/at/all.so"); }),
                 "/nowhere/at/all.so"));
  CHECK(
      contains(message_of([&] { codegen::link_shared(kernel.objects, {"no_such"}, temporary("export")); }), "no_such"));
  const std::string path = temporary("good");
  codegen::link_shared(kernel.objects, {"kernel_a"}, path);
  CHECK(std::filesystem::exists(path));
  unlink(path.c_str());
}

TEST_CASE("compiling and linking from several threads") {
  std::vector<std::thread> threads;
  std::vector<std::string> messages(4);
  for (size_t t = 0; t < messages.size(); ++t)
    threads.emplace_back([&, t] {
      const std::string symbol = "kernel_" + std::to_string(t), path = temporary(symbol.c_str());
      messages[t] = message_of([&] { codegen::link_shared(residual_add(symbol).objects, {symbol}, path); });
      unlink(path.c_str());
    });
  for (std::thread &thread : threads) thread.join();
  for (const std::string &message : messages) CHECK(message == "");
}

TEST_CASE("unknown backends, templates and choices are named") {
  const compiler::KernelSpec &spec = compiler::builtin_kernel("residual_add");
  CHECK(contains(message_of([&] { test::compile(spec, "cobol.loops{}", "x86-64"); }), "unknown backend \"cobol\""));
  CHECK(contains(message_of([&] { test::compile(spec, "llvm.spirals{}", "x86-64"); }), "no template \"spirals\""));
  CHECK(contains(message_of([&] { test::compile(spec, "llvm.loops{parallel=7}", "x86-64"); }), "parallel=7"));
  CHECK_FALSE(codegen::backends().empty());
}

TEST_CASE("assembly comes on request and shows no fused multiply-add") {
  const compiler::KernelSpec &spec = compiler::builtin_kernel("head_f32");
  const schedules::Schedule schedule = schedules::parse_schedule("llvm.loops{}");
  const codegen::Compiled compiled = codegen::compile(
      {spec, schedule, schedules::find_target("x86-64-avx2"), {}, 1, INT64_MAX, "head", /*want_assembly=*/true});
  CHECK(contains(compiled.assembly, "vmulps"));
  CHECK(contains(compiled.assembly, "vaddps"));
  CHECK_FALSE(contains(compiled.assembly, "vfmadd"));
}
