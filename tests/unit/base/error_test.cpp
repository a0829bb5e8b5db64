#include "core/base/error.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <string>

#include "core/base/version.hpp"

namespace halftone {
namespace {

TEST(Error, SaysWhereAndWhat) {
    try {
        fail(Exit::input, "model.safetensors", "the header says {} bytes, but the file has {}", 100, 10);
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Exit::input);
        EXPECT_STREQ(error.what(), "model.safetensors: the header says 100 bytes, but the file has 10");
        EXPECT_EQ(error.where(), "model.safetensors");
        EXPECT_EQ(error.problem(), "the header says 100 bytes, but the file has 10");
        EXPECT_EQ(error.advice(), "");
        return;
    }
    FAIL() << "nothing was thrown";
}

TEST(Error, NeedsNoPlace) {
    EXPECT_STREQ(Error(Exit::usage, "", "no command", "try --help").what(), "no command");
}

TEST(Version, IsThreeNumbers) {
    const std::string text = version();
    EXPECT_EQ(std::count(text.begin(), text.end(), '.'), 2) << text;
    EXPECT_FALSE(build_description().empty());
    EXPECT_TRUE(bundled_plugin_dir().ends_with("halftone/plugins"));
}

}  // namespace
}  // namespace halftone
