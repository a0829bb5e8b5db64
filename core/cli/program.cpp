#include "core/cli/program.hpp"

#include <algorithm>
#include <iostream>
#include <new>
#include <optional>

#include <halftone/abi.h>

#include "core/base/cpu.hpp"
#include "core/base/error.hpp"
#include "core/base/os/file.hpp"
#include "core/base/os/foreign_call.hpp"
#include "core/base/os/process.hpp"
#include "core/base/text.hpp"
#include "core/base/version.hpp"
#include "core/cli/check_command.hpp"
#include "core/cli/command.hpp"
#include "core/cli/compare_command.hpp"
#include "core/cli/dequantize_command.hpp"
#include "core/cli/inspect.hpp"
#include "core/cli/plugins_command.hpp"
#include "core/cli/run_command.hpp"
#include "core/cli/synth/synth_command.hpp"
#include "core/cli/verify_command.hpp"
#include "plugins/call_watch.hpp"
#include "plugins/registry.hpp"

namespace halftone::cli {
namespace {

constexpr const char* shared_options =
    "options of every command:\n"
    "  --plugin-dir DIR       look for plugins here first; may be given several times\n"
    "  -q [ --quiet ]         only warnings and errors\n"
    "  -v [ --verbose ]       say more\n"
    "  --log human|json       how messages are written to standard error\n";

// What may stand anywhere on the command line.
struct Shared {
    std::vector<std::filesystem::path> plugin_folders;
    Log::Settings log;
    std::vector<std::string> rest;
};

Shared parse_shared(const std::vector<std::string>& arguments) {
    Shared shared;
    shared.log.color = os::is_terminal(2) && !os::environment("NO_COLOR");
    for (size_t i = 0; i < arguments.size(); ++i) {
        const std::string& one = arguments[i];
        // "--name VALUE" and "--name=VALUE"
        const auto value_of = [&](const std::string& name) -> std::optional<std::string> {
            if (one.starts_with(name + "=")) return one.substr(name.size() + 1);
            if (one != name) return std::nullopt;
            if (i + 1 == arguments.size())
                throw Error(Exit::usage, "", name + " needs a value", "see 'halftone help'");
            return arguments[++i];
        };
        if (one == "--quiet" || one == "-q") {
            shared.log.least = Level::warning;
        } else if (one == "--verbose" || one == "-v") {
            shared.log.least = Level::debug;
        } else if (const auto folder = value_of("--plugin-dir")) {
            if (folder->empty()) throw Error(Exit::usage, "--plugin-dir", "the path is empty");
            shared.plugin_folders.emplace_back(*folder);
        } else if (const auto style = value_of("--log")) {
            if (*style != "human" && *style != "json")
                throw Error(Exit::usage, "",
                            fmt::format("--log must be human or json, not '{}'", text::printable(*style)));
            shared.log.style = *style == "json" ? Log::Style::json : Log::Style::human;
        } else {
            shared.rest.push_back(one);
        }
    }
    return shared;
}

int print_version(Context& context) {
    context.out << fmt::format(
        "halftone {}\nABI {}.{}\n{}\nCPU level {} (of {})\nplugins {}\n", version(), HALFTONE_ABI_MAJOR,
        HALFTONE_ABI_MINOR, build_description(), cpu::name(cpu::level()),
        [] {
            std::vector<std::string> names;
            for (ht_cpu level : cpu::available())
                names.push_back(cpu::name(level));
            return text::join(names, ", ");
        }(),
        os::utf8(PluginFolders::standard({}).bundled));
    return 0;
}

std::vector<Command> commands();

void refuse_more_than(size_t most, const std::vector<std::string>& words, const char* usage) {
    if (words.size() > most)
        throw Error(Exit::usage, "", fmt::format("'{}' is one word too many", text::printable(words[most])),
                    usage);
}

int print_help(Context& context, const std::vector<std::string>& about) {
    refuse_more_than(1, about, "usage: halftone help [COMMAND]");
    const std::vector<Command> all = commands();
    if (about.empty()) {
        context.out << "usage: halftone COMMAND [options]\n\n"
                       "Shrinks model weights to few bits, with plugins for the formats.\n\ncommands:\n";
        for (const Command& command : all)
            context.out << fmt::format("  {:<10} {}\n", command.name, command.summary);
        context.out << "\n" << shared_options << "\n'halftone help COMMAND' tells about one.\n";
        return 0;
    }
    const auto found = std::ranges::find(all, about[0], &Command::name);
    if (found == all.end()) {
        std::vector<std::string> names;
        for (const Command& command : all)
            names.push_back(command.name);
        throw Error(Exit::usage, "",
                    fmt::format("there is no command '{}'{}", text::printable(about[0]),
                                text::did_you_mean(about[0], names)),
                    "commands: " + text::join(names, ", "));
    }
    context.out << found->usage << "\n" << shared_options;
    return 0;
}

std::vector<Command> commands() {
    return {run_command(),
            plan_command(),
            dequantize_command(),
            compare_command(),
            verify_command(),
            inspect_command(),
            check_command(),
            synth_command(),
            plugins_command(),
            {"version", "version, ABI, build options, plugins folder", "usage: halftone version\n",
             [](Context& context, const auto& words) {
                 if (!words.empty() && (words[0] == "--help" || words[0] == "-h"))
                     return print_help(context, {"version"});
                 refuse_more_than(0, words, "usage: halftone version");
                 return print_version(context);
             }},
            {"help", "this, or the help of a command", "usage: halftone help [COMMAND]\n", print_help}};
}

int run_command_line(const Shared& shared, Log& log) {
    Context context{.log = log,
                    .out = std::cout,
                    .terminal = os::is_terminal(1),
                    .width = os::terminal_width(1),
                    .registry = [&] {
                        return std::make_shared<Registry>(PluginFolders::standard(shared.plugin_folders),
                                                          std::make_shared<PluginHost>(log, cpu::level()));
                    }};
    std::vector<std::string> rest = shared.rest;
    if (rest.empty() || rest[0] == "--help" || rest[0] == "-h")
        return print_help(context, {}), static_cast<int>(rest.empty() ? Exit::usage : Exit::done);
    if (rest[0] == "--version") rest[0] = "version";
    const std::string name = rest[0];
    rest.erase(rest.begin());
    // 'plugins' starts child processes, and does so with one thread.
    std::optional<CallWatch> watch;
    if (name != "plugins") watch.emplace(log);
    for (const Command& command : commands())
        if (command.name == name) return command.run(context, rest);
    return print_help(context, {name});  // says that there is none
}

void print_error(Log& log, const Error& error) {
    log.error(error.advice().empty() ? error.what() : std::string(error.what()) + "\n  " + error.advice());
}

}  // namespace

int run_program(const std::vector<std::string>& arguments) {
    Log early({.style = Log::Style::human, .least = Level::info, .color = false});
    try {
        const Shared shared = parse_shared(arguments);
        Log log(shared.log);
        os::name_foreign_ends({.json = shared.log.style == Log::Style::json});
        try {
            const int code = run_command_line(shared, log);
            if (!std::cout.flush()) fail(Exit::failed, "standard output", "could not be written completely");
            return code;
        } catch (const Error& error) {
            print_error(log, error);
            return static_cast<int>(error.code());
        } catch (const std::bad_alloc&) {
            print_error(log, Error(Exit::space, "", "out of memory", "lower [run] memory or threads"));
            return static_cast<int>(Exit::space);
        } catch (const std::exception& problem) {
            print_error(log, Error(Exit::failed, "", problem.what()));
            return static_cast<int>(Exit::failed);
        }
    } catch (const Error& error) {
        print_error(early, error);
        return static_cast<int>(error.code());
    }
}

}  // namespace halftone::cli
