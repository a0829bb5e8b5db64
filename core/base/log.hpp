#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace halftone {

enum class Level { debug, info, warning, error };

// Lines for the user, on standard error. Human text ("warning: ...") or one JSON object a line. Any thread.
// A progress line, if one is shown, is taken away before a line is printed and drawn again after it.
// Any bytes may be written: a text is one line, whatever it contains, and what could steer a terminal is
// escaped.
class Log {
  public:
    enum class Style { human, json };
    struct Settings {
        Style style = Style::human;
        Level least = Level::info;
        bool color = false;
    };
    explicit Log(Settings);
    ~Log();
    Log(const Log&) = delete;
    Log& operator=(const Log&) = delete;

    // `below`: lines of ours under the text, like advice. They are indented, so that none looks like a
    // message.
    void write(Level, std::string_view text);
    void write(Level, std::string_view text, std::string_view below);
    void debug(std::string_view text) { write(Level::debug, text); }
    void info(std::string_view text) { write(Level::info, text); }
    void warning(std::string_view text) { write(Level::warning, text); }
    void error(std::string_view text, std::string_view below = {}) { write(Level::error, text, below); }

    // A line of JSON style: {"event": name, ...members}; `members` is the inside of an object. Nothing in
    // human style.
    void event(std::string_view name, std::string_view members);

    // Replaces the terminal's progress line, cut to its width; "" takes it away. Only for a human on a
    // terminal.
    void progress_line(std::string_view);

    const Settings& settings() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace halftone
