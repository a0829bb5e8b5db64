#include "core/checkpoint/written.hpp"

#include <fstream>
#include <gtest/gtest.h>
#include <random>
#include <set>

#include "core/checkpoint/writer.hpp"
#include "core/verify/written_files.hpp"
#include "tests/support/checkpoints.hpp"

namespace halftone {
namespace {

std::vector<std::byte> random_bytes(size_t n, uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<std::byte> bytes(n);
    for (std::byte& byte : bytes)
        byte = static_cast<std::byte>(random());
    return bytes;
}

TEST(Fingerprint, ChangesWithEveryBitAndWithTheLength) {
    for (const size_t n : {1, 7, 8, 31, 32, 33, 100, 257}) {
        std::vector<std::byte> bytes = random_bytes(n, n);
        std::set<uint64_t> seen = {fingerprint(bytes)};
        for (size_t bit = 0; bit < 8 * n; ++bit) {
            bytes[bit / 8] ^= std::byte{1} << bit % 8;
            EXPECT_TRUE(seen.insert(fingerprint(bytes)).second) << "bit " << bit << " of " << n << " bytes";
            bytes[bit / 8] ^= std::byte{1} << bit % 8;
        }
        bytes.push_back(std::byte{0});
        EXPECT_TRUE(seen.insert(fingerprint(bytes)).second) << "a zero after " << n << " bytes";
    }
}

TEST(Fingerprint, ChangesWithTheOrder) {
    std::vector<std::byte> bytes = random_bytes(4096, 1);
    const uint64_t before = fingerprint(bytes);
    std::swap_ranges(bytes.begin(), bytes.begin() + 512, bytes.begin() + 1024);
    EXPECT_NE(fingerprint(bytes), before);
}

TEST(WrittenPieces, OfAnOutputAreHeaderAndData) {
    const test::TemporaryFolder folder;
    FileLayout layout = lay_out({{"a", HT_DTYPE_F32, {4}, 0, 0}, {"b", HT_DTYPE_U8, {5}, 0, 0}}, {});
    const std::string header = layout.header;
    Output output({.path = folder / "x.safetensors", .tag = {}, .remember = true}, {layout}, {});
    const std::vector<std::byte> data = random_bytes(21, 2);
    const std::span<const std::byte> all = data;
    output.write(0, header.size() + 16, all.subspan(16));
    output.write(0, header.size(), all.first(16));
    output.write(0, header.size(), {});
    const std::vector<WrittenPieces::Piece> pieces = output.pieces();
    ASSERT_EQ(pieces.size(), 3u);
    EXPECT_EQ(pieces[0].offset, 0u);
    EXPECT_EQ(pieces[0].fingerprint, fingerprint(std::as_bytes(std::span(header))));
    EXPECT_EQ(pieces[1].offset, header.size());
    EXPECT_EQ(pieces[1].fingerprint, fingerprint(all.first(16)));
    EXPECT_EQ(pieces[2].bytes, 5u);
    ASSERT_EQ(output.temporaries().size(), 1u);
    EXPECT_EQ(file_size(output.temporaries()[0]), header.size() + 21);
}

TEST(WrittenPieces, AreRememberedOnRequestOnly) {
    const test::TemporaryFolder folder;
    const Output output({.path = folder / "x.safetensors", .tag = {}},
                        {lay_out({{"a", HT_DTYPE_F32, {4}, 0, 0}}, {})}, {});
    EXPECT_TRUE(output.pieces().empty());
}

// An output of two tensors, written in two pieces each, and looked at before it is committed.
class WrittenFiles : public testing::Test {
  protected:
    void SetUp() override {
        plan_.files = {lay_out({{"a", HT_DTYPE_F32, {16}, 0, 0}, {"b", HT_DTYPE_U8, {100}, 0, 0}}, {})};
        output_.emplace(Output::Settings{.path = folder_ / "x.safetensors", .tag = {}, .remember = true},
                        plan_.files, std::span<const std::filesystem::path>());
    }
    uint64_t start() const { return plan_.files[0].header.size(); }
    void write(uint64_t from, uint64_t to) {
        output_->write(0, start() + from, std::span(data_).subspan(from, to - from));
    }
    void damage(uint64_t at) {
        std::fstream file(output_->temporaries()[0], std::ios::in | std::ios::out | std::ios::binary);
        file.seekg(static_cast<std::streamoff>(at));
        const auto old = static_cast<char>(file.get());
        file.seekp(static_cast<std::streamoff>(at));
        file.put(static_cast<char>(old ^ 4));
    }
    std::vector<Finding> findings() {
        Findings findings;
        Workers workers({.threads = 2});
        Progress progress;
        check_written(plan_, *output_, workers, progress, findings);
        return findings.in_order();
    }

    const test::TemporaryFolder folder_;
    Plan plan_;
    std::vector<std::byte> data_ = random_bytes(164, 3);
    std::optional<Output> output_;
};

TEST_F(WrittenFiles, AreSoundWhenEveryByteWasWrittenOnce) {
    write(100, 164);
    write(0, 64);
    write(64, 100);
    EXPECT_TRUE(findings().empty());
    EXPECT_EQ(bytes_to_reread(*output_), start() + 164);
}

TEST_F(WrittenFiles, WithABitThatChangedNameTheTensor) {
    write(0, 164);
    damage(start() + 163);
    ASSERT_EQ(findings().size(), 1u);
    EXPECT_EQ(findings()[0].where, "a") << "the piece starts there";
    damage(10);
    ASSERT_EQ(findings().size(), 2u);
    EXPECT_EQ(findings()[1].where, "x.safetensors");
}

TEST_F(WrittenFiles, WithBytesThatNobodyWroteNameTheTensor) {
    write(0, 64);
    write(80, 164);
    ASSERT_EQ(findings().size(), 1u);
    EXPECT_EQ(findings()[0].where, "b");
    EXPECT_EQ(findings()[0].what, "16 bytes were never written");
}

TEST_F(WrittenFiles, WrittenToTwiceAreFound) {
    write(0, 70);
    write(64, 164);
    ASSERT_EQ(findings().size(), 1u);
    EXPECT_EQ(findings()[0].where, "b");
    EXPECT_EQ(findings()[0].what, "was written to twice");
}

}  // namespace
}  // namespace halftone
