#include "core/plan/metadata.hpp"

#include <algorithm>

namespace halftone {
namespace {

constexpr const char* quantization_key = "_quantization_metadata";

bool describes_old_contents(const std::string& key) {
    return key == "modelspec.hash_sha256" || key.starts_with("sshs_") || key.starts_with("halftone.") ||
           key == quantization_key;
}

Json old_layers(const Metadata& input) {
    const auto entry = std::ranges::find(input, quantization_key, &Metadata::value_type::first);
    if (entry == input.end()) return Json::object();
    const Json parsed = Json::parse(entry->second, nullptr, /*allow_exceptions=*/false);
    if (!parsed.is_object() || !parsed.contains("layers") || !parsed["layers"].is_object())
        return Json::object();
    return parsed["layers"];
}

}  // namespace

std::string python_json(const Json& value) {
    std::string result;
    if (value.is_object()) {
        for (const auto& [key, member] : value.items())
            result += (result.empty() ? "" : ", ") + Json(key).dump() + ": " + python_json(member);
        return "{" + result + "}";
    }
    if (value.is_array()) {
        for (const Json& item : value)
            result += (result.empty() ? "" : ", ") + python_json(item);
        return "[" + result + "]";
    }
    return value.dump();
}

Metadata output_metadata(const Metadata& input, const std::vector<Metadata>& files,
                         const LayerChanges& changes) {
    Metadata result;
    std::ranges::copy_if(input, std::back_inserter(result),
                         [](const auto& entry) { return !describes_old_contents(entry.first); });
    Json layers = Json::object();
    for (const Metadata& file : files) {
        const Json old = old_layers(file);
        for (const auto& [layer, configuration] : old.items())
            if (!changes.touched.contains(layer) && !changes.written.contains(layer))
                layers[layer] = configuration;
    }
    for (const auto& [layer, configuration] : changes.written)
        layers[layer] = configuration;
    if (!layers.empty()) {
        Json whole;
        whole["format_version"] = "1.0";
        whole["layers"] = std::move(layers);
        result.emplace_back(quantization_key, python_json(whole));
    }
    return result;
}

void set_metadata(Metadata& metadata, const std::string& key, std::string value) {
    const auto entry = std::ranges::find(metadata, key, &Metadata::value_type::first);
    if (entry != metadata.end())
        entry->second = std::move(value);
    else
        metadata.emplace_back(key, std::move(value));
}

}  // namespace halftone
