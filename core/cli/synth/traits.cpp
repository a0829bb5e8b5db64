#include "core/cli/synth/traits.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "core/cli/synth/draw.hpp"
#include "core/cli/synth/mixing.hpp"
#include "core/cli/synth/portable_math.hpp"

namespace halftone::synth {

namespace {

// Drawn from inside the limits, so that what is measured lies within them.
constexpr double decay_least = 0.55, decay_most = 0.74;
constexpr double kurtosis_least = 1.6, kurtosis_most = 6, kurtosis_most_if_small = 4.5;
constexpr double factor_least = 8.5, factor_most = 19;

class Spectrum {
  public:
    Spectrum(double decay, uint64_t rank) : squares_(rank), sums_(rank + 1) {
        for (uint64_t i = 0; i < rank; ++i) {
            squares_[i] = power(static_cast<double>(i + 1), -2 * decay);
            sums_[i + 1] = sums_[i] + squares_[i];
        }
    }
    uint64_t rank() const { return squares_.size(); }
    double square(uint64_t i) const { return squares_[i]; }
    double sum(uint64_t first, uint64_t count) const { return sums_[first + count] - sums_[first]; }
    double rest(uint64_t first, uint64_t count) const { return sums_.back() - sum(first, count); }

  private:
    std::vector<double> squares_, sums_;
};

struct Outliers {
    uint32_t count = 0, first = 0;
    double least = 0, most = 0;  // factors
};

// The factors if `count` outlier columns take the singular values from `first` on; nothing if one is out of
// range.
std::optional<Outliers> taking(const Spectrum& spectrum, uint64_t cols, uint32_t count, uint32_t first) {
    const double other = spectrum.rest(first, count) / static_cast<double>(cols);
    const std::vector<double> mix = cosine_rotation(count);
    Outliers found{count, first, factor_most * 2, 0};
    for (uint32_t column = 0; column < count; ++column) {
        double square = 0;
        for (uint32_t i = 0; i < count; ++i)
            square += mix[i * count + column] * mix[i * count + column] * spectrum.square(first + i);
        const double factor = std::sqrt(square / other);
        found.least = std::min(found.least, factor);
        found.most = std::max(found.most, factor);
    }
    if (found.least < factor_least || found.most > factor_most) return std::nullopt;
    return found;
}

// The run whose mean factor is nearest to the wanted one. The factor falls as the run moves down the
// spectrum.
std::optional<Outliers> best_run(const Spectrum& spectrum, uint64_t cols, uint32_t count, double wanted) {
    const auto above = [&](uint64_t first) {
        const double mean = spectrum.sum(first, count) / count;
        const double other = spectrum.rest(first, count) / static_cast<double>(cols);
        return mean > wanted * wanted * other;
    };
    uint64_t low = 0, high = spectrum.rank() - count;
    while (low < high) {
        const uint64_t middle = (low + high) / 2;
        if (above(middle))
            low = middle + 1;
        else
            high = middle;
    }
    const auto first = static_cast<uint32_t>(low);
    if (const auto found = taking(spectrum, cols, count, first)) return found;
    return first > 0 ? taking(spectrum, cols, count, first - 1) : std::nullopt;
}

std::optional<Outliers> choose(const Spectrum& spectrum, uint64_t cols, uint32_t wanted_count,
                               double wanted_factor) {
    const auto n = static_cast<double>(cols);
    const auto rank = static_cast<double>(spectrum.rank());
    const auto least = static_cast<uint32_t>(std::ceil(trait_limits.share_least * n));
    const auto most = static_cast<uint32_t>(std::min(std::floor(trait_limits.share_most * n), rank / 2));
    wanted_count = std::clamp(wanted_count, least, std::max(least, most));
    // Fewer columns can be larger; more of them can be smaller.
    for (uint32_t count = std::min(wanted_count, most); count >= least && count > 0; --count)
        if (const auto found = best_run(spectrum, cols, count, wanted_factor)) return found;
    for (uint32_t count = wanted_count + 1; count <= most; ++count)
        if (const auto found = best_run(spectrum, cols, count, wanted_factor)) return found;
    return std::nullopt;
}

}  // namespace

Traits draw_traits(uint64_t seed, std::string_view name, uint64_t rows, uint64_t cols, Kind kind) {
    Draw draw(seed, name, "traits");
    Traits traits;
    traits.deviation = kind == Kind::embedding ? draw.between_logs(0.5, 2) : draw.between_logs(0.02, 0.05);
    const double decay_place = draw.uniform();
    // A few large rows and columns that meet by chance weigh much in a small matrix.
    const bool small = std::min(rows, cols) < 256;
    traits.kurtosis = draw.between(kurtosis_least, small ? kurtosis_most_if_small : kurtosis_most);
    traits.row_part = draw.between(0.3, 0.7);
    const double share = draw.between_logs(trait_limits.share_least, trait_limits.share_most);
    const double factor = draw.between(factor_least + 1, factor_most - 1);

    traits.decay = decay_least + decay_place * (decay_most - decay_least);
    if (std::floor(trait_limits.share_most * static_cast<double>(cols)) < 1) return traits;

    const auto count = static_cast<uint32_t>(std::llround(share * static_cast<double>(cols)));
    const uint64_t rank = std::min(rows, cols);
    // The least decay that allows for outlier columns; what was drawn finds its place above it.
    constexpr int steps = 20;
    for (int i = 0; i < steps; ++i) {
        const double least = decay_least + (decay_most - decay_least) * i / steps;
        auto outliers = choose(Spectrum(least, rank), cols, count, factor);
        if (!outliers) continue;
        traits.decay = least + decay_place * (decay_most - least);
        if (const auto better = choose(Spectrum(traits.decay, rank), cols, count, factor))
            outliers = better;
        else
            traits.decay = least;
        traits.outliers = outliers->count;
        traits.outlier_first = outliers->first;
        traits.factor_least = outliers->least;
        traits.factor_most = outliers->most;
        return traits;
    }
    return traits;
}

}  // namespace halftone::synth
