#include "core/cli/arguments.hpp"

#include <algorithm>
#include <boost/program_options.hpp>
#include <charconv>
#include <sstream>

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace halftone::cli {
namespace {

namespace po = boost::program_options;

std::string long_name(const std::string& names) {
    return names.substr(0, names.find(','));
}

}  // namespace

struct Arguments::State {
    struct Operand {
        std::string name;
        bool required;
        std::string help;
    };
    std::string synopsis, about;
    po::options_description visible{"options"};
    po::options_description everything;
    po::positional_options_description positions;
    std::vector<std::string> names;
    std::vector<Operand> operands;
    po::variables_map values;

    [[noreturn]] void refuse(const std::string& what) const {
        throw Error(Exit::usage, "", what, "usage: " + synopsis);
    }
};

Arguments::Arguments(std::string synopsis, std::string about) : state_(std::make_unique<State>()) {
    state_->synopsis = std::move(synopsis);
    state_->about = std::move(about);
    flag("help,h", "show this help");
}

Arguments::~Arguments() = default;

Arguments& Arguments::flag(const std::string& names, const std::string& help) {
    state_->visible.add_options()(names.c_str(), help.c_str());
    state_->names.push_back("--" + long_name(names));
    return *this;
}

Arguments& Arguments::option(const std::string& names, const std::string& value, const std::string& help) {
    auto* text = po::value<std::string>()->value_name(value);
    state_->visible.add_options()(names.c_str(), text, help.c_str());
    state_->names.push_back("--" + long_name(names));
    return *this;
}

Arguments& Arguments::repeated(const std::string& names, const std::string& value, const std::string& help) {
    auto* texts = po::value<std::vector<std::string>>()->value_name(value);
    state_->visible.add_options()(names.c_str(), texts, help.c_str());
    state_->names.push_back("--" + long_name(names));
    return *this;
}

Arguments& Arguments::operand(const std::string& name, bool required, const std::string& help) {
    state_->everything.add_options()(name.c_str(), po::value<std::string>());
    state_->positions.add(name.c_str(), 1);
    state_->operands.push_back({name, required, help});
    return *this;
}

bool Arguments::parse(const std::vector<std::string>& given) {
    po::options_description everything;
    everything.add(state_->everything).add(state_->visible);
    try {
        // No guessing: "--out" for "--output" would break the day another option starts alike.
        const int style = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
        po::store(po::command_line_parser(given)
                      .options(everything)
                      .positional(state_->positions)
                      .style(style)
                      .run(),
                  state_->values);
        po::notify(state_->values);
    } catch (const po::unknown_option& problem) {
        const std::string name = problem.get_option_name();
        state_->refuse(fmt::format("unknown option '{}'{}", name, text::did_you_mean(name, state_->names)));
    } catch (const po::too_many_positional_options_error&) {
        state_->refuse("too many operands");
    } catch (const po::multiple_occurrences& problem) {
        state_->refuse(fmt::format("option '{}' is given twice", problem.get_option_name()));
    } catch (const po::error& problem) {
        state_->refuse(problem.what());
    }
    if (has("help")) return false;
    for (const State::Operand& operand : state_->operands)
        if (operand.required && !has(operand.name)) state_->refuse(operand.name + " is missing");
    return true;
}

std::string Arguments::usage() const {
    std::ostringstream out;
    out << "usage: " << state_->synopsis << "\n\n" << state_->about << "\n";
    if (!state_->operands.empty()) {
        out << "\noperands:\n";
        for (const State::Operand& operand : state_->operands)
            out << fmt::format("  {:<21} {}\n", operand.name, operand.help);
    }
    out << "\n" << state_->visible;
    return out.str();
}

bool Arguments::has(const std::string& name) const {
    return state_->values.count(name) > 0;
}

std::string Arguments::text(const std::string& name, const std::string& fallback) const {
    return has(name) ? state_->values[name].as<std::string>() : fallback;
}

std::vector<std::string> Arguments::all(const std::string& name) const {
    return has(name) ? state_->values[name].as<std::vector<std::string>>() : std::vector<std::string>();
}

std::optional<uint64_t> Arguments::number(const std::string& name, uint64_t least, uint64_t most) const {
    if (!has(name)) return std::nullopt;
    const std::string given = text(name);
    uint64_t value = 0;
    const auto [end, problem] = std::from_chars(given.data(), given.data() + given.size(), value);
    if (problem != std::errc() || end != given.data() + given.size() || value < least || value > most)
        state_->refuse(fmt::format("--{} must be a whole number from {} to {}, not '{}'", name, least, most,
                                   text::printable(given)));
    return value;
}

std::optional<uint64_t> Arguments::bytes(const std::string& name) const {
    if (!has(name)) return std::nullopt;
    const std::optional<uint64_t> value = text::parse_bytes(text(name));
    if (!value)
        state_->refuse(fmt::format("--{} must be a size like 512MiB or 5GB, not '{}'", name,
                                   text::printable(text(name))));
    return value;
}

std::string Arguments::choice(const std::string& name, const std::vector<std::string>& choices,
                              const std::string& fallback) const {
    const std::string given = text(name, fallback);
    if (std::ranges::find(choices, given) == choices.end())
        state_->refuse(fmt::format("--{} must be one of {}, not '{}'{}", name, text::join(choices, ", "),
                                   text::printable(given), text::did_you_mean(given, choices)));
    return given;
}

}  // namespace halftone::cli
