#include "tuning_db/search/rejections.h"

#include <algorithm>

namespace bittern::tuning {

void Rejections::add(const std::string &schedule, std::string reason) {
  for (size_t at; !schedule.empty() && (at = reason.find(schedule)) != std::string::npos;)
    reason.replace(at, schedule.size(), "the kernel");
  ++counts_[reason];
}

void Rejections::add(const Rejections &more) {
  for (const auto &[reason, count] : more.counts_) counts_[reason] += count;
}

std::vector<std::pair<size_t, std::string>> Rejections::list() const {
  std::vector<std::pair<size_t, std::string>> rows;
  for (const auto &[reason, count] : counts_) rows.emplace_back(count, reason);
  std::stable_sort(rows.begin(), rows.end(), [](const auto &a, const auto &b) { return a.first > b.first; });
  return rows;
}

}  // namespace bittern::tuning
