#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/os/fence.hpp"
#include "plugins/format.hpp"

namespace halftone::conformance {

// Numbers that depend on seed and stream alone, on every machine.
class Random {
  public:
    Random(uint64_t seed, uint64_t stream) : seed_(seed), stream_(stream) {}
    uint64_t below(uint64_t n);  // n > 0
    double uniform();            // [0, 1)
    float normal();
    bool one_in(uint64_t n) { return below(n) == 0; }

  private:
    uint32_t word();
    uint64_t seed_, stream_, at_ = 0;
    std::array<uint32_t, 256> words_{};  // those from at_ rounded down on
};

// A plugin that reaches beyond them crashes.
using Floats = std::vector<float, os::FencedAllocator<float>>;

struct Matrix {
    uint64_t rows = 0, cols = 0;
    Floats values;

    Matrix() = default;
    Matrix(uint64_t r, uint64_t c) : rows(r), cols(c), values(r * c) {}
    ht_region region() const { return {0, 0, rows, cols}; }
    ht_view view(uint64_t row = 0) const {  // one type of view serves reading and writing
        return {const_cast<float*>(values.data()) + row * cols, static_cast<int64_t>(cols), 1};
    }
    float at(uint64_t i, uint64_t j) const { return values[i * cols + j]; }
};

struct Shape {
    uint64_t rows, cols;
};
// Small, odd, tall, wide; and multiples of what formats ask for.
std::vector<Shape> shapes(Random&);

enum class Values { normal, few_bits, outlier, mixed_rows, zeros, subnormal, tiny, huge, constant };
inline constexpr Values all_values[] = {Values::normal,     Values::few_bits, Values::outlier,
                                        Values::mixed_rows, Values::zeros,    Values::subnormal,
                                        Values::tiny,       Values::huge,     Values::constant};
const char* name_of(Values);
Matrix draw(Random&, Shape, Values, ht_dtype);

// Every value of each option by itself (all choices, both flags, bounds and default of numbers), choices and
// flags in all combinations, mixtures of everything. The first is the defaults alone.
struct OptionChoice {
    std::string option;  // which one differs from its default; empty for defaults and mixtures
    GivenOptions given;
};
std::vector<OptionChoice> option_choices(Random&, const OptionTable&);

}  // namespace halftone::conformance
