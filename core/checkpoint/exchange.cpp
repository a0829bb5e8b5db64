#include "core/checkpoint/exchange.hpp"

#include <optional>
#include <sstream>
#include <system_error>

#include "core/base/error.hpp"
#include "core/base/os/file.hpp"
#include "core/base/os/process.hpp"
#include "core/base/partial_file.hpp"
#include "core/checkpoint/output_names.hpp"

namespace halftone {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view magic = "halftone exchange 1", last_line = "end";
constexpr size_t most_shards = 100'000;

fs::path record_path(const fs::path& output) {
    return hidden_beside(output, "exchange");
}

fs::path previous(const fs::path& final_path) {
    return hidden_beside(final_path, "previous");
}

void remove_file(const fs::path& path) {
    std::error_code error;
    fs::remove(path, error);
    if (error) fail(Exit::failed, os::utf8(path), "cannot remove the file: {}", error.message());
}

// Tells a new file from an old one of the same name, also after the process that made it has ended.
struct NewFile {
    uint64_t number = 0, size = 0;
    int64_t modified = 0;

    static NewFile at(const fs::path& path) {
        const std::optional<os::FileState> state = os::state_of(path);
        if (!state) fail(Exit::failed, os::utf8(path), "has been removed by another program");
        return {state->number, state->size, state->modified};
    }
    bool is_at(const fs::path& path) const {
        std::error_code ignored;
        if (!fs::is_regular_file(fs::symlink_status(path, ignored))) return false;
        const std::optional<os::FileState> state = os::state_of(path);
        return state && state->number == number && state->size == size && state->modified == modified;
    }
};

class Exchange {
  public:
    explicit Exchange(const fs::path& output) : output_(output), folder_(folder_of(output)) {}

    void begin(const std::vector<Renaming>& files) {
        for (const Renaming& file : files) {
            names_.push_back(file.final_path);
            new_files_.push_back(NewFile::at(file.temporary));
        }
        for (const fs::path& name : names_)
            if (const fs::path in_the_way = previous(name); is_taken(in_the_way))
                throw Error(
                    Exit::failed, os::utf8(in_the_way),
                    "this file of an earlier exchange is left, but not the record of what it belongs to",
                    fmt::format("remove it, or rename it to {} if that is missing", quoted(name)));
        std::string text = fmt::format("{}\n{}\n", magic, files.size());
        for (const NewFile& file : new_files_)
            text += fmt::format("{} {} {}\n", file.number, file.size, file.modified);
        text.append(last_line).append("\n");
        os::File record = os::File::create_new(record_path(output_));
        try {
            record.write(0, std::as_bytes(std::span(text)));
            record.sync();
            record.close();
            os::sync_folder(folder_);
        } catch (...) {
            std::error_code ignored;
            fs::remove(record_path(output_), ignored);
            throw;
        }
    }

    // False if there is no record, or none that was finished: then nothing was renamed either.
    bool read_record() {
        const fs::path path = record_path(output_);
        if (!is_taken(path)) return false;
        const os::File file = os::File::open_to_read(path);
        std::string text(std::min<uint64_t>(file.size(), most_shards * 64), '\0');
        file.read(0, std::as_writable_bytes(std::span(text)));
        std::istringstream lines(text);
        std::string line, end;
        size_t files = 0;
        std::getline(lines, line);
        lines >> files;
        if (line == magic && files >= 3 && files <= most_shards + 1) {
            new_files_.resize(files);
            for (NewFile& one : new_files_)
                lines >> one.number >> one.size >> one.modified;
            lines >> end;
        }
        if (!lines || end != last_line) {
            remove_file(path);
            return false;
        }
        names_ = names_of_output(output_, files - 1);
        return true;
    }

    void move_old_aside() const {
        move_aside(names_.back());
        os::sync_folder(folder_);
        for (size_t i = 0; i + 1 < names_.size(); ++i)
            move_aside(names_[i]);
    }

    void place_new(const std::vector<Renaming>& files, bool replace) const {
        for (const Renaming& file : files) {
            if (&file == &files.back()) os::sync_folder(folder_);
            replace ? os::rename_over(file.temporary, file.final_path)
                    : os::rename_if_absent(file.temporary, file.final_path);
        }
        os::sync_folder(folder_);
    }

    bool is_finished() const { return new_files_.back().is_at(names_.back()); }

