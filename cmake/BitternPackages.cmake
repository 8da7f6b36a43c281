# Third-party packages. tools/install-deps installs them; the README says why each is there.
find_package(Threads REQUIRED)
find_package(fmt 9 REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(CLI11 2.1 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(SODIUM REQUIRED IMPORTED_TARGET libsodium)
if(BITTERN_TESTS)
  find_package(doctest REQUIRED)
endif()
if(BITTERN_COMPILER)
  pkg_check_modules(SQLITE3 REQUIRED IMPORTED_TARGET sqlite3)
  find_package(LLVM 19.1 REQUIRED CONFIG)
  # Halide's own CMake package wants CMake 3.28 and Debian bookworm has 3.25, hence an imported target.
  set(HALIDE_ROOT "$ENV{HALIDE_ROOT}" CACHE PATH "Folder of the Halide 21 SDK (the PyPI package's 'halide' folder)")
  find_path(HALIDE_INCLUDE Halide.h HINTS ${HALIDE_ROOT}/include REQUIRED)
  find_library(HALIDE_LIBRARY Halide HINTS ${HALIDE_ROOT}/lib64 ${HALIDE_ROOT}/lib REQUIRED)
  add_library(Halide::Halide SHARED IMPORTED)
  set_target_properties(Halide::Halide PROPERTIES IMPORTED_LOCATION ${HALIDE_LIBRARY}
    INTERFACE_SYSTEM_INCLUDE_DIRECTORIES ${HALIDE_INCLUDE} INTERFACE_INCLUDE_DIRECTORIES ${HALIDE_INCLUDE}
    INTERFACE_LINK_LIBRARIES "Threads::Threads;${CMAKE_DL_LIBS}")
endif()
