#include "core/report/table.hpp"

#include <gtest/gtest.h>

namespace halftone {
namespace {

TextTable example() {
    TextTable table;
    table.columns = {{"tensor"}, {"bytes", true}};
    table.rows = {{"double_blocks.0.img_attn.qkv.weight", "12"}, {"b", "3456"}};
    return table;
}

TEST(TextTable, AlignsColumnsAndKeepsEverythingWithoutAWidth) {
    EXPECT_EQ(example().text(0),
              "tensor                               bytes\n"
              "double_blocks.0.img_attn.qkv.weight     12\n"
              "b                                     3456\n");
}

TEST(TextTable, CutsTheElasticColumnInTheMiddle) {
    const std::string text = example().text(30);
    EXPECT_NE(text.find("\xe2\x80\xa6"), std::string::npos);
    EXPECT_NE(text.find("qkv.weight"), std::string::npos) << "the end of a name tells more than its middle";
    EXPECT_NE(text.find("3456"), std::string::npos);
}

TEST(TextTable, CountsCharactersNotBytes) {
    TextTable table;
    table.columns = {{"a"}, {"b"}};
    table.rows = {{"\xc3\xa4\xc3\xb6\xc3\xbc", "x"}, {"abc", "y"}};
    EXPECT_EQ(table.text(0), "a    b\n\xc3\xa4\xc3\xb6\xc3\xbc  x\nabc  y\n");
}

}  // namespace
}  // namespace halftone
