#include <gtest/gtest.h>
#include <map>
#include <random>
#include <vector>

#include <halftone/toolbox/scale_groups.hpp>

namespace halftone::toolbox {
namespace {

std::vector<ScaleGroups> examples(std::mt19937_64& random) {
    const uint64_t rows = 1 + random() % 20, cols = 1 + random() % 30;
    return {ScaleGroups::tensor(rows, cols), ScaleGroups::row(rows, cols),
            ScaleGroups::tile(rows, cols, 1 + random() % 6, 1 + random() % 9),
            ScaleGroups::run(rows, cols, 1 + random() % 40)};
}

// The definition, one element at a time.
uint64_t group_of(const ScaleGroups& groups, uint64_t row, uint64_t col) {
    switch (groups.kind()) {
        case HT_SCALE_TENSOR:
            return 0;
        case HT_SCALE_ROW:
            return row;
        case HT_SCALE_RUN:
            return (row * groups.cols() + col) / groups.group_cols();
        default: {
            const uint64_t across = (groups.cols() + groups.group_cols() - 1) / groups.group_cols();
            return row / groups.group_rows() * across + col / groups.group_cols();
        }
    }
}

TEST(ScaleGroups, EveryElementLiesInOnePieceOfItsGroup) {
    std::mt19937_64 random(1);
    for (int round = 0; round < 300; ++round)
        for (const ScaleGroups& groups : examples(random)) {
            const uint64_t row = random() % groups.rows(), col = random() % groups.cols();
            const ht_region region{row, col, 1 + random() % (groups.rows() - row),
                                   1 + random() % (groups.cols() - col)};
            const uint64_t most = random() % 2 ? 1 + random() % 5 : UINT64_MAX;
            std::map<std::pair<uint64_t, uint64_t>, int> seen;
            groups.each_piece(region, most, [&](uint64_t i, uint64_t j, uint64_t n, uint64_t group) {
                ASSERT_GT(n, 0u);
                ASSERT_LE(n, most);
                ASSERT_LT(group, groups.count());
                for (uint64_t k = 0; k < n; ++k) {
                    ++seen[{i, j + k}];
                    ASSERT_EQ(group_of(groups, region.row + i, region.col + j + k), group);
                    ASSERT_EQ(group, groups.at(region.row + i, region.col + j + k));
                }
            });
            ASSERT_EQ(region.rows * region.cols, seen.size());
            for (const auto& [place, times] : seen) {
                ASSERT_EQ(1, times);
                ASSERT_LT(place.first, region.rows);
                ASSERT_LT(place.second, region.cols);
            }
        }
}

TEST(ScaleGroups, TheLastElementLiesInTheLastGroup) {
    std::mt19937_64 random(2);
    for (int round = 0; round < 200; ++round)
        for (const ScaleGroups& groups : examples(random))
            EXPECT_EQ(groups.count() - 1, groups.at(groups.rows() - 1, groups.cols() - 1));
}

// A granule ends where a group ends; a matrix with a single scale is cut anywhere.
TEST(ScaleGroups, NoGroupCrossesGranules) {
    std::mt19937_64 random(3);
    for (int round = 0; round < 200; ++round)
        for (const ScaleGroups& groups : examples(random)) {
            if (groups.kind() == HT_SCALE_TENSOR) continue;
            for (uint64_t row = groups.granule_rows(); row < groups.rows(); row += groups.granule_rows())
                EXPECT_LT(groups.at(row - 1, groups.cols() - 1), groups.at(row, 0));
        }
}

TEST(ScaleGroups, PiecesOfTheGroupsCoverTheMatrixOnce) {
    std::mt19937_64 random(9);
    for (int round = 0; round < 200; ++round) {
        const uint64_t rows = 1 + random() % 20, cols = 1 + random() % 40, most = 1 + random() % 30;
        const uint64_t tall = 1 + random() % 8, wide = 1 + random() % 50;
        for (const ScaleGroups& groups :
             {ScaleGroups::tensor(rows, cols), ScaleGroups::row(rows, cols),
              ScaleGroups::tile(rows, cols, tall, wide), ScaleGroups::run(rows, cols, wide)}) {
            std::vector<int> seen(rows * cols);
            for (uint64_t group = 0; group < groups.count(); ++group) {
                uint64_t before = 0;
                groups.each_piece_of(group, most, [&](uint64_t row, uint64_t col, uint64_t n) {
                    ASSERT_TRUE(n > 0 && n <= most && row < rows && col + n <= cols);
                    ASSERT_GE(row * cols + col, before);
                    before = row * cols + col + n;
                    for (uint64_t k = 0; k < n; ++k) {
                        ASSERT_EQ(group, groups.at(row, col + k));
                        ++seen[row * cols + col + k];
                    }
                });
            }
            ASSERT_EQ(std::vector<int>(rows * cols, 1), seen);
        }
    }
}

}  // namespace
}  // namespace halftone::toolbox
