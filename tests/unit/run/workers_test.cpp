#include "core/run/workers.hpp"

#include <atomic>
#include <gtest/gtest.h>
#include <mutex>
#include <numeric>
#include <random>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "core/run/bands.hpp"
#include "core/run/memory_gate.hpp"

namespace halftone {
namespace {

TEST(Bands, CoverEveryRowOnceAndStartOnGranules) {
    std::mt19937_64 random(1);
    for (int i = 0; i < 500; ++i) {
        const uint64_t rows = random() % 5000, cols = random() % 20000 + 1, granule = random() % 200 + 1;
        const Bands bands(rows, cols, granule);
        uint64_t next = 0;
        for (uint64_t band = 0; band < bands.count(); ++band) {
            const ht_region region = bands.region(band);
            ASSERT_EQ(region.row, next);
            ASSERT_EQ(region.row % granule, 0u);
            ASSERT_GT(region.rows, 0u);
            ASSERT_EQ(region.cols, cols);
            ASSERT_LE(region.rows * region.cols, bands.largest_elements());
            next += region.rows;
        }
        ASSERT_EQ(next, rows);
    }
}

TEST(Workers, DoEveryBandOfEveryJobOnce) {
    for (unsigned threads : {1u, 2u, 7u}) {
        Workers workers({.threads = threads, .memory = 64 << 20});
        std::vector<std::atomic<int>> done(40 * 50);
        workers.each_job(40, [&](uint64_t job) {
            const auto held = workers.reserve(1 << 20);
            workers.each_band(50, 1 << 16, [&](uint64_t band, Scratch& scratch) {
                Scratch::sized(scratch.values, 1 << 16);
                ++done[job * 50 + band];
            });
        });
        for (const std::atomic<int>& count : done)
            ASSERT_EQ(count, 1);
    }
}

TEST(Workers, HandOnTheFirstExceptionAndStop) {
    Workers workers({.threads = 2, .memory = 64 << 20});
    std::atomic<int> started = 0;
    const auto run = [&] {
        workers.each_job(100000, [&](uint64_t job) {
            ++started;
            workers.each_band(4, 1, [&](uint64_t, Scratch&) {
                if (job == 3) throw std::runtime_error("band trouble");
            });
        });
    };
    EXPECT_THROW(run(), std::runtime_error);
    EXPECT_LT(started, 100000);
    // And they work again afterwards.
    std::atomic<int> bands = 0;
    workers.each_job(1, [&](uint64_t) { workers.each_band(9, 1, [&](uint64_t, Scratch&) { ++bands; }); });
    EXPECT_EQ(bands, 9);
}

TEST(Workers, NeverShareAScratch) {
    Workers workers({.threads = 4, .memory = 64 << 20});
    std::mutex mutex;
    std::set<const Scratch*> in_use;
    workers.each_job(8, [&](uint64_t) {
        workers.each_band(64, 1, [&](uint64_t, Scratch& scratch) {
            {
                const std::lock_guard lock(mutex);
                ASSERT_TRUE(in_use.insert(&scratch).second);
            }
            std::this_thread::yield();
            const std::lock_guard lock(mutex);
            in_use.erase(&scratch);
        });
    });
}

TEST(MemoryGate, KeepsTheSumBelowTheBudgetAndLetsAnOversizedOneInAlone) {
    MemoryGate gate(100);
    std::atomic<int> used = 0, worst = 0;
    std::atomic<bool> alone = true;
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i)
        threads.emplace_back([&, i] {
            std::mt19937 random(static_cast<unsigned>(i));
            for (int round = 0; round < 300; ++round) {
                const int bytes = round % 50 == 0 ? 1000 : static_cast<int>(random() % 60);
                const MemoryGate::Pass pass(gate, static_cast<uint64_t>(bytes));
                const int now = used += bytes;
                if (bytes == 1000 && now != 1000) alone = false;
                if (bytes != 1000)
                    for (int seen = worst; now > seen && !worst.compare_exchange_weak(seen, now);) {
                    }
                used -= bytes;
            }
        });
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_LE(worst, 100);
    EXPECT_TRUE(alone);
}

}  // namespace
}  // namespace halftone
