#include <gtest/gtest.h>

#include "plugins/call.hpp"
#include "plugins/format.hpp"
#include "plugins/shared_object.hpp"
#include "tests/unit/plugins/support.hpp"

namespace halftone {
namespace {

using namespace testing_plugins;

Format open() {
    const auto file = plugin_file(fixture(std::string("format-recognizes") + SharedObject::suffix()));
    return Format(PluginLibrary::load(file, make_host()), Watch::yes);
}

FoundLayer layer(const std::string& fault = {}) {
    FoundLayer found;
    found.name = "a";
    found.parts = {{"a.weight", HT_DTYPE_F32, {4, 6}, {}},
                   {"a.odd", HT_DTYPE_U8, std::vector<uint64_t>(9, 1), std::vector<std::byte>(1)},
                   {"a.weight_scale", HT_DTYPE_F32, {}, std::vector<std::byte>(4)}};
    found.marker = "{\"format\": \"float32\", \"fault\": \"" + fault + "\"}";
    return found;
}

TEST(Recognition, GivesOptionsAndSourceThatMakeThePlan) {
    const Format format = open();
    const Recognized recognized = format.recognize(layer());
    EXPECT_EQ(recognized.options.summary(), "level=5");
    EXPECT_EQ(recognized.source.rows, 4u);
    EXPECT_EQ(recognized.source.cols, 6u);
    EXPECT_EQ(recognized.source.shape, (std::vector<uint64_t>{4, 6}));
    EXPECT_EQ(recognized.source.dialect, HT_DIALECT_COMFY);
    const auto plan = format.prepare(recognized.source, recognized.options);
    EXPECT_EQ(plan->stored()[plan->weight_index()].bytes, 4u * 6 * 4);
}

TEST(Recognition, ARefusalIsNoError) {
    const Format format = open();
    FoundLayer other = layer();
    other.marker = "{\"format\": \"something\"}";
    EXPECT_THROW(format.recognize(other), Refusal);
    other.marker.reset();
    EXPECT_THROW(format.recognize(other), Refusal);
    other = layer();
    other.parts.erase(other.parts.begin());
    try {
        format.recognize(other);
        FAIL();
    } catch (const Refusal& refusal) {
        EXPECT_STREQ(refusal.what(), "it has no matrix");
    }
}

// A file that asks for an option out of its range is no fault of the plugin's.
TEST(Recognition, AnOptionOutOfItsRangeRefusesTheLayer) {
    EXPECT_THROW(open().recognize(layer("option_range")), Refusal);
}

TEST(Recognition, ClaimsWithoutSenseNameThePlugin) {
    const Format format = open();
    const std::pair<const char*, const char*> faults[] = {
        {"option_type", "set option 'level', which has type"},
        {"odd_dtype", "an unknown element type (99)"},
        {"odd_dialect", "an unknown dialect (7)"},
        {"odd_wants", "unknown wants"},
        {"rank_0", "a rank of 0"},
        {"rank_9", "a rank of 9"},
        {"no_experts", "no experts"},
        {"odd_shape", "1 times 5 x 6 elements for the shape [4, 6]"},
        {"overflow", "elements for the shape"},
    };
    for (const auto& [fault, words] : faults) {
        SCOPED_TRACE(fault);
        expect_failure(Exit::plugin, {"format-recognizes", words}, [&] { format.recognize(layer(fault)); });
    }
}

}  // namespace
}  // namespace halftone
