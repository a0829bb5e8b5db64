#include "core/base/partial_file.hpp"

#include <csignal>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <set>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/error.hpp"
#include "core/base/os/claim.hpp"
#include "core/base/os/standard_streams.hpp"
#include "tests/unit/base/temporary_folder.hpp"

namespace halftone {
namespace {

namespace fs = std::filesystem;
using Names = std::set<std::string>;

class PartialFileTest : public testing::Test {
  protected:
    fs::path at(const std::string& name) const { return folder_.path() / name; }
    Names names() const {
        Names names;
        for (const auto& entry : fs::directory_iterator(folder_.path()))
            names.insert(entry.path().filename().string());
        return names;
    }
    mode_t mode_of(const std::string& name) const {
        struct stat status {};
        EXPECT_EQ(::stat(at(name).c_str(), &status), 0);
        return status.st_mode & 0777;
    }
    TemporaryFolder folder_;
};

TEST_F(PartialFileTest, IsReplacedWholeAndKeepsItsMode) {
    folder_.write("r.json", "before");
    ::chmod(at("r.json").c_str(), 0600);
    write_whole(at("r.json"), "after");
    EXPECT_EQ(content_of(at("r.json")), "after");
    EXPECT_EQ(mode_of("r.json"), 0600U);
    EXPECT_EQ(names(), Names{"r.json"});
}

// Its bits were for a group that this process may not give files to.
TEST_F(PartialFileTest, LetsNoOtherGroupIn) {
    constexpr uid_t nobody = 65534, stranger = 2345;
    if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away";
    folder_.write("r.json", "before");
    ASSERT_EQ(::chown(at("r.json").c_str(), nobody, stranger), 0);
    ASSERT_EQ(::chmod(at("r.json").c_str(), 0664), 0);
    ASSERT_EQ(::chmod(folder_.path().c_str(), 0777), 0);
    const auto write = [&] {
        if (::setegid(nobody) != 0 || ::seteuid(nobody) != 0) std::_Exit(1);
        write_whole(at("r.json"), "after");
        std::_Exit(0);
    };
    EXPECT_EXIT(write(), testing::ExitedWithCode(0), "");
    EXPECT_EQ(content_of(at("r.json")), "after");
    EXPECT_EQ(mode_of("r.json"), 0644U);
}

TEST_F(PartialFileTest, IsNeverWrittenThroughALink) {
    folder_.write("precious", "precious");
    fs::create_symlink("precious", at("link"));
    write_whole(at("link"), "new");
    EXPECT_EQ(content_of(at("precious")), "precious");
    EXPECT_EQ(content_of(at("link")), "new");
    EXPECT_FALSE(fs::is_symlink(at("link")));
}

TEST_F(PartialFileTest, LeavesNothingBehindWhereItCannotGetItsName) {
    fs::create_directory(at("folder"));
    EXPECT_THROW(write_whole(at("folder"), "text"), Error);
    EXPECT_EQ(names(), Names{"folder"});
}

TEST_F(PartialFileTest, OfAProcessAtWorkIsNotSwept) {
    const os::File own = create_partial(at("a"), "tag", false);
    folder_.write(".a.halftone-dead.partial", "");
    folder_.write(".b.halftone-dead.partial", "");
    folder_.write(".a.halftone-tag", "no partial file");
    fs::create_symlink("elsewhere", at(".a.halftone-link.partial"));
    folder_.write(".a.halftone-open.partial", "");
    const int opened = ::open(at(".a.halftone-open.partial").c_str(), O_RDONLY | O_CLOEXEC);
    const Sweep sweep = sweep_partials(folder_.path(), [](const std::string& name) { return name == "a"; });
    EXPECT_EQ(sweep.removed, std::vector<fs::path>{at(".a.halftone-dead.partial")});
    EXPECT_EQ(sweep.left,
              (std::vector<fs::path>{at(".a.halftone-open.partial"), at(".a.halftone-tag.partial")}));
    EXPECT_TRUE(names().contains(".b.halftone-dead.partial"));
    EXPECT_TRUE(names().contains(".a.halftone-link.partial"));
    ::close(opened);
}

TEST_F(PartialFileTest, TellsLongNamesApart) {
    const std::string same(200, 'x');
    EXPECT_NE(hidden_beside(at("a" + same), "lock"), hidden_beside(at("b" + same), "lock"));
    EXPECT_LE(hidden_beside(at(std::string(255, 'y')), "lock").filename().native().size(), 255U);
    EXPECT_EQ(name_of_partial(create_partial(at("a" + same), "", false).path().filename().native()),
              name_in_partials(at("a" + same)));
}

TEST_F(PartialFileTest, AClaimIsOneProcesses) {
    {
        const std::optional<os::Claim> claim = os::Claim::take(at("lock"));
        ASSERT_TRUE(claim);
        EXPECT_FALSE(os::Claim::take(at("lock")));
        EXPECT_EQ(os::use_of(at("lock")), os::Use::somebody);
    }
    EXPECT_EQ(names(), Names{});
    // A killed process leaves the file, which is in nobody's way.
    const auto die = [&] {
        const std::optional<os::Claim> claim = os::Claim::take(at("lock"));
        std::raise(SIGKILL);
    };
    EXPECT_EXIT(die(), testing::KilledBySignal(SIGKILL), "");
    EXPECT_EQ(names(), Names{"lock"});
    EXPECT_EQ(os::use_of(at("lock")), os::Use::nobody);
    EXPECT_TRUE(os::Claim::take(at("lock")));
    EXPECT_EQ(names(), Names{});
    fs::create_symlink("precious", at("lock"));
    EXPECT_THROW(os::Claim::take(at("lock")), Error);
    EXPECT_EQ(names(), Names{"lock"});
}

TEST(StandardStreams, AreOpenWhateverTheParentClosed) {
    const auto try_it = [](int first) {
        for (int descriptor = first; descriptor <= 2; ++descriptor)
            ::close(descriptor);
        os::open_standard_streams();
        const int next = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
        std::_Exit(next > 2 && ::write(1, "x", 1) == 1 ? 0 : 1);
    };
    for (int first = 0; first <= 2; ++first)
        EXPECT_EXIT(try_it(first), testing::ExitedWithCode(0), "");
}

TEST(StandardStreams, TellThatAReaderHasGone) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    EXPECT_FALSE(os::reader_is_gone(ends[1]));
    ::close(ends[0]);
    EXPECT_TRUE(os::reader_is_gone(ends[1]));
    ::close(ends[1]);
}

}  // namespace
}  // namespace halftone
