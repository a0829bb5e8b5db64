#include "core/cli/program.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <new>
#include <optional>
#include <system_error>

#include <halftone/abi.h>

#include "core/base/cpu.hpp"
#include "core/base/error.hpp"
#include "core/base/os/file.hpp"
#include "core/base/os/foreign_call.hpp"
#include "core/base/os/memory.hpp"
#include "core/base/os/process.hpp"
#include "core/base/os/standard_streams.hpp"
#include "core/base/printable.hpp"
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

constexpr int standard_output = 1, standard_error = 2;

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

// What others call a command of ours.
struct OtherWord {
    std::string_view word, command;
};
constexpr std::array<OtherWord, 7> other_words = {{{"quantize", "run"},
                                                   {"quantise", "run"},
                                                   {"convert", "run"},
                                                   {"info", "inspect"},
                                                   {"show", "inspect"},
                                                   {"diff", "compare"},
                                                   {"validate", "verify"}}};

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
        const auto meant = std::ranges::find(other_words, about[0], &OtherWord::word);
        throw Error(Exit::usage, "",
                    fmt::format("there is no command '{}'{}", text::printable(about[0]),
                                meant != other_words.end() ? fmt::format("; '{}' does that", meant->command)
                                                           : text::did_you_mean(about[0], names)),
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

int run_command_line(const Shared& shared, Log& log, std::ostream& out) {
    const auto registry = [&] {
        return std::make_shared<Registry>(PluginFolders::standard(shared.plugin_folders),
                                          std::make_shared<PluginHost>(log, cpu::level()));
    };
    const auto complete_registry = [&] {
        auto all = registry();
        all->require_all_folders();
        return all;
    };
    Context context{.log = log,
                    .out = out,
                    .terminal = os::is_terminal(1),
                    .width = os::terminal_width(1),
                    .registry = complete_registry,
                    .listed_registry = registry};
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
    log.error(error.what(), error.advice());
}

constexpr const char *out_of_memory = "out of memory", *need_less = "lower [run] memory or threads";

// A thread that cannot be started is memory that was refused: its stack. The task scheduler says so in words
// alone.
bool is_refused_memory(const std::exception& problem) {
    if (dynamic_cast<const std::bad_alloc*>(&problem)) return true;
    if (const auto* const error = dynamic_cast<const std::system_error*>(&problem))
        return error->code() == std::errc::resource_unavailable_try_again ||
               error->code() == std::errc::not_enough_memory;
    return std::string_view(problem.what()).starts_with("pthread_create has failed");
}

// Where an exception cannot be caught, in a thread of the scheduler or where there is no memory for a
// message. What is not about memory is a bug, and ends as one.
void on_terminate() {
    if (const std::exception_ptr problem = std::current_exception()) {
        try {
            std::rethrow_exception(problem);
        } catch (const std::exception& refused) {
            if (is_refused_memory(refused))
                os::end_at_once(Exit::space, "error: out of memory\n  lower [run] memory or threads\n");
        } catch (...) {
        }
    }
    std::abort();
}

// A reader that takes a few lines and leaves, like head, has what it wanted. Not so if a file was written,
// too: then somebody should know that it is there.
int tell_of_lost_output(const Shared& shared, Log& log) {
    const bool gone = os::reader_is_gone(standard_output);
    const std::string command = shared.rest.empty() ? "" : shared.rest.front();
    const bool writes_files = command == "run" || command == "dequantize" || command == "synth";
    if (!gone || writes_files)
        log.error(fmt::format("standard output: could not be written completely{}",
                              gone ? ": nobody reads it any more" : ""));
    return static_cast<int>(Exit::failed);
}

}  // namespace

int run_program(const std::vector<std::string>& arguments) {
    std::set_terminate(on_terminate);
    Log early({.style = Log::Style::human, .least = Level::info, .color = false});
    try {
        const Shared shared = parse_shared(arguments);
        Log log(shared.log);
        os::name_foreign_ends({.json = shared.log.style == Log::Style::json});
        try {
            PrintableStream out(std::cout);
            const int code = run_command_line(shared, log, out);
            if (!out.flush()) return tell_of_lost_output(shared, log);
            return code;
        } catch (const Error& error) {
            print_error(log, error);
            const bool lost = error.code() == Exit::interrupted && os::reader_is_gone(standard_error);
            return static_cast<int>(lost ? Exit::failed : error.code());
        } catch (const std::exception& problem) {
            if (is_refused_memory(problem)) {
                log.error(out_of_memory, need_less);
                return static_cast<int>(Exit::space);
            }
            print_error(log, Error(Exit::failed, "", problem.what()));
            return static_cast<int>(Exit::failed);
        }
    } catch (const Error& error) {
        print_error(early, error);
        return static_cast<int>(error.code());
    }
}

}  // namespace halftone::cli
