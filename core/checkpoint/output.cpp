#include <algorithm>
#include <map>
#include <optional>
#include <system_error>

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/os/process.hpp"
#include "core/base/text.hpp"
#include "core/checkpoint/in_quotes.hpp"
#include "core/checkpoint/writer.hpp"

namespace halftone {
namespace {

namespace fs = std::filesystem;

std::span<const std::byte> bytes_of(const std::string& text) {
    return std::as_bytes(std::span(text));
}

fs::path folder_of(const fs::path& path) {
    return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

std::string shown(const fs::path& path) {
    constexpr size_t longest = 4096;  // unlike other names, half a path is of no use
    return fmt::format("'{}'", text::printable(os::utf8(path), longest));
}

// A broken link exists too: what is written over it would take its place.
bool is_taken(const fs::path& path) {
    std::error_code ignored;
    const fs::file_type type = fs::symlink_status(path, ignored).type();
    return type != fs::file_type::not_found && type != fs::file_type::none;
}

std::vector<fs::path> names_of(const fs::path& output, size_t files) {
    if (files == 1) return {output};
    std::vector<fs::path> names;
    for (size_t i = 0; i < files; ++i)
        names.push_back(shard_path(output, i, files));
    names.push_back(index_path(output));
    return names;
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
    const std::string stem = os::utf8(output.stem()) + "-", ending = os::utf8(output.extension());
    if (!name.starts_with(stem) || !name.ends_with(ending) || name.size() < stem.size() + ending.size())
        return false;
    name = name.substr(stem.size(), name.size() - stem.size() - ending.size());
    const size_t of = name.find("-of-");
    if (of == std::string_view::npos) return false;
    const auto is_number = [](std::string_view digits) {
        return digits.size() >= 5 && digits.find_first_not_of("0123456789") == std::string_view::npos;
    };
    return is_number(name.substr(0, of)) && is_number(name.substr(of + 4));
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
                    "add a name, like " + shown(output / "model.safetensors"));
    if (output.extension() == ".json")
        throw Error(Exit::usage, where, "the output's name ends in .json, which is for indices of shards",
                    "name it *.safetensors; the index of a sharded output is named after it");
    if (!fs::exists(folder, ignored))
        throw Error(Exit::usage, where, fmt::format("the output's folder {} does not exist", shown(folder)),
                    "create it first");
    if (!fs::is_directory(folder, ignored))
        fail(Exit::usage, where, "{} is a file, not a folder for the output", shown(folder));
}

// What the names of all temporary files of this output begin with, whichever run made them.
std::string temporary_prefix(const fs::path& final_path) {
    constexpr size_t longest_name = 160;  // file systems take 255 bytes; the end tells shards apart
    std::string name = os::utf8(final_path.filename());
    if (name.size() > longest_name) name.erase(0, name.size() - longest_name);
    return fmt::format(".{}.halftone-", name);
}

constexpr std::string_view temporary_ending = ".partial";

// Two runs may have the same tag, one of them killed or at work right now: each takes a name of its own.
os::File create_temporary(const fs::path& final_path, const std::string& tag) {
    for (unsigned attempt = 1;; ++attempt) {
        const std::string number = attempt == 1 ? "" : fmt::format("-{}", attempt);
        const std::string file =
            fmt::format("{}{}{}{}", temporary_prefix(final_path), tag, number, temporary_ending);
        const fs::path path = folder_of(final_path) / fs::path(std::u8string(file.begin(), file.end()));
        if (is_taken(path)) continue;
        try {
            return os::File::create_new(path);
        } catch (const Error&) {
            if (!is_taken(path)) throw;  // otherwise another run was faster
        }
    }
}

std::vector<fs::path> find_leftovers(const std::vector<fs::path>& names) {
    std::vector<std::string> prefixes;
    for (const fs::path& name : names)
        prefixes.push_back(temporary_prefix(name));
    std::vector<fs::path> found;
    for_each_in(folder_of(names.front()), [&](const fs::path& path, const std::string& name) {
        if (!name.ends_with(temporary_ending)) return;
        if (std::any_of(prefixes.begin(), prefixes.end(),
                        [&](const std::string& prefix) { return name.starts_with(prefix); }))
            found.push_back(path);
    });
    std::sort(found.begin(), found.end());
    return found;
}

void check_free(const std::vector<fs::path>& names, const std::string& where, uint64_t bytes) {
    const fs::path folder = folder_of(names.front());
    const uint64_t available = os::free_space(folder);
    if (bytes <= available) return;
    const std::vector<fs::path> leftovers = find_leftovers(names);
    throw Error(
        Exit::space, where,
        fmt::format("the output needs {}, but only {} are free in {}", text::bytes(bytes),
                    text::bytes(available), shown(folder)),
        leftovers.empty()
            ? "free some space or write to another disk"
            : fmt::format(
                  "remove what killed runs left behind (if none is still at work), such as {}, or write to "
                  "another disk",
                  shown(leftovers.front())));
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
    const std::vector<fs::path> names = names_of(settings.path, files);
    for (const fs::path& name : names) {
        std::error_code error;
        if (fs::symlink_status(name, error).type() == fs::file_type::none)
            fail(Exit::usage, os::utf8(name), "cannot be written: {}", error.message());
        if (!is_taken(name)) continue;
        for (const fs::path& input : inputs)
            if (os::same_file(name, input))
                throw Error(Exit::usage, os::utf8(name),
                            fmt::format("this is the input {} itself", shown(input)),
                            "give the output another name");
        std::error_code ignored;
        // A link is followed: one to a device or a pipe would be replaced by a file.
        const fs::file_type type = fs::status(name, ignored).type();
        if (type != fs::file_type::regular && type != fs::file_type::not_found)
            fail(Exit::usage, os::utf8(name), "this exists and is no regular file");
        if (!settings.replace)
            throw Error(Exit::usage, os::utf8(name), "the output exists already", "--force replaces it");
    }
    if (const auto other = rival(settings.path, names))
        throw Error(Exit::usage, os::utf8(settings.path),
                    fmt::format("{} belongs to another checkpoint of the same name and would stay beside it",
                                shown(*other)),
                    "remove it or choose another name; --force only replaces files of the same name");
    check_free(names, os::utf8(settings.path), bytes);
}

struct Output::State {
    struct Part {
        fs::path final_path, temporary;
        os::File file;
        uint64_t data = 0;  // where the data begin
        uint64_t size = 0;
    };

