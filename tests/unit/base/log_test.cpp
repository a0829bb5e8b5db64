#include "core/base/log.hpp"

#include <algorithm>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <random>
#include <sstream>
#include <string>
#include <sys/ioctl.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "core/base/json.hpp"
#include "core/base/text.hpp"

namespace halftone {
namespace {

template <class Use>
std::string lines_of(Log::Settings settings, Use use) {
    testing::internal::CaptureStderr();
    {
        Log log(settings);
        use(log);
    }
    return testing::internal::GetCapturedStderr();
}

constexpr auto json = Log::Style::json;

TEST(HumanLog, NamesTheLevelExceptOfInformation) {
    EXPECT_EQ(lines_of({},
                       [](Log& log) {
                           log.debug("hidden");
                           log.info("reading");
                           log.warning("odd");
                           log.error("bad");
                       }),
              "reading\nwarning: odd\nerror: bad\n");
}

TEST(HumanLog, ObeysTheLeastLevel) {
    const auto all = [](Log& log) {
        log.debug("1");
        log.info("2");
        log.warning("3");
        log.error("4");
    };
    EXPECT_EQ(lines_of({.least = Level::debug}, all), "debug: 1\n2\nwarning: 3\nerror: 4\n");
    EXPECT_EQ(lines_of({.least = Level::error}, all), "error: 4\n");
}

TEST(HumanLog, ColorsOnlyTheLevel) {
    EXPECT_EQ(lines_of({.color = true}, [](Log& log) { log.error("bad"); }), "\x1b[1;31merror:\x1b[0m bad\n");
    EXPECT_EQ(lines_of({.color = true}, [](Log& log) { log.info("fine"); }), "fine\n");
}

TEST(HumanLog, IsOneLineWhateverATextContains) {
    EXPECT_EQ(lines_of({}, [](Log& log) { log.warning("one\nerror: forged\x1b]0;title\x07\xFF\u202E"); }),
              "warning: one\\nerror: forged\\x1b]0;title\\x07\\xff\\u202e\n");
}

TEST(HumanLog, IndentsWhatStandsBelow) {
    EXPECT_EQ(lines_of({}, [](Log& log) { log.error("bad", "do this\nerror: forged\x1b"); }),
              "error: bad\n  do this\n  error: forged\\x1b\n");
}

TEST(HumanLog, WritesNoEvents) {
    EXPECT_EQ(lines_of({}, [](Log& log) { log.event("done", "\"n\":1"); }), "");
}

TEST(JsonLog, WritesOneObjectPerLine) {
    EXPECT_EQ(lines_of({.style = json, .least = Level::debug},
                       [](Log& log) {
                           log.debug("a");
                           log.warning("say \"no\"\n");
                           log.event("done", "\"tensors\":3");
                           log.event("start", "");
                       }),
              "{\"level\":\"debug\",\"text\":\"a\"}\n"
              "{\"level\":\"warning\",\"text\":\"say \\\"no\\\"\\n\"}\n"
              "{\"event\":\"done\",\"tensors\":3}\n"
              "{\"event\":\"start\"}\n");
}

TEST(JsonLog, EscapesWhatCouldSteerATerminal) {
    EXPECT_EQ(lines_of({.style = json}, [](Log& log) { log.error("\u009B\u202E\x7F", "advice"); }),
              "{\"level\":\"error\",\"text\":\"\\u009b\\u202e\\u007f\\nadvice\"}\n");
}

TEST(JsonLog, IsValidForAnyBytes) {
    std::mt19937 random(5);
    for (int round = 0; round < 300; ++round) {
        std::string text(random() % 50, '\0');
        std::generate(text.begin(), text.end(), [&] { return static_cast<char>(random()); });
        std::string line = lines_of({.style = json}, [&](Log& log) { log.info(text); });
        ASSERT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
        const Json parsed = Json::parse(line);
        if (text::is_utf8(text)) {
            EXPECT_EQ(parsed["text"].get<std::string>(), text);
        }
    }
}

TEST(Log, KeepsLinesWholeOnManyThreadsAndTwoLogs) {
    const std::string all = lines_of({}, [](Log& log) {
        Log other({.style = json});
        std::vector<std::thread> threads;
        threads.reserve(8);
        for (int t = 0; t < 8; ++t)
            threads.emplace_back([&, t] {
                for (int i = 0; i < 200; ++i)
                    (t % 2 ? other : log).warning(std::string(50, static_cast<char>('a' + t)));
            });
        for (std::thread& thread : threads)
            thread.join();
    });
    std::istringstream stream(all);
    int human = 0, machine = 0;
    for (std::string line; std::getline(stream, line);) {
        const bool object = line.starts_with("{\"level\":\"warning\",\"text\":\"");
        const std::string word = object ? Json::parse(line)["text"].get<std::string>() : line.substr(9);
        EXPECT_EQ(word, std::string(50, word.at(0))) << line;
        ++(object ? machine : human);
    }
    EXPECT_EQ(human, 800);
    EXPECT_EQ(machine, 800);
}

TEST(ProgressLine, IsNotShownWhereNobodyLooks) {
    EXPECT_EQ(lines_of({}, [](Log& log) { log.progress_line("50 %"); }), "");
    EXPECT_EQ(lines_of({.style = json}, [](Log& log) { log.progress_line("50 %"); }), "");
}

// Standard error as a terminal of the given width, for the life of the object.
class Terminal {
  public:
    explicit Terminal(unsigned short width)
        : keyboard_(::posix_openpt(O_RDWR | O_NOCTTY)), before_(::dup(2)) {
        if (keyboard_ < 0 || ::grantpt(keyboard_) != 0 || ::unlockpt(keyboard_) != 0) return;
        const int screen = ::open(::ptsname(keyboard_), O_RDWR | O_NOCTTY);
        if (screen < 0) return;
        winsize size{24, width, 0, 0};
        ok_ = ::ioctl(screen, TIOCSWINSZ, &size) == 0 && ::dup2(screen, 2) == 2;
        ::close(screen);
    }
    ~Terminal() {
        ::dup2(before_, 2);
        ::close(before_);
        ::close(keyboard_);
    }
    Terminal(const Terminal&) = delete;
    Terminal& operator=(const Terminal&) = delete;

    bool ok() const { return ok_; }
    // What has arrived once it ends with `last`; a terminal passes it on when it likes.
    std::string seen(std::string_view last) const {
        std::string text;
        for (pollfd wait = {keyboard_, POLLIN, 0}; !text.ends_with(last) && ::poll(&wait, 1, 5000) == 1;) {
            char part[256];
            const ssize_t n = ::read(keyboard_, part, sizeof part);
            if (n <= 0) break;
            text.append(part, static_cast<size_t>(n));
        }
        return text;
    }

  private:
    int keyboard_, before_;
    bool ok_ = false;
};

TEST(ProgressLine, MakesRoomForLinesAndComesBack) {
    const std::string cut = "\r\x1b[Kééééééééééééééééééé";  // 19 of 20 columns
    std::string seen;
    {
        Terminal terminal(20);
        if (!terminal.ok()) GTEST_SKIP() << "no pseudo-terminals here";
        {
            Log log({});
            log.progress_line("50 %");
            log.info("a line");
            log.progress_line("ééééééééééééééééééééééé");
        }
        seen = terminal.seen(cut + "\r\x1b[K");
    }
    EXPECT_EQ(seen,
              "\r\x1b[K50 %"
              "\r\x1b[Ka line\r\n50 %" +
                  cut + "\r\x1b[K");
}

}  // namespace
}  // namespace halftone
