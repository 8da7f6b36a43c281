// See hf_pooling.h.
#include "runtime/model/hf_pooling.h"

#include <fmt/format.h>

#include "runtime/error.h"
#include "runtime/io/json.h"

namespace bittern::runtime {

std::string parse_modules(std::string_view text, const std::string &name) {
  const JsonDocument document(text, name);
  const Json root = document.root();
  root.expect(Json::Type::Array);
  std::string folder;
  for (const Json module : root) {
    const Json type = module.get("type");
    const std::string full = type.string(), kind = full.substr(full.rfind('.') + 1);
    if (kind == "Transformer" || kind == "Normalize") continue;
    if (kind != "Pooling")
      type.fail(fmt::format("'{}' is not supported (supported: Transformer, Pooling, Normalize)", kind));
    const Json path = module.get("path");
    folder = path.string();
    if (folder.empty() || folder == "." || folder == ".." ||
        folder.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos)
      path.fail("not a plain folder name");
  }
  return folder;
}

Pooling parse_pooling(std::string_view text, const std::string &name) {
  const JsonDocument document(text, name);
  const Json root = document.root();
  root.expect(Json::Type::Object);
  Pooling pooling = Pooling::None;
  for (const Json value : root) {
    const std::string key = value.key();
    if (!key.starts_with("pooling_mode_") || value.is(Json::Type::Null) || !value.boolean()) continue;
    if (key != "pooling_mode_lasttoken" && key != "pooling_mode_mean_tokens")
      value.fail("true is not supported (supported: pooling_mode_lasttoken, pooling_mode_mean_tokens)");
    if (pooling != Pooling::None) value.fail("a second way of pooling is true");
    pooling = key == "pooling_mode_lasttoken" ? Pooling::Last : Pooling::Mean;
  }
  if (pooling == Pooling::None) root.fail("no pooling_mode_... is true");
  return pooling;
}

}  // namespace bittern::runtime
