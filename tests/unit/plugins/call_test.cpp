#include "plugins/call.hpp"

#include <cfenv>
#include <cstring>
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
                plugin, "encode()", [](int to) { std::fesetround(to); }, direction);
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
                plugin, "encode()", [](unsigned set) { _mm_setcsr(_mm_getcsr() | set); }, bits);
        });
        EXPECT_EQ(_mm_getcsr() & ~0x3fu, before & ~0x3fu);
    }
}

TEST(FloatingPoint, UnmaskedExceptionsArePutBackAndTold) {
    expect_failure(Exit::plugin, {plugin, "exception masks"},
                   [&] { call(plugin, "encode()", [] { _mm_setcsr(_mm_getcsr() & ~0x80u); }); });
    EXPECT_NE(_mm_getcsr() & 0x80u, 0u);
}

TEST(FloatingPoint, TheX87ControlWordIsWatchedToo) {
    expect_failure(Exit::plugin, {plugin, "x87"}, [&] {
        call(plugin, "encode()", [] {
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
    EXPECT_NO_THROW(call(plugin, "encode()", [] {
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
    expect_failure(Exit::space, {"prepare() ran out of memory: 5 GB"},
                   [] { call_checked(plugin, "prepare()", answer, HT_NO_MEMORY, "5 GB"); });
}

TEST(Status, ATextWithoutEndOrWithOddBytesIsShownSafely) {
    expect_failure(Exit::plugin, {"failed: xxx"}, [] { call_checked(plugin, "it", answer, HT_FAILED, "*"); });
    EXPECT_EQ(shown(std::string_view("a\0b", 3)), "a");
    EXPECT_EQ(shown("line\n"), "line");
    EXPECT_EQ(shown("\x1b[31mred").find('\x1b'), std::string::npos);
}

// What a table written in another language may hold.
template <class Function>
auto cast_to_noexcept(Function function) {
    return reinterpret_cast<void (*)(int) noexcept>(reinterpret_cast<void*>(+function));
}

TEST(Exceptions, ThatLeaveAFunctionNameThePluginAndTheFunction) {
    expect_failure(Exit::plugin, {plugin + ": encode() let an exception out: no licence"}, [] {
        call(plugin, "encode()", cast_to_noexcept([](int) { throw std::runtime_error("no licence"); }), 1);
    });
    expect_failure(Exit::plugin, {plugin + ": decode() let an exception out: something that is no std::exc"},
                   [] { call(plugin, "decode()", cast_to_noexcept([](int) { throw 7; }), 1); });
    EXPECT_TRUE(os::active_calls().empty());
}

TEST(Exceptions, OfTheHostPassThroughACall) {
    EXPECT_THROW(call(plugin, "score()", [] { throw Refusal("has 3 rows"); }), Refusal);
    expect_failure(Exit::input, {"cut off"},
                   [] { call(plugin, "score()", [] { throw Error(Exit::input, "a", "cut off"); }); });
}

TEST(Reasons, ThatAreTooLongForTheirPlaceAreTold) {
    const auto too_much = [](ht_error* error) -> ht_status {
        std::memset(error->text, 'x', sizeof error->text + 20);
        return HT_FAILED;
    };
    expect_failure(Exit::plugin, {plugin, "prepare() wrote more than the"},
                   [&] { call_checked(plugin, "prepare()", too_much); });
}

TEST(ActiveCalls, KnowPluginFunctionAndSubjectAndNest) {
    const os::Subject outer("blocks.0.weight");
    call(plugin, "minimize()", [] {
        const os::HomeCall here;
        EXPECT_TRUE(os::active_calls().empty());
        const os::Subject inner("blocks.1\x1b.weight");
        call("format 'y'", "snap()", [] {
            const auto calls = os::active_calls();
            ASSERT_EQ(calls.size(), 1u);
            EXPECT_EQ(calls[0].culprit, "format 'y'");
            EXPECT_EQ(calls[0].doing(), "in snap() of 'blocks.1\\x1b.weight'");
        });
    });
    call(plugin, "encode()", [] {
        const auto calls = os::active_calls();
        ASSERT_EQ(calls.size(), 1u);
        EXPECT_EQ(calls[0].returning(), "returns from encode() of 'blocks.0.weight'");
    });
    EXPECT_STREQ(os::Subject::current(), "blocks.0.weight");
}

}  // namespace
}  // namespace halftone
