#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <system_error>

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/os/claim.hpp"
#include "core/base/os/process.hpp"
#include "core/base/partial_file.hpp"
#include "core/base/text.hpp"
#include "core/checkpoint/exchange.hpp"
#include "core/checkpoint/in_quotes.hpp"
#include "core/checkpoint/output_names.hpp"
#include "core/checkpoint/shard_index.hpp"
#include "core/checkpoint/writer.hpp"

namespace halftone {
namespace {

namespace fs = std::filesystem;

std::span<const std::byte> bytes_of(const std::string& text) {
    return std::as_bytes(std::span(text));
}

template <class Visit>
void for_each_in(const fs::path& folder, Visit visit) {
    std::error_code error;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
        visit(at->path(), os::utf8(at->path().filename()));
    if (error) fail(Exit::usage, os::utf8(folder), "cannot list the output's folder: {}", error.message());
}

// Is `name` that of a shard of `output`, among however many?
bool is_shard_of(const fs::path& output, std::string_view name) {
    return without_shard_number(name) == os::utf8(output.filename());
}

// What of an earlier output would stay beside the new one, so that the folder held two models of one name.
std::optional<fs::path> rival(const fs::path& output, const std::vector<fs::path>& names) {
    if (names.size() == 1)
        return is_taken(index_path(output)) ? std::optional(index_path(output)) : std::nullopt;
    if (is_taken(output)) return output;
    std::optional<fs::path> found;
    for_each_in(folder_of(output), [&](const fs::path& path, const std::string& name) {
        const bool ours = std::any_of(names.begin(), names.end(),
                                      [&](const fs::path& one) { return one.filename() == path.filename(); });
        if (!ours && is_shard_of(output, name) && (!found || path < *found)) found = path;
    });
    return found;
}

void check_path(const fs::path& output) {
    const std::string where = os::utf8(output);
    const fs::path folder = folder_of(output);
    std::error_code ignored;
    if (!output.has_filename() || fs::is_directory(output, ignored))
        throw Error(Exit::usage, where, "the output must be a file, but this is a folder",
                    "add a name, like " + quoted(output / "model.safetensors"));
    if (output.extension() == ".json")
        throw Error(Exit::usage, where, "the output's name ends in .json, which is for indices of shards",
                    "name it *.safetensors; the index of a sharded output is named after it");
    if (!fs::exists(folder, ignored))
        throw Error(Exit::usage, where, fmt::format("the output's folder {} does not exist", quoted(folder)),
                    "create it first");
    if (!fs::is_directory(folder, ignored))
        fail(Exit::usage, where, "{} is a file, not a folder for the output", quoted(folder));
}

// Whose partial files belong to this output: those of the file itself, its index, and its shards, among
// however many.
bool is_part_of(const fs::path& output, const std::vector<fs::path>& names, const std::string& name) {
    const auto is_called = [&](const fs::path& path) { return name == name_in_partials(path); };
    return is_shard_of(output, name) || is_called(output) || is_called(index_path(output)) ||
           std::ranges::any_of(names, is_called);
}

// One claim for the file and for the shards of that name, also for what is called like one of the shards.
fs::path claim_path(const fs::path& output) {
    const std::string whole = without_shard_number(os::utf8(output.filename()));
    return hidden_beside(
        whole.empty() ? output : folder_of(output) / fs::path(std::u8string(whole.begin(), whole.end())),
        "lock");
}

bool starts_like_a_checkpoint(const fs::path& path) {
    try {
        const os::File file = os::File::open_to_read(path);
        std::array<std::byte, 9> start{};
        if (file.size() < start.size()) return false;
        file.read(0, start);
        uint64_t length = 0;
        for (size_t i = 0; i < 8; ++i)
            length |= std::to_integer<uint64_t>(start[i]) << (8 * i);
        return length >= 2 && length <= HeaderLimits().json_bytes && length <= file.size() - 8 &&
               start[8] == std::byte{'{'};
    } catch (const Error&) {
        return false;
    }
}

bool is_index(const fs::path& path) {
    try {
        read_index(path);
        return true;
    } catch (const Error&) {
        return false;
    }
}

void check_free(const fs::path& output, const std::vector<fs::path>& names, uint64_t bytes) {
    const fs::path folder = folder_of(output);
    const uint64_t available = os::free_space(folder);
    if (bytes <= available) return;
    std::optional<fs::path> left;
    for_each_in(folder, [&](const fs::path& path, const std::string& name) {
        const std::string whole = name_of_partial(name);
        if (!whole.empty() && is_part_of(output, names, whole) && (!left || path < *left)) left = path;
    });
    throw Error(Exit::space, os::utf8(output),
                fmt::format("the output needs {}, but only {} are free in {}", text::bytes(bytes),
                            text::bytes(available), quoted(folder)),
                left ? fmt::format("{} is of another run: if that was killed, the file can be removed; or "
                                   "write to another disk",
                                   quoted(*left))
                     : "free some space or write to another disk");
}

std::string index_json(const std::vector<FileLayout>& layouts, const fs::path& output) {
    uint64_t total = 0;
    std::map<std::string_view, std::string> lines;
    for (size_t i = 0; i < layouts.size(); ++i) {
        const std::string shard = Json(os::utf8(shard_path(output, i, layouts.size()).filename())).dump();
        for (const OutputTensor& tensor : layouts[i].tensors) {
            total += tensor.bytes;
            const std::string line = fmt::format("    {}: {}", Json(tensor.name).dump(), shard);
            if (!lines.emplace(tensor.name, line).second)
                fail(Exit::failed, in_quotes(tensor.name), "the output would have this tensor in two shards");
        }
    }
    std::string json =
        fmt::format("{{\n  \"metadata\": {{\n    \"total_size\": {}\n  }},\n  \"weight_map\": {{\n", total);
    for (const auto& [name, line] : lines)
        json.append(line).append(",\n");
    if (!lines.empty()) json.erase(json.size() - 2, 1);
    return json + "  }\n}\n";
}

}  // namespace

void check_output(const Output::Settings& settings, uint64_t bytes, std::span<const fs::path> inputs,
                  size_t files) {
    check_path(settings.path);
    const std::vector<fs::path> names = names_of_output(settings.path, files);
    for (const fs::path& name : names) {
        std::error_code error;
        if (fs::symlink_status(name, error).type() == fs::file_type::none)
            fail(Exit::usage, os::utf8(name), "cannot be written: {}", error.message());
        if (!is_taken(name)) continue;
        for (const fs::path& input : inputs)
            if (os::same_file(name, input))
                throw Error(Exit::usage, os::utf8(name),
                            fmt::format("this is the input {} itself", quoted(input)),
                            "give the output another name");
        std::error_code ignored;
        // A link is followed: one to a device or a pipe would be replaced by a file.
        const fs::file_type type = fs::status(name, ignored).type();
        if (type != fs::file_type::regular && type != fs::file_type::not_found)
            fail(Exit::usage, os::utf8(name), "this exists and is no regular file");
        if (!settings.replace)
            throw Error(Exit::usage, os::utf8(name), "the output exists already", "--force replaces it");
        const bool index = files > 1 && &name == &names.back();
        if (settings.replace_checkpoints_only && !(index ? is_index(name) : starts_like_a_checkpoint(name)))
            throw Error(Exit::usage, os::utf8(name),
                        fmt::format("this is no {}, and 'replace = true' in a pipeline replaces nothing else",
                                    index ? "index of shards" : "safetensors file"),
                        "--force replaces it all the same");
    }
    if (const auto other = rival(settings.path, names))
        throw Error(Exit::usage, os::utf8(settings.path),
                    fmt::format("{} belongs to another checkpoint of the same name and would stay beside it",
                                quoted(*other)),
                    "remove it or choose another name; --force only replaces files of the same name");
    check_free(settings.path, names, bytes);
}

struct Output::State {
    struct Part {
        fs::path final_path, temporary;
        os::File file;
        uint64_t data = 0;  // where the data begin
        uint64_t size = 0;
    };

