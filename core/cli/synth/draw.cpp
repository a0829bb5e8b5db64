#include "core/cli/synth/draw.hpp"

#include <numeric>
#include <utility>

#include "core/base/random.hpp"
#include "core/cli/synth/portable_math.hpp"

namespace halftone::synth {

namespace {

constexpr uint64_t fnv_start = 0xcbf29ce484222325;

// FNV-1a. The byte 0 stands between two names, since no name contains it.
uint64_t fnv(std::string_view text, uint64_t hash) {
    for (const char c : text)
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return hash;
}

}  // namespace

Draw::Draw(uint64_t seed, std::string_view tensor, std::string_view purpose)
    : seed_(seed), stream_(fnv(purpose, fnv(std::string_view("\0", 1), fnv(tensor, fnv_start)))) {}

uint32_t Draw::word() {
    const size_t at = next_ % words_.size();
    if (at == 0) random_words(seed_, stream_, next_, words_);
    ++next_;
    return words_[at];
}

double Draw::uniform() {
    return (word() + 0.5) / 4294967296.0;
}

double Draw::between(double least, double most) {
    return least + (most - least) * uniform();
}

double Draw::between_logs(double least, double most) {
    return exp2(between(log2(least), log2(most)));
}

double Draw::normal() {
    return normal_quantile(uniform());
}

uint32_t Draw::below(uint32_t limit) {
    return static_cast<uint32_t>((uint64_t{word()} * limit) >> 32);
}

std::vector<uint32_t> Draw::permutation(uint32_t size) {
    std::vector<uint32_t> order(size);
    std::iota(order.begin(), order.end(), 0U);
    for (uint32_t i = size; i > 1; --i)
        std::swap(order[i - 1], order[below(i)]);
    return order;
}

}  // namespace halftone::synth
