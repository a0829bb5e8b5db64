#include <csignal>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <set>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/os/process.hpp"
#include "tests/unit/base/temporary_folder.hpp"
#include "tests/unit/checkpoint/written.hpp"

namespace halftone {
namespace {

using namespace testing_checkpoints;
namespace fs = std::filesystem;

class OutputTest : public testing::Test {
  protected:
    OutputTest() { folder_.write("in.safetensors", "the input"); }

    fs::path at(const std::string& name) const { return folder_.path() / name; }

    // One shard per letter, 8 bytes each.
    static std::vector<FileLayout> layouts(const std::string& letters) {
        std::vector<FileLayout> all;
        for (const char letter : letters)
            all.push_back(lay_out({tensor(std::string(1, letter), HT_DTYPE_U8, {8})}, {{"format", "pt"}}));
        return all;
    }

    Output start(const std::string& name, const std::string& letters = "a", bool replace = false) const {
        return Output({at(name), replace, "tag"}, layouts(letters), inputs_);
    }

    // What the constructor must say.
    void expect_refused(Exit code, const std::string& part, const std::string& name,
                        const std::string& letters = "a", bool replace = false) const {
        const std::set<std::string> before = files();
        try {
            start(name, letters, replace);
            FAIL() << "was taken";
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), code);
            EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
        }
        EXPECT_EQ(files(), before);
    }

    // Without the input.
    std::set<std::string> files() const {
        std::set<std::string> names;
        for (const auto& entry : fs::directory_iterator(folder_.path()))
            names.insert(os::utf8(entry.path().filename()));
        names.erase("in.safetensors");
        return names;
    }

    TemporaryFolder folder_;
    std::vector<fs::path> inputs_{at("in.safetensors")};
};

using Names = std::set<std::string>;

TEST_F(OutputTest, HasItsNameOnlyWhenCommitted) {
    {
        Output output = start("m.safetensors");
        EXPECT_EQ(files(), (Names{".m.safetensors.halftone-lock", ".m.safetensors.halftone-tag.partial"}));
        EXPECT_EQ(fs::file_size(at(".m.safetensors.halftone-tag.partial")), layouts("a")[0].size);
        EXPECT_EQ(output.paths(), std::vector<fs::path>{at("m.safetensors")});
        output.commit();
        EXPECT_EQ(files(), Names{"m.safetensors"});
    }
    EXPECT_EQ(files(), Names{"m.safetensors"});
    EXPECT_EQ(content_of(at("m.safetensors")), layouts("a")[0].header + std::string(8, '\0'));
}

TEST_F(OutputTest, LeavesNothingWhenGivenUp) {
    { Output output = start("m.safetensors"); }
    { Output output = start("m.safetensors", "abc"); }
    EXPECT_EQ(files(), Names{});
}

TEST_F(OutputTest, IsReplacedOnlyWhenAllowedAndOnlyAtTheEnd) {
    folder_.write("m.safetensors", "old");
    expect_refused(Exit::usage, "exists already", "m.safetensors");
    { Output given_up = start("m.safetensors", "a", true); }
    EXPECT_EQ(content_of(at("m.safetensors")), "old");
    Output output = start("m.safetensors", "a", true);
    EXPECT_EQ(content_of(at("m.safetensors")), "old");
    output.commit();
    EXPECT_NE(content_of(at("m.safetensors")), "old");
}

