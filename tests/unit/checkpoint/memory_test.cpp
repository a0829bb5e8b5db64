#include <fstream>
#include <gtest/gtest.h>
#include <iostream>

#include "core/base/error.hpp"
#include "core/checkpoint/checkpoint.hpp"
#include "tests/cases/malformed/corpus.hpp"
#include "tests/unit/base/temporary_folder.hpp"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HALFTONE_TEST_SANITIZED 1
#else
#define HALFTONE_TEST_SANITIZED 0
#endif

namespace halftone {
namespace {

constexpr uint64_t mebi = 1024 * 1024;
constexpr size_t largest_header = 100'000'000;

// The most memory that this process ever had in RAM, in bytes, since `reset_peak`.
uint64_t peak() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("VmHWM:")) return std::stoull(line.substr(6)) * 1024;
    return 0;
}

bool reset_peak() {
    std::ofstream refs("/proc/self/clear_refs");
    refs << "5";
    return static_cast<bool>(refs.flush());
}

class HeaderMemory : public testing::Test {
  protected:
    void SetUp() override {
        if (HALFTONE_TEST_SANITIZED) GTEST_SKIP() << "sanitizers have memory of their own";
    }

    void write(const std::string& json, size_t data = 0) const {
        std::ofstream(path_, std::ios::binary) << malformed::length_word(json.size()) << json;
        std::filesystem::resize_file(path_, 8 + json.size() + data);
    }

    // Opens it in a process of its own, in which nothing has been allocated and freed before.
    void expect_growth_below(uint64_t limit) {
        const auto open = [&] {
            const uint64_t before = reset_peak() ? peak() : 0;
            if (before == 0) std::_Exit(3);
            try {
                const Checkpoint checkpoint = Checkpoint::open(path_);
            } catch (const Error& error) {
                if (error.code() != Exit::input) std::_Exit(2);
            }
            const uint64_t grown = peak() - before;
            std::cerr << "grew by " << grown / mebi << " MiB\n";
            std::_Exit(grown < limit ? 0 : 1);
        };
        EXPECT_EXIT(open(), testing::ExitedWithCode(0), "");
    }

    TemporaryFolder folder_;
    std::filesystem::path path_ = folder_.path() / "m.safetensors";
};

std::string many_tensors(size_t json_bytes, size_t name_bytes, size_t& data) {
    std::string json = "{";
    for (data = 0; json.size() < json_bytes - 2 * name_bytes - 200; ++data) {
        std::string name = std::to_string(data);
        name.insert(0, name_bytes - std::min(name_bytes, name.size()), 'n');
        json.append(data ? ",\"" : "\"")
            .append(name)
            .append(R"(":{"dtype":"U8","shape":[1],"data_offsets":[)");
        json.append(std::to_string(data)).append(",").append(std::to_string(data + 1)).append("]}");
    }
    return json + "}";
}

TEST_F(HeaderMemory, OfPaddingIsNone) {
    write("{" + std::string(largest_header - 2, ' ') + "}");
    expect_growth_below(4 * mebi);
}

TEST_F(HeaderMemory, OfIgnoredMembersIsNone) {
    std::string json = R"({"a":{"x":")";
    json.append(largest_header / 2, 'y').append(R"(","z":[)");
    json += malformed::repeated("123456789,", largest_header / 25) +
            R"(0],"dtype":"U8","shape":[0],"data_offsets":[0,0]}})";
    write(json);
    expect_growth_below(4 * mebi);
}

TEST_F(HeaderMemory, OfOneLongTextIsLittleMoreThanTheText) {
    write(R"({"__metadata__":{"k":")" + std::string(largest_header - 100, 'v') + "\"}}");
    expect_growth_below(200 * mebi);
}

TEST_F(HeaderMemory, OfATextThatBreaksOffIsNoMore) {
    write(R"({"__metadata__":{"k":")" + std::string(largest_header - 100, 'v'));
    expect_growth_below(200 * mebi);
}

TEST_F(HeaderMemory, OfManyTensorsFitsIntoTheBudget) {
    size_t data = 0;
    const std::string json = many_tensors(largest_header, 70, data);
    write(json, data);
    expect_growth_below(200 * mebi);
}

// Names of 16 bytes are the first that need memory of their own, so these take the most for their text.
TEST_F(HeaderMemory, OfTheMostTensorsFitsIntoTheBudget) {
    size_t data = 0;
    const std::string json = many_tensors(largest_header, 16, data);
    write(json, data);
    expect_growth_below(230 * mebi);
}

TEST_F(HeaderMemory, OfTooManyMetadataEntriesIsLittle) {
    std::string json = R"({"__metadata__":{"":"")";
    for (int i = 0; json.size() < largest_header - 100; ++i)
        json.append(",\"").append(std::to_string(i)).append("\":\"\"");
    write(json + "}}");
    expect_growth_below(50 * mebi);
}

}  // namespace
}  // namespace halftone
