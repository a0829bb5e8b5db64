#include "core/run/workers.hpp"

#include <atomic>
#include <chrono>
#include <gtest/gtest.h>
#include <mutex>
#include <numeric>
#include <random>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "core/base/error.hpp"
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

TEST(Bands, CutHugeRowsWherePiecesAllowIt) {
    std::mt19937_64 random(2);
    for (int i = 0; i < 200; ++i) {
        const uint64_t rows = random() % 4 + 1, cols = random() % 9'000'000 + 1, piece = random() % 1000 + 1;
        const Bands bands(rows, cols, 1, 1, piece);
        uint64_t next = 0;
        for (uint64_t band = 0; band < bands.count(); ++band) {
            const ht_region region = bands.region(band);
            ASSERT_EQ(region.row * cols + region.col, next) << "bands follow each other";
            ASSERT_TRUE(region.cols == cols || region.rows == 1);
            ASSERT_EQ(region.col % piece, 0u);
            ASSERT_LE(region.rows * region.cols, bands.largest_elements());
            next += region.rows * region.cols;
        }
        ASSERT_EQ(next, rows * cols);
        ASSERT_LE(bands.largest_elements(), 512u * 1024);
    }
    EXPECT_EQ(Bands(1, 1 << 24, 1).count(), 1u) << "whole rows only";
    EXPECT_EQ(Bands(2, 1 << 24, 2, 1, 64).count(), 1u) << "granules of two rows";
    EXPECT_EQ(common_piece(64, 48), 192u);
    EXPECT_EQ(common_piece(64, 0), 0u);
}

JobMemory nothing(uint64_t) {
    return {};
}

