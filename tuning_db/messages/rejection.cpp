// The kinds' names, which go over the wire.
#include "tuning_db/messages/rejection.h"

#include <fmt/format.h>

#include <iterator>

namespace bittern::tuning {
namespace {

constexpr const char *kRejectionNames[] = {"illegal schedule", "compile error", "link error", "unproved", "crash",
                                           "timeout",          "wrong result",  "bad request"};

}  // namespace

const char *rejection_name(RejectionKind kind) { return kRejectionNames[static_cast<size_t>(kind)]; }

RejectionKind find_rejection(const std::string &name) {
  for (size_t i = 0; i < std::size(kRejectionNames); ++i)
    if (name == kRejectionNames[i]) return static_cast<RejectionKind>(i);
  throw Error(fmt::format("\"{}\" is not a kind of rejection", name));
}

}  // namespace bittern::tuning
