// The one exception of compiler, schedules, codegen and tuning_db: a message for the user, complete in itself.
#pragma once
#include <stdexcept>
#include <string>

namespace bittern {

class Error : public std::runtime_error {
 public:
  explicit Error(const std::string &message) : std::runtime_error(message) {}
};

}  // namespace bittern
