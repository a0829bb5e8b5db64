#include "core/checkpoint/checkpoint.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <system_error>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/checkpoint/exchange.hpp"
#include "core/checkpoint/foreign_format.hpp"
#include "core/checkpoint/in_quotes.hpp"
#include "core/checkpoint/output_names.hpp"
#include "core/checkpoint/shard_index.hpp"

namespace halftone {

struct Checkpoint::State {
    std::filesystem::path path;
    std::vector<std::filesystem::path> sources;
    std::vector<std::optional<os::FileState>> states;  // of the sources, before they were opened
    std::vector<os::File> open_files;                  // as `files`
    std::vector<CheckpointFile> files;
    std::vector<Tensor> tensors;
    Metadata merged;  // unused if there is only one file
    std::vector<std::string> remarks;
    uint64_t total_bytes = 0;

    void add(const std::filesystem::path&);
    void add_source(const std::filesystem::path&);
    void refuse_changes(size_t source) const;
    void put_in_order();
    void merge_metadata();
    void refuse_doubles(const std::filesystem::path& where) const;
    void compare(const ShardIndex&, const std::filesystem::path& index) const;
};

namespace {

constexpr std::string_view index_ending = ".safetensors.index.json";

std::string listed(const std::vector<std::filesystem::path>& paths) {
    constexpr size_t most = 5;
    std::vector<std::string> names;
    for (const auto& path : paths) {
        if (names.size() == most) {
            names.push_back(fmt::format("{} more", paths.size() - most));
            break;
        }
        names.push_back(in_quotes(os::utf8(path.filename())));
    }
    return text::join(names, ", ");
}

[[noreturn]] void refuse_half_exchanged(const std::filesystem::path& path) {
    throw Error(Exit::input, os::utf8(path),
                "a run is replacing these shards, or was killed while it did: they are of two checkpoints",
                "if no run is at work, the next one that writes this output puts the earlier shards back");
}

// The index or the only safetensors file of a folder.
std::filesystem::path find_in_folder(const std::filesystem::path& folder) {
    std::vector<std::filesystem::path> indices, singles;
    bool exchange = false;
    std::error_code error;
    for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end;
         at.increment(error)) {
        const std::string name = os::utf8(at->path().filename());
        std::error_code ignored;  // what cannot be looked at is left to those who open it
        exchange = exchange || is_record_of_exchange(name);
        if (name.starts_with('.') || at->is_directory(ignored)) continue;
        if (name.ends_with(index_ending)) indices.push_back(at->path());
        if (name.ends_with(".safetensors")) singles.push_back(at->path());
    }
    if (error) fail(Exit::input, os::utf8(folder), "cannot list the folder: {}", error.message());
    std::sort(indices.begin(), indices.end());
    std::sort(singles.begin(), singles.end());

    const auto& found = indices.empty() ? singles : indices;
    // One shard alone may be what there is in the middle of it.
    const bool whole = found.size() == 1 && without_shard_number(os::utf8(found.front().filename())).empty();
    if (exchange && indices.empty() && !whole) refuse_half_exchanged(folder);
    if (found.size() == 1) return found.front();
    if (found.empty())
        throw Error(Exit::input, os::utf8(folder), "the folder holds no safetensors file",
                    "name the file itself, or the folder that it is in");
    if (!indices.empty())
        throw Error(Exit::input, os::utf8(folder),
                    fmt::format("the folder holds several checkpoints: {}", listed(indices)),
                    "name one of them");
    throw Error(
        Exit::input, os::utf8(folder),
        fmt::format("the folder holds several safetensors files and no index: {}", listed(singles)),
        "name one of them; if they are shards of one model, its index '*.safetensors.index.json' is missing");
}

// A file of another kind is called what it is, rather than a damaged one.
ParsedHeader header_of(const os::File& opened, const std::filesystem::path& path) {
    try {
        return parse_header(opened);
    } catch (const Error& error) {
        if (error.code() != Exit::input) throw;
        std::array<std::byte, 4> first{};
        const size_t n = std::min<uint64_t>(first.size(), opened.size());
        opened.read(0, std::span(first).first(n));
        const std::string kind = foreign_format(path, std::span(first).first(n));
        if (kind.empty()) throw;
        throw Error(Exit::input, os::utf8(path), fmt::format("is {}, not a safetensors file", kind),
                    fmt::format("{}; convert it first", only_safetensors));
    }
}

}  // namespace

