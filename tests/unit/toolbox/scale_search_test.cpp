#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <random>
#include <vector>

#include <halftone/toolbox/int8.hpp>
#include <halftone/toolbox/nf4.hpp>
#include <halftone/toolbox/scalar_kernels.hpp>
#include <halftone/toolbox/scale_search.hpp>

namespace halftone::toolbox {
namespace {

Scale by_absmax(float amax) {
    return {amax, amax};
}

struct Group {
    std::vector<float> x, weight;
    float amax = 0;

    explicit Group(std::mt19937_64& random, size_t n) {
        std::normal_distribution<float> normal(0.0f, std::ldexp(1.0f, static_cast<int>(random() % 60) - 30));
        for (size_t i = 0; i < n; ++i) {
            x.push_back(normal(random));
            weight.push_back(static_cast<float>(random() % 5));
            amax = std::max(amax, std::fabs(x.back()));
        }
    }
    // In double, by the definition.
    double error(Scale scale, bool weighted) const {
        double sum = 0;
        for (size_t i = 0; i < x.size(); ++i) {
            const float value = Nf4Comfy::decode(Nf4Comfy::encode(x[i] / scale.pre)) * scale.post;
            const double error = static_cast<double>(x[i]) - static_cast<double>(value);
            sum += error * error * (weighted ? static_cast<double>(weight[i]) : 1.0);
        }
        return sum;
    }
    double kernel_error(Scale scale, bool weighted) const {
        const float unit = error_unit(amax);
        return static_cast<double>(loops::squared_error<Nf4Comfy, Scaling::divide>(
                   x.data(), weighted ? weight.data() : nullptr, x.size(), scale.pre, scale.post, unit)) /
               (static_cast<double>(unit) * static_cast<double>(unit));
    }
    Scale searched(bool weighted) const {
        return search_scale(
            amax, by_absmax, [&](Scale scale, double) { return kernel_error(scale, weighted); },
            [&](Scale scale, float unit) {
                float sums[2];
                loops::moments<Nf4Comfy, Scaling::divide>(x.data(), weighted ? weight.data() : nullptr,
                                                          x.size(), scale.pre, unit, sums);
                return Moments{static_cast<double>(sums[0]), static_cast<double>(sums[1])};
            });
    }
};

TEST(ScaleSearch, SumsTheErrorsOfWhatIsStored) {
    std::mt19937_64 random(1);
    for (int round = 0; round < 300; ++round) {
        const Group group(random, 1 + random() % 100);
        const Scale scale = by_absmax(group.amax * (0.5f + static_cast<float>(random() % 100) / 100));
        for (const bool weighted : {false, true})
            EXPECT_NEAR(group.kernel_error(scale, weighted), group.error(scale, weighted),
                        1e-5 * group.error(scale, weighted));
    }
}

TEST(ScaleSearch, FindsNoWorseThanAnyOfItsCandidates) {
    std::mt19937_64 random(2);
    for (int round = 0; round < 200; ++round) {
        const Group group(random, 2 + random() % 100);
        for (const bool weighted : {false, true}) {
            const double found = group.kernel_error(group.searched(weighted), weighted);
            for (int candidate = 0; candidate < search_candidates; ++candidate)
                EXPECT_LE(found,
                          group.kernel_error(by_absmax(group.amax * search_factor(candidate)), weighted));
        }
    }
}

TEST(ScaleSearch, KeepsTheLargestMagnitudeUnlessAnotherIsBetter) {
    const auto constant = [](Scale, double) { return 1.0; };
    const auto none = [](Scale, float) { return Moments{}; };
    EXPECT_EQ(3.0f, search_scale(3.0f, by_absmax, constant, none).post);
    // Of others that are equal, the largest.
    const auto others = [](Scale scale, double) { return scale.post == 3.0f ? 1.0 : 0.5; };
    EXPECT_EQ(3.0f * search_factor(0), search_scale(3.0f, by_absmax, others, none).post);
}

TEST(ScaleSearch, ConsidersScalesThatCanBeStoredOnceEach) {
    std::vector<float> judged;
    const auto coarse = [](float amax) { return Scale{std::ceil(amax), std::ceil(amax)}; };
    search_scale(
        4.0f, coarse, [&](Scale scale, double) { return judged.push_back(scale.post), 1.0; },
        [](Scale, float) { return Moments{}; });
    EXPECT_EQ((std::vector<float>{4, 5, 3, 2}), judged);
}

TEST(ScaleSearch, FindsTheScaleBetweenCandidatesByLeastSquares) {
    // Integers times 0.7777, and a largest number that is a little off.
    std::vector<float> x;
    for (int i = -127; i <= 127; ++i)
        x.push_back(static_cast<float>(i) * 0.7777f);
    x.push_back(127 * 0.7777f * 1.003f);
    const auto rule = [](float amax) { return Scale{amax / 127.0f, amax / 127.0f}; };
    const float unit = error_unit(x.back());
    const Scale found = search_scale(
        x.back(), rule,
        [&](Scale scale, double) {
            return static_cast<double>(loops::squared_error<Int8, Scaling::divide>(
                x.data(), nullptr, x.size(), scale.pre, scale.post, unit));
        },
        [&](Scale scale, float by) {
            float sums[2];
            loops::moments<Int8, Scaling::divide>(x.data(), nullptr, x.size(), scale.pre, by, sums);
            return Moments{static_cast<double>(sums[0]), static_cast<double>(sums[1])};
        });
    EXPECT_NEAR(0.7777f, found.post, 0.0002f);
}

TEST(ScaleSearch, HasAUnitThatKeepsSquaresInRange) {
    for (int exponent = -149; exponent < 128; ++exponent) {
        const float amax = std::ldexp(1.0f, exponent), unit = error_unit(amax);
        EXPECT_TRUE(std::isfinite(unit) && unit > 0);
        EXPECT_LE(amax * unit, 4.0f);
        if (exponent > -120) {
            EXPECT_GE(amax * unit, 0.5f);
        }
    }
}

}  // namespace
}  // namespace halftone::toolbox
