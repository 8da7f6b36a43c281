// The formats that models are written in, one row each: a new one is a file with a function and a row in
// format_writers.cpp.
#pragma once
#include <string>
#include <vector>

#include "runtime/convert/conversion.h"

namespace bittern::runtime {

struct FormatWriter {
  const char *name;     // as in --to
  const char *summary;  // one line for --help
  bool folder;          // the result is a folder, else a file
  // Throws Error when the format cannot hold the model, before anything is written.
  void (*check)(const Conversion &conversion);
  void (*write)(const Conversion &conversion);
};

const std::vector<FormatWriter> &format_writers();
// Throws Error that lists the names there are.
const FormatWriter &find_format_writer(const std::string &name);

// The writers (to_*.cpp).
void write_bittern(const Conversion &conversion);
void check_safetensors(const Conversion &conversion);
void write_safetensors(const Conversion &conversion);
void check_int2(const Conversion &conversion);
void write_int2(const Conversion &conversion);
// `target` is one of gguf_encodings.h.
void check_gguf(const Conversion &conversion, const char *target);
void write_gguf(const Conversion &conversion, const char *target);

}  // namespace bittern::runtime
