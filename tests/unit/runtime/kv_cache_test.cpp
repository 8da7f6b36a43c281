// Pages are taken as a sequence grows, given back when it ends, and never shared.
#include "runtime/engine/kv_cache.h"

#include <doctest/doctest.h>

#include <set>

#include "runtime/error.h"

using namespace bittern::runtime;

TEST_CASE("a sequence takes a page for every 32 positions and gives all back") {
  KvCache cache(2, 3, 8, 6, KvType::F32);
  CHECK(cache.bytes() == 6 * 2 * 2 * 3 * 32 * 8 * 4);
  {
    Sequence a(cache, 96), b(cache, 96);
    a.reserve(1);
    a.advance(1);
    CHECK(cache.free_pages() == 5);
    a.reserve(31);
    a.advance(31);
    CHECK(cache.free_pages() == 5);
    b.reserve(33);
    b.advance(33);
    a.reserve(1);
    CHECK(cache.free_pages() == 2);
    CHECK(std::set<int32_t>{a.pages()[0], a.pages()[1], b.pages()[0], b.pages()[1]}.size() == 4);
    a.clear();
    CHECK(a.length() == 0);
    CHECK(cache.free_pages() == 4);
  }
  CHECK(cache.free_pages() == 6);
}

TEST_CASE("capacity and pages run out with an error that says so") {
  KvCache cache(1, 1, 4, 2, KvType::F16);
  Sequence a(cache, 40), b(cache, 40);
  CHECK_THROWS_WITH_AS(a.reserve(41), doctest::Contains("do not fit in 40"), Error);
  a.reserve(40);
  CHECK_THROWS_WITH_AS(b.reserve(1), doctest::Contains("all 2 pages"), Error);
}

TEST_CASE("keys and values of layers, pages and heads do not overlap") {
  KvCache cache(3, 2, 4, 2, KvType::F16);
  std::set<const uint8_t *> seen;
  for (int64_t layer = 0; layer < 3; ++layer)
    for (const uint8_t *base : {cache.keys(layer), cache.values(layer)})
      for (int64_t page = 0; page < 2; ++page)
        for (int64_t head = 0; head < 2; ++head)
          for (int64_t position = 0; position < 32; ++position)
            for (int64_t d = 0; d < 4; ++d) {
              const uint8_t *at = base + 2 * (page * cache.page_stride() + head * cache.head_stride() +
                                              position * cache.position_stride() + d);
              CHECK(at >= cache.keys(0));
              CHECK(at < cache.keys(0) + cache.bytes());
              CHECK(seen.insert(at).second);
            }
}