    Settings settings;
    std::vector<fs::path> leftovers;
    WrittenPieces pieces;
    std::vector<Part> parts;  // the index of shards is the last
    bool sharded = false;
    size_t in_place = 0;  // parts that have their final names

    State() = default;
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() {
        for (size_t i = in_place; i < parts.size(); ++i)
            remove_temporary(parts[i].temporary);
    }

    static void remove_temporary(const fs::path& path) {
        std::error_code ignored;  // nothing more can be done about it here
        fs::remove(path, ignored);
        os::keep_on_exit(path);
    }

    void create(const fs::path& final_path, uint64_t size, const std::string& start) {
        os::File file = create_temporary(final_path, settings.tag);
        os::remove_on_exit(file.path());
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

    void put_in_place(const Part& part) {
        if (settings.replace) {
            os::rename_over(part.temporary, part.final_path);
        } else {
            os::rename_if_absent(part.temporary, part.final_path);
        }
        os::keep_on_exit(part.temporary);
        ++in_place;
    }

    // While shards are exchanged one by one, an old index would stand for a mixture of both.
    void remove_old_index() const {
        const fs::path& index = parts.back().final_path;
        std::error_code error;
        fs::remove(index, error);
        if (error) fail(Exit::failed, os::utf8(index), "cannot remove the old index: {}", error.message());
        os::sync_folder(folder_of(index));
    }

    // Half a set of shards is worth nothing: what has its final name already is taken away again.
    void take_back() {
        for (size_t i = 0; i < in_place; ++i) {
            std::error_code ignored;
            fs::remove(parts[i].final_path, ignored);
        }
    }
};

Output::Output(Settings settings, std::vector<FileLayout> layouts, std::span<const fs::path> inputs)
    : state_(std::make_unique<State>()) {
    if (layouts.empty()) fail(Exit::failed, os::utf8(settings.path), "an output needs at least one file");
    state_->sharded = layouts.size() > 1;
    const std::vector<fs::path> names = names_of(settings.path, layouts.size());
    const std::string index = state_->sharded ? index_json(layouts, settings.path) : "";
    uint64_t bytes = index.size();
    for (const FileLayout& layout : layouts)
        bytes += layout.size;
    check_output(settings, bytes, inputs, layouts.size());
    state_->leftovers = find_leftovers(names);
    state_->settings = std::move(settings);
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
    const fs::path folder = folder_of(state.settings.path);
    for (State::Part& part : state.parts) {
        part.file.sync();
        part.file.close();
    }
    if (state.sharded && state.settings.replace) state.remove_old_index();
    try {
        for (const State::Part& part : state.parts) {
            if (state.sharded && &part == &state.parts.back()) os::sync_folder(folder);
            state.put_in_place(part);
        }
    } catch (...) {
        state.take_back();
        throw;
    }
    os::sync_folder(folder);
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

const std::vector<fs::path>& Output::leftovers() const {
    return state_->leftovers;
}

}  // namespace halftone
