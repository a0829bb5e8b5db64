#include "tests/unit/fp8/golden.hpp"

#include <bit>
#include <cmath>

namespace halftone::format_test {

namespace {
const std::string casts_file = std::string(HALFTONE_GOLDEN) + "/fp8_casts.txt";
}

std::vector<GoldenCast> golden_casts() {
    std::vector<GoldenCast> casts;
    for (GoldenWords golden(casts_file); golden.entry("cast");) {
        GoldenCast cast{golden.word(), golden.word(), {}};
        cast.codes = golden.runs(golden.count());
        casts.push_back(std::move(cast));
    }
    return casts;
}

std::vector<GoldenHash> golden_hashes() {
    std::vector<GoldenHash> hashes;
    for (GoldenWords golden(casts_file); golden.entry("hash");) {
        golden.word();  // of float32
        hashes.push_back({golden.word(), golden.count(), golden.hexadecimal()});
    }
    return hashes;
}

std::vector<float> every_bf16() {
    std::vector<float> values;
    for (uint32_t bits = 0; bits < 65536; ++bits)
        values.push_back(std::bit_cast<float>(bits << 16));
    return values;
}

std::vector<float> every_f16() {
    std::vector<float> values;
    for (int bits = 0; bits < 65536; ++bits) {
        const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
        const double size = exponent == 31  ? mantissa ? NAN : INFINITY
                            : exponent == 0 ? std::ldexp(mantissa, -24)
                                            : std::ldexp(1024 + mantissa, exponent - 25);
        values.push_back(static_cast<float>(bits & 0x8000 ? -size : size));
    }
    return values;
}

}  // namespace halftone::format_test
