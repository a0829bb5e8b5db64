#include <gtest/gtest.h>
#include <random>
#include <vector>

#include <halftone/toolbox/nibbles.hpp>

namespace halftone::toolbox {
namespace {

TEST(Nibbles, LieInTheHalfThatThePackingSays) {
    EXPECT_EQ(0x21, two_nibbles(1, 2, Packing::low_nibble_first));
    EXPECT_EQ(0x12, two_nibbles(1, 2, Packing::high_nibble_first));
    for (const Packing packing : {Packing::low_nibble_first, Packing::high_nibble_first}) {
        EXPECT_EQ(5, nibble_at(two_nibbles(5, 9, packing), 6, packing));
        EXPECT_EQ(9, nibble_at(two_nibbles(5, 9, packing), 7, packing));
    }
}

TEST(Nibbles, ComeBackFromPiecesOfAnyLength) {
    std::mt19937_64 random(1);
    for (const Packing packing : {Packing::low_nibble_first, Packing::high_nibble_first})
        for (int round = 0; round < 200; ++round) {
            std::vector<uint8_t> codes(1 + random() % 70), taken(codes.size());
            for (uint8_t& code : codes)
                code = random() % 16;
            std::vector<uint8_t> bytes((codes.size() + 1) / 2 + 1, 0xAA);
            for (size_t at = 0, n = 0; at < codes.size(); at += n) {
                n = 1 + random() % (codes.size() - at);
                put_nibbles(codes.data() + at, n, at, packing, bytes.data());
            }
            for (size_t at = 0, n = 0; at < codes.size(); at += n) {
                n = 1 + random() % (codes.size() - at);
                take_nibbles(bytes.data(), at, n, packing, taken.data() + at);
            }
            ASSERT_EQ(codes, taken);
            ASSERT_EQ(0xAA, bytes.back());
            if (codes.size() % 2 != 0) {
                ASSERT_EQ(0, nibble_at(bytes[codes.size() / 2], codes.size(), packing));
            }
        }
}

}  // namespace
}  // namespace halftone::toolbox
