#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "plugins/library.hpp"
#include "plugins/watch.hpp"

namespace halftone::conformance {

enum class Outcome { ok, failed, not_applicable, unfinished };

struct Result {
    std::string check;    // "regions"
    std::string promise;  // what is promised, in a line
    Outcome outcome = Outcome::not_applicable;
    uint64_t cases = 0;  // in how many it was looked at
    std::string detail;  // of a failure: which function, on what, what was expected and what came
};

// What was checked.
struct Subject {
    std::string kind, id, name, version, path;
};

struct Report {
    Subject subject;
    std::vector<Result> results;
    uint64_t matrices = 0;             // plans that were tried with weights
    uint64_t refused = 0;              // shapes and options that the format takes not
    std::vector<std::string> remarks;  // what could not be tried
    bool finished = true;              // false: the plugin ended the process, or was ended
    bool passed() const;
};

// Told as a check goes on: a plugin may end the process at any moment.
class Observer {
  public:
    virtual ~Observer() = default;
    virtual void at(const std::string& where) = 0;  // what is tried next, "3 x 70, BF16, ..., during 'fill'"
    virtual void know(const Result&) = 0;           // how a check stands
    virtual void count(uint64_t matrices, uint64_t refused) = 0;
};

struct CheckSettings {
    uint64_t seed = 1;  // the same one tries the same things
    Watch watch = Watch::yes;
    Observer* observer = nullptr;
    std::string named = {};                          // how the plugin was asked for
    std::vector<std::string> labels_of_others = {};  // that this format must not take for its own
};

// Holds a plugin to what the headers promise, through its table of functions as the host calls them. Formats:
// matrices of many shapes and values, options as its own table has them, every layout. Profiles: headers and
// tensors of many names. A plugin that crashes takes the process with it.
Report check(std::shared_ptr<PluginLibrary>, const CheckSettings&);
Report check_format(std::shared_ptr<PluginLibrary>, const CheckSettings&);
Report check_model(std::shared_ptr<PluginLibrary>, const CheckSettings&);

// Loads and checks a plugin in a child process, with fences around all buffers. A crash, the end of the
// process and a call that takes longer than `timeout` seconds are failures of the row 'calls'. `load` runs in
// the child.
Report check_in_child(const std::function<std::shared_ptr<PluginLibrary>()>& load, CheckSettings,
                      double timeout);

}  // namespace halftone::conformance
