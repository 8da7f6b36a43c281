// Pages are taken as a sequence grows, given back when it ends, and shared only by sequences that begin alike, until
// one of them writes.
#include "runtime/engine/pages.h"

#include <doctest/doctest.h>

#include <set>
#include <utility>
#include <vector>

#include "runtime/error.h"
#include "runtime/program/program.h"

using namespace bittern::runtime;

namespace {

void grow(Sequence &sequence, int64_t count) {
  sequence.reserve(count, [](int32_t, int32_t) { FAIL("nothing is shared"); });
  sequence.advance(count);
}

}  // namespace

TEST_CASE("a sequence takes a page for every 32 positions and gives all back") {
  PagePool pool(6);
  {
    Sequence a(pool, 96), b(pool, 96);
    grow(a, 1);
    CHECK(pool.free_pages() == 5);
    grow(a, 31);
    CHECK(pool.free_pages() == 5);
    CHECK(a.pages_to_take(1) == 1);
    grow(b, 33);
    grow(a, 1);
    CHECK(pool.free_pages() == 2);
    CHECK(std::set<int32_t>{a.pages()[0], a.pages()[1], b.pages()[0], b.pages()[1]}.size() == 4);
    a.clear();
    CHECK(a.length() == 0);
    CHECK(pool.free_pages() == 4);
  }
  CHECK(pool.free_pages() == 6);
}

TEST_CASE("capacity and pages run out with an error that says so") {
  PagePool pool(2);
  Sequence a(pool, 40), b(pool, 40);
  CHECK_THROWS_WITH_AS(grow(a, 41), doctest::Contains("do not fit in 40"), Error);
  grow(a, 40);
  CHECK_THROWS_WITH_AS(grow(b, 1), doctest::Contains("all 2 pages"), Error);
}

TEST_CASE("a page that is still partly used stays with its sequence") {
  PagePool pool(8);
  Sequence a(pool, 96), b(pool, 96);
  grow(a, 70);
  for (const int64_t length : {65, 64, 40, 33, 1}) {
    a.truncate(length);
    CHECK(pool.free_pages() == 8 - pages_for(length));
    b.clear();
    grow(b, 96);
    std::set<int32_t> pages(b.pages().begin(), b.pages().end());
    for (int64_t i = 0; i < pages_for(length); ++i) CHECK(pages.insert(a.pages()[static_cast<size_t>(i)]).second);
    b.clear();
  }
}

TEST_CASE("sequences that begin alike share pages, and the first to write takes a copy") {
  PagePool pool(8);
  Sequence a(pool, 128), b(pool, 128), c(pool, 128);
  grow(a, 40);
  b.begin_as(a, 36);
  c.begin_as(b, 32);
  CHECK(pool.free_pages() == 6);
  CHECK(b.length() == 36);
  CHECK(b.pages()[1] == a.pages()[1]);
  std::vector<std::pair<int32_t, int32_t>> copies;
  const auto copy = [&](int32_t from, int32_t to) { copies.emplace_back(from, to); };
  // The second page is partly b's: writing copies it. The first is only read.
  CHECK(b.pages_to_take(1) == 1);
  CHECK(b.pages_to_take(40) == 2);
  const int32_t before = a.pages()[1];
  b.reserve(1, copy);
  b.advance(1);
  CHECK(copies == std::vector<std::pair<int32_t, int32_t>>{{before, b.pages()[1]}});
  CHECK(a.pages()[1] == before);
  CHECK(b.pages()[1] != before);
  CHECK(a.pages_to_take(1) == 0);
  a.reserve(1, copy);
  // c ends at a page's end: it writes to a page of its own.
  CHECK(c.pages_to_take(1) == 1);
  c.reserve(1, copy);
  CHECK(copies.size() == 1);
  CHECK(pool.free_pages() == 4);
  // A page returns with its last owner.
  a.clear();
  CHECK(pool.free_pages() == 5);
  b.clear();
  CHECK(pool.free_pages() == 6);
  c.clear();
  CHECK(pool.free_pages() == 8);
}
