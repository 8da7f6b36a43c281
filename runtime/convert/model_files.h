// The files that belong to a model beside its weights: tokenizer, chat template. Converting a model takes them along,
// whichever form they have there.
#pragma once
#include <functional>
#include <map>
#include <string>

#include "runtime/convert/conversion.h"

namespace bittern::runtime {

// Of a folder: those of the known names that are there. Of a Bittern file: those inside. Of a GGUF file: tokenizer.json
// and chat_template.jinja made from its metadata. Throws Error when one cannot be read.
ModelFiles read_model_files(const std::string &model_path, const std::function<void(const std::string &)> &note);

// The chat templates among them by name, the default one under "": chat_template.jinja, else tokenizer_config.json's,
// which may have several.
std::map<std::string, std::string> chat_templates_of(const ModelFiles &files);

}  // namespace bittern::runtime
