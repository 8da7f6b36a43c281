# Writes OUTPUT, a C++ table of the texts in FOLDER/*.bk: cmake -DFOLDER=.. -DOUTPUT=.. -P embed_kernels.cmake
file(GLOB texts ${FOLDER}/*.bk)
list(SORT texts)
set(code "// Generated from compiler/kernels/*.bk by embed_kernels.cmake.\n#include \"compiler/embedded.h\"\n
namespace bittern::compiler {\n
std::span<const EmbeddedText> embedded_texts() {\n  static constexpr EmbeddedText rows[] = {\n")
foreach(path ${texts})
  get_filename_component(name ${path} NAME_WE)
  file(READ ${path} text)
  string(APPEND code "      {\"${name}\", R\"bk(${text})bk\"},\n")
endforeach()
string(APPEND code "  };\n  return rows;\n}\n\n}  // namespace bittern::compiler\n")
file(WRITE ${OUTPUT} "${code}")
