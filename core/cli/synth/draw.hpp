#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace halftone::synth {

// Random numbers for one purpose of one tensor. They depend on nothing but the seed and the two names, so
// that a tensor is the same whatever else is in the model.
class Draw {
  public:
    Draw(uint64_t seed, std::string_view tensor, std::string_view purpose);

    uint32_t word();
    double uniform();                                // (0, 1)
    double between(double least, double most);       //
    double between_logs(double least, double most);  // evenly spread on a logarithmic scale
    double normal();
    uint32_t below(uint32_t limit);
    bool coin() { return (word() & 1) != 0; }
    std::vector<uint32_t> permutation(uint32_t size);

  private:
    uint64_t seed_, stream_, next_ = 0;
    std::array<uint32_t, 256> words_{};
};

}  // namespace halftone::synth
