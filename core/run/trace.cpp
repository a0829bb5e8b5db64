#include "core/run/trace.hpp"

#include <cmath>
#include <fmt/format.h>
#include <fstream>

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/os/file.hpp"

namespace halftone {
namespace {

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

void write_trace(const std::filesystem::path& folder, const std::string& tensor,
                 const std::vector<TraceRow>& rows) {
    const std::filesystem::path path = folder / file_name(tensor);
    std::ofstream file(path, std::ios::binary);
    uint64_t iteration = 0;
    for (const TraceRow& row : rows) {
        file << fmt::format("{{\"iteration\": {}", iteration++);
        for (const auto& [name, value] : row)
            file << fmt::format(", {}: {}", in_one_line(Json(name)), json_value(name, value));
        file << "}\n";
    }
    if (!file.flush()) fail(Exit::failed, os::utf8(path), "the trace could not be written");
}

}  // namespace halftone