    bool has_previous() const {
        for (const fs::path& name : names_)
            if (is_taken(previous(name))) return true;
        return false;
    }

    bool has_foreign_index() const { return is_taken(names_.back()) && !is_finished(); }

    // The index comes last here, too: before, shards are a mixture.
    void take_back() const {
        if (is_finished()) remove_file(names_.back());
        sync_if_possible();
        for (size_t i = 0; i < names_.size(); ++i) {
            if (i + 1 == names_.size()) sync_if_possible();
            take_back(names_[i], new_files_[i]);
        }
        sync_if_possible();
        forget_record();
    }

    void forget_record() const { remove_file(record_path(output_)); }

    // The record stays as long as there is something left that it is needed for.
    void forget_previous() const {
        bool all = true;
        for (const fs::path& name : names_) {
            std::error_code error;
            fs::remove(previous(name), error);
            all = all && !error;
        }
        std::error_code ignored;
        if (all) fs::remove(record_path(output_), ignored);
    }

  private:
    // On the way back an error must not keep the old files from their names.
    void sync_if_possible() const {
        try {
            os::sync_folder(folder_);
        } catch (const Error&) {
            return;
        }
    }

    static void move_aside(const fs::path& name) {
        if (is_taken(name)) os::rename_if_absent(name, previous(name));
    }

    static void take_back(const fs::path& name, const NewFile& new_file) {
        const bool is_new = new_file.is_at(name);
        if (!is_taken(previous(name))) {
            if (is_new) remove_file(name);
        } else if (is_new) {
            os::rename_over(previous(name), name);
        } else {
            os::rename_if_absent(previous(name), name);
        }
    }

    fs::path output_, folder_;
    std::vector<fs::path> names_;
    std::vector<NewFile> new_files_;
};

void put_one_in_place(const Renaming& file, bool replace) {
    replace ? os::rename_over(file.temporary, file.final_path)
            : os::rename_if_absent(file.temporary, file.final_path);
    try {
        os::sync_folder(folder_of(file.final_path));
    } catch (const Error& error) {
        throw Error(error.code(), error.where(),
                    error.problem() + fmt::format(" ({} is complete, but a power cut may undo it)",
                                                  quoted(file.final_path)),
                    error.advice());
    }
}

}  // namespace

bool is_record_of_exchange(std::string_view file_name) {
    return file_name.starts_with('.') && file_name.ends_with(".halftone-exchange");
}

bool has_record_of_exchange(const fs::path& index) {
    constexpr std::string_view ending = ".index.json";
    std::string name = os::utf8(index.filename());
    if (!name.ends_with(ending)) return false;
    name.erase(name.size() - ending.size());
    return is_taken(record_path(folder_of(index) / fs::path(std::u8string(name.begin(), name.end()))));
}

void put_in_place(const fs::path& output, const std::vector<Renaming>& files, bool replace) {
    if (files.size() == 1) return put_one_in_place(files.front(), replace);
    Exchange exchange(output);
    exchange.begin(files);
    try {
        if (replace) exchange.move_old_aside();
        exchange.place_new(files, replace);
    } catch (const Error& error) {
        try {
            exchange.take_back();
        } catch (const Error& second) {
            throw Error(
                error.code(), error.where(),
                fmt::format("{}; and what was there before could not be put back: {}", error.problem(),
                            second.what()),
                fmt::format("earlier files are in the same folder as .NAME.halftone-previous; the next run "
                            "that writes {} gives them their names again",
                            quoted(output)));
        }
        throw;
    }
    exchange.forget_previous();
}

void recover_exchange(const fs::path& output) {
    Exchange exchange(output);
    if (!exchange.read_record()) return;
    if (exchange.has_foreign_index()) {
        if (!exchange.has_previous())
            return exchange.forget_record();  // it was killed before it renamed anything
        throw Error(
            Exit::failed, os::utf8(output),
            "a run that was replacing this output was killed, and another index has appeared since",
            fmt::format("the earlier files are in the same folder as .NAME.halftone-previous: rename the "
                        "ones that you want and remove the others, then remove {}",
                        quoted(record_path(output))));
    }
    if (!exchange.is_finished()) return exchange.take_back();
    os::sync_folder(folder_of(output));
    exchange.forget_previous();
}

}  // namespace halftone