TEST_F(OutputTest, IsNeverTheInput) {
    for (const bool replace : {false, true}) {
        expect_refused(Exit::usage, "this is the input", "in.safetensors", "a", replace);
        fs::create_symlink("in.safetensors", at("link.safetensors"));
        expect_refused(Exit::usage, "this is the input", "link.safetensors", "a", replace);
        fs::create_hard_link(at("in.safetensors"), at("hard.safetensors"));
        expect_refused(Exit::usage, "this is the input", "hard.safetensors", "a", replace);
        fs::create_hard_link(at("in.safetensors"), at("m-00002-of-00003.safetensors"));
        expect_refused(Exit::usage, "this is the input", "m.safetensors", "abc", replace);
        for (const char* name : {"link.safetensors", "hard.safetensors", "m-00002-of-00003.safetensors"})
            fs::remove(at(name));
        fs::create_symlink("in.safetensors", at("m.safetensors.index.json"));
        expect_refused(Exit::usage, "this is the input", "m.safetensors", "ab", replace);
        fs::remove(at("m.safetensors.index.json"));
    }
    EXPECT_EQ(content_of(at("in.safetensors")), "the input");
}

TEST_F(OutputTest, NeedsAPlaceToBe) {
    expect_refused(Exit::usage, "does not exist", "missing/m.safetensors");
    folder_.write("file", "");
    expect_refused(Exit::usage, "is a file, not a folder", "file/m.safetensors");
    fs::create_directory(at("folder"));
    expect_refused(Exit::usage, "must be a file, but this is a folder", "folder");
    expect_refused(Exit::usage, "must be a file, but this is a folder", "folder/");
    expect_refused(Exit::usage, "ends in .json", "m.safetensors.index.json");
    ASSERT_EQ(::mkfifo(at("pipe").c_str(), 0600), 0);
    expect_refused(Exit::usage, "is no regular file", "pipe", "a", true);
}

TEST_F(OutputTest, NeedsAFolderThatCanBeWrittenTo) {
    fs::create_directory(at("closed"));
    fs::permissions(at("closed"), fs::perms(0555));
    fs::permissions(folder_.path(), fs::perms(0755));
    const auto try_it = [&] {
        constexpr uid_t nobody = 65534;  // root may write anywhere
        if (::geteuid() == 0 && ::seteuid(nobody) != 0) std::_Exit(1);
        expect_refused(Exit::failed, "Permission denied", "closed/m.safetensors");
        std::_Exit(testing::Test::HasFailure() ? 2 : 0);
    };
    EXPECT_EXIT(try_it(), testing::ExitedWithCode(0), "");
}

TEST_F(OutputTest, MayBeInTheCurrentFolder) {
    const fs::path before = fs::current_path();
    fs::current_path(folder_.path());
    Output output({"m.safetensors", false, "tag"}, layouts("ab"), inputs_);
    output.commit();
    fs::current_path(before);
    EXPECT_EQ(files(), (Names{"m-00001-of-00002.safetensors", "m-00002-of-00002.safetensors",
                              "m.safetensors.index.json"}));
}

TEST_F(OutputTest, TakesTheLongestNamesThereAre) {
    const std::string name = std::string(243, 'n') + ".safetensors";
    Output output = start(name);
    output.commit();
    EXPECT_EQ(files(), Names{name});
    expect_refused(Exit::usage, "File name too long", std::string(256, 'n'));
    expect_refused(Exit::usage, "File name too long", std::string(235, 'n') + ".safetensors", "ab");
}

TEST_F(OutputTest, IsCheckedAheadWithoutATrace) {
    EXPECT_NO_THROW(check_output({at("m.safetensors"), false, ""}, 1000, inputs_));
    EXPECT_THROW(check_output({at("in.safetensors"), true, ""}, 1000, inputs_), Error);
    EXPECT_EQ(files(), Names{});
}

TEST_F(OutputTest, NeedsRoomOnTheDisk) {
    const fs::path left = folder_.write("." + std::string(160, 'n') + ".halftone-x.partial", "");
    try {
        check_output({at(std::string(180, 'n')), false, ""}, uint64_t{1} << 60, inputs_);
        FAIL();
    } catch (const Error& error) {
        EXPECT_NE(error.advice().find(os::utf8(left)), std::string::npos) << error.advice();
    }
    fs::remove(left);
    try {
        check_output({at("m.safetensors"), false, ""}, uint64_t{1} << 60, inputs_);
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Exit::space);
        EXPECT_NE(error.problem().find("needs 1 EiB, but only "), std::string::npos) << error.problem();
    }
    const std::vector<FileLayout> huge = {lay_out({tensor("a", HT_DTYPE_U8, {uint64_t{1} << 60})}, {})};
    EXPECT_THROW(Output({at("m.safetensors"), false, ""}, huge, inputs_), Error);
    EXPECT_EQ(files(), Names{});
}