    Settings settings;
    std::optional<os::Claim> claim;
    Sweep earlier;
    WrittenPieces pieces;
    std::vector<Part> parts;  // the index of shards is the last
    bool sharded = false;
    bool in_place = false;

    State() = default;
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() {
        for (const Part& part : parts)
            if (!in_place) remove_partial(part.temporary);
        give_up_claim();
    }

    void give_up_claim() {
        if (claim) os::keep_on_exit(claim_path(settings.path));
        claim.reset();
    }

    void create(const fs::path& final_path, uint64_t size, const std::string& start) {
        os::File file = create_partial(final_path, settings.tag, settings.replace);
        Part& part = parts.emplace_back();
        part.final_path = final_path;
        part.temporary = file.path();
        part.file = std::move(file);
        part.data = start.size();
        part.size = size;
        part.file.preallocate(size);
        write(parts.size() - 1, 0, bytes_of(start));
    }

    void write(size_t part, uint64_t offset, std::span<const std::byte> bytes) {
        if (settings.remember) pieces.add(part, offset, bytes);
        parts[part].file.write(offset, bytes);
    }

    // One run at a time: then the partial files that no process is at work on are of runs that were killed.
    void claim_names(const std::vector<fs::path>& names) {
        const fs::path lock = claim_path(settings.path);
        claim = os::Claim::take(lock);
        if (!claim)
            throw Error(Exit::failed, os::utf8(settings.path), "another run is writing this output right now",
                        "wait until it is done, or choose another name");
        os::remove_on_exit(lock);
        recover_exchange(settings.path);
        earlier = sweep_partials(folder_of(settings.path), [&](const std::string& name) {
            return is_part_of(settings.path, names, name);
        });
    }
};

Output::Output(Settings settings, std::vector<FileLayout> layouts, std::span<const fs::path> inputs)
    : state_(std::make_unique<State>()) {
    if (layouts.empty()) fail(Exit::failed, os::utf8(settings.path), "an output needs at least one file");
    state_->sharded = layouts.size() > 1;
    const std::vector<fs::path> names = names_of_output(settings.path, layouts.size());
    const std::string index = state_->sharded ? index_json(layouts, settings.path) : "";
    uint64_t bytes = index.size();
    for (const FileLayout& layout : layouts)
        bytes += layout.size;
    check_path(settings.path);
    state_->settings = std::move(settings);
    try {
        state_->claim_names(names);
    } catch (const Error&) {
        // Where nothing can be created there may be a better reason why not.
        if (!state_->claim) check_output(state_->settings, bytes, inputs, layouts.size());
        throw;
    }
    check_output(state_->settings, bytes, inputs, layouts.size());
    state_->parts.reserve(names.size());
    for (size_t i = 0; i < layouts.size(); ++i)
        state_->create(names[i], layouts[i].size, layouts[i].header);
    if (state_->sharded) state_->create(names.back(), index.size(), index);
}

Output::~Output() = default;

void Output::write(size_t file, uint64_t offset, std::span<const std::byte> bytes) const {
    const State::Part& part = state_->parts.at(file);
    if (offset < part.data || offset > part.size || bytes.size() > part.size - offset)
        fail(Exit::failed, os::utf8(part.final_path),
             "{} bytes at {} lie outside the data of the output, {} to {}", bytes.size(), offset, part.data,
             part.size);
    state_->write(file, offset, bytes);
}

void Output::commit() {
    State& state = *state_;
    std::vector<Renaming> renamings;
    for (State::Part& part : state.parts) {
        part.file.sync();
        part.file.close();
        renamings.push_back({part.temporary, part.final_path});
    }
    put_in_place(state.settings.path, renamings, state.settings.replace);
    state.in_place = true;
    for (const State::Part& part : state.parts)
        os::keep_on_exit(part.temporary);
    state.give_up_claim();
}

std::vector<fs::path> Output::paths() const {
    std::vector<fs::path> paths;
    for (const State::Part& part : state_->parts)
        paths.push_back(part.final_path);
    return paths;
}

std::vector<fs::path> Output::temporaries() const {
    std::vector<fs::path> paths;
    for (const State::Part& part : state_->parts)
        paths.push_back(part.temporary);
    return paths;
}

std::vector<WrittenPieces::Piece> Output::pieces() const {
    return state_->pieces.in_order();
}

const Sweep& Output::earlier() const {
    return state_->earlier;
}

}  // namespace halftone
