// How a folder of an embedding model says that tokens become one vector: modules.json and the pooling module's
// config.json, the convention of the sentence-transformers library.
#pragma once
#include <string>
#include <string_view>

#include "runtime/model/model_source.h"

namespace bittern::runtime {

// The pooling module's folder in modules.json's text, empty when there is no such module. Throws Error for modules that
// would change the vector (Dense) and for paths that lead out of the folder.
std::string parse_modules(std::string_view text, const std::string &name);

// The pooling module's config.json: the last token or the mean. Throws Error for every other way.
Pooling parse_pooling(std::string_view text, const std::string &name);

}  // namespace bittern::runtime
