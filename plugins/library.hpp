#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include <halftone/plugin.h>

#include "plugins/options.hpp"
#include "plugins/search.hpp"

namespace halftone {

class PluginHost;

// A loaded, checked and initialised plugin. Every object made from it holds one of these; the library goes
// when the last has gone, after deinit().
class PluginLibrary {
  public:
    // Reads the symbol table before anything of the library runs; then opens it, checks the descriptor and
    // calls init(). Throws Exit::plugin with the file and the reason.
    static std::shared_ptr<PluginLibrary> load(const PluginFile&, std::shared_ptr<PluginHost>);
    ~PluginLibrary();
    PluginLibrary(const PluginLibrary&) = delete;
    PluginLibrary& operator=(const PluginLibrary&) = delete;

    const PluginFile& file() const;
    const ht_plugin& descriptor() const;
    const OptionTable& options() const;
    std::string name() const;  // "format 'acme.int4'"
    const std::string& culprit()
        const;  // "format 'acme.int4' (/opt/x/format-acme.int4.so)": where the plugin is at fault

  private:
    struct State;
    explicit PluginLibrary(std::unique_ptr<State>);
    std::unique_ptr<State> state_;
};

}  // namespace halftone
