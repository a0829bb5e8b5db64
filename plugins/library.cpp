#include "plugins/library.hpp"

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/base/os/file.hpp"
#include "core/base/os/foreign_call.hpp"
#include "core/base/os/trust.hpp"
#include "core/base/text.hpp"
#include "plugins/abi_copy.hpp"
#include "plugins/call.hpp"
#include "plugins/host.hpp"
#include "plugins/shared_object.hpp"

namespace halftone {
namespace {

std::string ours() {
    return fmt::format("{}.{}", HALFTONE_ABI_MAJOR, HALFTONE_ABI_MINOR);
}

// What the symbol table tells before any code of the library runs.
void check_exports(const std::vector<std::string>& exported, const std::string& where) {
    const std::string_view prefix = HALFTONE_ENTRY_PREFIX;
    std::vector<std::string> majors, others;
    bool found = false;
    for (const std::string& symbol : exported) {
        if (symbol == HALFTONE_ENTRY_NAME)
            found = true;
        else if (symbol.starts_with(prefix))
            majors.push_back(text::printable(symbol.substr(prefix.size()), 20));
        else if (!symbol.starts_with("__"))  // the compiler's own: sanitizers and profilers add some
            others.push_back(text::printable(symbol));
    }
    if (!found && !majors.empty())
        throw Error(Exit::plugin, where,
                    fmt::format("made for ABI {}, this halftone speaks ABI {}", text::join(majors, " and "),
                                HALFTONE_ABI_MAJOR),
                    "install the plugin's build for this halftone, or another halftone");
    if (!found) fail(Exit::plugin, where, "exports no {}: not a Halftone plugin", HALFTONE_ENTRY_NAME);
    // With RTLD_LOCAL others do not see them, but they may be bound to the host's symbols of the same name.
    if (!others.empty())
        throw Error(Exit::plugin, where,
                    fmt::format("exports {} more symbol{} than its descriptor, '{}' among them",
                                others.size(), others.size() == 1 ? "" : "s", others.front()),
                    "build it with halftone_add_plugin(), or link it with the version script plugin.map "
                    "beside that function");
}

bool looks_like_version(std::string_view version) {
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    const auto is_tail = [&](char c) {
        return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '-' ||
               c == '+';
    };
    const size_t end = std::min(version.find_first_of("-+"), version.size());
    const std::vector<std::string> numbers = text::split(version.substr(0, end), '.');
    const auto is_number = [&](const std::string& part) {
        return !part.empty() && part.size() <= 9 && std::ranges::all_of(part, is_digit);
    };
    return version.size() <= 60 && numbers.size() >= 2 && numbers.size() <= 4 &&
           std::ranges::all_of(numbers, is_number) && std::ranges::all_of(version.substr(end), is_tail);
}

void check_text(const char* text, std::string_view what, const std::string& where) {
    if (!text || !*text) fail(Exit::plugin, where, "its descriptor has no {}", what);
    const auto is_control = [](char c) { return c >= 0 && c < ' '; };
    if (!text::is_utf8(text) || std::ranges::any_of(std::string_view(text), is_control))
        fail(Exit::plugin, where, "the {} in its descriptor is not one line of UTF-8: {}", what,
             text::printable(text));
}

ht_plugin checked_descriptor(const ht_plugin* raw, const PluginFile& file, const std::string& where) {
    constexpr size_t least = HALFTONE_SIZE_TO(ht_plugin, deinit);
    if (raw->size < least)
        fail(Exit::plugin, where, "its descriptor claims a size of {} bytes; that of ABI {}.0 has {}",
             raw->size, HALFTONE_ABI_MAJOR, least);
    const ht_plugin plugin = copied(raw);
    if (plugin.host_minor > HALFTONE_ABI_MINOR)
        throw Error(Exit::plugin, where,
                    fmt::format("needs a host of ABI {}.{} or newer, this halftone speaks ABI {}",
                                HALFTONE_ABI_MAJOR, plugin.host_minor, ours()),
                    "update halftone");
    if (plugin.kind != file.kind)
        fail(Exit::plugin, where, "its file name says {}, its descriptor says {}", kind_name(file.kind),
             plugin.kind >= 1 && plugin.kind <= 4 ? std::string(kind_name(plugin.kind))
                                                  : fmt::format("kind {}", plugin.kind));
    check_text(plugin.id, "id", where);
    if (!is_plugin_id(plugin.id))
        fail(Exit::plugin, where, "'{}' in its descriptor is no plugin id", text::printable(plugin.id));
    if (plugin.id != file.id)
        fail(Exit::plugin, where, "its file name says '{}', its descriptor says '{}'", file.id, plugin.id);
    check_text(plugin.version, "version", where);
    if (!looks_like_version(plugin.version))
        fail(Exit::plugin, where, "'{}' in its descriptor is no version like 1.2.3",
             text::printable(plugin.version));
    check_text(plugin.summary, "summary", where);
    check_text(plugin.license, "license", where);
    if (!plugin.table) fail(Exit::plugin, where, "its descriptor has no function table");
    return plugin;
}

// The system opens a library once however often it is asked to, so two registries of one process share one:
// init() and deinit() are counted here. The host that started it lives until it stops.
class Running {
  public:
    static void start(const ht_plugin* raw, const ht_plugin& plugin, const std::shared_ptr<PluginHost>& host,
                      const std::string& name, const std::string& where) {
        const std::lock_guard lock(mutex());
        const auto found = counts().find(raw);
        if (found != counts().end()) {
            ++found->second.count;
            return;
        }
        if (plugin.init) {
            try {
                call_checked(where, "init()", plugin.init, host->table_for(name));
            } catch (const Refusal& reason) {
                fail(Exit::plugin, where, "does not start: {}", reason.what());
            }
        }
        counts().emplace(raw, Count{1, host, where});
    }

