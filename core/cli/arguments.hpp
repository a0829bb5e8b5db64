#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace halftone::cli {

// A command's options and operands, declared once: parsing and the help text come from the same rows.
// The one place that includes Boost.Program_options.
class Arguments {
  public:
    // `synopsis`: "halftone run PIPELINE [options]"; `about`: paragraphs above the options.
    Arguments(std::string synopsis, std::string about);
    ~Arguments();
    Arguments(const Arguments&) = delete;
    Arguments& operator=(const Arguments&) = delete;

    // `names` as "output,o". `value` is what stands for the value in the help: "FILE".
    Arguments& flag(const std::string& names, const std::string& help);
    Arguments& option(const std::string& names, const std::string& value, const std::string& help);
    Arguments& repeated(const std::string& names, const std::string& value, const std::string& help);
    Arguments& operand(const std::string& name, bool required, const std::string& help);

    // Exit::usage for what makes no sense: "unknown option '--outptu'; did you mean '--output'?"
    // Returns false if --help was among them.
    bool parse(const std::vector<std::string>&);

    std::string usage() const;

    bool has(const std::string& name) const;
    std::string text(const std::string& name, const std::string& fallback = {}) const;
    std::vector<std::string> all(const std::string& name) const;
    // Exit::usage if it is no whole number from `least` to `most`.
    std::optional<uint64_t> number(const std::string& name, uint64_t least, uint64_t most) const;
    std::optional<uint64_t> bytes(const std::string& name) const;  // "64MiB"
    // Exit::usage, with a suggestion, if it is none of the choices.
    std::string choice(const std::string& name, const std::vector<std::string>& choices,
                       const std::string& fallback) const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace halftone::cli
