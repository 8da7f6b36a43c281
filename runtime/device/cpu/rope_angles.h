// Cosines and sines of the rotary embedding, computed as transformers does in float32: inv_freq = theta^(-2i/d),
// angle = position * inv_freq. Made for each token when it is run; a table for the whole context would be larger than
// the time it saves is worth.
#pragma once
#include <cmath>
#include <cstdint>
#include <vector>

namespace bittern::runtime {

class RopeAngles {
 public:
  RopeAngles(int64_t head_dim, double theta) {
    for (int64_t i = 0; i < head_dim; i += 2)
      inverse_.push_back(1.0f / static_cast<float>(std::pow(
                                    theta, static_cast<double>(static_cast<float>(i) / static_cast<float>(head_dim)))));
  }
  // head_dim / 2 cosines and sines. Computed in double and rounded once, so that they do not depend on the C library.
  void fill(int64_t position, float *cosines, float *sines) const {
    for (size_t i = 0; i < inverse_.size(); ++i) {
      const double angle = static_cast<double>(static_cast<float>(position) * inverse_[i]);
      cosines[i] = static_cast<float>(std::cos(angle));
      sines[i] = static_cast<float>(std::sin(angle));
    }
  }

 private:
  std::vector<float> inverse_;
};

}  // namespace bittern::runtime
