#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

// Checkpoints that no one should take, one per way of being wrong, with what the error must say. Every case
// is written by this header, so that a reader sees what is in it.
namespace halftone::malformed {

struct File {
    std::string name;  // relative to the case's folder
    std::string contents;
};

struct Case {
    std::string name;
    std::string expected;     // a part of the error's message
    std::vector<File> files;  // what to write
    std::string input;        // the one to open; "": the folder itself
    std::string named;        // the one that the error must name

    // Writes the case into an empty folder; the path that a reader is to be given.
    std::filesystem::path write(const std::filesystem::path& folder) const {
        for (const File& file : files) {
            const std::filesystem::path path = folder / file.name;
            std::filesystem::create_directories(path.parent_path());
            if (file.name.ends_with('/')) continue;
            std::ofstream(path, std::ios::binary) << file.contents;
        }
        return input.empty() ? folder : folder / input;
    }
};

inline std::string length_word(uint64_t n) {
    std::string word;
    for (int shift = 0; shift < 64; shift += 8)
        word += static_cast<char>((n >> shift) & 0xFF);
    return word;
}

inline std::string zeros(size_t n) {
    return std::string(n, '\0');
}

inline std::string repeated(const std::string& part, size_t n) {
    std::string out;
    while (n-- > 0)
        out += part;
    return out;
}

inline std::string safetensors(const std::string& json, size_t data = 0) {
    return length_word(json.size()) + json + zeros(data);
}

inline std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return R"({"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

// One tensor "a" with this entry and 8 bytes of data.
inline std::string one(const std::string& value) {
    return safetensors(R"({"a":)" + value + "}", 8);
}

// Tensors that are right by themselves: 8 bytes each, at these offsets.
inline std::string several(const std::vector<std::pair<std::string, uint64_t>>& places, size_t data) {
    std::string json = "{";
    for (const auto& [name, begin] : places) {
        if (json.size() > 1) json += ",";
        const std::string offsets = std::to_string(begin) + "," + std::to_string(begin + 8);
        json += "\"" + name + "\":" + entry("\"F32\"", "[2]", std::string("[").append(offsets).append("]"));
    }
    return safetensors(json + "}", data);
}

// A whole header that is right, to be damaged.
inline std::string good() {
    return several({{"a", 0}, {"b", 8}}, 16);
}

inline Case file(std::string name, std::string contents, std::string expected) {
    return {std::move(name),
            std::move(expected),
            {{"model.safetensors", std::move(contents)}},
            "model.safetensors",
            "model.safetensors"};
}

inline Case json(std::string name, const std::string& text, std::string expected) {
    return file(std::move(name), safetensors(text), std::move(expected));
}

constexpr const char* index_name = "model.safetensors.index.json";

inline Case index(std::string name, std::string contents, std::string expected, std::vector<File> more = {},
                  std::string named = index_name) {
    more.push_back({index_name, std::move(contents)});
    return {std::move(name), std::move(expected), std::move(more), index_name, std::move(named)};
}

inline std::vector<Case> truncated_files() {
    const std::string whole = good();
    const size_t header = whole.size() - 16;
    return {
        {"missing_file", "No such file", {}, "model.safetensors", "model.safetensors"},
        file("empty_file", "", "0 bytes are too few for a safetensors file"),
        file("cut_in_the_length_word", whole.substr(0, 7), "7 bytes are too few"),
        file("cut_after_the_length_word", whole.substr(0, 8), "but only 0 follow"),
        file("cut_after_one_byte_of_the_header", whole.substr(0, 9), "but only 1 follow"),
        file("cut_in_the_header", whole.substr(0, header / 2), "follow"),
        file("cut_before_the_last_byte_of_the_header", whole.substr(0, header - 1), "follow"),
        file("cut_after_the_header", whole.substr(0, header), "of which the file has only 0"),
        file("cut_in_the_first_tensor", whole.substr(0, header + 5), "of which the file has only 5"),
        file("cut_between_tensors", whole.substr(0, header + 8), "tensor 'b' reaches to byte 16"),
        file("cut_before_the_last_byte", whole.substr(0, header + 15), "of which the file has only 15"),
        file("one_byte_too_many", whole + "x", "1 bytes at the end of the file belong to no tensor"),
        file("data_without_tensors", safetensors("{}", 8),
             "8 bytes at the end of the file belong to no tensor"),
    };
}

inline std::vector<Case> lying_lengths() {
    const std::string rest = good().substr(8);
    const uint64_t n = good().size() - 16 - 8;
    return {
        file("length_0", length_word(0) + rest, "the header is empty"),
        file("length_of_the_whole_file", length_word(rest.size() + 8) + rest, "but only"),
        file("length_one_past_the_end", length_word(rest.size() + 1) + rest, "but only"),
        file("length_one_too_short", length_word(n - 1) + rest, "found the end"),
        file("length_one_too_long", length_word(n + 1) + rest, "follows the end of the object"),
        file("length_with_all_data", length_word(rest.size()) + rest, "follows the end of the object"),
        file("length_above_the_limit", length_word(100'000'001) + rest, "more than the allowed 100,000,000"),
        file("length_2_to_63", length_word(uint64_t{1} << 63) + rest, "9,223,372,036,854,775,808 bytes"),
        file("length_2_to_64_minus_1", length_word(UINT64_MAX) + rest, "18,446,744,073,709,551,615 bytes"),
        file("length_that_overflows_with_the_word", length_word(UINT64_MAX - 7) + rest,
             "more than the allowed"),
        file("length_big_endian", zeros(6) + "\x01\x20" + rest, "more than the allowed"),
    };
}

inline std::vector<Case> foreign_files() {
    return {
        file("git_lfs_pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
             "more than the allowed"),
        file("zip_archive", "PK\x03\x04" + zeros(2) + "\x08\x08" + zeros(100),
             "is a PyTorch checkpoint, not a safetensors file"),
        file("pickle", "\x80\x02\x8a\x0al\xfc\x9c\x46" + zeros(100),
             "is a PyTorch checkpoint, not a safetensors file"),
        file("gguf", "GGUF" + std::string("\x03\0\0\0", 4) + zeros(100),
             "is a GGUF file, not a safetensors file"),
        file("web_page", "<!DOCTYPE html><html><body>404</body></html>", "more than the allowed"),
        file("json_text", R"({"weight_map": {}})", "more than the allowed"),
        file("zeros", zeros(64), "the header is empty"),
    };
}

inline std::vector<Case> broken_json() {
    const std::string a = std::string("\"a\":") + entry("\"F32\"", "[0]", "[0,0]");
    return {
        json("no_json", "hello", "a value expected, found 'h'"),
        json("only_spaces", "        ", "a value expected, found the end"),
        json("top_level_list", "[]", "the header must be an object, not a list"),
        json("top_level_string", "\"a\"", "the header must be an object, not a string"),
        json("top_level_null", "null", "the header must be an object"),
        json("two_objects", "{}{}", "'{' follows the end of the object"),
        json("text_after_the_object", "{" + a + "} x", "'x' follows the end of the object"),
        json("nul_after_the_object", "{" + a + "}" + zeros(1), "follows the end of the object"),
        json("unclosed_object", "{" + a, "found the end"),
        json("unclosed_string", R"({"a)", "ends inside a string"),
        json("unclosed_list", R"({"a":{"shape":[1)", "found the end"),
        json("comma_before_the_end", "{" + a + ",}", "'\"' expected"),
        json("comma_at_the_start", "{," + a + "}", "'\"' expected"),
        json("comma_missing", "{" + a + R"("b":1})", "',' or '}' expected"),
        json("comma_at_the_end_of_a_list", R"({"a":{"shape":[1,]}})", "a value expected, found ']'"),
        json("colon_missing", R"({"a" 1})", "':' expected after a key"),
        json("key_without_quotes", "{a:1}", "'\"' expected"),
        json("single_quotes", "{'a':1}", "'\"' expected"),
        json("comment", "{/* */}", "'\"' expected"),
        json("number_with_leading_zero", R"({"a":{"shape":[01]}})", "',' or ']' expected, found '1'"),
        json("number_with_plus", R"({"a":{"shape":[+1]}})", "a value expected, found '+'"),
        json("nan", R"({"a":{"x":NaN}})", "a value expected, found 'N'"),
        json("broken_literal", R"({"a":{"x":nul}})", "'l' expected"),
        json("line_break_in_a_string", "{\"a\nb\":1}", "control character 0x0A"),
        json("unknown_escape", R"({"\x41":1})", "unknown escape, found 'x'"),
        json("broken_unicode_escape", R"({"\u00g0":1})", "four hexadecimal digits expected"),
        json("lone_high_surrogate", R"({"\ud800":1})", "half a surrogate pair"),
        json("lone_low_surrogate", R"({"\udc00 ":1})", "half a surrogate pair"),
        json("two_high_surrogates", R"({"\ud800\ud800":1})", "half a surrogate pair"),
        json("byte_order_mark", "\xEF\xBB\xBF{}", "a value expected"),
        json("utf16", std::string("{\0\"\0a\0\"\0}\0", 10), "found '\\x00'"),
        json("deep_lists", R"({"a":{"x":)" + repeated("[", 50'000), "nested deeper than 16 levels"),
        json("deep_objects", R"({"a":{"x":)" + repeated(R"({"":)", 50'000), "nested deeper than 16 levels"),
        json("deep_from_the_start", repeated(R"({"a":)", 50'000), "nested deeper than 16 levels"),
    };
}

inline std::vector<Case> broken_text() {
    const auto named = [](const std::string& name) {
        return "{\"" + name + "\":" + entry("\"F32\"", "[0]", "[0,0]") + "}";
    };
    return {
        json("stray_byte_in_a_name", named("a\xFF"), "not valid UTF-8"),
        json("stray_continuation_in_a_name", named("a\x80"), "not valid UTF-8"),
        json("overlong_slash", named("\xC0\xAF"), "not valid UTF-8"),
        json("overlong_nul", named("\xE0\x80\x80"), "not valid UTF-8"),
        json("half_a_character", named("\xE2\x82"), "not valid UTF-8"),
        json("half_a_character_at_the_end", "{\"\xE2\x82", "not valid UTF-8"),
        json("surrogate_in_utf8", named("\xED\xA0\x80"), "not valid UTF-8"),
        json("beyond_unicode", named("\xF4\x90\x80\x80"), "not valid UTF-8"),
        json("bad_utf8_in_metadata", "{\"__metadata__\":{\"k\":\"v\xFE\"}}", "not valid UTF-8"),
        json("bad_utf8_in_an_unknown_member", "{\"a\":{\"x\":\"\xFE\"}}", "not valid UTF-8"),
        json("latin1_name", named("caf\xE9"), "not valid UTF-8"),
        json("nul_in_a_name", named(R"(a\u0000b)"), "contains a NUL character"),
    };
}

inline std::vector<Case> broken_entries() {
    const std::string f32 = "\"F32\"", two = "[2]", eight = "[0,8]";
    const std::string far = "[18446744073709551607,18446744073709551615]";
    return {
        file("tensor_is_a_number", one("1"), "tensor 'a' must be an object, not a number"),
        file("tensor_is_null", one("null"), "tensor 'a' must be an object"),
        file("tensor_is_empty", one("{}"), "tensor 'a' has no 'dtype'"),
        file("no_dtype", one(R"({"shape":[2],"data_offsets":[0,8]})"), "has no 'dtype'"),
        file("no_shape", one(R"({"dtype":"F32","data_offsets":[0,8]})"), "has no 'shape'"),
        file("no_offsets", one(R"({"dtype":"F32","shape":[2]})"), "has no 'data_offsets'"),
        file("dtype_twice", one(R"({"dtype":"F32","dtype":"F16"})"), "has 'dtype' twice"),
        file("shape_twice", one(R"({"shape":[2],"shape":[2]})"), "has 'shape' twice"),
        file("offsets_twice", one(R"({"data_offsets":[0,8],"data_offsets":[0,8]})"),
             "has 'data_offsets' twice"),
        file("dtype_is_a_number", one(entry("32", two, eight)), "its dtype must be a string, not a number"),
        file("dtype_unknown", one(entry("\"F31\"", two, eight)), "unknown dtype 'F31'"),
        file("dtype_in_small_letters", one(entry("\"f32\"", two, eight)), "unknown dtype 'f32'"),
        file("dtype_of_torch", one(entry("\"torch.float32\"", two, eight)), "unknown dtype 'torch.float32'"),
        file("dtype_empty", one(entry("\"\"", two, eight)), "unknown dtype ''"),
        file("shape_is_a_number", one(entry(f32, "2", eight)), "its shape must be a list, not a number"),
        file("shape_with_a_string", one(entry(f32, "[\"2\"]", eight)),
             "its shape must be a number, not a string"),
        file("shape_with_a_list", one(entry(f32, "[[2]]", eight)), "its shape must be a number, not a list"),
        file("shape_negative", one(entry(f32, "[-2]", eight)),
             "its shape holds -2, which is no whole number"),
        file("shape_fractional", one(entry(f32, "[2.0]", eight)), "its shape holds 2.0"),
        file("shape_with_exponent", one(entry(f32, "[2e0]", eight)), "its shape holds 2e0"),
        file("shape_of_2_to_64", one(entry(f32, "[18446744073709551616]", eight)),
             "18446744073709551616, which"),
        file("shape_of_many_digits", one(entry(f32, std::string("[") + repeated("9", 5000) + "]", eight)),
             "its shape holds 999"),
        file("rank_9", one(entry(f32, "[1,1,1,1,1,1,1,1,2]", eight)), "more than the 8 dimensions"),
        file("rank_100000", one(entry(f32, std::string("[1") + repeated(",1", 99'999) + "]", eight)),
             "more than the 8"),
        file("offsets_is_a_string", one(entry(f32, two, "\"0,8\"")), "its data_offsets must be a list"),
        file("offsets_empty", one(entry(f32, two, "[]")), "its data_offsets must be two numbers, not 0"),
        file("one_offset", one(entry(f32, two, "[8]")), "must be two numbers, not 1"),
        file("three_offsets", one(entry(f32, two, "[0,8,16]")), "must be two numbers, not 3"),
        file("offset_negative", one(entry(f32, two, "[-8,0]")), "its data_offsets holds -8"),
        file("offsets_backwards", one(entry(f32, two, "[8,0]")), "end before they begin: [8, 0]"),
        file("size_too_small", one(entry(f32, "[3]", eight)),
             "needs 12 bytes for F32 [3], but its data_offsets span 8"),
        file("size_too_large", one(entry(f32, "[1]", eight)),
             "needs 4 bytes for F32 [1], but its data_offsets span 8"),
        file("half_a_byte", one(entry("\"F4\"", "[3]", "[0,2]")), "does not fill whole bytes"),
        file("two_bits_too_many", one(entry("\"F6_E2M3\"", "[3]", "[0,3]")), "does not fill whole bytes"),
        file("elements_overflow", one(entry(f32, "[4294967296,4294967296,2]", eight)), "overflows 64 bits"),
        file("elements_overflow_to_few", one(entry(f32, "[9223372036854775809,2]", eight)),
             "overflows 64 bits"),
        file("bits_overflow", one(entry(f32, "[576460752303423490]", eight)), "overflows 64 bits"),
        file("huge_but_countable", one(entry(f32, "[1073741824,1024]", eight)), "needs 4398046511104 bytes"),
        file("offsets_near_2_to_64", one(entry(f32, two, far)),
             "tensor 'a' reaches to byte 18446744073709551615"),
        file("name_with_a_terminal_escape",
             safetensors(std::string("{\"\\u001b[2J\":") + entry(f32, two, "[8,0]") + "}"),
             "tensor '\\x1b[2J'"),
    };
}

inline std::vector<Case> broken_layouts() {
    return {
        file("tensor_twice", several({{"a", 0}, {"a", 8}}, 16), "tensor 'a' comes twice"),
        file("tensor_twice_with_one_place", several({{"a", 0}, {"a", 0}}, 8), "tensor 'a' comes twice"),
        file("tensor_twice_once_escaped", several({{"a", 0}, {"\\u0061", 8}}, 16), "tensor 'a' comes twice"),
        file("same_place", several({{"a", 0}, {"b", 0}}, 8), "tensors 'a' and 'b' overlap at byte 0"),
        file("overlap", several({{"a", 0}, {"b", 4}}, 12), "tensors 'a' and 'b' overlap at byte 4"),
        file("overlap_in_any_order", several({{"b", 4}, {"a", 0}}, 12), "tensors 'a' and 'b' overlap"),
        file("hole_at_the_start", several({{"a", 8}}, 16), "bytes 0 to 8 of the data, before tensor 'a'"),
        file("hole_between", several({{"a", 0}, {"b", 16}}, 24),
             "bytes 8 to 16 of the data, before tensor 'b'"),
        file("hole_at_the_end", several({{"a", 0}}, 16),
             "8 bytes at the end of the file belong to no tensor"),
        file("out_of_range", several({{"a", 0}, {"b", 1000}}, 16), "tensor 'b' reaches to byte 1008"),
        file("empty_tensor_inside_another",
             safetensors(std::string("{\"a\":") + entry("\"F32\"", "[2]", "[0,8]") +
                             ",\"z\":" + entry("\"F32\"", "[0]", "[4,4]") + "}",
                         8),
             "overlap at byte 4"),
        file("empty_tensor_out_of_range",
             safetensors(std::string("{\"z\":") + entry("\"F32\"", "[0]", "[9,9]") + "}", 8),
             "reaches to byte 9"),
        json("metadata_twice", R"({"__metadata__":{},"__metadata__":{}})", "'__metadata__' comes twice"),
        json("metadata_key_twice", R"({"__metadata__":{"k":"1","k":"2"}})", "metadata 'k' comes twice"),
        json("metadata_is_a_list", R"({"__metadata__":[]})", "'__metadata__' must be an object, not a list"),
        json("metadata_is_null", R"({"__metadata__":null})", "'__metadata__' must be an object"),
        json("metadata_with_a_number", R"({"__metadata__":{"k":1}})",
             "metadata 'k' must be a string, not a number"),
        json("metadata_with_an_object", R"({"__metadata__":{"k":{}}})",
             "metadata 'k' must be a string, not an object"),
    };
}

inline std::string weight_map(const std::vector<std::pair<std::string, std::string>>& entries) {
    std::string text = R"({"metadata": {"total_size": 16}, "weight_map": {)";
    for (size_t i = 0; i < entries.size(); ++i)
        text += (i ? ", \"" : "\"") + entries[i].first + "\": \"" + entries[i].second + "\"";
    return text + "}}";
}

inline std::vector<Case> broken_indices() {
    const File a{"a.safetensors", several({{"a", 0}}, 8)}, b{"b.safetensors", several({{"b", 0}}, 8)};
    const std::string right = weight_map({{"a", "a.safetensors"}, {"b", "b.safetensors"}});
    return {
        index("index_empty", "", "a value expected, found the end"),
        index("index_cut", right.substr(0, right.size() / 2), "found the end", {a, b}),
        index("index_followed_by_text", right + "x", "follows the end of the object", {a, b}),
        index("index_is_a_list", "[]", "an index of shards must be an object, not a list"),
        index("index_with_bad_utf8", "{\"weight_map\":{\"\xFF\":\"a.safetensors\"}}", "not valid UTF-8", {a}),
        index("index_deep", R"({"metadata":)" + repeated("[", 50'000), "nested deeper than 16 levels"),
        index("index_without_weight_map", R"({"metadata":{}})", "it has no 'weight_map'"),
        index("weight_map_is_a_list", R"({"weight_map":[]})", "'weight_map' must be an object, not a list"),
        index("weight_map_empty", R"({"weight_map":{}})", "the index names no tensor"),
        index("weight_map_twice", R"({"weight_map":{},"weight_map":{}})", "'weight_map' comes twice"),
        index("weight_map_with_a_number", R"({"weight_map":{"a":1}})",
              "the file of tensor 'a' must be a string"),
        index("mapped_twice", weight_map({{"a", "a.safetensors"}, {"a", "b.safetensors"}}),
              "tensor 'a' comes twice", {a, b}),
        index("shard_with_absolute_path", weight_map({{"a", "/etc/passwd"}}),
              "lies outside the folder of the index"),
        index("shard_above", weight_map({{"a", "../a.safetensors"}}),
              "'../a.safetensors' lies outside the folder"),
        index("shard_above_by_a_detour", weight_map({{"a", "x/../../a.safetensors"}}),
              "lies outside the folder"),
        index("shard_without_name", weight_map({{"a", ""}}), "'' is no name of a file"),
        index("shard_that_is_a_folder_name", weight_map({{"a", "sub/"}}), "'sub/' is no name of a file"),
        index("shard_with_nul", weight_map({{"a", "a.safetensors\\u0000x"}}), "is no name of a file", {a}),
        index("shard_missing", right, "shard 'b.safetensors' does not exist", {a}),
        index("shard_is_a_folder", right, "this is a folder", {a, {"b.safetensors/", ""}}, "b.safetensors"),
        index("shard_cut", right, "of which the file has only 7",
              {a, {"b.safetensors", b.contents.substr(0, b.contents.size() - 1)}}, "b.safetensors"),
        index("shard_with_broken_header", right, "found '?'", {a, {"b.safetensors", safetensors("?")}},
              "b.safetensors"),
        index("tensor_not_in_its_shard", weight_map({{"a", "a.safetensors"}, {"c", "a.safetensors"}}),
              "tensor 'c' is said to be in shard 'a.safetensors', which does not have it", {a}),
        index("tensor_in_another_shard", weight_map({{"a", "b.safetensors"}, {"b", "a.safetensors"}}),
              "tensor 'a' is said to be in shard 'b.safetensors', but is in 'a.safetensors'", {a, b}),
        index("tensor_in_two_shards", right, "tensor 'b' is in two shards",
              {{"a.safetensors", several({{"a", 0}, {"b", 8}}, 16)}, b}),
        index("tensor_left_out", weight_map({{"a", "a.safetensors"}}),
              "shard 'a.safetensors' has tensor 'z', which the index does not name",
              {{"a.safetensors", several({{"a", 0}, {"z", 8}}, 16)}}),
    };
}

inline std::vector<Case> broken_folders() {
    const std::string one_tensor = several({{"a", 0}}, 8);
    return {
        {"folder_empty", "holds no safetensors file", {{"readme.txt", "nothing here"}}, "", ""},
        {"folder_with_two_files",
         "several safetensors files and no index: 'a.safetensors', 'b.safetensors'",
         {{"a.safetensors", one_tensor}, {"b.safetensors", one_tensor}},
         "",
         ""},
        {"folder_with_two_indices",
         "holds several checkpoints: 'a.safetensors.index.json', 'b.safetensors.index.json'",
         {{"a.safetensors.index.json", "{}"}, {"b.safetensors.index.json", "{}"}},
         "",
         ""},
        {"folder_with_a_broken_file",
         "the header is empty",
         {{"a.safetensors", zeros(8)}},
         "",
         "a.safetensors"},
    };
}

inline std::vector<Case> corpus() {
    std::vector<Case> all;
    for (auto part : {truncated_files, lying_lengths, foreign_files, broken_json, broken_text, broken_entries,
                      broken_layouts, broken_indices, broken_folders})
        for (Case& one_case : part())
            all.push_back(std::move(one_case));
    return all;
}

}  // namespace halftone::malformed
