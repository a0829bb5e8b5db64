#include "core/run/trace.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/os/file.hpp"
#include "core/base/partial_file.hpp"

namespace halftone {
namespace {

constexpr std::string_view first_words = "{\"iteration\": 0";

std::string file_name(const std::string& tensor) {
    std::string result;
    for (const char c : tensor) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                           c == '_' || c == '-' || (c == '.' && !result.empty());
        result += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return result + ".jsonl";
}

std::string json_value(const std::string& name, double value) {
    if (name == "kept") return value != 0 ? "true" : "false";
    return std::isfinite(value) ? fmt::format("{}", value) : "null";
}

}  // namespace

std::filesystem::path trace_path(const std::filesystem::path& folder, const std::string& tensor) {
    return folder / file_name(tensor);
}

bool is_trace(const std::filesystem::path& path) {
    try {
        const os::File file = os::File::open_to_read(path);
        std::string start(std::min<uint64_t>(file.size(), first_words.size()), '\0');
        file.read(0, std::as_writable_bytes(std::span(start)));
        return start.empty() || start == first_words;  // a learner that had nothing to do leaves an empty one
    } catch (const Error&) {
        return false;
    }
}

void write_trace(const std::filesystem::path& folder, const std::string& tensor,
                 const std::vector<TraceRow>& rows) {
    std::string text;
    uint64_t iteration = 0;
    for (const TraceRow& row : rows) {
        text += fmt::format("{{\"iteration\": {}", iteration++);
        for (const auto& [name, value] : row)
            text += fmt::format(", {}: {}", in_one_line(Json(name)), json_value(name, value));
        text += "}\n";
    }
    write_whole(trace_path(folder, tensor), text);
}

}  // namespace halftone
