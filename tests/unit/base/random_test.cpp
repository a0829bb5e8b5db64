#include "core/base/random.hpp"

#include <array>
#include <gtest/gtest.h>
#include <limits>
#include <vector>

namespace halftone {
namespace {

using Words = std::array<uint32_t, 4>;

// kat_vectors of Random123.
TEST(Philox, GivesTheKnownAnswers) {
    EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
    const uint32_t ones = 0xffffffff;
    EXPECT_EQ(philox({ones, ones, ones, ones}, {ones, ones}),
              (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
    EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
              (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

std::vector<uint32_t> words(uint64_t seed, uint64_t stream, uint64_t first, size_t n) {
    std::vector<uint32_t> out(n, 0xDEADBEEF);
    random_words(seed, stream, first, out);
    return out;
}

TEST(RandomWords, UseSeedStreamAndIndexAsDocumented) {
    const uint64_t seed = 0x299f31d0a4093822, stream = 0x0370734413198a2e;
    const uint64_t block =
        0x05a308d3243f6a88;  // the known answer's counter, but for bits that an index cannot reach
    const Words expected = philox({0x243f6a88, 0x05a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0});
    EXPECT_EQ(words(seed, stream, block * 4, 4), std::vector<uint32_t>(expected.begin(), expected.end()));
}

TEST(RandomWords, AreTheSameWhereverTheyAreCutApart) {
    const std::vector<uint32_t> whole = words(42, 7, 0, 100);
    for (size_t first = 0; first < 12; ++first)
        for (size_t n = 0; n < 20; ++n)
            EXPECT_EQ(words(42, 7, first, n),
                      std::vector<uint32_t>(whole.begin() + first, whole.begin() + first + n));
}

TEST(RandomWords, DifferBySeedAndStream) {
    EXPECT_NE(words(1, 0, 0, 4), words(2, 0, 0, 4));
    EXPECT_NE(words(1, 0, 0, 4), words(1, 1, 0, 4));
    EXPECT_NE(words(1, 0, 0, 4), words(uint64_t{1} << 32, 0, 0, 4));
    EXPECT_NE(words(1, 1, 0, 4), words(1, uint64_t{1} << 32, 0, 4));
}

TEST(RandomWords, GoOnAfterTheLastIndex) {
    const uint64_t last = std::numeric_limits<uint64_t>::max();
    const std::vector<uint32_t> around = words(5, 6, last, 2);
    EXPECT_EQ(around[0], words(5, 6, last, 1)[0]);
    EXPECT_EQ(around[1], words(5, 6, 0, 1)[0]);
}

}  // namespace
}  // namespace halftone
