#include "tests/unit/fp8/golden.hpp"

#include <bit>
#include <cmath>
#include <fstream>
#include <functional>
#include <sstream>
#include <stdexcept>

namespace halftone::fp8_test {

namespace {

void each_line(const std::string& file,
               const std::function<void(std::istream& words, std::istream& rest)>& visit) {
    std::ifstream in(std::string(HALFTONE_GOLDEN) + "/" + file);
    if (!in) throw std::runtime_error("cannot read " + file);
    for (std::string line; std::getline(in, line);) {
        if (line.empty() || line[0] == '#') continue;
        std::istringstream words(line);
        visit(words, in);
    }
}

uint32_t hexadecimal(std::istream& in) {
    std::string word;
    if (!(in >> word)) throw std::runtime_error("a golden file ends too early");
    return static_cast<uint32_t>(std::stoul(word, nullptr, 16));
}

}  // namespace

std::vector<GoldenCast> golden_casts() {
    std::vector<GoldenCast> casts;
    each_line("fp8_casts.txt", [&](std::istream& words, std::istream& rest) {
        std::string kind;
        GoldenCast cast;
        size_t runs = 0;
        words >> kind >> cast.inputs >> cast.element >> runs;
        if (kind != "cast") return;
        for (std::string run; runs > 0; --runs) {
            rest >> run;
            const size_t star = run.find('*');
            cast.codes.insert(cast.codes.end(), std::stoul(run.substr(star + 1)),
                              static_cast<uint8_t>(std::stoul(run.substr(0, star), nullptr, 16)));
        }
        casts.push_back(std::move(cast));
    });
    return casts;
}

std::vector<GoldenHash> golden_hashes() {
    std::vector<GoldenHash> hashes;
    each_line("fp8_casts.txt", [&](std::istream& words, std::istream&) {
        std::string kind, inputs;
        GoldenHash hash{};
        words >> kind >> inputs >> hash.element >> hash.stride >> std::hex >> hash.hash;
        if (kind == "hash") hashes.push_back(hash);
    });
    return hashes;
}

std::vector<GoldenMatrix> golden_matrices() {
    std::vector<GoldenMatrix> matrices;
    each_line("fp8_matrices.txt", [&](std::istream& words, std::istream& rest) {
        std::string kind;
        GoldenMatrix golden;
        Matrix& weights = golden.weights;
        words >> kind >> golden.name >> golden.element >> golden.scale_per >> weights.rows >> weights.cols >>
            golden.reference;
        if (kind != "matrix") return;
        for (uint64_t i = 0; i < weights.rows * weights.cols; ++i)
            weights.values.push_back(std::bit_cast<float>(hexadecimal(rest)));
        for (uint64_t i = 0; i < weights.rows * weights.cols; ++i)
            golden.stored.codes.push_back(static_cast<uint8_t>(hexadecimal(rest)));
        for (uint64_t i = 0; i < (golden.scale_per == "row" ? weights.rows : 1); ++i)
            golden.stored.scales.push_back(std::bit_cast<float>(hexadecimal(rest)));
        matrices.push_back(std::move(golden));
    });
    return matrices;
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

}  // namespace halftone::fp8_test
