#include "plugins/host.hpp"

#include <array>
#include <cstdint>
#include <gtest/gtest.h>
#include <thread>
#include <vector>

#include "core/base/log.hpp"
#include "core/base/random.hpp"

namespace halftone {
namespace {

class HostTest : public testing::Test {
  protected:
    Log log_{Log::Settings{}};
    PluginHost host_{log_, HT_CPU_AVX2};
    const ht_host* table_ = host_.table_for("format 'x'");
};

TEST_F(HostTest, TellsItsSizeItsAbiAndTheCpu) {
    EXPECT_EQ(table_->size, sizeof(ht_host));
    EXPECT_EQ(table_->abi_minor, static_cast<uint32_t>(HALFTONE_ABI_MINOR));
    EXPECT_EQ(table_->cpu, static_cast<ht_cpu>(HT_CPU_AVX2));
}

TEST_F(HostTest, LogLinesCarryThePluginsName) {
    testing::internal::CaptureStderr();
    table_->log(table_->self, HT_LOG_WARNING, "scales are\nodd \xff");
    table_->log(table_->self, HT_LOG_INFO, nullptr);
    table_->log(host_.table_for("model 'y'")->self, HT_LOG_ERROR, "bad");
    const std::string written = testing::internal::GetCapturedStderr();
    EXPECT_NE(written.find("format 'x': scales are"), std::string::npos) << written;
    EXPECT_NE(written.find("model 'y': bad"), std::string::npos) << written;
    EXPECT_EQ(written.find("are\nodd"), std::string::npos)
        << "a plugin's line break went through: " << written;
}

TEST_F(HostTest, TellsWhenToStop) {
    EXPECT_EQ(table_->cancelled(table_->self), 0);
    host_.cancel();
    EXPECT_EQ(table_->cancelled(table_->self), 1);
    EXPECT_TRUE(host_.cancelled());
}

TEST_F(HostTest, TheClockDoesNotGoBack) {
    const double before = table_->clock(table_->self);
    EXPECT_GE(table_->clock(table_->self), before);
}

TEST_F(HostTest, LendsAlignedMemoryWithinItsBudget) {
    host_.set_memory_budget(1000);
    void* a = table_->allocate(table_->self, 600);
    ASSERT_NE(a, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(a) % 64, 0u);
    EXPECT_EQ(host_.memory_in_use(), 600u);
    EXPECT_EQ(table_->allocate(table_->self, 401), nullptr);
    void* b = table_->allocate(table_->self, 400);
    ASSERT_NE(b, nullptr);
    EXPECT_EQ(table_->allocate(table_->self, 1), nullptr);
    table_->release(table_->self, a);
    EXPECT_EQ(host_.memory_in_use(), 400u);
    void* none = table_->allocate(table_->self, 0);
    EXPECT_NE(none, nullptr);
    table_->release(table_->self, none);
    table_->release(table_->self, b);
    table_->release(table_->self, nullptr);
    EXPECT_EQ(host_.memory_in_use(), 0u);
    EXPECT_EQ(table_->allocate(table_->self, UINT64_MAX), nullptr);
    EXPECT_EQ(host_.memory_in_use(), 0u);
}

TEST_F(HostTest, TheBudgetIsSharedByAllPluginsAndThreads) {
    constexpr uint64_t block = 64, budget = 64 * 100;
    host_.set_memory_budget(budget);
    std::vector<std::thread> threads;
    threads.reserve(4);
    std::atomic<int> got = 0;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            const ht_host* table = host_.table_for("format 'y'");
            std::vector<void*> mine;
            for (int i = 0; i < 100; ++i)
                if (void* memory = table->allocate(table->self, block)) mine.push_back(memory);
            got += static_cast<int>(mine.size());
            EXPECT_LE(host_.memory_in_use(), budget);
            for (void* memory : mine)
                table->release(table->self, memory);
        });
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_GE(got, 100);
    EXPECT_EQ(host_.memory_in_use(), 0u);
}

TEST_F(HostTest, RandomWordsDoNotDependOnHowTheyAreAskedFor) {
    std::array<uint32_t, 100> whole{};
    table_->random(table_->self, 7, 3, 10, whole.size(), whole.data());
    for (uint64_t i = 0; i < whole.size(); ++i) {
        uint32_t one = 0;
        table_->random(table_->self, 7, 3, 10 + i, 1, &one);
        EXPECT_EQ(one, whole[i]);
    }
    std::array<uint32_t, 100> ours{};
    random_words(7, 3, 10, ours);
    EXPECT_EQ(whole, ours);
    table_->random(table_->self, 8, 3, 10, ours.size(), ours.data());
    EXPECT_NE(whole, ours);
}

TEST_F(HostTest, HasNoUnknownServices) {
    EXPECT_EQ(table_->extension(table_->self, "acme.magic/1"), nullptr);
    EXPECT_EQ(table_->extension(table_->self, nullptr), nullptr);
}

}  // namespace
}  // namespace halftone
