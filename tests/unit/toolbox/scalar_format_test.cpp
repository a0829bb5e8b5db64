// A format of a stranger on the toolbox: signed 4-bit numbers in bytes, with every kind of scale, by division
// as well. What fp8 does not use yet is tested here.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <random>
#include <vector>

#include <halftone/toolbox/scalar_format.hpp>

namespace halftone::toolbox {
namespace {

struct Int4 {
    using Code = int8_t;
    static constexpr Code lowest = -7;
    HT_DEVICE static Code encode(float t) {
        const float most = t < -7.0f ? -7.0f : t > 7.0f ? 7.0f : t;
        return static_cast<Code>(
            static_cast<int32_t>(most + (most < 0 ? -0.5f : 0.5f)));  // half away from zero
    }
    HT_DEVICE static float decode(Code code) { return code; }
    HT_DEVICE static Code above(Code code) { return static_cast<Code>(code < 7 ? code + 1 : 7); }
    HT_DEVICE static Code below(Code code) { return static_cast<Code>(code > -7 ? code - 1 : -7); }
};

constexpr ScalarKernels multiplying = scalar_kernels<Int4>();
constexpr ScalarKernels dividing = scalar_kernels<Int4, Scaling::divide>();

Scale by_division(float amax) {
    const float scale = amax > 0 ? amax / 7 : 1e-8f;
    return {scale, scale};
}
Scale by_multiplication(float amax) {
    const float scale = by_division(amax).post;
    return {1.0f / scale, scale};
}

class Toy : public ScalarFormat {
  public:
    Toy(const ScaleGroups& groups, Scaling scaling)
        : ScalarFormat({scaling == Scaling::divide ? dividing : multiplying,
                        scalar_levels<Int4>(),
                        groups,
                        scaling == Scaling::divide ? by_division : by_multiplication,
                        {{HT_ROLE_SCALE, ".scales", HT_DTYPE_F32, {groups.count()}},
                         {HT_ROLE_WEIGHT, ".weight", HT_DTYPE_I8, {groups.rows(), groups.cols()}}},
                        scaling}) {}
};

struct Case {
    ScaleGroups groups;
    Scaling scaling;
    std::vector<float> weights;
    Band band(std::vector<float>& values) const {
        return {{0, 0, groups.rows(), groups.cols()},
                {values.data(), static_cast<int64_t>(groups.cols()), 1}};
    }
};

template <class Work>
void each_case(uint64_t seed, Work&& work) {
    std::mt19937_64 random(seed);
    std::normal_distribution<float> normal;
    for (int round = 0; round < 60; ++round) {
        const uint64_t rows = 1 + random() % 20, cols = 1 + random() % 30;
        for (const ScaleGroups& groups : {ScaleGroups::tensor(rows, cols), ScaleGroups::row(rows, cols),
                                          ScaleGroups::tile(rows, cols, 1 + random() % 6, 1 + random() % 9),
                                          ScaleGroups::run(rows, cols, 1 + random() % 40)})
            for (const Scaling scaling : {Scaling::multiply, Scaling::divide}) {
                Case made{groups, scaling, {}};
                const bool zero = random() % 8 == 0;
                for (uint64_t i = 0; i < rows * cols; ++i)
                    made.weights.push_back(zero || random() % 4 == 0 ? 0.0f : normal(random));
                work(made, random);
            }
    }
}

using GridBytes = std::vector<std::byte>;

// Fits in bands of random numbers of granules.
GridBytes fit(const Toy& toy, Case& of, std::mt19937_64& random) {
    const Facts facts = toy.facts();
    GridBytes grid(facts.grid_bytes);
    toy.begin(grid.data());
    const uint64_t rows = of.groups.rows(), granule = facts.granule_rows;
    std::vector<float> partials((rows + granule - 1) / granule);
    for (const bool pass : {true, false}) {
        if (pass && facts.passes == 0) continue;
        for (uint64_t row = 0; row < rows;) {
            const uint64_t n = std::min(rows - row, granule * (1 + random() % 3));
            const Band all = of.band(of.weights);
            const Band band{{row, 0, n, of.groups.cols()}, {all.row(row), all.view.row_stride, 1}};
            if (pass)
                toy.fit_pass(0, band, nullptr, grid.data(), &partials[row / granule]);
            else
                toy.fit_band(band, nullptr, grid.data());
            row += n;
        }
        if (pass) toy.fit_fold(0, partials.data(), partials.size(), grid.data());
    }
    toy.fit_seal(grid.data());
    return grid;
}

// The same, one element at a time.
TEST(ScalarFormat, FitsAndEncodesEveryKindOfScale) {
    each_case(1, [](Case& of, std::mt19937_64& random) {
        const Toy toy(of.groups, of.scaling);
        const GridBytes grid = fit(toy, of, random);
        std::vector<float> amax(of.groups.count());
        bool all_zero = true;
        for (uint64_t i = 0; i < of.weights.size(); ++i) {
            float& most = amax[of.groups.at(i / of.groups.cols(), i % of.groups.cols())];
            most = std::max(most, std::fabs(of.weights[i]));
            all_zero &= of.weights[i] == 0;
        }
        std::vector<float> scales(of.groups.count());
        toy.companion(grid.data(), 0, reinterpret_cast<uint8_t*>(scales.data()));
        std::vector<uint8_t> codes(of.weights.size(), 0xAA);
        toy.encode(grid.data(), of.band(of.weights), codes.data());
        for (uint64_t g = 0; g < scales.size(); ++g)
            ASSERT_EQ(all_zero ? 1.0f : by_division(amax[g]).post, scales[g]);
        for (uint64_t i = 0; i < of.weights.size(); ++i) {
            const float scale = scales[of.groups.at(i / of.groups.cols(), i % of.groups.cols())];
            const float t =
                of.scaling == Scaling::divide ? of.weights[i] / scale : of.weights[i] * (1.0f / scale);
            ASSERT_EQ(std::lround(t), static_cast<int8_t>(codes[i]));
        }
    });
}

TEST(ScalarFormat, SnapAroundSigmaAndTableAgreeForEveryKindOfScale) {
    each_case(2, [](Case& of, std::mt19937_64& random) {
        const Toy toy(of.groups, of.scaling);
        const GridBytes grid = fit(toy, of, random);
        std::vector<float> points = of.weights;
        for (float& x : points)
            x *= 1.3f;
        std::vector<uint8_t> codes(points.size());
        std::vector<float> decoded = points, snapped = points, sigma = points, lo = points, hi = points;
        toy.encode(grid.data(), of.band(points), codes.data());
        toy.decode(grid.data(), codes.data(), of.band(decoded));
        toy.snap(grid.data(), of.band(points), of.band(snapped));
        toy.sigma(grid.data(), of.band(sigma));
        toy.around(grid.data(), of.band(points), of.band(lo), of.band(hi));
        const ht_table table = toy.table(grid.data());
        ASSERT_EQ(of.scaling == Scaling::divide, table.divide != 0);
        for (uint64_t i = 0; i < points.size(); ++i) {
            const uint64_t g = of.groups.at(i / of.groups.cols(), i % of.groups.cols());
            ASSERT_EQ(std::bit_cast<uint32_t>(decoded[i]), std::bit_cast<uint32_t>(snapped[i]));
            ASSERT_TRUE(sigma[i] > 0 && std::isfinite(sigma[i]));
            ASSERT_TRUE((lo[i] <= points[i] && points[i] <= hi[i]) || lo[i] == hi[i]);
            ASSERT_TRUE(snapped[i] == lo[i] || snapped[i] == hi[i]);
            const float t = table.divide ? points[i] / table.pre[g] : points[i] * table.pre[g];
            uint32_t code = 0;
            while (code + 1 < table.levels && !(t <= table.upper[code]))
                ++code;
            ASSERT_EQ(table.level[code] * table.post[g], snapped[i]);
        }
    });
}

TEST(ScalarFormat, WhatIsLoadedDecodesAsWhatWasFitted) {
    each_case(3, [](Case& of, std::mt19937_64& random) {
        const Toy toy(of.groups, of.scaling);
        const GridBytes grid = fit(toy, of, random);
        std::vector<uint8_t> scales(of.groups.count() * sizeof(float)), codes(of.weights.size());
        toy.companion(grid.data(), 0, scales.data());
        toy.encode(grid.data(), of.band(of.weights), codes.data());
        GridBytes loaded(grid.size());
        toy.begin(loaded.data());
        const uint8_t* const companions[] = {scales.data(), nullptr};
        toy.load(companions, loaded.data());
        std::vector<float> first = of.weights, second = of.weights;
        toy.decode(grid.data(), codes.data(), of.band(first));
        toy.decode(loaded.data(), codes.data(), of.band(second));
        ASSERT_EQ(0, std::memcmp(first.data(), second.data(), first.size() * sizeof(float)));
    });
}

TEST(ScalarFormat, TellsTheHostItsGroups) {
    const Facts tile = Toy(ScaleGroups::tile(10, 12, 4, 6), Scaling::multiply).facts();
    EXPECT_EQ(HT_SCALE_TILE, tile.scale_kind);
    EXPECT_EQ(4u, tile.scale_rows);
    EXPECT_EQ(6u, tile.scale_cols);
    EXPECT_EQ(4u, tile.granule_rows);
    EXPECT_EQ(48u, tile.granule_bytes);
    const Facts run = Toy(ScaleGroups::run(10, 12, 32), Scaling::multiply).facts();
    EXPECT_EQ(HT_SCALE_RUN, run.scale_kind);
    EXPECT_EQ(32u, run.scale_cols);
    EXPECT_EQ(8u, run.granule_rows);
    EXPECT_EQ(0u, run.passes);
}

}  // namespace
}  // namespace halftone::toolbox
