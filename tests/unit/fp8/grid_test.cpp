// What holds on every sealed grid: snap, around, sigma and the table say the same as encode and decode.

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <random>

#include "core/base/cpu.hpp"
#include "tests/support/format_properties.hpp"

namespace halftone::format_test {
namespace {

struct Mode {
    std::string element, scaling;
    ht_cpu cpu;
};

std::vector<Mode> modes() {
    std::vector<Mode> all;
    for (const char* element : {"e4m3fn", "e5m2"})
        for (const char* scaling : {"tensor", "row", "block", "block3d"})
            for (const ht_cpu cpu : cpu::available())
                all.push_back({element, scaling, cpu});
    return all;
}

class OnTheGrid : public ::testing::TestWithParam<Mode> {
  protected:
    // Calls work(plan, grid, points) for grids fitted to random weights, with points near and beyond them.
    template <class Work>
    void each(uint64_t seed, Work&& work) {
        const Level level(GetParam().cpu);
        std::mt19937_64 random(seed);
        for (int round = 0; round < 40; ++round) {
            const uint64_t step = GetParam().scaling.starts_with("block") ? 4 : 1;
            const Matrix weights = random_matrix(random, {12, 80, step, step});
            const Plan plan(
                source_of(weights.rows, weights.cols),
                {{"element", GetParam().element}, {"scaling", GetParam().scaling}, {"block_size", "4"}});
            Matrix points = weights;
            std::uniform_real_distribution<float> factor(-1.5f, 1.5f);
            for (float& x : points.values)
                x *= factor(random);
            // Loaded grids have other scales for rounding than fitted ones.
            const Grid fitted = plan.fit(weights);
            work(plan, round % 2 ? plan.load(plan.companions(fitted)) : fitted, points);
        }
    }
};
INSTANTIATE_TEST_SUITE_P(EveryMode, OnTheGrid, ::testing::ValuesIn(modes()), [](const auto& param) {
    return param.param.element + "_" + param.param.scaling + "_" + cpu::name(param.param.cpu);
});

TEST_P(OnTheGrid, SnapIsDecodeOfEncodeBitForBit) {
    each(1, [](const Plan& plan, const Grid& grid, const Matrix& points) {
        const Matrix there_and_back = plan.decode(grid, plan.encode(grid, points));
        ASSERT_EQ(bits(there_and_back.values), bits(plan.snap(grid, points).values));
    });
}

TEST_P(OnTheGrid, SnapWorksInPlaceAndIsIdempotent) {
    each(2, [](const Plan& plan, const Grid& grid, const Matrix& points) {
        const Matrix once = plan.snap(grid, points);
        Matrix in_place = points;
        const ht_region region = whole(points);
        const ht_view view = view_of(in_place);
        table().snap(plan.get(), grid.get(), &region, &view, &view);
        ASSERT_EQ(bits(once.values), bits(in_place.values));
        ASSERT_EQ(bits(once.values), bits(plan.snap(grid, once).values));
    });
}

TEST_P(OnTheGrid, AnyRectangleSnapsAsTheWholeDoes) {
    std::mt19937_64 random(3);
    each(3, [&](const Plan& plan, const Grid& grid, const Matrix& points) {
        const Matrix expected = plan.snap(grid, points);
        const uint64_t row = random() % points.rows, col = random() % points.cols;
        const ht_region region{row, col, 1 + random() % (points.rows - row),
                               1 + random() % (points.cols - col)};
        Matrix actual = points;
        const ht_view view = view_of(actual, row, col);
        table().snap(plan.get(), grid.get(), &region, &view, &view);
        for (uint64_t i = 0; i < points.rows; ++i)
            for (uint64_t j = 0; j < points.cols; ++j) {
                const bool inside = i - row < region.rows && j - col < region.cols;
                ASSERT_EQ(inside ? expected.at(i, j) : points.at(i, j), actual.at(i, j));
            }
    });
}

TEST_P(OnTheGrid, AroundBracketsAndIsTightAndSnapIsOneOfBoth) {
    each(4, [](const Plan& plan, const Grid& grid, const Matrix& points) {
        const auto [lo, hi] = plan.around(grid, points);
        const Matrix snapped = plan.snap(grid, points), lo_snapped = plan.snap(grid, lo),
                     hi_snapped = plan.snap(grid, hi);
        Matrix middle = points;
        for (size_t i = 0; i < points.values.size(); ++i) {
            const float x = points.values[i], l = lo.values[i], h = hi.values[i];
            ASSERT_TRUE((l <= x && x <= h) || l == h) << l << " " << x << " " << h;
            ASSERT_TRUE(snapped.values[i] == l || snapped.values[i] == h);
            ASSERT_EQ(l, lo_snapped.values[i]) << "not on the grid";
            ASSERT_EQ(h, hi_snapped.values[i]) << "not on the grid";
            middle.values[i] = l + (h - l) / 2;
        }
        // Nothing of the grid lies between two neighbours.
        const Matrix between = plan.snap(grid, middle);
        for (size_t i = 0; i < points.values.size(); ++i)
            ASSERT_TRUE(between.values[i] == lo.values[i] || between.values[i] == hi.values[i]);
    });
}

TEST_P(OnTheGrid, AroundOfAPointOnTheGridIsThatPoint) {
    each(5, [](const Plan& plan, const Grid& grid, const Matrix& points) {
        const Matrix on = plan.snap(grid, points);
        const auto [lo, hi] = plan.around(grid, on);
        ASSERT_EQ(bits(on.values), bits(lo.values));
        ASSERT_EQ(bits(on.values), bits(hi.values));
    });
}

// value = number of the code * sigma: the difference of two values by that of their numbers.
TEST_P(OnTheGrid, SigmaIsTheSlopeOfTheValueByTheNumberOfTheCode) {
    each(6, [](const Plan& plan, const Grid& grid, const Matrix& points) {
        const Matrix sigma = plan.sigma(grid);
        // 0x40 and 0x48 stand for two numbers of either element type.
        const double step = plan.description().find("e5m2") == std::string::npos ? 4.0 - 2.0 : 8.0 - 2.0;
        const size_t n = points.values.size();
        const Matrix low = plan.decode(grid, Bytes(n, 0x40)), high = plan.decode(grid, Bytes(n, 0x48));
        for (size_t i = 0; i < n; ++i) {
            ASSERT_TRUE(std::isfinite(sigma.values[i]) && sigma.values[i] > 0);
            const double slope = (static_cast<double>(high.values[i]) - low.values[i]) / step;
            ASSERT_NEAR(slope, sigma.values[i], 1e-6 * sigma.values[i]);
        }
    });
}

TEST_P(OnTheGrid, TheTableRoundsAsTheFormatDoes) {
    each(7, [](const Plan& plan, const Grid& grid, Matrix points) {
        ht_table levels{};
        levels.size = sizeof levels;
        Reported reported;
        reported.check(table().table(plan.get(), grid.get(), &levels, reported));
        ASSERT_EQ(0, levels.divide);
        ASSERT_EQ(1u, levels.tables);
        // Half of the points right at the thresholds.
        for (uint64_t i = 0; i < points.rows; ++i)
            for (uint64_t j = i % 2; j < points.cols; j += 2) {
                const float upper = levels.upper[(i * points.cols + j) % (levels.levels - 1)];
                points.at(i, j) = upper / levels.pre[group_of(plan.facts(), points, i, j)];
                if (!std::isfinite(points.at(i, j))) points.at(i, j) = 0;
            }
        const Matrix snapped = plan.snap(grid, points);
        for (uint64_t i = 0; i < points.rows; ++i)
            for (uint64_t j = 0; j < points.cols; ++j) {
                const uint64_t g = group_of(plan.facts(), points, i, j);
                const float t = points.at(i, j) * levels.pre[g];
                const float* const first = std::lower_bound(levels.upper, levels.upper + levels.levels - 1,
                                                            t);  // the first with t <= upper
                const float value = levels.level[first - levels.upper] * levels.post[g];
                ASSERT_EQ(value, snapped.at(i, j))
                    << std::hexfloat << points.at(i, j) << " at scale " << levels.pre[g];
            }
    });
}

TEST_P(OnTheGrid, TheTableLiesInsideTheGrid) {
    each(8, [](const Plan& plan, const Grid& grid, const Matrix&) {
        ht_table levels{};
        Reported reported;
        reported.check(table().table(plan.get(), grid.get(), &levels, reported));
        const auto* const end = reinterpret_cast<const float*>(grid.get() + plan.facts().grid_bytes);
        const uint64_t groups = plan.companion(grid, ".weight_scale").size() / sizeof(float);
        for (const float* part : {levels.level, levels.upper})
            EXPECT_TRUE(part >= reinterpret_cast<const float*>(grid.get()) && part + levels.levels <= end);
        for (const float* part : {levels.pre, levels.post})
            EXPECT_TRUE(part >= reinterpret_cast<const float*>(grid.get()) && part + groups <= end);
    });
}

// A grid that was copied elsewhere serves as the first one did: no pointers in it.
TEST_P(OnTheGrid, ACopyOfTheGridIsAsGood) {
    each(9, [](const Plan& plan, const Grid& grid, const Matrix& points) {
        const Grid copy = plan.make_grid();
        std::memcpy(copy.get(), grid.get(), plan.facts().grid_bytes);
        const auto expected = plan.encode(grid, points);
        std::memset(grid.get(), 0xFF, plan.facts().grid_bytes);
        ASSERT_EQ(expected, plan.encode(copy, points));
    });
}

TEST_P(OnTheGrid, WhatWasStoredIsReadBackBitForBit) {
    each(10, [](const Plan& plan, const Grid& grid, const Matrix& points) {
        const auto codes = plan.encode(grid, points);
        const Grid loaded = plan.load(plan.companions(grid));
        ASSERT_EQ(bits(plan.decode(grid, codes).values), bits(plan.decode(loaded, codes).values));
        ASSERT_EQ(plan.companions(grid), plan.companions(loaded));
    });
}

}  // namespace
}  // namespace halftone::format_test
