#include "core/base/os/file.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "core/base/error.hpp"
#include "tests/unit/base/temporary_folder.hpp"

namespace halftone::os {
namespace {

namespace fs = std::filesystem;

template <class Action>
Error error_of(Action action) {
    try {
        action();
    } catch (const Error& error) {
        return error;
    }
    ADD_FAILURE() << "nothing was thrown";
    return {Exit::done, "", ""};
}

std::span<const std::byte> bytes_of(const std::string& text) {
    return std::as_bytes(std::span(text));
}

std::string read(const File& file, uint64_t offset, size_t n) {
    std::string text(n, '?');
    file.read(offset, std::as_writable_bytes(std::span(text)));
    return text;
}

class FileTest : public testing::Test {
  protected:
    TemporaryFolder folder;
    fs::path at(const std::string& name) const { return folder.path() / name; }
};

TEST_F(FileTest, ReadsAnyPart) {
    const File file = File::open_to_read(folder.write("a", "0123456789"));
    EXPECT_EQ(file.size(), 10u);
    EXPECT_EQ(read(file, 0, 10), "0123456789");
    EXPECT_EQ(read(file, 3, 4), "3456");
    EXPECT_EQ(read(file, 10, 0), "");
    EXPECT_EQ(file.path(), at("a"));
}

TEST_F(FileTest, NamesAFileThatBecameShorter) {
    const File file = File::open_to_read(folder.write("a", std::string(100, 'x')));
    fs::resize_file(at("a"), 60);
    const Error error = error_of([&] { read(file, 50, 50); });
    EXPECT_EQ(error.code(), Exit::input);
    EXPECT_EQ(error.where(), at("a").string());
    EXPECT_NE(error.problem().find("ends at byte 60"), std::string::npos) << error.problem();
    EXPECT_NE(error.advice().find("shorter"), std::string::npos);
}

TEST_F(FileTest, RefusesToReadWhatIsNoRegularFile) {
    const Error missing = error_of([&] { File::open_to_read(at("none")); });
    EXPECT_EQ(missing.code(), Exit::input);
    EXPECT_NE(missing.problem().find("No such file"), std::string::npos);
    const Error a_folder = error_of([&] { File::open_to_read(folder.path()); });
    EXPECT_EQ(a_folder.code(), Exit::input);
    EXPECT_NE(a_folder.problem().find("folder"), std::string::npos);
    ASSERT_EQ(::mkfifo(at("pipe").c_str(), 0600), 0);
    const Error pipe = error_of([&] { File::open_to_read(at("pipe")); });
    EXPECT_EQ(pipe.code(), Exit::input);
    EXPECT_NE(pipe.problem().find("regular"), std::string::npos);
}

TEST_F(FileTest, CreatesOnlyWhatIsNotThere) {
    folder.write("old", "precious");
    EXPECT_EQ(error_of([&] { File::create_new(at("old")); }).code(), Exit::failed);
    EXPECT_EQ(content_of(at("old")), "precious");
    fs::create_symlink("nowhere", at("link"));
    EXPECT_EQ(error_of([&] { File::create_new(at("link")); }).code(), Exit::failed);
    EXPECT_EQ(error_of([&] { File::create_new(at("no/such")); }).code(), Exit::failed);
}

TEST_F(FileTest, WritesFromManyThreadsAtTheirPlaces) {
    const size_t part = 10'000, parts = 16;
    {
        File file = File::create_new(at("out"));
        file.preallocate(part * parts);
        EXPECT_EQ(file.size(), part * parts);
        std::vector<std::thread> threads;
        for (size_t t = 0; t < parts; ++t)
            threads.emplace_back(
                [&, t] { file.write(t * part, bytes_of(std::string(part, static_cast<char>('a' + t)))); });
        for (std::thread& thread : threads)
            thread.join();
        file.sync();
        file.close();
        EXPECT_FALSE(file);
    }
    const std::string all = content_of(at("out"));
    ASSERT_EQ(all.size(), part * parts);
    for (size_t t = 0; t < parts; ++t)
        EXPECT_EQ(all.substr(t * part, part), std::string(part, static_cast<char>('a' + t)));
}

TEST_F(FileTest, MovesWithItsDescriptor) {
    File a = File::create_new(at("a"));
    File b = std::move(a);
    EXPECT_FALSE(a);  // NOLINT(bugprone-use-after-move): that is the question
    b.write(0, bytes_of("b"));
    File c = File::create_new(at("c"));
    c = std::move(b);
    EXPECT_EQ(read(c, 0, 1), "b");
    EXPECT_EQ(c.path(), at("a"));
}

TEST_F(FileTest, PreallocationSetsTheSize) {
    File file = File::create_new(at("a"));
    file.preallocate(5000);
    EXPECT_EQ(file.size(), 5000u);
    EXPECT_EQ(read(file, 4990, 10), std::string(10, '\0'));
    file.preallocate(0);
    EXPECT_EQ(file.size(), 0u);
}

TEST_F(FileTest, PreallocationTellsThatTheDiskIsTooSmall) {
    File file = File::create_new(at("a"));
    const uint64_t wanted = free_space(folder.path()) + (uint64_t{64} << 30);
    const Error error = error_of([&] { file.preallocate(wanted); });
    EXPECT_EQ(error.code(), Exit::space) << error.what();
    EXPECT_NE(error.advice(), "");
    EXPECT_EQ(file.size(), 0U) << "nothing may be taken from others on the way to the error";
}

TEST_F(FileTest, CannotWriteToAFileOpenedToRead) {
    const File file = File::open_to_read(folder.write("a", "abc"));
    EXPECT_EQ(error_of([&] { file.write(0, bytes_of("x")); }).code(), Exit::failed);
    EXPECT_EQ(content_of(at("a")), "abc");
}

TEST_F(FileTest, KnowsOneFileByTwoNames) {
    folder.write("a", "x");
    folder.write("b", "x");
    fs::create_symlink(at("a"), at("soft"));
    fs::create_hard_link(at("a"), at("hard"));
    EXPECT_TRUE(same_file(at("a"), at("soft")));
    EXPECT_TRUE(same_file(at("a"), at("hard")));
    EXPECT_TRUE(same_file(at("a"), folder.path() / "." / "a"));
    EXPECT_FALSE(same_file(at("a"), at("b")));
    EXPECT_FALSE(same_file(at("none"), at("none")));
}

TEST_F(FileTest, RenamesOver) {
    folder.write("new", "new");
    folder.write("old", "old");
    rename_over(at("new"), at("old"));
    EXPECT_EQ(content_of(at("old")), "new");
    EXPECT_FALSE(fs::exists(at("new")));
    EXPECT_EQ(error_of([&] { rename_over(at("none"), at("old")); }).code(), Exit::failed);
    EXPECT_EQ(content_of(at("old")), "new");
}

TEST_F(FileTest, RenamesOnlyWhereNothingIs) {
    folder.write("new", "new");
    folder.write("old", "old");
    const Error error = error_of([&] { rename_if_absent(at("new"), at("old")); });
    EXPECT_EQ(error.code(), Exit::failed);
    EXPECT_EQ(error.where(), at("old").string());
    EXPECT_NE(error.problem().find("exists"), std::string::npos) << error.problem();
    EXPECT_EQ(content_of(at("old")), "old");
    EXPECT_EQ(content_of(at("new")), "new");

    rename_if_absent(at("new"), at("third"));
    EXPECT_EQ(content_of(at("third")), "new");
    EXPECT_FALSE(fs::exists(at("new")));
}

TEST_F(FileTest, SyncsFolders) {
    sync_folder(folder.path());
    sync_folder("");
    EXPECT_EQ(error_of([&] { sync_folder(at("none")); }).code(), Exit::failed);
    EXPECT_EQ(error_of([&] { free_space(at("none")); }).code(), Exit::failed);
    EXPECT_GT(free_space(""), 0u);
}

TEST(Utf8OfAPath, IsThePathAsItIs) {
    EXPECT_EQ(utf8("a/é漢.safetensors"), "a/é漢.safetensors");
}

}  // namespace
}  // namespace halftone::os