void Checkpoint::State::add_source(const std::filesystem::path& file) {
    sources.push_back(file);
    states.push_back(os::state_of(file));
}

// Times count, too: a file that is overwritten in place keeps its size.
void Checkpoint::State::refuse_changes(size_t source) const {
    const std::optional<os::FileState> now = os::state_of(sources[source]);
    if (now && now == states[source]) return;
    throw Error(Exit::input, os::utf8(sources[source]),
                fmt::format("the file was {} while it was being read",
                            !now ? "removed or renamed"
                            : states[source] && now->device == states[source]->device &&
                                    now->number == states[source]->number
                                ? "changed"
                                : "replaced"),
                "make sure that nothing writes to it, and start again");
}

void Checkpoint::State::add(const std::filesystem::path& file) {
    add_source(file);
    os::File opened = os::File::open_to_read(file);
    ParsedHeader header = header_of(opened, file);
    CheckpointFile& entry = files.emplace_back();
    entry.path = file;
    entry.size = opened.size();
    entry.header_bytes = header.json_bytes;
    entry.header_sha256 = std::move(header.sha256);
    entry.metadata = std::move(header.metadata);
    std::move(header.remarks.begin(), header.remarks.end(), std::back_inserter(remarks));
    for (Tensor& tensor : header.tensors) {
        tensor.file = static_cast<uint32_t>(files.size() - 1);
        total_bytes += tensor.bytes;  // cannot overflow: they lie side by side in files
    }
    if (tensors.empty()) {
        tensors = std::move(header.tensors);
    } else {
        std::move(header.tensors.begin(), header.tensors.end(), std::back_inserter(tensors));
    }
    open_files.push_back(std::move(opened));
}

void Checkpoint::State::put_in_order() {
    std::sort(tensors.begin(), tensors.end(),
              [](const Tensor& a, const Tensor& b) { return a.name < b.name; });
    for (size_t i = 0; i < tensors.size(); ++i)
        files[tensors[i].file].tensors.push_back(static_cast<uint32_t>(i));
    // Indices ascend with names, which settles the order of tensors without data.
    for (CheckpointFile& file : files)
        std::sort(file.tensors.begin(), file.tensors.end(), [&](uint32_t a, uint32_t b) {
            return std::tie(tensors[a].offset, tensors[a].bytes, a) <
                   std::tie(tensors[b].offset, tensors[b].bytes, b);
        });
}

void Checkpoint::State::merge_metadata() {
    if (files.size() < 2) return;
    std::map<std::string_view, const std::string*> known;
    for (const CheckpointFile& file : files) {
        uint64_t differing = 0;
        std::string_view example;
        for (const auto& [key, value] : file.metadata) {
            const auto [entry, fresh] = known.try_emplace(key, &value);
            if (fresh) {
                merged.emplace_back(key, value);
            } else if (*entry->second != value && differing++ == 0) {
                example = key;
            }
        }
        if (differing > 0)
            remarks.push_back(
                fmt::format("{}: {} metadata entries ({}) differ from those of an earlier shard, which count",
                            os::utf8(file.path), differing, in_quotes(example)));
    }
}

void Checkpoint::State::refuse_doubles(const std::filesystem::path& where) const {
    const auto file_name = [&](uint32_t file) { return in_quotes(os::utf8(files[file].path.filename())); };
    for (size_t i = 1; i < tensors.size(); ++i)
        if (tensors[i - 1].name == tensors[i].name)
            fail(Exit::input, os::utf8(where), "tensor {} is in two shards, {} and {}",
                 in_quotes(tensors[i].name), file_name(tensors[i - 1].file), file_name(tensors[i].file));
}

