#include "core/run/trace.hpp"

#include <gtest/gtest.h>

#include "core/base/json.hpp"
#include "tests/support/checkpoints.hpp"

namespace halftone {
namespace {

TEST(Trace, IsJsonWhateverAPluginCallsItsNumbers) {
    const test::TemporaryFolder folder;
    const std::string name = "say \"no\"\n\x1b[31m\u009B\u202E\xFF";
    write_trace(folder.path(), "a/b\n", {{{name, 0.5}, {"kept", 1}}, {{"loss", 2}}});
    const std::string text = test::file_text(folder / "a%2Fb%0A.jsonl");
    EXPECT_EQ(
        text,
        "{\"iteration\": 0, \"kept\": true, \"say \\\"no\\\"\\n\\u001b[31m\\u009b\\u202e\uFFFD\": 0.5}\n"
        "{\"iteration\": 1, \"loss\": 2}\n");
    EXPECT_TRUE(Json::accept(text.substr(0, text.find('\n'))));
}

}  // namespace
}  // namespace halftone
