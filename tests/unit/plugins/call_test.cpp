#include "plugins/call.hpp"

#include <cfenv>
#include <gtest/gtest.h>

#include "tests/unit/plugins/support.hpp"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace halftone {
namespace {

using testing_plugins::expect_failure;

const std::string plugin = "format 'x' (/opt/format-x.so)";

TEST(FloatingPoint, AChangedRoundingDirectionIsPutBackAndTold) {
    for (int direction : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
        expect_failure(Exit::plugin, {plugin, "changed the floating-point mode (rounding direction"}, [&] {
            call(
                plugin, [](int to) { std::fesetround(to); }, direction);
        });
        EXPECT_EQ(std::fegetround(), FE_TONEAREST);
    }
}

#if defined(__x86_64__)
TEST(FloatingPoint, AChangedFlushModeIsPutBackAndTold) {
    for (unsigned bits : {0x8000u, 0x0040u, 0x8040u}) {
        const unsigned before = _mm_getcsr();
        expect_failure(Exit::plugin, {plugin, "(flush-to-zero)"}, [&] {
            call(
                plugin, [](unsigned set) { _mm_setcsr(_mm_getcsr() | set); }, bits);
        });
        EXPECT_EQ(_mm_getcsr() & ~0x3fu, before & ~0x3fu);
    }
}

TEST(FloatingPoint, UnmaskedExceptionsArePutBackAndTold) {
    expect_failure(Exit::plugin, {plugin, "exception masks"},
                   [&] { call(plugin, [] { _mm_setcsr(_mm_getcsr() & ~0x80u); }); });
    EXPECT_NE(_mm_getcsr() & 0x80u, 0u);
}

TEST(FloatingPoint, TheX87ControlWordIsWatchedToo) {
    expect_failure(Exit::plugin, {plugin, "x87"}, [&] {
        call(plugin, [] {
            unsigned short word = 0;
            asm volatile("fnstcw %0" : "=m"(word));
            word = static_cast<unsigned short>(word & ~0x300);  // single precision
            asm volatile("fldcw %0" : : "m"(word));
        });
    });
    unsigned short word = 0;
    asm volatile("fnstcw %0" : "=m"(word));
    EXPECT_EQ(word & 0x300, 0x300);
}
#endif

TEST(FloatingPoint, StickyFlagsAreNobodysFault) {
    EXPECT_NO_THROW(call(plugin, [] {
        volatile float zero = 0, one = 1;
        volatile float infinite = one / zero;
        volatile float third = one / 3;
        (void)infinite;
        (void)third;
    }));
}

TEST(FloatingPoint, AnEarlierFailureIsTheOneThatIsTold) {
    const auto work = [&] {
        FloatingPointGuard guard(plugin);
        std::fesetround(FE_UPWARD);
        throw Error(Exit::input, "a.safetensors", "ends too early");
    };
    expect_failure(Exit::input, {"ends too early"}, work);
    EXPECT_EQ(std::fegetround(), FE_TONEAREST);
}

ht_status answer(ht_status status, const char* text, ht_error* error) {
    for (size_t i = 0; i < sizeof error->text; ++i)
        error->text[i] = text[0] == '*' ? 'x' : '\0';
    for (size_t i = 0; text[0] != '*' && text[i] != '\0'; ++i)
        error->text[i] = text[i];
    return status;
}

TEST(Status, BecomesARefusalOrAnErrorWithTheReason) {
    EXPECT_NO_THROW(call_checked(plugin, "prepare()", answer, HT_OK, ""));
    try {
        call_checked(plugin, "prepare()", answer, HT_REFUSED, "has 3 rows, not 4");
        ADD_FAILURE();
    } catch (const Refusal& refusal) {
        EXPECT_STREQ(refusal.what(), "has 3 rows, not 4");
    }
    EXPECT_THROW(call_checked(plugin, "prepare()", answer, HT_REFUSED, ""), Refusal);
    expect_failure(Exit::plugin, {plugin + ": prepare() failed: no luck"},
                   [] { call_checked(plugin, "prepare()", answer, HT_FAILED, "no luck"); });
    expect_failure(Exit::plugin, {"gave no reason (status 2)"},
                   [] { call_checked(plugin, "prepare()", answer, HT_FAILED, ""); });
    expect_failure(Exit::plugin, {"gave no reason (status 77)"},
                   [] { call_checked(plugin, "prepare()", answer, 77, ""); });
    expect_failure(Exit::space, {"out of memory while prepare(): 5 GB"},
                   [] { call_checked(plugin, "prepare()", answer, HT_NO_MEMORY, "5 GB"); });
}

TEST(Status, ATextWithoutEndOrWithOddBytesIsShownSafely) {
    expect_failure(Exit::plugin, {"failed: xxx"}, [] { call_checked(plugin, "it", answer, HT_FAILED, "*"); });
    EXPECT_EQ(shown(std::string_view("a\0b", 3)), "a");
    EXPECT_EQ(shown("line\n"), "line");
    EXPECT_EQ(shown("\x1b[31mred").find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace halftone
