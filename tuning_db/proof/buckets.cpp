// The buckets, as one table.
#include "tuning_db/proof/buckets.h"

#include <fmt/format.h>

#include "compiler/error.h"

namespace bittern::tuning {

const std::vector<Bucket> &buckets() {
  static const std::vector<Bucket> table = {{1, 1}, {2, 2}, {3, 4}, {5, 8}, {9, 16}, {17, 32}, {33, INT64_MAX}};
  return table;
}

const Bucket &bucket_of(int64_t m) {
  for (const Bucket &bucket : buckets())
    if (m >= bucket.m_min && m <= bucket.m_max) return bucket;
  throw Error(fmt::format("M = {} is not in any bucket: it must be at least 1", m));
}

std::string print_bucket(const Bucket &bucket) {
  if (bucket.m_max == INT64_MAX) return fmt::format("{}+", bucket.m_min);
  if (bucket.m_min == bucket.m_max) return fmt::format("{}", bucket.m_min);
  return fmt::format("{}-{}", bucket.m_min, bucket.m_max);
}

}  // namespace bittern::tuning
