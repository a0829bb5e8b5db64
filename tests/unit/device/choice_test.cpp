#include "core/base/error.hpp"
#include "tests/unit/device/on_device.hpp"

namespace halftone {
namespace {

using device_test::registry;

TEST(DeviceChoice, TheCpuIsNoDevice) {
    const DeviceChoice choice = choose_device(registry(), "cpu", "");
    EXPECT_EQ(choice.device, nullptr);
    EXPECT_FALSE(choice.why.empty());
}

TEST(DeviceChoice, AutoTakesTheCpuWithAReasonWhereThereIsNoDevice) {
    const DeviceChoice choice = choose_device(registry(), "auto", "");
    EXPECT_NE(choice.device == nullptr, choice.why.empty());
}

TEST(DeviceChoice, ADeviceThatWasAskedForAndIsNotThereIsAnError) {
    if (device_test::machine().device || registry().ids(HT_KIND_DEVICE).empty())
        GTEST_SKIP() << "needs a plugin without a device";
    try {
        choose_device(registry(), registry().ids(HT_KIND_DEVICE).front(), "p.toml:3:1");
        FAIL() << "it was found";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Exit::plugin);
        EXPECT_EQ(error.where(), "p.toml:3:1");
        EXPECT_NE(error.problem().find("cannot be used"), std::string::npos) << error.problem();
    }
}

TEST(DeviceChoice, ADeviceNobodyKnowsIsAnErrorThatNamesThoseThatAreThere) {
    EXPECT_THROW(choose_device(registry(), "abacus", ""), Error);
}

}  // namespace
}  // namespace halftone
