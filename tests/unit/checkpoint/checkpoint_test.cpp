#include "core/checkpoint/checkpoint.hpp"

#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <thread>

#include "core/base/error.hpp"
#include "tests/cases/malformed/corpus.hpp"
#include "tests/unit/base/temporary_folder.hpp"
#include "tests/unit/checkpoint/written.hpp"

namespace halftone {
namespace {

using namespace testing_checkpoints;
namespace fs = std::filesystem;

struct Model {
    std::vector<OutputTensor> tensors;
    Contents contents;
    Metadata metadata;
};

Model random_model(std::mt19937_64& random) {
    Model model;
    model.tensors = random_tensors(random, random() % 40);
    for (const OutputTensor& one : model.tensors)
        model.contents[one.name] = random_bytes(one.bytes, random);
    for (uint64_t i = 0, n = random() % 3; i < n; ++i)
        model.metadata.emplace_back("k\"é\n" + std::to_string(i), "{\"v\": \"\\u0001\"}\x01");
    return model;
}

void expect_same(const Checkpoint& checkpoint, const Model& model) {
    EXPECT_EQ(checkpoint.metadata(), model.metadata);
    ASSERT_EQ(checkpoint.tensors().size(), model.tensors.size());
    uint64_t total = 0;
    for (const OutputTensor& one : model.tensors) {
        const Tensor* found = checkpoint.find(one.name);
        ASSERT_NE(found, nullptr) << one.name;
        EXPECT_EQ(found->dtype, one.dtype);
        EXPECT_EQ(found->shape, one.shape);
        EXPECT_EQ(found->bytes, one.bytes);
        EXPECT_EQ(text_of(checkpoint.read_all(*found)), model.contents.at(one.name));
        total += one.bytes;
    }
    EXPECT_EQ(checkpoint.total_bytes(), total);
    EXPECT_TRUE(std::is_sorted(checkpoint.tensors().begin(), checkpoint.tensors().end(),
                               [](const Tensor& a, const Tensor& b) { return a.name < b.name; }));
    EXPECT_TRUE(checkpoint.remarks().empty());
}

TEST(Checkpoint, ReadsBackWhatWasWritten) {
    std::mt19937_64 random(1);
    const TemporaryFolder folder;
    for (int round = 0; round < 100; ++round) {
        const Model model = random_model(random);
        expect_same(Checkpoint::open(write(folder.path() / "m.safetensors", model.tensors, model.metadata,
                                           model.contents)),
                    model);
    }
}

TEST(Checkpoint, ReadsBackShards) {
    std::mt19937_64 random(2);
    uint64_t with_many = 0;
    for (int round = 0; round < 60; ++round) {
        const TemporaryFolder folder;
        const Model model = random_model(random);
        const fs::path path = write(folder.path() / "m.safetensors", model.tensors, model.metadata,
                                    model.contents, 1 + random() % 100);
        const Checkpoint checkpoint = Checkpoint::open(path);
        expect_same(checkpoint, model);
        expect_same(Checkpoint::open(folder.path()), model);
        const bool sharded = path.extension() == ".json";
        EXPECT_EQ(sharded, checkpoint.files().size() > 1);
        EXPECT_EQ(checkpoint.sources().size(), checkpoint.files().size() + sharded);
        with_many += checkpoint.files().size() > 2;
    }
    EXPECT_GT(with_many, 20U);
}

TEST(Checkpoint, ListsTheTensorsOfAFileInTheOrderOfTheirData) {
    std::mt19937_64 random(3);
    const TemporaryFolder folder;
    const Model model = random_model(random);
    const Checkpoint checkpoint =
        Checkpoint::open(write(folder.path() / "m.safetensors", model.tensors, {}, {}, 50));
    size_t seen = 0;
    for (uint32_t number = 0; number < checkpoint.files().size(); ++number) {
        const CheckpointFile& file = checkpoint.files()[number];
        uint64_t end = 8 + file.header_bytes;
        for (const uint32_t index : file.tensors) {
            const Tensor& one = checkpoint.tensors()[index];
            EXPECT_EQ(one.file, number);
            EXPECT_EQ(one.offset, end);
            end += one.bytes;
            ++seen;
        }
        EXPECT_EQ(end, file.size);
        EXPECT_EQ(file.size, fs::file_size(file.path));
        EXPECT_EQ(file.header_sha256.size(), 64U);
    }
    EXPECT_EQ(seen, checkpoint.tensors().size());
}

TEST(Checkpoint, ReadsPartsFromManyThreads) {
    std::mt19937_64 random(4);
    const TemporaryFolder folder;
    const std::string bytes = random_bytes(1 << 20, random);
    const Checkpoint checkpoint = Checkpoint::open(
        write(folder.path() / "m.safetensors", {tensor("a", HT_DTYPE_U8, {1 << 20})}, {}, {{"a", bytes}}));
    std::vector<std::thread> threads;
    std::atomic<int> wrong = 0;
    for (uint64_t seed = 0; seed < 4; ++seed)
        threads.emplace_back([&, seed] {
            std::mt19937_64 places(seed);
            for (int i = 0; i < 500; ++i) {
                const uint64_t begin = places() % bytes.size(), size = places() % (bytes.size() - begin);
                std::vector<std::byte> part(size);
                checkpoint.read(checkpoint.tensors()[0], begin, part);
                wrong += text_of(part) != bytes.substr(begin, size);
            }
        });
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(wrong, 0);
}

TEST(Checkpoint, ReadsNothingOutsideATensor) {
    const TemporaryFolder folder;
    const Checkpoint checkpoint = Checkpoint::open(write(
        folder.path() / "m.safetensors", {tensor("a", HT_DTYPE_U8, {8}), tensor("b", HT_DTYPE_U8, {8})}));
    std::vector<std::byte> part(8);
    const Tensor& a = checkpoint.tensors()[0];
    EXPECT_NO_THROW(checkpoint.read(a, 0, part));
    EXPECT_NO_THROW(checkpoint.read(a, 8, {}));
    EXPECT_THROW(checkpoint.read(a, 1, part), Error);
    EXPECT_THROW(checkpoint.read(a, UINT64_MAX, part), Error);
    EXPECT_EQ(checkpoint.find("c"), nullptr);
    EXPECT_EQ(checkpoint.find(""), nullptr);
}

TEST(Checkpoint, SaysThatAFileBecameShorter) {
    const TemporaryFolder folder;
    const fs::path path = write(folder.path() / "m.safetensors", {tensor("a", HT_DTYPE_U8, {100})});
    const Checkpoint checkpoint = Checkpoint::open(path);
    fs::resize_file(path, fs::file_size(path) - 1);
    try {
        checkpoint.read_all(checkpoint.tensors()[0]);
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Exit::input);
        EXPECT_EQ(error.where(), os::utf8(path));
    }
}

TEST(Checkpoint, FindsTheIndexOfAFolderBeforeSingleFiles) {
    const TemporaryFolder folder;
    write(folder.path() / "m.safetensors", {tensor("a.x", HT_DTYPE_U8, {8}), tensor("b.x", HT_DTYPE_U8, {8})},
          {}, {}, 8);
    write(folder.path() / "other.safetensors", {tensor("c", HT_DTYPE_U8, {8})});
    const Checkpoint checkpoint = Checkpoint::open(folder.path());
    EXPECT_EQ(checkpoint.files().size(), 2U);
    EXPECT_EQ(checkpoint.find("c"), nullptr);
    EXPECT_EQ(checkpoint.path(), folder.path());
}

TEST(Checkpoint, FindsTheOnlyFileOfAFolderBesideOthers) {
    const TemporaryFolder folder;
    write(folder.path() / "m.safetensors", {tensor("a", HT_DTYPE_U8, {8})});
    folder.write("config.json", "{}");
    folder.write(".m.safetensors.halftone-x.partial", "?");
    folder.write(".hidden.safetensors", "?");
    fs::create_directory(folder.path() / "folder.safetensors");
    EXPECT_EQ(Checkpoint::open(folder.path()).tensors().size(), 1U);
}

TEST(Checkpoint, TakesAnyNameForAnIndexThatIsNamed) {
    const TemporaryFolder folder;
    fs::create_directory(folder.path() / "parts");
    folder.write("parts/a.safetensors", malformed::several({{"a", 0}}, 8));
    folder.write("parts/é.sft", malformed::several({{"b", 0}}, 8));
    const fs::path index = folder.write(
        "my.json", malformed::weight_map({{"a", "parts/a.safetensors"}, {"b", "./parts//\\u00e9.sft"}}));
    const Checkpoint checkpoint = Checkpoint::open(index);
    EXPECT_EQ(checkpoint.tensors().size(), 2U);
    EXPECT_EQ(checkpoint.sources().front(), index);
}

// As the caches of download tools lie on disk.
TEST(Checkpoint, FollowsLinks) {
    const TemporaryFolder folder;
    fs::create_directories(folder.path() / "blobs");
    fs::create_directories(folder.path() / "snapshot");
    folder.write("blobs/1", malformed::several({{"a", 0}}, 8));
    folder.write("blobs/2", malformed::weight_map({{"a", "a.safetensors"}}));
    fs::create_symlink("../blobs/1", folder.path() / "snapshot/a.safetensors");
    fs::create_symlink("../blobs/2", folder.path() / "snapshot/model.safetensors.index.json");
    EXPECT_EQ(Checkpoint::open(folder.path() / "snapshot").tensors().size(), 1U);
}

TEST(Checkpoint, NoticesEveryChangeOfItsFiles) {
    const TemporaryFolder folder;
    const fs::path index = folder.path() / "i.json", shard = folder.path() / "1.safetensors";
    const auto write_files = [&] {
        folder.write("1.safetensors", malformed::several({{"a", 0}}, 8));
        folder.write("i.json", malformed::weight_map({{"a", "1.safetensors"}}));
    };
    const auto expect_noticed = [&](const std::string& part, const std::function<void()>& change) {
        write_files();
        const Checkpoint checkpoint = Checkpoint::open(index);
        EXPECT_NO_THROW(checkpoint.refuse_changes());
        change();
        try {
            checkpoint.refuse_changes();
            ADD_FAILURE() << part << " was not noticed";
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), Exit::input);
            EXPECT_NE(error.problem().find(part), std::string::npos) << error.what();
        }
    };
    for (const fs::path& file : {index, shard}) {
        const std::string content = (write_files(), content_of(file));
        // In place, with the size and the time of before.
        expect_noticed("was changed", [&] {
            const fs::file_time_type before = fs::last_write_time(file);
            std::fstream(file, std::ios::in | std::ios::out | std::ios::binary) << content;
            fs::last_write_time(file, before);
        });
        expect_noticed("was replaced", [&] {
            folder.write("copy", content);
            fs::rename(folder.path() / "copy", file);
        });
        expect_noticed("was removed", [&] { fs::remove(file); });
        expect_noticed("was changed", [&] { fs::resize_file(file, content.size() - 1); });
    }
}