    static void stop(const ht_plugin* raw, const ht_plugin& plugin) {
        const std::lock_guard lock(mutex());
        const auto found = counts().find(raw);
        if (--found->second.count > 0) return;
        try {
            if (plugin.deinit) call(found->second.culprit, "deinit()", plugin.deinit);
        } catch (const Error&) {  // the mode is restored, and nothing is computed with this plugin any more
        }
        counts().erase(found);
    }

  private:
    struct Count {
        int count;
        std::shared_ptr<PluginHost> host;
        std::string culprit;
    };
    // Never destroyed: plugins may be held by objects of static lifetime.
    static std::mutex& mutex() {
        static auto* mutex = new std::mutex;
        return *mutex;
    }
    static std::map<const ht_plugin*, Count>& counts() {
        static auto* counts = new std::map<const ht_plugin*, Count>;
        return *counts;
    }
};

}  // namespace

struct PluginLibrary::State {
    PluginFile file;
    std::string name, culprit;
    std::shared_ptr<PluginHost> host;
    std::optional<SharedObject> object;
    const ht_plugin* raw = nullptr;  // in the library
    ht_plugin plugin{};
    std::optional<OptionTable> options;
};

std::shared_ptr<PluginLibrary> PluginLibrary::load(const PluginFile& file, std::shared_ptr<PluginHost> host) {
    const std::string where = os::utf8(file.path);
    if (!file.problem.empty()) fail(Exit::plugin, where, "{}", file.problem);
    const os::CodeFile code = os::CodeFile::open(file.path);

    auto state = std::make_unique<State>();
    state->file = file;
    state->name = fmt::format("{} '{}'", kind_name(file.kind), file.id);
    state->culprit = fmt::format("{} ({})", state->name, where);
    state->host = std::move(host);
    state->host->log().debug("loading " + where);
    try {
        check_exports(SharedObject::exports(code.to_read()), where);
        const os::ForeignCall here(state->culprit, "loading");  // its constructors run now
        FloatingPointGuard guard(state->culprit);
        state->object.emplace(code.to_load(), code.real_path());
        os::name_exit_first();
    } catch (const Error&) {
        throw;
    } catch (const std::runtime_error& reason) {
        const std::string_view why = reason.what();
        const bool no_memory = why.find("failed to map segment") != std::string_view::npos ||
                               why.find("annot allocate memory") != std::string_view::npos;
        fail(no_memory ? Exit::space : Exit::plugin, where, "{}", why);
    }
    state->raw = static_cast<const ht_plugin*>(state->object->find(HALFTONE_ENTRY_NAME));
    if (!state->raw) fail(Exit::plugin, where, "exports no {}: not a Halftone plugin", HALFTONE_ENTRY_NAME);
    state->plugin = checked_descriptor(state->raw, file, where);
    state->options.emplace(state->plugin.options, state->plugin.n_options, where);
    Running::start(state->raw, state->plugin, state->host, state->name, where);
    return std::shared_ptr<PluginLibrary>(new PluginLibrary(std::move(state)));
}

PluginLibrary::PluginLibrary(std::unique_ptr<State> state) : state_(std::move(state)) {}

PluginLibrary::~PluginLibrary() {
    Running::stop(state_->raw, state_->plugin);
    const os::ForeignCall here(state_->culprit, "unloading");  // its destructors run now
    state_->object.reset();
}

const PluginFile& PluginLibrary::file() const {
    return state_->file;
}

const ht_plugin& PluginLibrary::descriptor() const {
    return state_->plugin;
}

const OptionTable& PluginLibrary::options() const {
    return *state_->options;
}

std::string PluginLibrary::name() const {
    return state_->name;
}

const std::string& PluginLibrary::culprit() const {
    return state_->culprit;
}

}  // namespace halftone
