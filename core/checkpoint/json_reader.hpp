#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/os/file.hpp"

namespace halftone {

// Reads a JSON text as a stream, value by value. A parser that keeps whole tokens for its messages, or a
// tree, needs several times the text's size in memory; this one keeps nothing but the string that is asked
// for, so that a hostile header of 100 MB costs no more than what it says. As strict as RFC 8259: one value,
// valid UTF-8, no lone surrogates. Errors are Exit::input and tell the byte.
class JsonReader {
  public:
    enum class Kind { object, array, string, number, literal };

    struct Text {
        std::string where;                       // the file, for errors
        std::string subject;                     // what is read, for errors: "header"
        uint64_t position = 0;                   // of the text's first byte, as errors count
        unsigned depth = 16;                     // of objects and arrays
        std::function<std::string_view()> next;  // the next bytes, valid until called again; empty at the end
    };
    explicit JsonReader(Text text) : text_(std::move(text)), position_(text_.position) {}

    Kind peek();  // at the value that comes next

    // begin_object(); while (next_member(key)) { ...read one value... }
    void begin_object();
    bool next_member(std::string& key);
    void begin_array();
    bool next_element();

    void string(std::string& out);
    std::string_view literal();  // true, false or null
    std::string number();        // as written; what is longer than any number that we read is cut
    void skip();                 // any value, checked all the same
    void finish();               // nothing but white space may follow

    template <class... Args>
    [[noreturn]] void refuse(fmt::format_string<Args...> what, Args&&... args) const {
        fail(Exit::input, text_.where, "{}: {} (at byte {})", text_.subject,
             fmt::format(what, std::forward<Args>(args)...), position_);
    }

  private:
    int look();  // the next byte, -1 at the end
    void take();
    void skip_space();
    void expect(char, std::string_view after);
    void enter();
    bool advance(char close);
    void read_string(std::string* out);
    void read_escape(std::string* out);
    void read_beyond_ascii(std::string* out);
    uint32_t read_hex();
    void read_digits(std::string& out);
    std::string found();

    Text text_;
    std::string_view rest_;
    bool ended_ = false;
    uint64_t position_;
    std::vector<bool> fresh_;  // of each open object or array: nothing read from it yet
};

std::string_view name(JsonReader::Kind);  // "an object"

// A part of a file as JsonReader::Text::next; the file must stay open. `see` is shown every byte once.
std::function<std::string_view()> chunks_of(const os::File&, uint64_t offset, uint64_t bytes,
                                            std::function<void(std::span<const std::byte>)> see = {});

}  // namespace halftone
