#include <algorithm>
#include <array>
#include <charconv>
#include <numeric>
#include <optional>
#include <tuple>
#include <utility>

#include <halftone/matrix.h>

#include "core/base/error.hpp"
#include "core/base/sha256.hpp"
#include "core/base/text.hpp"
#include "core/checkpoint/checkpoint.hpp"
#include "core/checkpoint/in_quotes.hpp"
#include "core/checkpoint/json_reader.hpp"

namespace halftone {
namespace {

constexpr uint64_t length_word = 8;
constexpr uint64_t shortest_entry =
    std::string_view(R"("":{"dtype":"U8","shape":[],"data_offsets":[0,1]})").size();

// For people who hold a file of another kind in their hands.
std::string advice_on_contents(std::string_view start) {
    struct Known {
        std::string_view magic, advice;
    };
    constexpr std::array<Known, 8> known = {{
        {"version https://git-lfs",
         "this is the placeholder of a large file in git; fetch the file with 'git lfs pull'"},
        {"PK\x03\x04", "this is a zip archive, as PyTorch writes them; save the model as safetensors first"},
        {"\x80\x02", "this looks like a Python pickle; save the model as safetensors first"},
        {"\x80\x04", "this looks like a Python pickle; save the model as safetensors first"},
        {"GGUF", "this is a GGUF file; start from the safetensors file that it was made of"},
        {"<!DOCTYPE", "this is a web page; was it saved in place of the file?"},
        {"<html", "this is a web page; was it saved in place of the file?"},
        {"{", "this looks like JSON; the index of a sharded model must be named *.json"},
    }};
    for (const Known& kind : known)
        if (start.starts_with(kind.magic)) return std::string(kind.advice);
    return "the file is cut off, or no safetensors file at all";
}

// The header of one file on its way from text to tensors.
class HeaderParser {
  public:
    HeaderParser(const os::File& file, const HeaderLimits& limits)
        : file_(file), where_(os::utf8(file.path())), size_(file.size()), limits_(limits) {}

    ParsedHeader parse() {
        read_length();
        JsonReader json({where_, "header", length_word, limits_.depth,
                         chunks_of(file_, length_word, header_.json_bytes,
                                   [this](std::span<const std::byte> bytes) { hash_.add(bytes); })});
        // Untouched memory costs nothing, whereas growing would hold everything twice at its peak.
        header_.tensors.reserve(header_.json_bytes / shortest_entry + 1);
        read_members(json);
        header_.sha256 = hash_.hex();
        check_names();
        place_data();
        return std::move(header_);
    }

  private:
    template <class... Args>
    [[noreturn]] void refuse(fmt::format_string<Args...> what, Args&&... args) const {
        fail(Exit::input, where_, what, std::forward<Args>(args)...);
    }

    void read_length() {
        if (size_ < length_word) refuse("{} bytes are too few for a safetensors file", size_);
        std::array<std::byte, length_word> word{};
        file_.read(0, word);
        hash_.add(word);
        for (size_t i = 0; i < length_word; ++i)
            header_.json_bytes |= std::to_integer<uint64_t>(word[i]) << (8 * i);
        const uint64_t n = header_.json_bytes, rest = size_ - length_word;
        if (n > limits_.json_bytes)
            refuse_as_foreign(
                fmt::format("the header's length is given as {} bytes, more than the allowed {}",
                            text::grouped(n), text::grouped(limits_.json_bytes)));
        if (n > rest)
            refuse_as_foreign(fmt::format("the header's length is given as {} bytes, but only {} follow",
                                          text::grouped(n), text::grouped(rest)));
        if (n == 0) refuse("the header is empty");
    }

    [[noreturn]] void refuse_as_foreign(std::string problem) const {
        std::string start(std::min<uint64_t>(size_, 32), '\0');
        file_.read(0, std::as_writable_bytes(std::span(start)));
        throw Error(Exit::input, where_, std::move(problem), advice_on_contents(start));
    }

    static void expect(JsonReader& json, JsonReader::Kind wanted, const auto& subject) {
        if (const JsonReader::Kind found = json.peek(); found != wanted)
            json.refuse("{} must be {}, not {}", subject(), name(wanted), name(found));
    }

