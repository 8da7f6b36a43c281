// Ranges of M, the number of tokens, that share a schedule.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace bittern::tuning {

// M is bucketed, since one schedule rarely suits a single token and a prompt.
struct Bucket {
  int64_t m_min, m_max;
};
// 1, 2, 3-4, 5-8, 9-16, 17-32 and everything above.
const std::vector<Bucket> &buckets();
const Bucket &bucket_of(int64_t m);
std::string print_bucket(const Bucket &);  // "1", "5-8", "33+"

}  // namespace bittern::tuning
