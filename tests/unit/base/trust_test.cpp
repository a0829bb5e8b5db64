#include "core/base/os/trust.hpp"

#include <cstdint>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <vector>

#include "core/base/error.hpp"
#include "tests/unit/base/temporary_folder.hpp"

namespace halftone::os {
namespace {

namespace fs = std::filesystem;

constexpr uid_t stranger = 54321;
constexpr uint16_t named_user = 2, owning_group = 4, named_group = 8, mask = 16;

struct Entry {
    uint16_t tag, permissions;
    uint32_t id;
};

// An access list of the owner, these entries, and nobody else. False where the file system has none.
bool set_access_list(const fs::path& path, const std::vector<Entry>& entries) {
    std::string bytes;
    const auto add = [&](uint32_t number, int length) {
        for (int i = 0; i < length; ++i)
            bytes += static_cast<char>(number >> (8 * i));
    };
    add(2, 4);
    std::vector<Entry> all = {{1, 6, UINT32_MAX}};
    all.insert(all.end(), entries.begin(), entries.end());
    all.push_back({32, 4, UINT32_MAX});
    for (const Entry& entry : all) {
        add(entry.tag, 2);
        add(entry.permissions, 2);
        add(entry.id, 4);
    }
    return ::setxattr(path.c_str(), "system.posix_acl_access", bytes.data(), bytes.size(), 0) == 0;
}

class TrustTest : public testing::Test {
  protected:
    void SetUp() override {
        fs::create_directory(folder.path() / "above");
        fs::create_directory(folder.path() / "above/plugins");
        std::ofstream(file) << "code";
        mode(folder.path(), 0755);
        mode(above, 0755);
        mode(above / "plugins", 0755);
        mode(file, 0644);
    }
    static void mode(const fs::path& path, mode_t bits) { ASSERT_EQ(::chmod(path.c_str(), bits), 0); }
    bool refused_for(const std::string& reason) const {
        const std::string said = distrust(file);
        EXPECT_NE(said.find(reason), std::string::npos) << "said: '" << said << "'";
        // Opening it comes to the same.
        try {
            CodeFile::open(file);
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), Exit::plugin);
            EXPECT_EQ(error.problem(), said);
            return !said.empty();
        }
        ADD_FAILURE() << "it was opened";
        return false;
    }

    TemporaryFolder folder;
    fs::path above = folder.path() / "above", file = above / "plugins/format-x.so";
};

TEST_F(TrustTest, TakesWhatNobodyElseMayChange) {
    EXPECT_EQ(distrust(file), "");
    mode(file, 0755);
    EXPECT_EQ(distrust(file), "");
    EXPECT_NO_THROW(CodeFile::open(file));
}

TEST_F(TrustTest, RefusesAFileThatOthersMayWrite) {
    mode(file, 0646);
    EXPECT_TRUE(refused_for("others may write to this file"));
}

TEST_F(TrustTest, RefusesAFolderThatOthersMayWriteStickyOrNot) {
    mode(above / "plugins", 0777);
    EXPECT_TRUE(refused_for("others may write to its folder (" + (above / "plugins").string() + ")"));
    mode(above / "plugins", 01777);  // new plugins could appear
    EXPECT_TRUE(refused_for("others may write to its folder"));
}

TEST_F(TrustTest, LooksAtEveryFolderAbove) {
    mode(above, 0777);
    EXPECT_TRUE(refused_for("others may write to a folder above it (" + above.string() + ")"));
    mode(above, 01777);  // like /tmp: nobody can take away what belongs to us
    EXPECT_EQ(distrust(file), "");
}

TEST_F(TrustTest, FollowsLinksFirst) {
    fs::create_symlink(file, folder.path() / "link");
    EXPECT_EQ(distrust(folder.path() / "link"), "");
    mode(above, 0777);
    EXPECT_NE(distrust(folder.path() / "link"), "");
    EXPECT_NE(distrust(folder.path() / "none"), "");
}

TEST_F(TrustTest, NamesAnotherOwner) {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away";
    ASSERT_EQ(::chown(file.c_str(), stranger, 0), 0);
    EXPECT_TRUE(refused_for("this file belongs to user 54321"));
    ASSERT_EQ(::chown(file.c_str(), 0, 0), 0);
    ASSERT_EQ(::chown(above.c_str(), stranger, 0), 0);
    EXPECT_TRUE(refused_for("a folder above it (" + above.string() + ") belongs to user 54321"));
}

