#include "plugins/shared_object.hpp"

// With the standard library's paths and error codes.
#define BOOST_DLL_USE_STD_FS
#include <boost/dll/library_info.hpp>
#include <boost/dll/shared_library.hpp>
#include <ios>
#include <stdexcept>
#include <string_view>

#include "core/base/text.hpp"

namespace halftone {
namespace {

namespace dll = boost::dll;

// Boost wraps the loader's message: "... failed (dlerror system message: X): Bad file descriptor".
std::string loader_message(std::string_view wrapped) {
    constexpr std::string_view before = "dlerror system message: ";
    const size_t start = wrapped.find(before);
    if (start == std::string_view::npos) return std::string(wrapped);
    wrapped.remove_prefix(start + before.size());
    return std::string(wrapped.substr(0, wrapped.rfind("): ")));
}

std::unique_ptr<dll::library_info> open_info(const std::filesystem::path& path) {
    try {
        return std::make_unique<dll::library_info>(path);
    } catch (const std::exception&) {
        return nullptr;  // its texts ("iostream error", "Unsupported binary format") help nobody
    }
}

}  // namespace

struct SharedObject::State {
    dll::shared_library library;
};

std::string SharedObject::suffix() {
    return dll::shared_library::suffix().string();
}

std::vector<std::string> SharedObject::exports(const std::filesystem::path& path) {
    const std::unique_ptr<dll::library_info> info = open_info(path);
    if (!info) throw std::runtime_error("not a shared library of this system");
    try {
        return info->symbols();
    } catch (const std::exception&) {
        throw std::runtime_error("its symbol table cannot be read: the library is cut off or damaged");
    }
}

SharedObject::SharedObject(const std::filesystem::path& path, const std::filesystem::path& shown)
    : state_(std::make_unique<State>()) {
    // The overload with an error code would lose the loader's message.
    try {
        state_->library.load(std::filesystem::absolute(path),
                             dll::load_mode::rtld_now | dll::load_mode::rtld_local);
    } catch (const dll::fs::system_error& problem) {
        std::string message = loader_message(problem.what());
        const std::string name = path.string();
        for (size_t at = 0; !shown.empty() && (at = message.find(name, at)) != std::string::npos;
             at += shown.string().size())
            message.replace(at, name.size(), shown.string());
        throw std::runtime_error("cannot be loaded: " + text::printable(message, 1000));
    }
}

SharedObject::~SharedObject() = default;
SharedObject::SharedObject(SharedObject&&) noexcept = default;
SharedObject& SharedObject::operator=(SharedObject&&) noexcept = default;

const void* SharedObject::find(const std::string& symbol) const {
    if (!state_->library.has(symbol)) return nullptr;
    return &state_->library.get<const char>(symbol);
}

}  // namespace halftone
