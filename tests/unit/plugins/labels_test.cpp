// How labels say who takes them and which options lead to them.

#include "plugins/labels.hpp"

#include <gtest/gtest.h>

#include "plugins/registry.hpp"
#include "plugins/shared_object.hpp"
#include "tests/unit/plugins/support.hpp"

namespace halftone {
namespace {

using namespace testing_plugins;

TEST(LabelTakers, AreNamesWithAMonthOrAVersion) {
    using Takers = std::vector<LabelTaker>;
    EXPECT_EQ(read_label_takers(""), Takers{});
    EXPECT_EQ(read_label_takers("comfyui"), (Takers{{"comfyui", ""}}));
    EXPECT_EQ(read_label_takers("comfyui>=2025-12; comfyui-fork; stable-diffusion.cpp>=0.31.0"),
              (Takers{{"comfyui", "2025-12"}, {"comfyui-fork", ""}, {"stable-diffusion.cpp", "0.31.0"}}));
}

TEST(LabelTakers, AreNothingWhenWrittenOtherwise) {
    for (const char* wrong :
         {"comfyui>= 2025-12", "comfyui >=2025-12", "comfyui;comfyui-fork", "comfyui; ", "; comfyui",
          "comfyui>=", "comfyui>=2025-13", "comfyui>=2025-1", "comfyui>=v0.31", "comfyui>=0..1", "ComfyUI",
          "comfyui since 2025-12", "comfyui, fork", "nobody!", "comfyui; comfyui>=0.3", ">=0.3", " comfyui"})
        EXPECT_FALSE(read_label_takers(wrong)) << wrong;
}

TEST(LabelConditions, AreNamesWithValues) {
    using Conditions = std::vector<LabelCondition>;
    EXPECT_EQ(read_label_conditions(""), Conditions{});
    EXPECT_EQ(read_label_conditions("layout=legacy element=e5m2"),
              (Conditions{{"layout", "legacy"}, {"element", "e5m2"}}));
    for (const char* wrong : {"scaling", "scaling=", "=row", "a=b  c=d", "scaling = row"})
        EXPECT_FALSE(read_label_conditions(wrong)) << wrong;
}

TEST(Labels, OptionsMustBeThoseOfTheFormat) {
    const auto file = plugin_file(fixture(std::string("format-tiles") + SharedObject::suffix()));
    const Format format(PluginLibrary::load(file, make_host()));
    const OptionTable& table = format.library().options();
    Format::Label label;
    label.options = "layout=legacy";
    label.loaders = "comfyui";
    EXPECT_EQ(fault_of(label, table), "");
    label.options = "no_such_option=1";
    EXPECT_EQ(fault_of(label, table),
              "options 'no_such_option=1': 'no_such_option' is neither an option nor the layout");
    label.options = "layout=nowhere";
    EXPECT_EQ(fault_of(label, table), "options 'layout=nowhere': there is no layout 'nowhere'");
    label.options = "";
    label.remark = "two\nlines";
    EXPECT_EQ(fault_of(label, table), "a text has more than one line");
}

}  // namespace
}  // namespace halftone