TEST_F(TrustTest, RefusesASharedGroup) {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away";
    mode(file, 0664);
    EXPECT_EQ(distrust(file), "") << "root's own group";
    ASSERT_EQ(::chown(file.c_str(), 0, stranger), 0);
    EXPECT_TRUE(refused_for("group 54321 may write to this file"));
    mode(file, 0644);
    EXPECT_EQ(distrust(file), "");
}

TEST_F(TrustTest, ReadsAccessLists) {
    if (!set_access_list(file, {{owning_group, 4, UINT32_MAX}, {mask, 6, UINT32_MAX}}))
        GTEST_SKIP() << "the file system of " << file << " has no access lists";
    EXPECT_EQ(distrust(file), "") << "the mask alone lets nobody in";
    const auto with = [&](const fs::path& path, Entry entry, uint16_t masked) {
        std::vector<Entry> entries = {{owning_group, 4, UINT32_MAX}, {mask, masked, UINT32_MAX}};
        entries.insert(entries.begin() + (entry.tag == named_group ? 1 : 0), entry);
        ASSERT_TRUE(set_access_list(path, entries));
    };
    with(file, {named_user, 6, stranger}, 6);
    EXPECT_TRUE(refused_for("user 54321 may write to this file by its access list"));
    with(file, {named_user, 6, stranger}, 4);
    EXPECT_EQ(distrust(file), "") << "masked";
    with(file, {named_user, 4, stranger}, 6);
    EXPECT_EQ(distrust(file), "") << "may only read";
    with(file, {named_user, 6, ::geteuid()}, 6);
    EXPECT_EQ(distrust(file), "") << "ourselves";
    with(file, {named_group, 6, stranger}, 6);
    EXPECT_TRUE(refused_for("group 54321 may write to this file by its access list"));
    with(file, {named_user, 4, stranger}, 4);

    for (const fs::path& place : {above / "plugins", above}) {
        with(place, {named_user, 7, stranger}, 7);
        EXPECT_TRUE(refused_for("user 54321 may write to"));
        with(place, {named_user, 5, stranger}, 5);
        EXPECT_EQ(distrust(file), "");
    }
}

// Runs the test in a process that sees these texts as its lists of users and groups. Its result; -1 where the
// system does not allow that.
int with_users(const TemporaryFolder& folder, const std::string& passwd, const std::string& group,
               const std::function<bool()>& test) {
    const fs::path users = folder.path() / "passwd", groups = folder.path() / "group";
    std::ofstream(users) << passwd;
    std::ofstream(groups) << group;
    const pid_t child = ::fork();
    if (child == 0) {
        const bool made = ::unshare(CLONE_NEWNS) == 0 &&
                          ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                          ::mount(users.c_str(), "/etc/passwd", nullptr, MS_BIND, nullptr) == 0 &&
                          ::mount(groups.c_str(), "/etc/group", nullptr, MS_BIND, nullptr) == 0;
        ::_exit(made ? (test() ? 1 : 0) : 77);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) != 77 ? WEXITSTATUS(status) : -1;
}

TEST_F(TrustTest, CountsThoseWhoseFirstGroupItIs) {
    const std::string root = "root:x:0:0::/root:/bin/sh\n";
    mode(file, 0664);
    const auto trusted = [&] { return distrust(file).empty(); };
    const int alone = with_users(folder, root, "root:x:0:\n", trusted);
    if (alone < 0) GTEST_SKIP() << "no mount namespaces here, or not root";
    EXPECT_EQ(alone, 1);
    EXPECT_EQ(with_users(folder, root + "eve:x:1001:0::/:/bin/sh\n", "root:x:0:\n", trusted), 0);
    EXPECT_EQ(with_users(folder, root + "eve:x:1001:1001::/:/bin/sh\n", "root:x:0:eve\n", trusted), 0);
    EXPECT_EQ(with_users(folder, root + "eve:x:1001:1001::/:/bin/sh\n", "root:x:0:\n", trusted), 1);
}

TEST_F(TrustTest, WhatWasOpenedIsWhatIsRead) {
    const CodeFile code = CodeFile::open(file);
    EXPECT_TRUE(fs::equivalent(code.to_load(), file));
    std::ofstream(above / "other") << "another";
    fs::rename(above / "other", file);
    std::string text;
    std::ifstream(code.to_read()) >> text;
    EXPECT_EQ(text, "code");
    EXPECT_THROW(code.to_load(), Error);
}

TEST_F(TrustTest, OpensNothingButFiles) {
    fs::remove(file);
    ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
    EXPECT_TRUE(refused_for("no regular file"));
    fs::remove(file);
    fs::create_directory(file);
    EXPECT_TRUE(refused_for("no regular file"));
}

}  // namespace
}  // namespace halftone::os
