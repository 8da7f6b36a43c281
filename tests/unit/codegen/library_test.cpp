// The C part of emitted libraries for every architecture: it is whole, wants nothing but a C library, and shows only
// its header's functions. tests/install/emit_cli_test.sh runs what comes out.
#include "codegen/library/library.h"

#include <doctest/doctest.h>
#include <elf.h>

#include <cstring>
#include <map>

#include "codegen/backend.h"
#include "codegen/library/bittern_kernels.h"
#include "compiler/error.h"
#include "compiler/library.h"
#include "runtime/abi/kernel_abi.h"
#include "schedules/space.h"
#include "tests/scratch_folder.h"
#include "tests/unit/codegen/guarded_bytes.h"

using namespace bittern;

namespace {

// A target of an architecture, without kernels of its own.
schedules::Target made_up(const std::string &architecture) {
  schedules::Target target = schedules::targets().front();
  target.name = architecture;
  target.isa_needs = BT_ISA_BASELINE;
  target.architecture = architecture;
  return target;
}

// Binding of every defined symbol of a 64-bit ELF object.
std::map<std::string, int> defined_symbols(const std::string &object) {
  std::map<std::string, int> found;
  const auto *header = reinterpret_cast<const Elf64_Ehdr *>(object.data());
  REQUIRE(std::memcmp(header->e_ident, ELFMAG, SELFMAG) == 0);
  const auto *sections = reinterpret_cast<const Elf64_Shdr *>(object.data() + header->e_shoff);
  for (int i = 0; i < header->e_shnum; ++i) {
    if (sections[i].sh_type != SHT_SYMTAB) continue;
    const char *names = object.data() + sections[sections[i].sh_link].sh_offset;
    const auto *symbols = reinterpret_cast<const Elf64_Sym *>(object.data() + sections[i].sh_offset);
    for (size_t s = 0; s < sections[i].sh_size / sizeof *symbols; ++s)
      if (symbols[s].st_shndx != SHN_UNDEF && names[symbols[s].st_name] != 0)
        found[names + symbols[s].st_name] = ELF64_ST_BIND(symbols[s].st_info);
  }
  return found;
}

// A shape of the library without its kernels: what pack.c, which is part of this test, asks the others for.
struct MadeUpShape {
  static constexpr int64_t kTile = 2;
  std::vector<int8_t> packed;  // trits as they came
  bt_layout layout{};
  bt_kernel kernel{};
  const bt_kernel *row[1] = {&kernel};
  static inline MadeUpShape *current = nullptr;

  MadeUpShape(int64_t n, int64_t k) {
    current = this;
    layout.row_tile = kTile;
    layout.pack = [](const int8_t *trits, int64_t stride, int64_t, int64_t rows, int64_t, int64_t cols, uint8_t *) {
      for (int64_t r = 0; r < rows; ++r)
        current->packed.insert(current->packed.end(), trits + r * stride, trits + r * stride + cols);
    };
    kernel.layout = &layout;
    kernel.fixed[1] = n;
    kernel.fixed[2] = k;
  }
  const bittern_kernels *handle() const { return reinterpret_cast<const bittern_kernels *>(row); }
};

}  // namespace

extern "C" const bt_kernel *const *bittern_row_of(const bittern_kernels *kernels) {
  return reinterpret_cast<const bt_kernel *const *>(kernels);
}
extern "C" bittern_status bittern_check_rows(const bt_kernel *const *, int64_t, int64_t) { return BITTERN_OK; }

TEST_CASE("the C part links for every architecture and shows only its functions") {
  const test::ScratchFolder scratch;
  for (const auto &[architecture, machine] : {std::pair{"x86_64", EM_X86_64}, std::pair{"aarch64", EM_AARCH64}}) {
    CAPTURE(architecture);
    const std::string linked = codegen::link_library({}, {}, schedules::baseline_target(architecture), scratch.root());
    CHECK(reinterpret_cast<const Elf64_Ehdr *>(linked.data())->e_machine == machine);
    CHECK(defined_symbols(linked).at("bt_pack_table") == STB_GLOBAL);
    const auto sealed = defined_symbols(codegen::seal_library(linked));
    CHECK(sealed.at("bt_pack_table") == STB_LOCAL);
    CHECK(sealed.at("bittern_cpu_isa") == STB_LOCAL);
    for (const char *name : {"bittern_find", "bittern_pack", "bittern_quantise", "bittern_matmul"})
      CHECK(sealed.at(name) == STB_GLOBAL);
    for (const auto &[name, binding] : sealed) CHECK((binding == STB_LOCAL || name.starts_with("bittern_")));
    const std::string archive = codegen::archive_library(linked, "bittern_kernels.o");
    CHECK(archive == codegen::archive_library(linked, "bittern_kernels.o"));
    CHECK(archive.starts_with("!<arch>\n"));
  }
}

TEST_CASE("an architecture without a C part is refused by name") {
  CHECK_THROWS_WITH_AS(codegen::check_library_target(made_up("riscv64")),
                       "target riscv64: this build cannot emit libraries for riscv64; it can for aarch64, x86_64",
                       Error);
  CHECK_THROWS_AS(codegen::link_library({}, {}, made_up("riscv64"), "/nowhere"), Error);
}

TEST_CASE("the files beside the library name its version and architecture") {
  for (const codegen::LibraryFile &file : codegen::library_files("aarch64")) {
    CAPTURE(file.path);
    CHECK(file.bytes.find('@') == std::string::npos);
    if (file.path.find("ConfigVersion") != std::string::npos) CHECK(file.bytes.find("aarch64") != std::string::npos);
  }
  CHECK(codegen::library_files("x86_64").size() == 4);
}

TEST_CASE("rows of codes are read to their last column: what the last byte has left over is no trit of theirs") {
  constexpr int64_t kRows = 3;
  for (int64_t k = 1; k <= 9; ++k) {
    CAPTURE(k);
    const int64_t bytes = (k + 3) / 4;
    test::Guarded source(static_cast<size_t>(kRows * bytes), true);
    std::memset(source.data(), 0xff, static_cast<size_t>(kRows * bytes));  // code 3 wherever no trit is written
    std::vector<int8_t> trits;
    for (int64_t i = 0; i < kRows * k; ++i) {
      trits.push_back(static_cast<int8_t>(i % 3 - 1));
      uint8_t &byte = source.data()[i / k * bytes + i % k / 4];
      const int shift = static_cast<int>(2 * (i % k % 4));
      byte = static_cast<uint8_t>((byte & ~(3 << shift)) | (trits.back() + 1) << shift);
    }
    MadeUpShape shape(kRows, k);
    CHECK(bittern_pack(shape.handle(), BITTERN_CODES, source.data(), 0, kRows, &shape) == BITTERN_OK);
    CHECK(shape.packed == trits);
    source.data()[0] |= 3;
    CHECK(bittern_pack(shape.handle(), BITTERN_CODES, source.data(), 0, kRows, &shape) == BITTERN_NOT_A_TRIT);
  }
}
