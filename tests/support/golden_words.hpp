// A file of tests/interop/golden, word by word: what other people's code made of hard inputs. Numbers are
// hexadecimal bit patterns.
#pragma once

#include <bit>
#include <cstdint>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/matrices.hpp"

namespace halftone::format_test {

class GoldenWords {
  public:
    explicit GoldenWords(const std::string& path) : in_(path) {
        if (!in_) throw std::runtime_error("cannot read " + path);
    }
    // Goes to the next entry; false at the end.
    bool entry(const std::string& kind) {
        for (std::string word; in_ >> word;)
            if (word == kind)
                return true;
            else
                std::getline(in_, word);  // a comment
        return false;
    }
    std::string word() {
        std::string word;
        if (!(in_ >> word)) throw std::runtime_error("a golden file ends too early");
        return word;
    }
    uint64_t count() { return std::stoull(word()); }
    uint64_t hexadecimal() { return std::stoull(word(), nullptr, 16); }
    std::vector<float> floats(uint64_t n) {
        std::vector<float> values(n);
        for (float& value : values)
            value = std::bit_cast<float>(static_cast<uint32_t>(hexadecimal()));
        return values;
    }
    Bytes bytes(uint64_t n) {
        Bytes values(n);
        for (uint8_t& value : values)
            value = static_cast<uint8_t>(hexadecimal());
        return values;
    }
    // BYTE*COUNT, that many of them.
    Bytes runs(uint64_t n) {
        Bytes values;
        for (; n > 0; --n) {
            const std::string run = word();
            const size_t star = run.find('*');
            values.insert(values.end(), std::stoul(run.substr(star + 1)),
                          static_cast<uint8_t>(std::stoul(run.substr(0, star), nullptr, 16)));
        }
        return values;
    }

  private:
    std::ifstream in_;
};

}  // namespace halftone::format_test
