// Where the system refuses memory, a run ends and says so. It neither hangs nor crashes.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/cases/process.hpp"
#include "tests/support/checkpoints.hpp"

namespace halftone::test {
namespace {

// Sanitizers reserve address space by the terabyte.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool limits_can_be_set = false;
#else
constexpr bool limits_can_be_set = true;
#endif

constexpr rlim_t mebibyte = 1 << 20;

class RefusedMemory : public testing::Test {
  protected:
    void SetUp() override {
        if (!limits_can_be_set) GTEST_SKIP() << "sanitizers need more memory than any limit of this test";
        write_checkpoint(folder / "in.safetensors",
                         {random_tensor("a.attn.weight", HT_DTYPE_BF16, {96, 160}, 1),
                          random_tensor("a.mlp.weight", HT_DTYPE_F32, {160, 96}, 2)});
        write_text(
            folder / "p.toml",
            "[input]\npath = \"in.safetensors\"\n[output]\npath = \"out.safetensors\"\nreplace = true\n"
            "[model]\nprofile = \"none\"\n[quantize]\nformat = \"fp8\"\n[run]\ndevice = \"cpu\"\n");
    }

    // The limit is for the new process alone: it inherits it, and ours is put back once it runs.
    static Finished with_limit(int resource, rlim_t bytes, const std::vector<std::string>& arguments,
                               const std::function<void(int)>& meanwhile = {}) {
        rlimit before{};
        ::getrlimit(static_cast<__rlimit_resource>(resource), &before);
        rlimit limit = before;
        limit.rlim_cur = bytes;
        EXPECT_EQ(::setrlimit(static_cast<__rlimit_resource>(resource), &limit), 0);
        const auto restore = [&](int process) {
            ::setrlimit(static_cast<__rlimit_resource>(resource), &before);
            if (meanwhile) meanwhile(process);
        };
        return halftone(arguments, {.environment = {}, .meanwhile = restore});
    }

    void expect_done_or_out_of_memory(int resource, rlim_t bytes, const std::vector<std::string>& arguments) {
        const Finished finished = with_limit(resource, bytes, arguments);
        const std::string limited = std::to_string(bytes / mebibyte) + " MiB: ";
        EXPECT_EQ(finished.signal, 0) << limited << finished.err;
        EXPECT_TRUE(finished.code == 0 || finished.code == 6)
            << limited << finished.code << " " << finished.err;
        if (finished.code == 6) {
            ++refused;
            EXPECT_NE(finished.err.find("error: "), std::string::npos) << limited << finished.err;
            for (const std::string& name : names_in(folder.path()))
                EXPECT_EQ(name.find("partial"), std::string::npos) << limited << name;
        } else {
            ++done;
        }
    }

    std::vector<std::string> run(const std::string& optimizer, const std::string& threads) const {
        return {"run",  (folder / "p.toml").string(), "--set", "quantize.optimizer=" + optimizer, "--threads",
                threads};
    }

    TemporaryFolder folder;
    int done = 0, refused = 0;
};

TEST_F(RefusedMemory, EndsALearnedRunOfAnyOptimizer) {
    for (const char* optimizer : {"integral", "adamw", "original"}) {
        for (rlim_t limit = 120; limit <= 480; limit += 60)
            expect_done_or_out_of_memory(RLIMIT_AS, limit * mebibyte, run(optimizer, "2"));
        for (rlim_t limit = 16; limit <= 136; limit += 24)
            expect_done_or_out_of_memory(RLIMIT_DATA, limit * mebibyte, run(optimizer, "2"));
    }
    EXPECT_GT(refused, 0) << "no limit was low enough to test anything";
    expect_done_or_out_of_memory(RLIMIT_AS, 4096 * mebibyte, run("integral", "2"));
    EXPECT_GT(done, 0);
}

TEST_F(RefusedMemory, EndsARunOfManyThreads) {
    for (rlim_t limit = 100; limit <= 1500; limit += 200)
        for (const char* optimizer : {"integral", "none"})
            expect_done_or_out_of_memory(RLIMIT_AS, limit * mebibyte, run(optimizer, "16"));
}

TEST_F(RefusedMemory, EndsAComparisonOfProjectedErrors) {
    ASSERT_EQ(halftone(run("none", "2")).code, 0);
    for (rlim_t limit = 120; limit <= 480; limit += 60)
        expect_done_or_out_of_memory(RLIMIT_AS, limit * mebibyte,
                                     {"compare", (folder / "in.safetensors").string(),
                                      (folder / "out.safetensors").string(), "--threads", "2"});
}

TEST_F(RefusedMemory, LeavesCtrlCItsMeaning) {
    const Finished finished = with_limit(RLIMIT_AS, 300 * mebibyte, run("integral", "2"), [](int process) {
        usleep(50'000);
        kill(process, SIGTERM);
    });
    EXPECT_TRUE(finished.code == 0 || finished.code == 5 || finished.code == 6 || finished.signal == SIGTERM)
        << finished.code << " " << finished.err;
}

}  // namespace
}  // namespace halftone::test
