#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/format.hpp"
#include "plugins/host.hpp"
#include "plugins/model.hpp"
#include "plugins/optimizer.hpp"
#include "plugins/search.hpp"

namespace halftone {

// The plugins of a process: finds them once, loads one when it is first asked for. Any thread.
class Registry {
  public:
    Registry(PluginFolders, std::shared_ptr<PluginHost>);
    ~Registry();

    PluginHost& host();  // what the plugins get from us
    const PluginFolders& folders() const;
    const PluginListing& listing() const;

    // Exit::plugin if a folder of plugins is there and cannot be read: what is in it might be what is wanted.
    void require_all_folders() const;

    // Exit::plugin if there is no such plugin (with those found and where it looked, and "did you mean"), or
    // if it cannot be used. `where` is where the user named it: "small.toml:4:10".
    std::shared_ptr<const Format> format(std::string_view id, const std::string& where = {});
    std::shared_ptr<const Model> model(std::string_view id, const std::string& where = {});
    std::shared_ptr<const Optimizer> optimizer(std::string_view id, const std::string& where = {});
    std::shared_ptr<PluginLibrary> library(ht_kind, std::string_view id, const std::string& where = {});

    // A file outside the search path, for `plugins info FILE` and `plugins check FILE`.
    std::shared_ptr<PluginLibrary> library_from_file(const std::filesystem::path&);

    std::vector<std::string> ids(ht_kind) const;
    bool format_mentions(std::string_view id, std::string_view text) const;  // holds_text() of its file
    std::vector<std::string> loaded() const;  // "format 'acme.int4' 1.0.0", in order of loading

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace halftone
