#include "plugins/registry.hpp"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/os/file.hpp"
#include "core/base/text.hpp"

namespace halftone {

struct Registry::State {
    PluginFolders folders;
    std::shared_ptr<PluginHost> host;
    PluginListing listing;

    std::mutex mutex;  // what follows; held while a plugin is loaded, so that each is loaded once
    std::map<std::pair<ht_kind, std::string>, std::shared_ptr<PluginLibrary>, std::less<>> libraries;
    std::map<std::string, std::shared_ptr<const Format>, std::less<>> formats;
    std::map<std::string, std::shared_ptr<const Model>, std::less<>> models;
    std::map<std::string, std::shared_ptr<const Optimizer>, std::less<>> optimizers;
    std::vector<std::string> loaded;

    [[noreturn]] void no_such_plugin(ht_kind kind, const std::string& id, const std::string& where) const {
        std::vector<std::string> found, looked, passed_over;
        for (const PluginFile& file : listing.files)
            if (file.kind == kind) found.push_back(file.id);
        for (const std::filesystem::path& folder : folders.in_order())
            looked.push_back(os::utf8(folder));
        const std::string wanted = fmt::format("{}-{}.", kind_name(kind), id);
        for (const std::string& note : listing.skipped)
            if (note.find(wanted) != std::string::npos) passed_over.push_back(note);
        const std::string advice = passed_over.empty() ? "" : "passed over: " + text::join(passed_over, "; ");
        throw Error(
            Exit::plugin, where,
            fmt::format("no {} plugin '{}'; found: {} (looked in: {}){}", kind_name(kind), id,
                        found.empty() ? "none" : text::join(found, ", "),
                        looked.empty() ? "nowhere" : text::join(looked, ", "), text::did_you_mean(id, found)),
            advice);
    }

    std::shared_ptr<PluginLibrary> library(ht_kind kind, const std::string& id, const std::string& where) {
        if (!is_plugin_id(id))
            throw Error(Exit::usage, where, fmt::format("'{}' is no plugin id", text::printable(id)),
                        "ids are made of a-z, 0-9, '_', '.' and '-'; paths are not allowed");
        std::shared_ptr<PluginLibrary>& place = libraries[{kind, id}];
        if (place) return place;
        for (const PluginFile& file : listing.files) {
            if (file.kind != kind || file.id != id) continue;
            place = PluginLibrary::load(file, host);
            loaded.push_back(place->name() + " " + place->descriptor().version);
            return place;
        }
        no_such_plugin(kind, id, where);
    }
};

Registry::Registry(PluginFolders folders, std::shared_ptr<PluginHost> host)
    : state_(std::make_unique<State>()) {
    state_->listing = find_plugins(folders);
    state_->folders = std::move(folders);
    state_->host = std::move(host);
}

Registry::~Registry() = default;

PluginHost& Registry::host() {
    return *state_->host;
}

const PluginFolders& Registry::folders() const {
    return state_->folders;
}

const PluginListing& Registry::listing() const {
    return state_->listing;
}

void Registry::require_all_folders() const {
    if (state_->listing.unread.empty()) return;
    throw Error(Exit::plugin, "", text::join(state_->listing.unread, "; "),
                "give yourself the right to read it, or take it away (--plugin-dir, HALFTONE_PLUGIN_PATH, "
                "XDG_DATA_HOME)");
}

std::shared_ptr<const Format> Registry::format(std::string_view id, const std::string& where) {
    const std::lock_guard lock(state_->mutex);
    if (const auto found = state_->formats.find(id); found != state_->formats.end()) return found->second;
    auto format = std::make_shared<const Format>(state_->library(HT_KIND_FORMAT, std::string(id), where));
    return state_->formats.emplace(id, std::move(format)).first->second;
}

std::shared_ptr<const Model> Registry::model(std::string_view id, const std::string& where) {
    const std::lock_guard lock(state_->mutex);
    if (const auto found = state_->models.find(id); found != state_->models.end()) return found->second;
    auto model = std::make_shared<const Model>(state_->library(HT_KIND_MODEL, std::string(id), where));
    return state_->models.emplace(id, std::move(model)).first->second;
}

std::shared_ptr<const Optimizer> Registry::optimizer(std::string_view id, const std::string& where) {
    const std::lock_guard lock(state_->mutex);
    if (const auto found = state_->optimizers.find(id); found != state_->optimizers.end())
        return found->second;
    auto optimizer =
        std::make_shared<const Optimizer>(state_->library(HT_KIND_OPTIMIZER, std::string(id), where));
    return state_->optimizers.emplace(id, std::move(optimizer)).first->second;
}

std::shared_ptr<PluginLibrary> Registry::library(ht_kind kind, std::string_view id,
                                                 const std::string& where) {
    const std::lock_guard lock(state_->mutex);
    return state_->library(kind, std::string(id), where);
}

std::shared_ptr<PluginLibrary> Registry::library_from_file(const std::filesystem::path& path) {
    return PluginLibrary::load(plugin_file(path), state_->host);
}

std::vector<std::string> Registry::ids(ht_kind kind) const {
    std::vector<std::string> ids;
    for (const PluginFile& file : state_->listing.files)
        if (file.kind == kind) ids.push_back(file.id);
    return ids;
}

bool Registry::format_mentions(std::string_view id, std::string_view text) const {
    return std::ranges::any_of(state_->listing.files, [&](const PluginFile& file) {
        return file.kind == HT_KIND_FORMAT && file.id == id && holds_text(file, text);
    });
}

std::vector<std::string> Registry::loaded() const {
    const std::lock_guard lock(state_->mutex);
    return state_->loaded;
}

}  // namespace halftone
