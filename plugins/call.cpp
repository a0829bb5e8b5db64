#include "plugins/call.hpp"

#include <algorithm>
#include <cfenv>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <span>
#include <vector>

#include "core/base/text.hpp"
#include "plugins/guard_bytes.hpp"

#if defined(__x86_64__) || defined(_M_X64)
#define HALFTONE_X86 1
#include <xmmintrin.h>
#endif

namespace halftone {
namespace {

// The mode in one word, without the sticky flags that every inexact operation sets.
#if defined(HALFTONE_X86)

constexpr unsigned long sticky = 0x3f, round_bits = 3ul << 13, flush_bits = 1ul << 15 | 1ul << 6;
constexpr unsigned long mask_bits = 0x3ful << 7, x87_bits = 0xfffful << 16;

unsigned long current_mode() {
    unsigned short x87 = 0;
#if defined(__GNUC__)
    asm volatile("fnstcw %0" : "=m"(x87));
#endif
    return (_mm_getcsr() & ~sticky & 0xffff) | static_cast<unsigned long>(x87) << 16;
}

void set_mode(unsigned long mode) {
    _mm_setcsr((_mm_getcsr() & sticky) | (mode & 0xffff));
#if defined(__GNUC__)
    const auto x87 = static_cast<unsigned short>(mode >> 16);
    asm volatile("fldcw %0" : : "m"(x87));
#endif
}

#elif defined(__aarch64__)

constexpr unsigned long round_bits = 3ul << 22, flush_bits = 1ul << 24 | 1ul << 19 | 3ul;
constexpr unsigned long mask_bits = 0x9ful << 8, x87_bits = 0;

unsigned long current_mode() {
    unsigned long fpcr;
    asm volatile("mrs %0, fpcr" : "=r"(fpcr));
    return fpcr;
}

void set_mode(unsigned long mode) {
    asm volatile("msr fpcr, %0" : : "r"(mode));
}

#else  // what the language can tell: the rounding mode

constexpr unsigned long round_bits = ~0ul, flush_bits = 0, mask_bits = 0, x87_bits = 0;

unsigned long current_mode() {
    return static_cast<unsigned long>(std::fegetround());
}

void set_mode(unsigned long mode) {
    std::fesetround(static_cast<int>(mode));
}

#endif

std::string difference(unsigned long before, unsigned long after) {
    const unsigned long changed = before ^ after;
    std::vector<std::string> parts;
    if (changed & round_bits) parts.emplace_back("rounding direction");
    if (changed & flush_bits) parts.emplace_back("flush-to-zero");
    if (changed & mask_bits) parts.emplace_back("exception masks");
    if (changed & x87_bits) parts.emplace_back("x87 control word");
    return text::join(parts, ", ");
}

struct Breakage {
    bool there = false;
    char text[500];
};
thread_local Breakage broken_here;

}  // namespace

FloatingPointGuard::FloatingPointGuard(const std::string& plugin)
    : plugin_(plugin), mode_(current_mode()), uncaught_(std::uncaught_exceptions()) {}

FloatingPointGuard::~FloatingPointGuard() noexcept(false) {  // NOLINT(bugprone-exception-escape)
    const unsigned long now = current_mode();
    if (now == mode_) return;
    set_mode(mode_);
    if (std::uncaught_exceptions() > uncaught_) return;  // an earlier failure is under way: let it be told
    throw Error(Exit::plugin, plugin_,
                "changed the floating-point mode (" + difference(mode_, now) +
                    ") and did not put it back; results after it could not be trusted",
                "the plugin is at fault: tell its authors (was it built with -ffast-math?)");
}

void note_breakage(std::string_view text) noexcept {
    if (broken_here.there) return;
    broken_here.there = true;
    const size_t length = std::min(text.size(), sizeof broken_here.text - 1);
    std::memcpy(broken_here.text, text.data(), length);
    broken_here.text[length] = '\0';
}

void throw_if_broken(const std::string& plugin, const char* function) {
    if (!broken_here.there) return;
    broken_here.there = false;
    throw Error(Exit::plugin, plugin, std::string(function) + " failed: " + shown(broken_here.text));
}

void throw_escaped(const std::string& plugin, const char* function) {
    broken_here.there = false;
    const auto blame = [&](const std::string& what) {
        throw Error(Exit::plugin, plugin, fmt::format("{} let an exception out: {}", function, what),
                    "the plugin is at fault: its functions return errors and throw nothing");
    };
    try {
        throw;
    } catch (const Error&) {
        throw;
    } catch (const Refusal&) {
        throw;
    } catch (const std::exception& problem) {
        blame(shown(problem.what()));
    } catch (...) {
        blame("something that is no std::exception");
    }
    std::abort();  // not reached
}

Reason::Reason() {
    error_.size = sizeof error_;
    fill_guard(std::as_writable_bytes(std::span(after_)));
}

const ht_error& Reason::checked(const std::string& plugin, const char* function) const {
    if (!guard_is_whole(std::as_bytes(std::span(after_))))
        throw Error(Exit::plugin, plugin,
                    fmt::format("{} wrote more than the {} bytes that there are for a reason", function,
                                sizeof error_.text),
                    "the plugin is at fault: tell its authors");
    return error_;
}

std::string shown(std::string_view buffer) {
    std::string_view text = buffer.substr(0, buffer.find('\0'));
    while (!text.empty() && (text.back() == '\n' || text.back() == ' '))
        text.remove_suffix(1);
    return text::printable(text, 500);
}

void check_status(const std::string& plugin, const char* function, ht_status status, const ht_error& error) {
    if (status == HT_OK) return;
    std::string reason = shown({error.text, sizeof error.text});
    if (status == HT_REFUSED)
        throw Refusal(reason.empty() ? plugin + " refused it without a reason" : reason);
    if (status == HT_NO_MEMORY)
        throw Error(Exit::space, plugin,
                    fmt::format("{} ran out of memory{}", function, reason.empty() ? "" : ": " + reason));
    if (reason.empty()) reason = fmt::format("the plugin gave no reason (status {})", status);
    throw Error(Exit::plugin, plugin, fmt::format("{} failed: {}", function, reason));
}

}  // namespace halftone