TEST(Workers, DoEveryBandOfEveryJobOnce) {
    for (unsigned threads : {1u, 2u, 7u}) {
        Workers workers({.threads = threads, .memory = 64 << 20});
        std::vector<std::atomic<int>> done(40 * 50);
        const auto need = [](uint64_t) { return JobMemory{1 << 20, 1 << 16}; };
        workers.each_job(40, need, [&](uint64_t job, Workers::Share& share) {
            workers.each_band(share, 50, [&](uint64_t band, Scratch& scratch) {
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
        workers.each_job(100000, nothing, [&](uint64_t job, Workers::Share& share) {
            ++started;
            workers.each_band(share, 4, [&](uint64_t, Scratch&) {
                if (job == 3) throw std::runtime_error("band trouble");
            });
        });
    };
    EXPECT_THROW(run(), std::runtime_error);
    EXPECT_LT(started, 100000);
    // And they work again afterwards.
    std::atomic<int> bands = 0;
    workers.each_job(1, nothing, [&](uint64_t, Workers::Share& share) {
        workers.each_band(share, 9, [&](uint64_t, Scratch&) { ++bands; });
    });
    EXPECT_EQ(bands, 9);
}

TEST(Workers, NeverShareAScratch) {
    Workers workers({.threads = 4, .memory = 64 << 20});
    std::mutex mutex;
    std::set<const Scratch*> in_use;
    workers.each_job(8, nothing, [&](uint64_t, Workers::Share& share) {
        workers.each_band(share, 64, [&](uint64_t, Scratch& scratch) {
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

// Jobs of all sizes, with bands that really fill their scratches: what is there at a time is what was told.
TEST(Workers, KeepJobsAndBandsWithinTheMemory) {
    for (unsigned threads : {1u, 3u, 16u}) {
        constexpr uint64_t budget = 1000 << 10;
        Workers workers({.threads = threads, .memory = budget});
        std::atomic<int64_t> used = 0, worst = 0;
        const auto take = [&](int64_t bytes) {
            const int64_t now = used += bytes;
            for (int64_t seen = worst; now > seen && !worst.compare_exchange_weak(seen, now);) {
            }
        };
        const auto need = [](uint64_t i) { return JobMemory{(i * 37 % 60) << 14, ((i * 11) % 4 + 1) << 12}; };
        std::atomic<uint64_t> bands = 0;
        workers.each_job(200, need, [&](uint64_t i, Workers::Share& share) {
            take(static_cast<int64_t>(need(i).held));
            workers.each_band(share, 20, [&](uint64_t, Scratch& scratch) {
                const auto bytes = need(i).band;
                Scratch::sized(scratch.values, bytes);
                take(static_cast<int64_t>(bytes));
                std::this_thread::yield();
                ++bands;
                take(-static_cast<int64_t>(bytes));
            });
            take(-static_cast<int64_t>(need(i).held));
        });
        EXPECT_EQ(bands, 200u * 20);
        EXPECT_LE(worst, static_cast<int64_t>(budget));
        EXPECT_EQ(used, 0);
    }
}

// A thread without room for the next job helps with the bands of another one instead of waiting.
TEST(Workers, HelpAJobThatTakesAllTheMemory) {
    Workers workers({.threads = 4, .memory = 1 << 20});
    const auto need = [](uint64_t) { return JobMemory{900 << 10, 1 << 10}; };
    std::mutex mutex;
    std::set<std::thread::id> helpers;
    workers.each_job(3, need, [&](uint64_t, Workers::Share& share) {
        workers.each_band(share, 400, [&](uint64_t, Scratch&) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
            const std::lock_guard lock(mutex);
            helpers.insert(std::this_thread::get_id());
        });
    });
    EXPECT_GT(helpers.size(), 1u);
}

TEST(Workers, RefuseWhatNeedsMoreThanTheMemoryThatWasAskedFor) {
    const auto need = [](uint64_t) { return JobMemory{200u << 20, 1 << 20}; };
    const auto run = [&](Workers& workers) {
        bool ran = false;
        workers.each_job(1, need, [&](uint64_t, Workers::Share&) { ran = true; });
        return ran;
    };
    Workers unlimited({.threads = 2});
    EXPECT_TRUE(run(unlimited));
    Workers limited({.threads = 2, .memory = 64u << 20});
    try {
        run(limited);
        ADD_FAILURE() << "it ran";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Exit::space);
    }
    try {
        limited.require_room("a.weight", need(0));
        ADD_FAILURE() << "there was room";
    } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find("a.weight: needs 201 MiB at a time"), std::string::npos)
            << error.what();
        EXPECT_NE(error.advice().find("--memory 201MiB"), std::string::npos) << error.advice();
    }
}

TEST(MemoryGate, CountsScratchesThatWaitAndFreesThemForOthers) {
    MemoryGate gate(100'000, 2);
    {
        const auto share = gate.try_enter({10'000, 50'000});
        ASSERT_TRUE(share);
        EXPECT_EQ(gate.used(), 60'000u);
        MemoryGate::Band band(gate, *share, 0);
        EXPECT_EQ(gate.used(), 60'000u) << "the band takes the room that came with the share";
        Scratch::sized(band.scratch().values, 30'000);
    }
    EXPECT_EQ(gate.used(), 30'000u);
    {
        const auto share = gate.try_enter({0, 40'000});
        MemoryGate::Band band(gate, *share, 0);
        EXPECT_GE(band.scratch().bytes(), 30'000u) << "the same thread gets its scratch again";
        EXPECT_EQ(gate.used(), 70'000u);
    }
    EXPECT_TRUE(gate.try_enter({80'000, 20'000})) << "an idle scratch is no reason to wait";
    EXPECT_EQ(gate.used(), 0u);
}

TEST(MemoryGate, LetsWhatIsLargerThanItInAlone) {
    MemoryGate gate(100, 1);
    const auto small = gate.try_enter({10, 10});
    EXPECT_FALSE(gate.try_enter({1000, 0}));
    EXPECT_FALSE(gate.try_enter({UINT64_MAX, 1}));
    {
        MemoryGate other(100, 1);
        const auto large = other.try_enter({1000, 0});
        EXPECT_TRUE(large);
        EXPECT_FALSE(other.try_enter({1, 0}));
    }
}

}  // namespace
}  // namespace halftone