TEST(Checkpoint, MergesMetadataOfShardsAndRemarksOnDifferences) {
    const TemporaryFolder folder;
    const auto shard = [&](const char* name, const char* tensor, const std::string& metadata) {
        folder.write(name, malformed::safetensors("{\"__metadata__\":" + metadata + ",\"" + tensor +
                                                  "\":" + malformed::entry("\"U8\"", "[0]", "[0,0]") + "}"));
    };
    shard("1.safetensors", "a", R"({"format":"pt","k":"1"})");
    shard("2.safetensors", "b", R"({"k":"2","format":"pt","l":"3"})");
    const Checkpoint checkpoint = Checkpoint::open(
        folder.write("i.json", malformed::weight_map({{"b", "2.safetensors"}, {"a", "1.safetensors"}})));
    EXPECT_EQ(checkpoint.metadata(), (Metadata{{"format", "pt"}, {"k", "1"}, {"l", "3"}}));
    EXPECT_EQ(checkpoint.files()[1].metadata, (Metadata{{"k", "2"}, {"format", "pt"}, {"l", "3"}}));
    ASSERT_EQ(checkpoint.remarks().size(), 1U);
    EXPECT_NE(checkpoint.remarks()[0].find("'k'"), std::string::npos) << checkpoint.remarks()[0];
    EXPECT_NE(checkpoint.remarks()[0].find("2.safetensors"), std::string::npos) << checkpoint.remarks()[0];
}

TEST(Checkpoint, RefusesWhatIsNoFile) {
    EXPECT_THROW(Checkpoint::open("/dev/null"), Error);
    EXPECT_THROW(Checkpoint::open(""), Error);
}

}  // namespace
}  // namespace halftone
