// Which plugin reads a layer, where several could.

#include <gtest/gtest.h>

#include "core/base/cpu.hpp"
#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/plan/stored_matrix.hpp"
#include "tests/support/checkpoints.hpp"

namespace halftone {
namespace {

using namespace test;

class WhoReadsALayer : public testing::Test {
  protected:
    static Log& log() {
        static Log silent({.style = Log::Style::human, .least = Level::error, .color = false});
        return silent;
    }
    std::shared_ptr<const StoredMatrix> read(const std::string& text) {
        registry_ = std::make_shared<Registry>(
            PluginFolders{.extra = {HALFTONE_FIXTURE_PLUGINS}, .environment = {}, .user = {}, .bundled = {}},
            std::make_shared<PluginHost>(log(), cpu::level()));
        const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
        write_checkpoint(folder_ / "m.safetensors",
                         {float_tensor("a.weight", HT_DTYPE_F32, {1, 2}, std::vector{1.0F, 2.0F}),
                          float_tensor("a.weight_scale", HT_DTYPE_F32, {}, std::vector{2.0F}),
                          float_tensor("a.odd", HT_DTYPE_F32, {}, std::vector{2.0F}),
                          {"a.comfy_quant", HT_DTYPE_U8, {text.size()}, {bytes, bytes + text.size()}}});
        checkpoint_ = std::make_shared<const Checkpoint>(Checkpoint::open(folder_ / "m.safetensors"));
        Recognition recognition(checkpoint_, *registry_);
        return recognition.recognize(quantized_layers(*checkpoint_).at(0));
    }
    void expect_error(const std::string& text, Exit code, const std::vector<std::string>& words) {
        try {
            read(text);
            ADD_FAILURE() << text;
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), code);
            const std::string said = std::string(error.what()) + "\n" + error.advice();
            for (const std::string& word : words)
                EXPECT_NE(said.find(word), std::string::npos) << word << " in:\n" << said;
        }
    }

    TemporaryFolder folder_;
    std::shared_ptr<Registry> registry_;
    std::shared_ptr<const Checkpoint> checkpoint_;
};

TEST_F(WhoReadsALayer, ThePluginWithItsLabelBeforeOneThatClaimsItToo) {
    EXPECT_EQ(read(R"({"format": "float32"})")->format->id(), "recognizes");
    EXPECT_EQ(read(R"({"format": "another", "as": "float32"})")->format->id(), "claims-too");
}

TEST_F(WhoReadsALayer, ThePluginWithItsIdAndNoOtherIsOpened) {
    EXPECT_EQ(read(R"({"format": "claims-too", "as": "float32"})")->format->id(), "claims-too");
    EXPECT_EQ(registry_->loaded(), std::vector<std::string>{"format 'claims-too' 1.2.3"});
}

TEST_F(WhoReadsALayer, TwoClaimsAreAnErrorThatNamesBoth) {
    expect_error(R"({"format": "unheard", "as": "float32"})", Exit::plugin,
                 {"a: 2 formats claim it", "format 'claims-too' (", "format-claims-too", " and ",
                  "format 'recognizes' (", "plugin folders"});
    expect_error(R"({"as": "float32"})", Exit::plugin, {"a: 2 formats claim it"});
}

TEST_F(WhoReadsALayer, ThePluginThatTheFileNamesMustWork) {
    expect_error(R"({"format": "init-fails", "as": "float32"})", Exit::plugin,
                 {"a: the plugin of its format cannot be used", "format-init-fails"});
}

TEST_F(WhoReadsALayer, OnlyPluginsThatKnowTheLabelSayWhatIsWrong) {
    expect_error(R"({"format": "claims-too"})", Exit::input,
                 {"what they said:\n  claims-too: it is not float32"});
    try {
        read(R"({"format": "claims-too"})");
    } catch (const Unrecognized& error) {
        EXPECT_EQ(error.advice().find("\n  recognizes:"), std::string::npos) << error.advice();
        EXPECT_GT(error.answers().size(), 5U) << "all were asked";
    }
}

TEST_F(WhoReadsALayer, WhatItsFormatDoesNotKnowIsListed) {
    const auto matrix = read(R"({"format": "float32"})");
    ASSERT_EQ(matrix->unclaimed.size(), 1U);
    EXPECT_EQ(matrix->unclaimed[0]->name, "a.odd");
}

}  // namespace
}  // namespace halftone
