// Cosines and sines as stored bits: the angle is a product in float32, as transformers has it, which at large positions
// is far from the same product in double.
#include "runtime/device/cpu/rope_angles.h"

#include <doctest/doctest.h>

#include <bit>

using bittern::runtime::RopeAngles;

TEST_CASE("angles of near and far positions have their bits") {
  struct Row {
    int64_t position, pair;
    uint32_t cosine, sine;
  };
  // Heads of 128, theta 500000; made with float32 and double arithmetic of Python.
  constexpr Row kRows[] = {{1, 0, 0x3f0a5140u, 0x3f576aa4u},       {1, 1, 0x3f2fa753u, 0x3f3a3b04u},
                           {1, 20, 0x3f7ff703u, 0x3c87a82du},      {1, 63, 0x3f800000u, 0x3624c2ffu},
                           {511, 0, 0xbef17fe5u, 0x3f61bbb4u},     {511, 1, 0xbc0956acu, 0x3f7ffdb3u},
                           {511, 20, 0xbf1251a3u, 0x3f521052u},    {511, 63, 0x3f7ffff3u, 0x3aa4709bu},
                           {4095, 0, 0xbd871e6cu, 0xbf7f7136u},    {4095, 1, 0x3f5eec85u, 0xbefbb8b6u},
                           {4095, 20, 0x3e88f111u, 0xbf76ac61u},   {4095, 63, 0x3f7ffcb0u, 0x3c24b7fdu},
                           {131071, 0, 0xbf51675eu, 0xbf13430au},  {131071, 1, 0xbf51361bu, 0x3f1388fdu},
                           {131071, 20, 0xbf783ab7u, 0x3e7a61b5u}, {131071, 63, 0x3f72dbeeu, 0x3ea1ee7au}};
  const RopeAngles angles(128, 500000);
  for (const Row &row : kRows) {
    CAPTURE(row.position);
    CAPTURE(row.pair);
    float cosines[64], sines[64];
    angles.fill(row.position, cosines, sines);
    CHECK(std::bit_cast<uint32_t>(cosines[row.pair]) == row.cosine);
    CHECK(std::bit_cast<uint32_t>(sines[row.pair]) == row.sine);
  }
}