// The disk fills up, or a limit is hit, when the first of two files is there already.
TEST_F(OutputTest, LeavesNothingWhenItCannotBeCreated) {
    const auto hit_the_limit = [&] {
        std::signal(SIGXFSZ, SIG_IGN);
        const rlimit limit{100'000, 100'000};
        if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) std::_Exit(1);
        std::vector<FileLayout> two = layouts("a");
        two.push_back(lay_out({tensor("b", HT_DTYPE_U8, {200'000})}, {}));
        try {
            const Output output({at("m.safetensors"), false, "tag"}, two, inputs_);
        } catch (const Error& error) {
            std::_Exit(error.where().find("m-00002-of-00002") != std::string::npos && files().empty() ? 0
                                                                                                      : 2);
        }
        std::_Exit(3);
    };
    EXPECT_EXIT(hit_the_limit(), testing::ExitedWithCode(0), "");
    EXPECT_EQ(files(), Names{});
}

TEST_F(OutputTest, IsRemovedWhenInterruptedTwice) {
    const auto interrupt = [&] {
        os::catch_interrupts();
        const Output output = start("m.safetensors", "ab");
        std::raise(SIGINT);
        if (files().size() != 4) std::_Exit(1);  // two shards, the index, the lock
        std::raise(SIGINT);
    };
    EXPECT_EXIT(interrupt(), testing::ExitedWithCode(5), "");
    EXPECT_EQ(files(), Names{});
}

TEST_F(OutputTest, SurvivesAnInterruptOnceCommitted) {
    const auto interrupt = [&] {
        os::catch_interrupts();
        Output output = start("m.safetensors");
        output.commit();
        std::raise(SIGINT);
        std::raise(SIGINT);
    };
    EXPECT_EXIT(interrupt(), testing::ExitedWithCode(5), "");
    EXPECT_EQ(files(), Names{"m.safetensors"});
}

TEST_F(OutputTest, OfAKilledRunIsNeitherTakenNorInTheWay) {
    const auto die = [&] {
        const Output output = start("m.safetensors");
        std::raise(SIGKILL);
    };
    EXPECT_EXIT(die(), testing::KilledBySignal(SIGKILL), "");
    const std::string left = ".m.safetensors.halftone-tag.partial";
    EXPECT_EQ(files(), (Names{".m.safetensors.halftone-lock", left}));
    const std::string other = ".other.safetensors.halftone-tag.partial";
    folder_.write(other, "");
    Output output = start("m.safetensors");
    EXPECT_EQ(output.earlier().removed, std::vector<fs::path>{at(left)});
    EXPECT_EQ(output.earlier().left, std::vector<fs::path>{});
    output.commit();
    EXPECT_TRUE(files().contains("m.safetensors"));
    EXPECT_TRUE(files().contains(other));
    EXPECT_FALSE(files().contains(left));
}

TEST_F(OutputTest, IsWrittenByOneAtATime) {
    {
        const Output output = start("m.safetensors", "ab");
        expect_refused(Exit::failed, "another run is writing this output", "m.safetensors", "ab");
        expect_refused(Exit::failed, "another run is writing this output", "m.safetensors", "a", true);
        // A shard of it under its own name is the same file.
        expect_refused(Exit::failed, "another run is writing this output", "m-00001-of-00002.safetensors");
        EXPECT_NO_THROW(start("n.safetensors", "ab"));
    }
    EXPECT_NO_THROW(start("m.safetensors", "ab").commit());
}

TEST_F(OutputTest, IsPutRightWhereAnotherProgramHasBeenSince) {
    start("m.safetensors", "ab").commit();
    const std::string index = content_of(at("m.safetensors.index.json"));
    // As a run leaves it that was killed when the index had been moved aside.
    fs::rename(at("m.safetensors.index.json"), at(".m.safetensors.index.json.halftone-previous"));
    folder_.write(".m.safetensors.halftone-exchange", "halftone exchange 1\n3\n1 2 3\n4 5 6\n7 8 9\nend\n");
    folder_.write("m.safetensors.index.json", "another");
    expect_refused(Exit::failed, "another index has appeared since", "m.safetensors", "ab", true);
    fs::remove(at("m.safetensors.index.json"));
    EXPECT_THROW(start("m.safetensors", "ab"), Error);  // exists already
    EXPECT_EQ(content_of(at("m.safetensors.index.json")), index);
    // A record that was cut off is of an exchange that had not begun.
    folder_.write(".m.safetensors.halftone-exchange", "halftone exchange 1\n3\n1 2 3\n4 5");
    EXPECT_NO_THROW(start("m.safetensors", "cd", true).commit());
    EXPECT_EQ(files(), (Names{"m-00001-of-00002.safetensors", "m-00002-of-00002.safetensors",
                              "m.safetensors.index.json"}));
}

TEST_F(OutputTest, ReplacesOnlyCheckpointsWhereNothingElseIsAllowed) {
    const auto replace = [&] {
        return Output(
            {.path = at("m.safetensors"), .replace = true, .tag = "tag", .replace_checkpoints_only = true},
            layouts("a"), inputs_);
    };
    start("m.safetensors").commit();
    EXPECT_NO_THROW(replace().commit());
    folder_.write("m.safetensors", "somebody's notes");
    EXPECT_THROW(replace(), Error);
    EXPECT_EQ(content_of(at("m.safetensors")), "somebody's notes");
}

TEST_F(OutputTest, NeverReplacesWhatAppearedMeanwhile) {
    {
        Output output = start("m.safetensors");
        folder_.write("m.safetensors", "somebody else's");
        EXPECT_THROW(output.commit(), Error);
    }
    EXPECT_EQ(files(), Names{"m.safetensors"});
    EXPECT_EQ(content_of(at("m.safetensors")), "somebody else's");
}

TEST_F(OutputTest, TakesHalfASetOfShardsBack) {
    {
        Output output = start("m.safetensors", "abc");
        folder_.write("m-00002-of-00003.safetensors", "somebody else's");
        EXPECT_THROW(output.commit(), Error);
    }
    EXPECT_EQ(files(), Names{"m-00002-of-00003.safetensors"});
    EXPECT_EQ(content_of(at("m-00002-of-00003.safetensors")), "somebody else's");
}

TEST_F(OutputTest, WritesAnIndexOfShards) {
    Output output = start("m.safetensors", "ba");
    output.commit();
    EXPECT_EQ(output.paths(),
              (std::vector<fs::path>{at("m-00001-of-00002.safetensors"), at("m-00002-of-00002.safetensors"),
                                     at("m.safetensors.index.json")}));
    const std::string text = content_of(at("m.safetensors.index.json"));
    const Json expected = {
        {"metadata", {{"total_size", 16}}},
        {"weight_map", {{"a", "m-00002-of-00002.safetensors"}, {"b", "m-00001-of-00002.safetensors"}}}};
    EXPECT_EQ(Json::parse(text), expected) << text;
    EXPECT_EQ(text.back(), '\n');
    const Checkpoint checkpoint = Checkpoint::open(folder_.path());
    EXPECT_EQ(checkpoint.tensors().size(), 2U);
    EXPECT_EQ(checkpoint.files()[1].metadata, (Metadata{{"format", "pt"}}));
}

TEST_F(OutputTest, ReplacesShardsOfTheSameNumber) {
    start("m.safetensors", "ab").commit();
    expect_refused(Exit::usage, "exists already", "m.safetensors", "cd");
    start("m.safetensors", "cd", true).commit();
    const Checkpoint checkpoint = Checkpoint::open(at("m.safetensors.index.json"));
    EXPECT_NE(checkpoint.find("c"), nullptr);
    EXPECT_EQ(checkpoint.find("a"), nullptr);
}

TEST_F(OutputTest, IsNotPutBesideAnotherOfItsName) {
    start("m.safetensors", "ab").commit();
    for (const bool replace : {false, true}) {
        expect_refused(Exit::usage, "m.safetensors.index.json' belongs to another checkpoint",
                       "m.safetensors", "a", replace);
        if (replace)
            expect_refused(Exit::usage, "m-00001-of-00002.safetensors' belongs to another checkpoint",
                           "m.safetensors", "abc", true);
    }
    start("n.safetensors").commit();
    expect_refused(Exit::usage, "n.safetensors' belongs to another checkpoint", "n.safetensors", "ab", true);
    for (const char* stranger :
         {"o-1-of-3.safetensors", "o-00001-of-00003.txt", "oo-00001-of-00003.safetensors",
          "o-00001-of-0000x.safetensors", "o-.safetensors", "o.safetensors.txt"})
        folder_.write(stranger, "");
    EXPECT_NO_THROW(start("o.safetensors", "ab").commit());
}

TEST_F(OutputTest, TakesDataOnlyWhereDataBelong) {
    const Output output = start("m.safetensors");
    const uint64_t begin = layouts("a")[0].header.size();
    const std::string eight(8, 'x');
    EXPECT_NO_THROW(output.write(0, begin, bytes_of(eight)));
    EXPECT_NO_THROW(output.write(0, begin + 8, {}));
    EXPECT_THROW(output.write(0, begin + 1, bytes_of(eight)), Error);
    EXPECT_THROW(output.write(0, begin - 1, bytes_of(eight)), Error);
    EXPECT_THROW(output.write(0, UINT64_MAX, bytes_of(eight)), Error);
}

TEST_F(OutputTest, IsWrittenByManyThreads) {
    constexpr uint64_t size = 1 << 20, piece = 1000;
    std::mt19937_64 random(1);
    const std::string bytes = random_bytes(size, random);
    const FileLayout layout = lay_out({tensor("a", HT_DTYPE_U8, {size})}, {});
    Output output({at("m.safetensors"), false, "tag"}, {layout}, inputs_);
    std::vector<std::thread> threads;
    for (uint64_t first = 0; first < 4; ++first)
        threads.emplace_back([&, first] {
            for (uint64_t begin = first * piece; begin < size; begin += 4 * piece)
                output.write(0, layout.tensors[0].offset + begin,
                             bytes_of(bytes).subspan(begin, std::min(piece, size - begin)));
        });
    for (std::thread& thread : threads)
        thread.join();
    output.commit();
    const Checkpoint checkpoint = Checkpoint::open(at("m.safetensors"));
    EXPECT_EQ(text_of(checkpoint.read_all(checkpoint.tensors()[0])), bytes);
}

TEST_F(OutputTest, ReplacesABrokenLinkOnlyWhenAllowed) {
    fs::create_symlink("nowhere", at("m.safetensors"));
    expect_refused(Exit::usage, "exists already", "m.safetensors");
    start("m.safetensors", "a", true).commit();
    EXPECT_FALSE(fs::is_symlink(at("m.safetensors")));
    EXPECT_FALSE(fs::exists(at("nowhere")));
    // There were no permissions to keep.
    EXPECT_EQ(fs::status(at("m.safetensors")).permissions(), fs::status(at("in.safetensors")).permissions());
}

}  // namespace
}  // namespace halftone
