#pragma once

#include <ostream>
#include <streambuf>
#include <string>
#include <string_view>

// What keeps texts from files, plugins and command lines from steering a terminal. A name in a message goes
// through text::printable(), so that it stays on its line; what follows is for whole documents.
namespace halftone::text {

// Lines stay lines and tabs stay tabs; everything else is as in printable(), without a limit.
std::string printable_lines(std::string_view);

// The lines of a text below a first line, each with at least two spaces in front: none can be mistaken for a
// message of its own.
std::string indented_lines(std::string_view);

// A TOML document whose deceptive characters are escaped, so that what stands in its "strings" keeps its
// value. Broken UTF-8 becomes U+FFFD.
std::string toml_printable(std::string_view document);

// A JSON document whose deceptive characters are escaped. Valid JSON has them in strings only; its line
// breaks stay.
std::string json_printable(std::string_view document);

}  // namespace halftone::text

namespace halftone {

// Standard output as the commands see it: everything goes through text::printable_lines() on its way out.
class PrintableStream : public std::ostream {
  public:
    explicit PrintableStream(std::ostream& out) : std::ostream(nullptr), buffer_(out) { rdbuf(&buffer_); }

  private:
    class Buffer : public std::streambuf {
      public:
        explicit Buffer(std::ostream& out) : out_(out) {}
        ~Buffer() override { pass_on(held_.size()); }
        Buffer(const Buffer&) = delete;
        Buffer& operator=(const Buffer&) = delete;

      protected:
        int_type overflow(int_type) override;
        std::streamsize xsputn(const char*, std::streamsize) override;
        int sync() override;

      private:
        bool take(std::string_view);
        bool pass_on_what_is_whole();
        bool pass_on(size_t bytes);

        std::ostream& out_;
        std::string held_;  // never long, so that output appears while it is made
    };

    Buffer buffer_;
};

}  // namespace halftone
