#include "core/base/os/process.hpp"

#include <csignal>
#include <cstdlib>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "core/base/error.hpp"
#include "tests/unit/base/temporary_folder.hpp"

namespace halftone::os {
namespace {

namespace fs = std::filesystem;

TEST(Process, KnowsWhereItsBinaryLies) {
    EXPECT_TRUE(executable().is_absolute());
    EXPECT_EQ(executable().filename(), "test_base");
    EXPECT_TRUE(fs::exists(executable()));
}

TEST(Process, TellsTheEnvironment) {
    ::setenv("HALFTONE_TEST_VARIABLE", "", 1);
    EXPECT_EQ(environment("HALFTONE_TEST_VARIABLE"), "");
    ::unsetenv("HALFTONE_TEST_VARIABLE");
    EXPECT_EQ(environment("HALFTONE_TEST_VARIABLE"), std::nullopt);
}

TEST(Process, FindsTheUserDataFolder) {
    const auto xdg = environment("XDG_DATA_HOME"), home = environment("HOME");
    ::setenv("HOME", "/home/ada", 1);
    ::unsetenv("XDG_DATA_HOME");
    EXPECT_EQ(user_data_folder(), "/home/ada/.local/share");
    ::setenv("XDG_DATA_HOME", "/data", 1);
    EXPECT_EQ(user_data_folder(), "/data");
    ::setenv("XDG_DATA_HOME", "relative", 1);
    EXPECT_EQ(user_data_folder(), "/home/ada/.local/share");
    ::unsetenv("HOME");
    EXPECT_EQ(user_data_folder(), "");
    home ? ::setenv("HOME", home->c_str(), 1) : ::unsetenv("HOME");
    xdg ? ::setenv("XDG_DATA_HOME", xdg->c_str(), 1) : ::unsetenv("XDG_DATA_HOME");
}

TEST(Process, CountsWhatItMayUse) {
    EXPECT_GE(processors(), 1u);
    EXPECT_LE(processors(), static_cast<unsigned>(::sysconf(_SC_NPROCESSORS_CONF)));
    EXPECT_GT(total_memory(), uint64_t{16} << 20);
}

TEST(Process, SeesItsOwnMemoryGrowAndRemembersThePeak) {
    const uint64_t before = anonymous_memory();
    if (before == 0) GTEST_SKIP() << "the system does not tell";
    constexpr size_t size = size_t{64} << 20;
    {
        std::vector<char> memory(size, 1);
        EXPECT_EQ(memory[size / 2], 1);
        EXPECT_GE(anonymous_memory_peak(), before + size / 2);
    }
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they keep freed memory for a while
    EXPECT_LT(anonymous_memory(), before + size / 2);
#endif
    EXPECT_GE(anonymous_memory_peak(), before + size / 2);
}

TEST(Process, HasAClockThatRuns) {
    const double start = seconds();
    ::usleep(2000);
    EXPECT_GE(seconds() - start, 0.002);
    EXPECT_LT(seconds() - start, 60);
}

TEST(Process, KnowsThatAPipeIsNoTerminal) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    EXPECT_FALSE(is_terminal(ends[0]));
    EXPECT_EQ(terminal_width(ends[0]), 0);
    ::close(ends[0]);
    ::close(ends[1]);
}

// What becomes of a child that does this: its exit code, or -1 if a signal ended it.
template <class Action>
int exit_code_of_child(Action action) {
    const pid_t child = ::fork();
    if (child == 0) {
        action();
        ::_exit(99);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

class Interrupts : public testing::TestWithParam<int> {
  protected:
    TemporaryFolder folder;
    fs::path at(const std::string& name) const { return folder.path() / name; }
};
INSTANTIATE_TEST_SUITE_P(EverySignal, Interrupts, testing::Values(SIGINT, SIGTERM, SIGHUP));

TEST_P(Interrupts, SetAFlagTheFirstTime) {
    folder.write("part", "x");
    EXPECT_EQ(exit_code_of_child([&] {
                  catch_interrupts();
                  remove_on_exit(at("part"));
                  if (interrupted()) ::_exit(1);
                  ::raise(GetParam());
                  ::_exit(interrupted() ? 0 : 2);
              }),
              0);
    EXPECT_TRUE(fs::exists(at("part")));
}

TEST_P(Interrupts, EndTheProcessAndItsFilesTheSecondTime) {
    for (const char* name : {"part", "finished", "again", "stranger"})
        folder.write(name, "x");
    EXPECT_EQ(exit_code_of_child([&] {
                  catch_interrupts();
                  fs::current_path(folder.path());
                  remove_on_exit("part");
                  fs::current_path("/");
                  remove_on_exit(at("finished"));
                  keep_on_exit(at("finished"));
                  remove_on_exit(at("again"));
                  keep_on_exit(at("again"));
                  remove_on_exit(at("again"));
                  remove_on_exit(at("never made"));
                  ::raise(SIGINT);
                  ::raise(GetParam());
              }),
              static_cast<int>(Exit::interrupted));
    EXPECT_FALSE(fs::exists(at("part")));
    EXPECT_FALSE(fs::exists(at("again")));
    EXPECT_TRUE(fs::exists(at("finished")));
    EXPECT_TRUE(fs::exists(at("stranger")));
}

TEST_P(Interrupts, StayIgnoredWhereTheParentIgnoredThem) {
    EXPECT_EQ(exit_code_of_child([&] {
                  ::signal(GetParam(), SIG_IGN);
                  catch_interrupts();
                  ::raise(GetParam());
                  ::raise(GetParam());
                  ::_exit(interrupted() ? 1 : 0);
              }),
              0);
}

TEST_P(Interrupts, DoNotBreakASystemCall) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        catch_interrupts();
        int other[2];
        if (::pipe(other) != 0 || ::write(ends[1], "r", 1) != 1) ::_exit(2);
        // Woken by the signal, read() goes on waiting; the alarm's default action then ends the process.
        ::ualarm(300'000, 0);
        char byte = 0;
        ::_exit(::read(other[0], &byte, 1) < 0 ? 3 : 4);
    }
    char byte = 0;
    ASSERT_EQ(::read(ends[0], &byte, 1), 1);
    ::usleep(100'000);
    ::kill(child, GetParam());
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) << status;
    ::close(ends[0]);
    ::close(ends[1]);
}

}  // namespace
}  // namespace halftone::os