    void read_members(JsonReader& json) {
        using Kind = JsonReader::Kind;
        expect(json, Kind::object, [] { return "the header"; });
        json.begin_object();
        bool with_metadata = false;
        for (std::string key; json.next_member(key);) {
            if (key != "__metadata__") {
                read_tensor(json, key);
                continue;
            }
            if (std::exchange(with_metadata, true)) json.refuse("'__metadata__' comes twice");
            expect(json, Kind::object, [] { return "'__metadata__'"; });
            json.begin_object();
            while (json.next_member(key)) {
                if (header_.metadata.size() == limits_.metadata_entries)
                    json.refuse("there are more than {} metadata entries",
                                text::grouped(limits_.metadata_entries));
                expect(json, Kind::string, [&] { return "metadata " + in_quotes(key); });
                json.string(header_.metadata.emplace_back(std::move(key), std::string()).second);
            }
        }
        json.finish();
    }

    void read_tensor(JsonReader& json, const std::string& name) {
        using Kind = JsonReader::Kind;
        if (name.find('\0') != std::string::npos)
            json.refuse("the name of tensor {} contains a NUL character", in_quotes(name));
        Tensor tensor;
        tensor.name = name;  // copied, so that it is no longer than it must be
        const auto subject = [&] { return "tensor " + in_quotes(tensor.name); };
        expect(json, Kind::object, subject);
        json.begin_object();
        bool with_dtype = false, with_shape = false, with_offsets = false;
        const auto once = [&](bool& seen, std::string_view what) {
            if (std::exchange(seen, true)) json.refuse("{} has '{}' twice", subject(), what);
        };
        while (json.next_member(text_)) {
            if (text_ == "dtype") {
                once(with_dtype, "dtype");
                expect(json, Kind::string, [&] { return subject() + ": its dtype"; });
                json.string(text_);
                const std::optional<ht_dtype> dtype = dtype::from_name(text_);
                if (!dtype) json.refuse("{} has the unknown dtype {}", subject(), in_quotes(text_));
                tensor.dtype = *dtype;
            } else if (text_ == "shape") {
                once(with_shape, "shape");
                read_shape(json, tensor.shape, subject);
            } else if (text_ == "data_offsets") {
                once(with_offsets, "data_offsets");
                read_offsets(json, tensor, subject);
            } else {
                remark_on_member(tensor.name);
                json.skip();
            }
        }
        if (!with_dtype || !with_shape || !with_offsets)
            json.refuse("{} has no '{}'", subject(),
                        !with_dtype   ? "dtype"
                        : !with_shape ? "shape"
                                      : "data_offsets");
        check_size(json, tensor, subject);
        header_.tensors.push_back(std::move(tensor));
    }

    uint64_t read_whole_number(JsonReader& json, const auto& subject) {
        expect(json, JsonReader::Kind::number, subject);
        const std::string digits = json.number();
        uint64_t value = 0;
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
        if (error != std::errc() || end != digits.data() + digits.size())
            json.refuse("{} holds {}, which is no whole number from 0 to 2^64-1", subject(), digits);
        return value;
    }

    void read_shape(JsonReader& json, Shape& shape, const auto& tensor) {
        const auto subject = [&] { return tensor() + ": its shape"; };
        expect(json, JsonReader::Kind::array, subject);
        json.begin_array();
        while (json.next_element()) {
            if (shape.size() == HT_MAX_RANK)
                json.refuse("{} has more than the {} dimensions that Halftone can handle", tensor(),
                            static_cast<int>(HT_MAX_RANK));
            shape.push_back(read_whole_number(json, subject));
        }
        shape.shrink_to_fit();
    }

    void read_offsets(JsonReader& json, Tensor& tensor, const auto& name) {
        const auto subject = [&] { return name() + ": its data_offsets"; };
        expect(json, JsonReader::Kind::array, subject);
        json.begin_array();
        std::array<uint64_t, 2> offsets{};
        size_t n = 0;
        while (json.next_element()) {
            const uint64_t value = read_whole_number(json, subject);
            if (n < offsets.size()) offsets[n] = value;
            ++n;
        }
        if (n != offsets.size()) json.refuse("{} must be two numbers, not {}", subject(), n);
        const auto [begin, end] = offsets;
        if (end < begin) json.refuse("{} end before they begin: [{}, {}]", subject(), begin, end);
        tensor.offset = begin;
        tensor.bytes = end - begin;
    }

