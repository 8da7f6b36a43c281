// Why candidates were rejected, each reason once with how many it met: a text at fault is one line, not one a
// candidate.
#pragma once
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace bittern::tuning {

class Rejections {
 public:
  // The schedule's own text does not make a reason another one.
  void add(const std::string &schedule, std::string reason);
  void add(const Rejections &more);
  // Most frequent first, of equals the first by text.
  std::vector<std::pair<size_t, std::string>> list() const;
  bool empty() const { return counts_.empty(); }

 private:
  std::map<std::string, size_t> counts_;
};

}  // namespace bittern::tuning
