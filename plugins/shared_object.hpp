#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace halftone {

// A shared library, on disk and in memory. The one place that knows Boost.DLL. Problems are thrown as
// std::runtime_error with a reason for a person, without the file's name.
class SharedObject {
  public:
    static std::string suffix();  // ".so", as this system has it

    // The names of what a library exports, from its symbol table: nothing of it has run yet.
    static std::vector<std::string> exports(const std::filesystem::path&);

    // Opens it: every symbol is resolved now, none is lent to other libraries. The loader's own message if it
    // cannot be, which calls the file `shown`.
    explicit SharedObject(const std::filesystem::path&, const std::filesystem::path& shown = {});
    ~SharedObject();
    SharedObject(SharedObject&&) noexcept;
    SharedObject& operator=(SharedObject&&) noexcept;

    const void* find(const std::string& symbol) const;  // null if there is none

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace halftone