    static void check_size(const JsonReader& json, const Tensor& tensor, const auto& subject) {
        const std::optional<uint64_t> bytes = byte_count(tensor.dtype, tensor.shape);
        const auto elements = element_count(tensor.shape);
        if (!elements || (!bytes && *elements > UINT64_MAX / dtype::bits(tensor.dtype)))
            json.refuse("{} is too large: the size of {} {} overflows 64 bits", subject(),
                        dtype::name(tensor.dtype), to_string(tensor.shape));
        if (!bytes)
            json.refuse("{} does not fill whole bytes: {} elements of {} bits each", subject(), *elements,
                        dtype::bits(tensor.dtype));
        if (*bytes != tensor.bytes)
            json.refuse("{} needs {} bytes for {} {}, but its data_offsets span {}", subject(), *bytes,
                        dtype::name(tensor.dtype), to_string(tensor.shape), tensor.bytes);
    }

    // One line, however many tensors have them.
    void remark_on_member(const std::string& tensor) {
        if (std::exchange(unknown_members_, true)) return;
        header_.remarks.push_back(
            fmt::format("{}: the header says more about tensor {} than readers know: {} is ignored, as are "
                        "others of the kind",
                        where_, in_quotes(tensor), in_quotes(text_)));
    }

    void check_names() const {
        const auto& tensors = header_.tensors;
        std::vector<uint32_t> order(tensors.size());
        std::iota(order.begin(), order.end(), 0U);
        const auto by_name = [&](uint32_t a, uint32_t b) { return tensors[a].name < tensors[b].name; };
        std::sort(order.begin(), order.end(), by_name);
        for (size_t i = 1; i < order.size(); ++i)
            if (tensors[order[i - 1]].name == tensors[order[i]].name)
                refuse("tensor {} comes twice in the header", in_quotes(tensors[order[i]].name));

        std::vector<std::string_view> keys(header_.metadata.size());
        std::transform(header_.metadata.begin(), header_.metadata.end(), keys.begin(),
                       [](const auto& entry) -> std::string_view { return entry.first; });
        std::sort(keys.begin(), keys.end());
        if (const auto twice = std::adjacent_find(keys.begin(), keys.end()); twice != keys.end())
            refuse("metadata {} comes twice in the header", in_quotes(*twice));
    }

    // Tensors must tile the data section: every byte belongs to one. Makes their offsets the file's own.
    void place_data() {
        auto& tensors = header_.tensors;
        const uint64_t start = length_word + header_.json_bytes, data = size_ - start;
        for (const Tensor& tensor : tensors)
            if (tensor.offset > data || tensor.bytes > data - tensor.offset)
                refuse("tensor {} reaches to byte {} of the data, of which the file has only {}",
                       in_quotes(tensor.name), tensor.offset + tensor.bytes, data);
        std::sort(tensors.begin(), tensors.end(), [](const Tensor& a, const Tensor& b) {
            return std::tie(a.offset, a.bytes, a.name) < std::tie(b.offset, b.bytes, b.name);
        });
        uint64_t end = 0;
        for (size_t i = 0; i < tensors.size(); ++i) {
            Tensor& tensor = tensors[i];
            if (tensor.offset < end)
                refuse("the data of tensors {} and {} overlap at byte {} of the data",
                       in_quotes(tensors[i - 1].name), in_quotes(tensor.name), tensor.offset);
            if (tensor.offset > end)
                refuse("bytes {} to {} of the data, before tensor {}, belong to no tensor", end,
                       tensor.offset, in_quotes(tensor.name));
            end += tensor.bytes;
            tensor.offset += start;
        }
        if (end != data) refuse("{} bytes at the end of the file belong to no tensor", data - end);
    }

    const os::File& file_;
    std::string where_;
    uint64_t size_;
    HeaderLimits limits_;
    Sha256 hash_;
    ParsedHeader header_;
    std::string text_;
    bool unknown_members_ = false;
};

}  // namespace

ParsedHeader parse_header(const os::File& file, const HeaderLimits& limits) {
    return HeaderParser(file, limits).parse();
}

}  // namespace halftone