// Index and shards must say the same. A tensor that the index leaves out is an error too: either it belongs
// to the model, or the shard is of another one, and only its owner can tell.
void Checkpoint::State::compare(const ShardIndex& index, const std::filesystem::path& index_path) const {
    const std::string where = os::utf8(index_path);
    const auto file_name = [&](uint32_t file) { return in_quotes(os::utf8(index.shards[file])); };
    refuse_doubles(index_path);
    auto tensor = tensors.begin();
    for (const auto& [name, shard] : index.tensors) {
        if (tensor != tensors.end() && tensor->name < name) break;
        if (tensor == tensors.end() || tensor->name != name)
            fail(Exit::input, where, "tensor {} is said to be in shard {}, which does not have it",
                 in_quotes(name), file_name(shard));
        if (tensor->file != shard)
            fail(Exit::input, where, "tensor {} is said to be in shard {}, but is in {}", in_quotes(name),
                 file_name(shard), file_name(tensor->file));
        ++tensor;
    }
    if (tensor != tensors.end())
        throw Error(Exit::input, where,
                    fmt::format("shard {} has tensor {}, which the index does not name",
                                file_name(tensor->file), in_quotes(tensor->name)),
                    "the shard may be of another model; otherwise add the tensor to 'weight_map'");
}

Checkpoint Checkpoint::open(const std::filesystem::path& path) {
    auto state = std::make_shared<State>();
    state->path = path;
    std::error_code ignored;  // opening the file says it better
    const auto file = std::filesystem::is_directory(path, ignored) ? find_in_folder(path) : path;
    if (file.extension() == ".json") {
        if (!std::filesystem::exists(file, ignored) && has_record_of_exchange(file))
            refuse_half_exchanged(file);
        state->add_source(file);
        const ShardIndex index = read_index(file);
        for (const auto& shard : index.shards)
            if (!std::filesystem::exists(file.parent_path() / shard, ignored))
                fail(Exit::input, os::utf8(file), "shard {} does not exist", in_quotes(os::utf8(shard)));
        for (const auto& shard : index.shards)
            state->add(file.parent_path() / shard);
        state->put_in_order();
        state->compare(index, file);
        // A run that replaces shards of the same names removes their index first: what was opened since is a
        // mixture.
        state->refuse_changes(0);
    } else {
        state->add(file);
        state->put_in_order();
    }
    state->merge_metadata();
    return Checkpoint(std::move(state));
}

Checkpoint Checkpoint::open_parts(const std::filesystem::path& path,
                                  const std::vector<std::filesystem::path>& files) {
    auto state = std::make_shared<State>();
    state->path = path;
    for (const auto& file : files)
        state->add(file);
    state->put_in_order();
    state->refuse_doubles(path);
    state->merge_metadata();
    return Checkpoint(std::move(state));
}

const std::filesystem::path& Checkpoint::path() const {
    return state_->path;
}
const std::vector<CheckpointFile>& Checkpoint::files() const {
    return state_->files;
}
const std::vector<Tensor>& Checkpoint::tensors() const {
    return state_->tensors;
}
const std::vector<std::string>& Checkpoint::remarks() const {
    return state_->remarks;
}
uint64_t Checkpoint::total_bytes() const {
    return state_->total_bytes;
}
std::vector<std::filesystem::path> Checkpoint::sources() const {
    return state_->sources;
}

const Metadata& Checkpoint::metadata() const {
    return state_->files.size() == 1 ? state_->files.front().metadata : state_->merged;
}

const Tensor* Checkpoint::find(std::string_view name) const {
    const auto& tensors = state_->tensors;
    const auto at =
        std::lower_bound(tensors.begin(), tensors.end(), name,
                         [](const Tensor& tensor, std::string_view wanted) { return tensor.name < wanted; });
    return at != tensors.end() && at->name == name ? &*at : nullptr;
}

void Checkpoint::refuse_changes() const {
    for (size_t i = 0; i < state_->sources.size(); ++i)
        state_->refuse_changes(i);
}

void Checkpoint::read(const Tensor& tensor, uint64_t offset, std::span<std::byte> out) const {
    if (offset > tensor.bytes || out.size() > tensor.bytes - offset)
        fail(Exit::failed, in_quotes(tensor.name),
             "{} bytes from byte {} on are not all in the tensor, which has {}", out.size(), offset,
             tensor.bytes);
    state_->open_files.at(tensor.file).read(tensor.offset + offset, out);
}

std::vector<std::byte> Checkpoint::read_all(const Tensor& tensor) const {
    std::vector<std::byte> bytes(tensor.bytes);
    read(tensor, 0, bytes);
    return bytes;
}

}  // namespace halftone
