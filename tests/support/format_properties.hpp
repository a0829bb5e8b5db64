// What holds for every format of scaled elements, whatever its options; each function throws a test failure.
#pragma once

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <functional>
#include <gtest/gtest.h>

#include "core/base/cpu.hpp"
#include "tests/support/format_plan.hpp"

namespace halftone::format_test {

// A set of options, the matrices it takes, and the dialect.
struct Mode {
    std::string name;
    Choices choices;
    Shapes shapes;
    ht_dialect dialect = HT_DIALECT_COMFY;
    bool seal_keeps_scales = true;  // otherwise the sealed grid has those that are read back

    ht_source source(const Matrix& matrix) const { return source_of(matrix.rows, matrix.cols, dialect); }
};

inline std::vector<float> random_weights(std::mt19937_64& random, uint64_t cols) {
    std::vector<float> weights(cols);
    for (float& weight : weights)
        weight = random() % 8 == 0 ? 0.0f
                                   : std::ldexp(1.0f + static_cast<float>(random() % 100) / 100,
                                                static_cast<int>(random() % 10));
    return weights;
}

inline void expect_bands_do_not_matter(const Mode& mode, uint64_t seed) {
    std::mt19937_64 random(seed);
    for (int round = 0; round < 40; ++round) {
        const Matrix matrix = random_matrix(random, mode.shapes);
        const auto weights = random() % 2 ? random_weights(random, matrix.cols) : std::vector<float>{};
        const Plan plan(mode.source(matrix), mode.choices);
        const auto starts = plan.random_bands(random);
        const Grid in_one = plan.fit(matrix, {}, weights), in_bands = plan.fit(matrix, starts, weights);
        ASSERT_EQ(0, std::memcmp(in_one.get(), in_bands.get(), plan.facts().grid_bytes));
        const Bytes codes = plan.encode(in_one, matrix);
        ASSERT_EQ(codes, plan.encode(in_bands, matrix, starts));
        ASSERT_EQ(bits(plan.decode(in_one, codes).values), bits(plan.decode(in_one, codes, starts).values));
    }
}

inline void expect_equal_bits_at_every_cpu_level(const Mode& mode, uint64_t seed) {
    std::mt19937_64 random(seed);
    for (int round = 0; round < 25; ++round) {
        const Matrix matrix = random_matrix(random, mode.shapes);
        const auto weights = random() % 2 ? random_weights(random, matrix.cols) : std::vector<float>{};
        std::vector<Bytes> first;
        for (const ht_cpu cpu : cpu::available()) {
            const Level level(cpu);
            const Plan plan(mode.source(matrix), mode.choices);
            Matrix input = matrix;
            if (table().rotate && plan.facts().flags & HT_FACT_ROTATES) input = plan.rotated(matrix, false);
            const Grid grid = plan.fit(input, {}, weights);
            std::vector<Bytes> all = plan.companions(grid);
            all.push_back(plan.encode(grid, input));
            const Matrix decoded = plan.decode(grid, all.back()),
                         read_back = plan.decode(plan.load(plan.companions(grid)), all.back());
            const auto [lo, hi] = plan.around(grid, input);
            for (const Matrix& made : {decoded, read_back, lo, hi}) {
                const auto words = bits(made.values);
                const auto* const at = reinterpret_cast<const uint8_t*>(words.data());
                all.emplace_back(at, at + words.size() * 4);
            }
            if (first.empty()) first = all;
            ASSERT_EQ(first, all) << cpu::name(cpu);
        }
    }
}

// A column-major view with gaps.
inline void expect_strides_do_not_matter(const Mode& mode, uint64_t seed) {
    std::mt19937_64 random(seed);
    for (int round = 0; round < 15; ++round) {
        const Matrix matrix = random_matrix(random, mode.shapes);
        const auto weights = random() % 2 ? random_weights(random, matrix.cols) : std::vector<float>{};
        const Plan plan(mode.source(matrix), mode.choices);
        const int64_t gap = 1 + static_cast<int64_t>(random() % 3);
        std::vector<float> turned(matrix.values.size() * static_cast<uint64_t>(gap));
        const ht_view view{turned.data(), gap, static_cast<int64_t>(matrix.rows) * gap};
        for (uint64_t i = 0; i < matrix.rows; ++i)
            for (uint64_t j = 0; j < matrix.cols; ++j)
                turned[(j * matrix.rows + i) * static_cast<uint64_t>(gap)] = matrix.at(i, j);
        const ht_region region = whole(matrix);
        const Grid grid = plan.fit(matrix, {}, weights), other = plan.fit(region, view, {}, weights);
        ASSERT_EQ(0, std::memcmp(grid.get(), other.get(), plan.facts().grid_bytes));
        ASSERT_EQ(plan.encode(grid, matrix), plan.encode(grid, region, view));
        table().snap(plan.get(), grid.get(), &region, &view, &view);
        Matrix snapped = matrix;
        for (uint64_t i = 0; i < matrix.rows; ++i)
            for (uint64_t j = 0; j < matrix.cols; ++j)
                snapped.at(i, j) = turned[(j * matrix.rows + i) * static_cast<uint64_t>(gap)];
        ASSERT_EQ(bits(plan.snap(grid, matrix).values), bits(snapped.values));
    }
}

// snap, sigma and around of any rectangle are those of the whole; snap is decode(encode); around brackets.
inline void expect_a_consistent_grid(const Mode& mode, uint64_t seed) {
    std::mt19937_64 random(seed);
    for (int round = 0; round < 40; ++round) {
        const Matrix matrix = random_matrix(random, mode.shapes);
        const Plan plan(mode.source(matrix), mode.choices);
        const Grid grid = plan.fit(matrix);
        Matrix probe = matrix;  // not only numbers that the scales were made for
        for (float& x : probe.values)
            x *= random() % 4 ? 1.0f : 1.5f;
        const Matrix snapped = plan.snap(grid, probe);
        ASSERT_EQ(bits(plan.decode(grid, plan.encode(grid, probe)).values), bits(snapped.values));
        if (!(plan.facts().flags & HT_FACT_NOT_IDEMPOTENT)) {
            ASSERT_EQ(snapped.values, plan.snap(grid, snapped).values);
        }

        const Matrix sigma = plan.sigma(grid);
        const auto [lo, hi] = plan.around(grid, probe);
        for (size_t i = 0; i < probe.values.size(); ++i) {
            ASSERT_TRUE(sigma.values[i] > 0 && std::isfinite(sigma.values[i]));
            ASSERT_LE(lo.values[i], hi.values[i]);
            if (lo.values[i] != hi.values[i]) {
                ASSERT_LE(lo.values[i], probe.values[i]);
                ASSERT_GE(hi.values[i], probe.values[i]);
            }
            if (plan.facts().flags & HT_FACT_NOT_IDEMPOTENT)
                continue;  // rounded with other scales than stored
            ASSERT_TRUE(snapped.values[i] == lo.values[i] || snapped.values[i] == hi.values[i])
                << probe.values[i] << " to " << snapped.values[i] << " between " << lo.values[i] << " and "
                << hi.values[i];
        }

        const uint64_t row = random() % matrix.rows, col = random() % matrix.cols;
        const ht_region region{row, col, 1 + random() % (matrix.rows - row),
                               1 + random() % (matrix.cols - col)};
        Matrix part = plan.like(), low = plan.like(), high = plan.like(), slope = plan.like();
        const ht_view in = view_of(probe, row, col), out = view_of(part, row, col);
        const ht_view less = view_of(low, row, col), more = view_of(high, row, col),
                      rise = view_of(slope, row, col);
        table().snap(plan.get(), grid.get(), &region, &in, &out);
        table().around(plan.get(), grid.get(), &region, &in, &less, &more);
        table().sigma(plan.get(), grid.get(), &region, &rise);
        for (uint64_t i = 0; i < matrix.rows; ++i)
            for (uint64_t j = 0; j < matrix.cols; ++j) {
                const bool inside = i >= row && i < row + region.rows && j >= col && j < col + region.cols;
                ASSERT_EQ(inside ? snapped.at(i, j) : 12345.0f, part.at(i, j));
                ASSERT_EQ(inside ? lo.at(i, j) : 12345.0f, low.at(i, j));
                ASSERT_EQ(inside ? hi.at(i, j) : 12345.0f, high.at(i, j));
                ASSERT_EQ(inside ? sigma.at(i, j) : 12345.0f, slope.at(i, j));
            }
    }
}

// The group of each element, as the facts tell it.
inline uint64_t group_of(const ht_facts& facts, const Matrix& matrix, uint64_t i, uint64_t j) {
    switch (facts.scale_kind) {
        case HT_SCALE_ROW:
            return i;
        case HT_SCALE_TILE: {
            const uint64_t across = (matrix.cols + facts.scale_cols - 1) / facts.scale_cols;
            return i / facts.scale_rows * across + j / facts.scale_cols;
        }
        case HT_SCALE_RUN:
            return (i * matrix.cols + j) / facts.scale_cols;
        default:
            return 0;
    }
}

// The grid as a table rounds as snap does.
inline void expect_the_table_rounds_alike(const Mode& mode, uint64_t seed) {
    std::mt19937_64 random(seed);
    for (int round = 0; round < 20; ++round) {
        const Matrix matrix = random_matrix(random, mode.shapes);
        const Plan plan(mode.source(matrix), mode.choices);
        const Grid grid = plan.fit(matrix);
        const Matrix snapped = plan.snap(grid, matrix);
        ht_table t{};
        Reported reported;
        reported.check(table().table(plan.get(), grid.get(), &t, reported));
        for (uint64_t i = 0; i < matrix.rows; ++i)
            for (uint64_t j = 0; j < matrix.cols; ++j) {
                const uint64_t g = group_of(plan.facts(), matrix, i, j);
                const float at = t.divide ? matrix.at(i, j) / t.pre[g] : matrix.at(i, j) * t.pre[g];
                uint32_t code = 0;
                const uint32_t first = t.table_of ? t.table_of[g] * t.levels : 0;
                while (code + 1 < t.levels && !(at <= t.upper[first + code]))
                    ++code;
                ASSERT_EQ(snapped.at(i, j), t.level[first + code] * t.post[g]);
            }
    }
}

// What is stored makes a grid that decodes to the same numbers.
inline void expect_stored_bytes_to_load(const Mode& mode, uint64_t seed) {
    std::mt19937_64 random(seed);
    for (int round = 0; round < 30; ++round) {
        const Matrix matrix = random_matrix(random, mode.shapes);
        const Plan plan(mode.source(matrix), mode.choices);
        const Grid grid = plan.fit(matrix);
        const Bytes codes = plan.encode(grid, matrix);
        const Grid loaded = plan.load(plan.companions(grid));
        ASSERT_EQ(bits(plan.decode(grid, codes).values), bits(plan.decode(loaded, codes).values));
        ASSERT_EQ(plan.companions(grid), plan.companions(loaded));
    }
}

// What the flag HT_FACT_ENCODE_BEFORE_SEAL promises where the seal leaves the scales alone.
inline void expect_codes_before_the_seal(const Mode& mode, uint64_t seed) {
    std::mt19937_64 random(seed);
    for (int round = 0; round < 20; ++round) {
        const Matrix matrix = random_matrix(random, mode.shapes);
        const Plan plan(mode.source(matrix), mode.choices);
        ASSERT_TRUE(plan.facts().flags & HT_FACT_ENCODE_BEFORE_SEAL);
        const Grid unsealed = plan.fit_unsealed(whole(matrix), view_of(matrix));
        ASSERT_EQ(plan.encode(plan.fit(matrix), matrix), plan.encode(unsealed, matrix));
    }
}

// Hardware may take subnormal scales for 0, and no loader knows what others would mean. Whatever the weights.
inline void expect_scales_that_are_zero_or_normal(const Mode& mode, uint64_t seed) {
    std::mt19937_64 random(seed);
    std::normal_distribution<float> normal;
    for (int exponent = -149; exponent <= 126; exponent += exponent < -120 ? 1 : 9) {
        Matrix matrix = random_matrix(random, mode.shapes);
        for (float& x : matrix.values)
            x = random() % 3 == 0 ? 0.0f : std::ldexp(std::clamp(normal(random), -2.0f, 1.99f), exponent);
        const Plan plan(mode.source(matrix), mode.choices);
        const std::vector<Bytes> companions = plan.companions(plan.fit(matrix));
        for (uint32_t i = 0; i < plan.facts().n_stored; ++i) {
            const ht_stored& stored = *plan.facts().stored[i];
            const bool scale = stored.role == HT_ROLE_SCALE || stored.role == HT_ROLE_SCALE_2 ||
                               stored.role == HT_ROLE_ABSMAX || stored.role == HT_ROLE_NESTED_ABSMAX;
            if (!scale || stored.dtype != HT_DTYPE_F32) continue;
            for (const float one : numbers<float>(companions[i]))
                ASSERT_TRUE(one == 0 || (one >= FLT_MIN && one <= FLT_MAX))
                    << stored.name << " of weights around 2^" << exponent << ": " << one;
        }
    }
}

// With scale = "mse", no group has a larger error than with "absmax", and weights of columns count.
inline void expect_searched_scales_to_be_better(const Mode& mode, uint64_t seed, double at_most = 1.0) {
    std::mt19937_64 random(seed);
    Choices absmax = mode.choices, mse = mode.choices;
    absmax["scale"] = "absmax";
    mse["scale"] = "mse";
    double before = 0, after = 0;
    for (int round = 0; round < 30; ++round) {
        const Matrix matrix = random_matrix(random, mode.shapes);
        const auto weights = round % 2 ? random_weights(random, matrix.cols) : std::vector<float>{};
        const Plan plain(mode.source(matrix), absmax), searching(mode.source(matrix), mse);
        const Matrix by_absmax = plain.snap(plain.fit(matrix), matrix);
        const Matrix by_search = searching.snap(searching.fit(matrix, {}, weights), matrix);
        std::map<uint64_t, std::pair<double, double>> errors;
        for (uint64_t i = 0; i < matrix.rows; ++i)
            for (uint64_t j = 0; j < matrix.cols; ++j) {
                auto& [a, b] = errors[group_of(plain.facts(), matrix, i, j)];
                const double weight = weights.empty() ? 1.0 : static_cast<double>(weights[j]);
                const auto square = [&](const Matrix& made) {
                    const double error =
                        static_cast<double>(made.at(i, j)) - static_cast<double>(matrix.at(i, j));
                    return weight * error * error;
                };
                a += square(by_absmax);
                b += square(by_search);
            }
        double all = 0, all_searched = 0, power = 0;
        for (const auto& [group, pair] : errors) {
            ASSERT_LE(pair.second, pair.first * (1 + 1e-5));
            all += pair.first;
            all_searched += pair.second;
        }
        for (const float x : matrix.values)
            power += static_cast<double>(x) * static_cast<double>(x);
        if (power > 0 && weights.empty()) {
            before += all / power;
            after += all_searched / power;
        }
    }
    EXPECT_LT(after, before * at_most);
    EXPECT_GT(after, 0);
}

}  // namespace halftone::format_test
