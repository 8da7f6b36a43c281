// The one exception of the runtime: a message for the user that names what is wrong and where. It has no codes, since
// nobody can act on one other than by showing the message.
#pragma once
#include <stdexcept>

namespace bittern::runtime {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace bittern::runtime
