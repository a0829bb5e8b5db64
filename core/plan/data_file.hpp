#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/pipeline/document.hpp"

namespace halftone {

// What files of data beside the program (loaders.toml, families.toml) have in common: TOML that is checked
// key by key. Every mistake is Exit::usage with file:line:column.
namespace data_file {

[[noreturn]] void refuse(const Place&, const std::string& what, const std::string& advice = "");

const std::string& text_of(const Node&, const std::string& what);

// A number, a truth value or a text, as a marker's JSON would show it.
std::string plain(const Node&, const std::string& what);

// A whole file of that kind; none is long.
std::string text_of_file(const std::filesystem::path&);

// The files to read, in their order: what is installed, then the user's of the same name in the folder of
// settings, or `own` in its place. What is not there is left out, but for `own`.
std::vector<std::filesystem::path> installed_and_own(const std::filesystem::path& installed,
                                                     const std::filesystem::path& own);

// One table of the file. Every key must be among those that were asked for.
class Table {
  public:
    Table(const Node&, std::string title, const std::vector<std::string>& keys);

    const Node* given(std::string_view key) const;
    const Node& required(std::string_view key) const;
    std::string what(std::string_view key) const;

    void read(std::string_view key, std::string& to) const;
    void read(std::string_view key, std::optional<std::string>& to) const;
    std::optional<bool> flag(std::string_view key) const;
    const Node* list(std::string_view key) const;
    const Node* table(std::string_view key) const;
    // `known`: all that may stand there; empty: anything.
    void read(std::string_view key, std::vector<std::string>& to,
              std::span<const std::string> known = {}) const;
    // Types as safetensors names them.
    void read_dtypes(std::string_view key, std::vector<std::string>& to) const;

  private:
    const Node& node_;
    std::string title_;
};

}  // namespace data_file
}  // namespace halftone
