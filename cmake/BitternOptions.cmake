# Language level, warnings and sanitizers, one interface target that every room links.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
# Sanitize: optimised enough to run and to fuzz, with line numbers and assertions. Not in the cache, where project() has left an empty value
# for a build type that CMake does not know.
set(CMAKE_CXX_FLAGS_SANITIZE "-O1 -gline-tables-only")
set(CMAKE_C_FLAGS_SANITIZE "-O1 -gline-tables-only")
find_program(BITTERN_CCACHE ccache)
if(BITTERN_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${BITTERN_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${BITTERN_CCACHE})
endif()

add_library(bittern_options INTERFACE)
# No FMA contraction anywhere: every float result is defined bit for bit.
target_compile_options(bittern_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Werror -ffp-contract=off)
# libstdc++ 12's own stable_sort uses a function that it deprecates; clang 19 reports that at our calls.
target_compile_options(bittern_options INTERFACE $<$<CXX_COMPILER_ID:Clang>:-Wno-deprecated-declarations>)
target_include_directories(bittern_options INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_definitions(bittern_options INTERFACE BITTERN_VERSION="${PROJECT_VERSION}")
# Code that is run once and calls what is fast: tests, programs, code generators, the tuner. Its compile time is what
# counts.
add_library(bittern_run_once INTERFACE)
target_compile_options(bittern_run_once INTERFACE $<$<CONFIG:Release>:-O1>)
if(BITTERN_SANITIZE)
  target_compile_options(bittern_options INTERFACE -fsanitize=${BITTERN_SANITIZE} -fno-omit-frame-pointer
                         -fno-sanitize-recover=all
                         $<$<CXX_COMPILER_ID:Clang>:-fsanitize-ignorelist=${CMAKE_SOURCE_DIR}/cmake/sanitizer-ignore.txt>)
  target_link_options(bittern_options INTERFACE -fsanitize=${BITTERN_SANITIZE})
endif()
if(BITTERN_FUZZ)
  # Coverage counters in every room, so that the fuzzers see which branches an input reached.
  target_compile_options(bittern_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
