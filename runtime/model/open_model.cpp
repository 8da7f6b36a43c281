// Which reader a path belongs to: a folder is a Hugging Face folder, files are told apart by their first bytes. A new
// format is a row of the table.
#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "runtime/error.h"
#include "runtime/model/formats.h"

namespace bittern::runtime {
namespace {

struct FileFormat {
  std::string_view magic;  // the file's first bytes
  std::unique_ptr<ModelSource> (*open)(const std::string &path, const OpenOptions &options);
};
std::unique_ptr<ModelSource> refuse_pickle(const std::string &path, const OpenOptions &) {
  throw Error(
      fmt::format("{}: a PyTorch pickle (.pt, .pth, .bin): loading one runs code that is in it. Save it as "
                  "safetensors (docs/formats.md says how)",
                  path));
}
constexpr std::array<FileFormat, 5> kFileFormats{{{"GGUF", open_gguf},
                                                  {"BITTERN1", open_bittern},
                                                  {"PK\x03\x04", refuse_pickle},
                                                  {"\x80\x02", refuse_pickle},
                                                  {"\x80\x04", refuse_pickle}}};

// Folders are told apart by a file that they have; what has none of them is a Hugging Face folder.
struct FolderFormat {
  const char *file;
  std::unique_ptr<ModelSource> (*open)(const std::string &folder, const OpenOptions &options);
};
constexpr std::array<FolderFormat, 2> kFolderFormats{
    {{"model_state_int2.safetensors", open_int2_folder}, {"model_state_int2.pt", refuse_pickle}}};

std::string first_bytes(const std::string &path, size_t count) {
  std::ifstream file(path, std::ios::binary);
  std::string bytes(count, '\0');
  file.read(bytes.data(), static_cast<std::streamsize>(count));
  bytes.resize(static_cast<size_t>(file.gcount()));
  return bytes;
}

}  // namespace

std::unique_ptr<ModelSource> open_model(const std::string &path, const OpenOptions &options) {
  std::error_code status;
  const std::filesystem::path absolute = std::filesystem::canonical(path, status);
  if (status) throw Error(fmt::format("{}: cannot open: {}", path, status.message()));
  if (std::filesystem::is_directory(absolute, status)) {
    for (const FolderFormat &format : kFolderFormats) {
      if (std::filesystem::exists(absolute / format.file, status)) return format.open(absolute.string(), options);
    }
    return open_hf_folder(absolute.string(), options);
  }
  const std::string head = first_bytes(absolute.string(), 16);
  for (const FileFormat &format : kFileFormats) {
    if (std::string_view(head).starts_with(format.magic)) return format.open(absolute.string(), options);
  }
  throw Error(
      fmt::format("{}: not a folder and not a GGUF or Bittern file; a model is one of these, the folder a Hugging Face "
                  "one with config.json and model.safetensors",
                  path));
}

}  // namespace bittern::runtime
