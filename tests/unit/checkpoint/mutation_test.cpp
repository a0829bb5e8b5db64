#include <fstream>
#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/checkpoint/quantized.hpp"
#include "tests/cases/malformed/corpus.hpp"
#include "tests/unit/base/temporary_folder.hpp"
#include "tests/unit/checkpoint/written.hpp"

namespace halftone {
namespace {

using namespace testing_checkpoints;
namespace fs = std::filesystem;

// Whatever was taken must hold together: all that the rest of the program relies on without looking again.
void expect_consistent(const Checkpoint& checkpoint) {
    size_t tensors = 0;
    for (const CheckpointFile& file : checkpoint.files()) {
        uint64_t end = 8 + file.header_bytes;
        for (const uint32_t index : file.tensors) {
            const Tensor& one = checkpoint.tensors().at(index);
            ASSERT_EQ(byte_count(one.dtype, one.shape), one.bytes);
            ASSERT_EQ(one.offset, end);
            ASSERT_LE(one.shape.size(), size_t{HT_MAX_RANK});
            ASSERT_EQ(checkpoint.find(one.name), &one);
            ASSERT_EQ(checkpoint.read_all(one).size(), one.bytes);
            end += one.bytes;
            ++tensors;
        }
        ASSERT_EQ(end, file.size);
    }
    ASSERT_EQ(tensors, checkpoint.tensors().size());
    for (const QuantizedLayer& layer : quantized_layers(checkpoint)) {
        ASSERT_NE(checkpoint.find(layer.name + ".weight"), nullptr);
        ASSERT_FALSE(layer.evidence.empty());
        for (const std::string& name : layer.companions)
            ASSERT_NE(checkpoint.find(name), nullptr);
    }
}

// Mostly in the header, where it matters, and mostly with bytes that mean something there.
std::string mutated(std::string bytes, size_t header, std::mt19937_64& random) {
    constexpr std::string_view likely = "{}[]:,\"\\0123456789-.eE \n\x80\xC3\xFFUF48shapedtyoff";
    for (uint64_t n = 1 + random() % 3; n > 0 && !bytes.empty(); --n) {
        const size_t range = random() % 8 ? std::min(bytes.size(), header) : bytes.size();
        const size_t at = random() % range;
        const char byte = random() % 3 ? likely[random() % likely.size()] : static_cast<char>(random());
        switch (random() % 7) {
            case 0:
                bytes.insert(at, 1, byte);
                break;
            case 1:
                bytes.erase(at, 1 + random() % 20);
                break;
            case 2:
                if (random() % 4 == 0) bytes.resize(at);
                break;
            case 3:
                bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8));
                break;
            case 4:
                bytes.insert(at, bytes.substr(random() % bytes.size(), random() % 80));
                break;
            default:
                bytes[at] = byte;
        }
    }
    // A length that fits lets the mutation reach what lies behind it.
    if (bytes.size() > 8 && random() % 2) {
        const size_t brace = bytes.rfind('}');
        if (brace != std::string::npos && brace >= 8) bytes.replace(0, 8, malformed::length_word(brace - 7));
    }
    return bytes;
}

// Takes it and it holds together, or refuses it as it should.
bool taken(const fs::path& path) {
    try {
        expect_consistent(Checkpoint::open(path));
        return true;
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Exit::input) << error.what();
        EXPECT_FALSE(error.where().empty()) << error.what();
        EXPECT_FALSE(error.problem().empty());
        return false;
    }
}

// Not truncated first: some file systems then wait for the disk, thousands of times.
void overwrite(const fs::path& path, const std::string& bytes) {
    if (!fs::exists(path)) std::ofstream(path, std::ios::binary).close();
    std::fstream(path, std::ios::binary | std::ios::in | std::ios::out) << bytes;
    fs::resize_file(path, bytes.size());
}

TEST(Mutations, OfAFileAreTakenWholeOrRefused) {
    std::mt19937_64 random(11);
    const TemporaryFolder folder;
    uint64_t accepted = 0;
    constexpr int rounds = 6000;
    for (int round = 0; round < rounds && !testing::Test::HasFatalFailure(); ++round) {
        const fs::path path = folder.path() / "m.safetensors";
        std::vector<OutputTensor> tensors = random_tensors(random, 1 + random() % 4);
        tensors.push_back(tensor("l.weight", HT_DTYPE_F8_E4M3, {2, 2}));
        tensors.push_back(tensor("l.comfy_quant", HT_DTYPE_U8, {27}));
        const Metadata metadata = {{"_quantization_metadata", R"({"layers":{"l":{"format":"x"}}})"}};
        const FileLayout layout = lay_out(tensors, random() % 2 ? metadata : Metadata());
        std::string bytes = layout.header;
        bytes.resize(layout.size, '\0');
        bytes.replace(bytes.size() - 27 - 4, 4, R"({"f)");
        overwrite(path, mutated(bytes, layout.header.size(), random));
        accepted += taken(path);
    }
    EXPECT_GT(accepted, rounds / 300U);
    EXPECT_LT(accepted, rounds / 2U);
}

TEST(Mutations, OfAnIndexAreTakenWholeOrRefused) {
    std::mt19937_64 random(12);
    const TemporaryFolder folder;
    const fs::path path = write(folder.path() / "m.safetensors",
                                {tensor("a.weight", HT_DTYPE_U8, {8}), tensor("b.weight", HT_DTYPE_U8, {8}),
                                 tensor("c.weight", HT_DTYPE_U8, {8})},
                                {}, {}, 8);
    const std::string whole = content_of(path);
    ASSERT_TRUE(taken(path));
    uint64_t accepted = 0;
    constexpr int rounds = 4000;
    for (int round = 0; round < rounds && !testing::Test::HasFatalFailure(); ++round) {
        overwrite(path, mutated(whole, whole.size(), random));
        accepted += taken(path);
    }
    EXPECT_GT(accepted, rounds / 100U);
    EXPECT_LT(accepted, rounds / 2U);
}

// Every prefix, one after the other: nothing may depend on where a download stopped.
TEST(Mutations, EveryTruncationIsRefused) {
    const TemporaryFolder folder;
    const fs::path path =
        write(folder.path() / "m.safetensors",
              {tensor("a", HT_DTYPE_F32, {2}), tensor("b", HT_DTYPE_F16, {2, 2})}, {{"k", "v"}});
    const std::string whole = content_of(path);
    ASSERT_TRUE(taken(path));
    for (size_t size = 0; size < whole.size(); ++size) {
        overwrite(path, whole.substr(0, size));
        EXPECT_FALSE(taken(path)) << size;
    }
}

}  // namespace
}  // namespace halftone
